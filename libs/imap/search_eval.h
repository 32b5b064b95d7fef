#pragma once

// Evaluates a bound search program on one message, in rounds: what is not loaded yet is unknown.
// The driver asks first with what the mailbox entry tells (flags, dates, size), then loads the
// header of the messages that stay unknown, then scans the body of those that still do.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "libs/imap/search_keys.h"

namespace godwit::imap {

// A message as far as it is loaded. nullopt: not loaded.
class MessageView {
 public:
  virtual ~MessageView() = default;

  virtual uint32_t uid() const = 0;
  virtual uint32_t system_flags() const = 0;
  virtual bool HasKeyword(std::string_view keyword) const = 0;  // any case
  virtual absl::Time internal_date() const = 0;
  virtual uint64_t size() const = 0;
  virtual uint64_t modseq() const = 0;
  virtual std::string email_id() const = 0;
  virtual std::string thread_id() const = 0;

  // The day of the Date field as it was written there; an inner nullopt when it has none.
  virtual std::optional<std::optional<absl::CivilDay>> sent_day() const = 0;
  // A field of that name holds the folded text; with "" : is there.
  virtual std::optional<bool> HeaderContains(std::string_view name,
                                             std::string_view folded) const = 0;
  // RFC 9051 §6.4.4: BODY is the text of the parts, TEXT that and the header.
  virtual std::optional<bool> BodyContains(std::string_view folded) const = 0;
  virtual std::optional<bool> TextContains(std::string_view folded) const = 0;
};

enum class Verdict { kNo, kYes, kUnknown };

// Replaces the texts of kHeader, kBody and kText by their folded form; once, before Evaluate.
void FoldSearch(SearchKey* key);

// `now` for OLDER and YOUNGER.
Verdict Evaluate(const SearchKey& key, const MessageView& message, absl::Time now);

// The folded texts of all BODY and TEXT keys, without repetitions: what TextScan looks for.
std::vector<std::string> BodyNeedles(const SearchKey& key);

// How many HEADER, BODY and TEXT keys there are: each costs a look through text for each message.
size_t CountTextKeys(const SearchKey& key);

// RFC 5182 §2.4: what SAVE keeps: all that was found, or just the ends when only they were asked
// for.
UidSet SavedResult(const SearchReturn& wanted, const UidSet& found);

// "* SEARCH 2 5\r\n", or "* ESEARCH (TAG \"a\") UID COUNT 2 ...\r\n" (RFC 9051 §7.3.4). `found` are
// UIDs or sequence numbers, as `uid` says. `modseq` is the highest of the found messages, told
// when the client searched for MODSEQ (RFC 7162 §3.1.5); 0 for none.
void AppendSearchResult(std::string* out, const SearchProgram& program, std::string_view tag,
                        bool uid, const UidSet& found, uint64_t modseq);

}  // namespace godwit::imap
