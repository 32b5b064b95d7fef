#pragma once

// Message ids (RFC 5322 §3.6.4) of Message-ID, In-Reply-To and References, as threading wants them.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::mime {

// The ids in `value`, in order, each without its angle brackets, without white space and comments,
// and with needless quoting removed (RFC 5256 §3, THREAD=REFERENCES step 1). Text between ids is
// skipped. When there are more than `max` the first and the last `max` - 1 remain: the root of a
// thread and the nearest ancestors. An id of more than 998 octets is skipped.
std::vector<std::string> ParseMessageIds(std::string_view value, size_t max = 100);

}  // namespace godwit::mime
