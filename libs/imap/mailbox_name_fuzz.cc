// Mailbox names: what decodes encodes, and decodes to the same again; patterns end.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/imap/list_match.h"
#include "libs/imap/mailbox_name.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace imap = godwit::imap;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const auto encoding : {imap::NameEncoding::kModifiedUtf7, imap::NameEncoding::kUtf8}) {
    const auto name = imap::DecodeMailboxName(input, encoding);
    if (!name.ok()) continue;
    GODWIT_CHECK(godwit::base::IsUtf8(*name));
    for (const auto back : {imap::NameEncoding::kModifiedUtf7, imap::NameEncoding::kUtf8}) {
      const std::string wire = imap::EncodeMailboxName(*name, back);
      GODWIT_CHECK(back == imap::NameEncoding::kUtf8 || godwit::base::IsAscii(wire));
      // A name at the limit may be longer in the other encoding.
      const auto again = imap::DecodeMailboxName(wire, back);
      GODWIT_CHECK(again.ok() ? *again == *name : wire.size() > imap::kMaxWireMailboxName);
    }
    GODWIT_CHECK(imap::ListMatches("*", *name));
    if (name->find_first_of("%*") == std::string::npos) {
      GODWIT_CHECK(imap::ListMatches(*name, *name));
    }
    if (size < 200) imap::ListMatches(imap::JoinListPattern("", *name), *name);
  }
  return 0;
}
