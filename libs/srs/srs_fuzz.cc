// A mailbox, local part before the last "@". Properties: what was rewritten comes back, in any case
// of its letters, and nothing comes back that was not signed; sizes are bounded.

#include <cstdint>
#include <string>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/srs/srs.h"

using godwit::base::EqualsIgnoreCase;
using godwit::srs::Mailbox;
using godwit::srs::Rewriter;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Rewriter& rewriter = *new Rewriter({godwit::base::Secret("fuzzing's own secret")});
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const std::string text(reinterpret_cast<const char*>(data), size);
  // No input can be signed with a secret that it has not.
  GODWIT_CHECK(!std::holds_alternative<Mailbox>(rewriter.Reverse(text, now)));
  const size_t at = text.rfind('@');
  if (at == text.npos) return 0;
  const Mailbox sender{text.substr(0, at), text.substr(at + 1)};
  GODWIT_CHECK(!std::holds_alternative<Mailbox>(rewriter.Reverse(sender.local_part, now)));
  const auto local_part = rewriter.Rewrite(sender, now);
  if (!local_part) return 0;
  GODWIT_CHECK(local_part->size() <= 240 && godwit::srs::IsSrs(*local_part));
  for (const std::string& form : {*local_part, godwit::base::Lower(*local_part)}) {
    const auto back = rewriter.Reverse(form, now);
    const auto* mailbox = std::get_if<Mailbox>(&back);
    if (local_part->starts_with("SRS0")) {
      GODWIT_CHECK(mailbox != nullptr && EqualsIgnoreCase(mailbox->local_part, sender.local_part));
      GODWIT_CHECK(mailbox->domain == godwit::base::Lower(sender.domain));
    } else if (mailbox != nullptr) {  // else the first forwarder's day is over
      GODWIT_CHECK(EqualsIgnoreCase(mailbox->local_part.substr(0, 4), "SRS0"));
    }
  }
  return 0;
}
