#pragma once

// Messages on standard input.

#include <string>
#include <string_view>

namespace godwit::ctl {

std::string ReadStandardInput();

// With CRLF at every line's end, as the message would come over SMTP.
std::string WithCrlf(std::string_view text);
// The other way: CRLF become LF where the message has none of them, so that what is put in front of
// it looks like it.
std::string LikeLinesOf(std::string_view message, std::string_view fields);

}  // namespace godwit::ctl
