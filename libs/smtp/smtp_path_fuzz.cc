// Paths and parameters. Properties: what was parsed and written parses to the same again; limits
// hold; a parsed address has no line end in it.

#include <cstdint>
#include <string>

#include "libs/base/check.h"
#include "libs/smtp/parameter.h"
#include "libs/smtp/path.h"

using godwit::smtp::Address;
using godwit::smtp::Extension;
using godwit::smtp::ExtensionSet;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view in = text;
  const auto result = godwit::smtp::ParseReversePath(&in);
  if (const auto* address = std::get_if<Address>(&result)) {
    GODWIT_CHECK(text.size() - in.size() <= 256);
    GODWIT_CHECK(address->ToString().find_first_of("\r\n") == std::string::npos);
    // Writing may add quotes, so the limits are wider the second time.
    const std::string written = address->ToPath();
    std::string_view again = written;
    const auto second = godwit::smtp::ParseReversePath(&again, {1000, 1000, 1000});
    GODWIT_CHECK(second == result && again.empty());
  } else {
    GODWIT_CHECK(in.size() == text.size());
  }
  constexpr ExtensionSet kAll = {Extension::kSize, Extension::k8BitMime, Extension::kSmtpUtf8,
                                 Extension::kDsn,  Extension::kAuth,     Extension::kOrigin};
  const auto mail = godwit::smtp::ParseMailParameters(in, kAll);
  if (const auto* parameters = std::get_if<godwit::smtp::MailParameters>(&mail)) {
    if (parameters->origin) {
      const std::string written = godwit::smtp::WriteOrigin(*parameters->origin);
      GODWIT_CHECK(godwit::smtp::ParseOrigin(written) == parameters->origin);
    }
  }
  (void)godwit::smtp::ParseRcptParameters(in, kAll);
  return 0;
}
