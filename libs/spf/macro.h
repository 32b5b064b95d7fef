#pragma once

// SPF macros (RFC 7208 §7): checking a macro string, and expanding one.
//
// Expansion never fails: the syntax was checked before. %{p} needs the validated name of the
// client; the evaluation asks UsesMacro(text, 'p') first and resolves it then.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/ip_address.h"

namespace godwit::spf {

enum class MacroContext {
  kDomainSpec,   // §7.1: macro-string then domain-end; the letters c, r and t are not allowed
  kMacroString,  // the value of an unknown modifier: anything of the grammar
  kExplanation,  // explain-string: spaces too, all letters
};

// InvalidArgument when `text` does not follow the grammar of §7.1.
absl::Status CheckMacroString(std::string_view text, MacroContext context);

struct MacroValues {
  std::string_view local_part;     // of the sender
  std::string_view sender_domain;  // of the sender
  std::string_view domain;         // the current <domain>: %{d}
  std::string_view helo;
  base::IpAddress ip;
  std::string_view validated_name = "unknown";  // %{p}
  std::string_view receiver = "unknown";        // %{r}
  absl::Time now;                               // %{t}
};

// True when `text` has the macro `letter` (lower case) in either case.
bool UsesMacro(std::string_view text, char letter);

// `text` passed CheckMacroString().
std::string ExpandMacros(std::string_view text, const MacroValues& values);

}  // namespace godwit::spf
