// SEARCH programs: bounded, and evaluating what is not loaded never contradicts what is.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libs/base/check.h"
#include "libs/imap/cursor.h"
#include "libs/imap/search_eval.h"
#include "libs/imap/search_keys.h"
#include "libs/imap/text_match.h"

namespace {

namespace imap = godwit::imap;

class Message : public imap::MessageView {
 public:
  explicit Message(bool loaded) : loaded_(loaded) {}
  uint32_t uid() const override { return 5; }
  uint32_t system_flags() const override { return 5; }
  bool HasKeyword(std::string_view keyword) const override { return keyword.size() % 2 == 0; }
  absl::Time internal_date() const override { return absl::UnixEpoch(); }
  uint64_t size() const override { return 4096; }
  uint64_t modseq() const override { return 9; }
  std::string email_id() const override { return "e"; }
  std::string thread_id() const override { return "t"; }
  std::optional<std::optional<absl::CivilDay>> sent_day() const override {
    if (!loaded_) return std::nullopt;
    return std::optional<absl::CivilDay>(absl::CivilDay(1994, 2, 1));
  }
  std::optional<bool> HeaderContains(std::string_view, std::string_view folded) const override {
    return BodyContains(folded);
  }
  std::optional<bool> BodyContains(std::string_view folded) const override {
    if (!loaded_) return std::nullopt;
    return imap::ContainsFolded("a text with ünïcode", folded);
  }
  std::optional<bool> TextContains(std::string_view folded) const override {
    return BodyContains(folded);
  }

 private:
  bool loaded_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  imap::Limits limits;
  limits.depth = 20;
  limits.list_items = 100;
  imap::Cursor cursor(input, limits);
  auto program = imap::ParseSearch(&cursor);
  GODWIT_CHECK(program.has_value() == cursor.error().empty());
  if (!program) return 0;
  imap::UidSet uids = imap::UidSet::Of(3, 9);
  if (!imap::BindSearch(&program->key, uids, imap::UidSet::Of(4, 6))) return 0;
  imap::FoldSearch(&program->key);
  const auto entry_only = imap::Evaluate(program->key, Message(false), absl::UnixEpoch());
  const auto full = imap::Evaluate(program->key, Message(true), absl::UnixEpoch());
  GODWIT_CHECK(full != imap::Verdict::kUnknown);
  GODWIT_CHECK(entry_only == imap::Verdict::kUnknown || entry_only == full);
  for (const std::string& needle : imap::BodyNeedles(program->key)) {
    GODWIT_CHECK(imap::Fold(needle).size() <= 64 * (needle.size() + 1));
  }
  return 0;
}
