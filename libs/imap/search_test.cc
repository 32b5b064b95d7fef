#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "libs/base/ascii.h"
#include "libs/imap/cursor.h"
#include "libs/imap/flags.h"
#include "libs/imap/search_eval.h"
#include "libs/imap/search_keys.h"
#include "libs/imap/text_match.h"
#include "libs/testing/split.h"

namespace godwit::imap {
namespace {

std::optional<SearchProgram> Parse(std::string_view text, const Limits& limits = {}) {
  Cursor cursor(text, limits);
  return ParseSearch(&cursor);
}

// A message that is all there, or only its entry.
class FixedMessage : public MessageView {
 public:
  bool loaded = true;
  uint32_t flags = kSeen;

  uint32_t uid() const override { return 7; }
  uint32_t system_flags() const override { return flags; }
  bool HasKeyword(std::string_view keyword) const override {
    return base::EqualsIgnoreCase(keyword, "work");
  }
  absl::Time internal_date() const override {
    return absl::FromCivil(absl::CivilSecond(2024, 2, 10, 23, 0, 0), absl::UTCTimeZone());
  }
  uint64_t size() const override { return 1000; }
  uint64_t modseq() const override { return 42; }
  std::string email_id() const override { return "e1"; }
  std::string thread_id() const override { return "t1"; }
  std::optional<std::optional<absl::CivilDay>> sent_day() const override {
    if (!loaded) return std::nullopt;
    return std::optional<absl::CivilDay>(absl::CivilDay(2024, 2, 9));
  }
  std::optional<bool> HeaderContains(std::string_view name,
                                     std::string_view folded) const override {
    if (!loaded) return std::nullopt;
    return base::EqualsIgnoreCase(name, "Subject") && ContainsFolded("Die Straße", folded);
  }
  std::optional<bool> BodyContains(std::string_view folded) const override {
    if (!loaded) return std::nullopt;
    return ContainsFolded("Hello World", folded);
  }
  std::optional<bool> TextContains(std::string_view folded) const override {
    return BodyContains(folded);
  }
};

const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2024, 2, 11, 0, 0, 0), absl::UTCTimeZone());

struct Row {
  std::string program;
  bool want;
  bool without_content;  // decided from the entry alone
};

TEST_CASE("SEARCH keys decide as RFC 9051 section 6.4.4 says", "[imap][unit]") {
  const Row row = GENERATE(values<Row>({
      {"ALL", true, true},
      {"SEEN", true, true},
      {"UNSEEN", false, true},
      {"NEW", false, true},
      {"OLD", true, true},
      {"RECENT", false, true},
      {"KEYWORD Work", true, true},
      {"UNKEYWORD work", false, true},
      {"ON 10-Feb-2024", true, true},
      {"BEFORE 10-Feb-2024", false, true},
      {"SINCE \"10-Feb-2024\"", true, true},
      {"SENTON 9-Feb-2024", true, false},
      {"SENTBEFORE 9-Feb-2024", false, false},
      {"LARGER 999", true, true},
      {"SMALLER 1000", false, true},
      {"OLDER 3600", true, true},
      {"YOUNGER 3599", false, true},
      {"SUBJECT strasse", true, false},
      {"SUBJECT {7}\r\nstra\xc3\x9f"
       "e",
       true, false},
      {"HEADER Subject \"\"", true, false},
      {"FROM x", false, false},
      {"BODY \"o wor\"", true, false},
      {"NOT BODY xyz", true, false},
      {"UID 5:7", true, true},
      {"UID 8:*", true, true},  // RFC 9051: "*" is the greatest, and ranges go both ways
      {"1", true, true},
      {"$", false, true},
      {"MODSEQ \"/flags/\\\\draft\" all 42", true, true},
      {"MODSEQ 43", false, true},
      {"EMAILID e1 THREADID t1", true, true},
      {"OR UNSEEN LARGER 10", true, true},
      {"OR UNSEEN BODY hello", true, false},
      {"OR SEEN BODY xyz", true, true},    // decided without the body
      {"UNSEEN BODY hello", false, true},  // so is this
      {"(SEEN (LARGER 1 NOT (UNSEEN)))", true, true},
      {"NOT NOT SEEN", true, true},
  }));
  CAPTURE(row.program);
  auto program = Parse(row.program);
  REQUIRE(program);
  REQUIRE(BindSearch(&program->key, UidSet::Of(7, 7), UidSet()));
  FoldSearch(&program->key);
  FixedMessage message;
  CHECK(Evaluate(program->key, message, kNow) == (row.want ? Verdict::kYes : Verdict::kNo));
  message.loaded = false;
  CHECK((Evaluate(program->key, message, kNow) != Verdict::kUnknown) == row.without_content);
}

TEST_CASE("SEARCH programs that are wrong are refused", "[imap][unit]") {
  const std::string text = GENERATE(values<std::string>({"",
                                                         "FOO",
                                                         "NOT",
                                                         "OR SEEN",
                                                         "OR SEEN ",
                                                         "(SEEN",
                                                         "SEEN)",
                                                         "SEEN  ALL",
                                                         "ALL ",
                                                         "BEFORE x",
                                                         "ON 31-Feb-2024",
                                                         "LARGER x",
                                                         "LARGER",
                                                         "HEADER x",
                                                         "UID",
                                                         "UID 0",
                                                         "RETURN (FOO) ALL",
                                                         "RETURN ALL",
                                                         "CHARSET UTF-8",
                                                         "KEYWORD (",
                                                         "SUBJECT {3}\r\nab",
                                                         "()",
                                                         "BODY \"\xff\""}));
  CAPTURE(text);
  CHECK_FALSE(Parse(text));
}

TEST_CASE("SEARCH programs have a depth and a length", "[imap][unit]") {
  Limits limits;
  limits.depth = 5;
  limits.list_items = 10;
  CHECK(Parse("NOT NOT NOT NOT ALL", limits));
  CHECK_FALSE(Parse("NOT NOT NOT NOT NOT ALL", limits));
  CHECK_FALSE(Parse("((((((ALL))))))", limits));
  CHECK(Parse("ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL", limits));
  CHECK_FALSE(Parse("ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL", limits));
}

TEST_CASE("A sequence number that does not exist can not be bound", "[imap][unit]") {
  auto program = Parse("NOT 3");
  REQUIRE(program);
  CHECK_FALSE(BindSearch(&program->key, UidSet::Of(10, 11), UidSet()));
}

std::string Result(std::string_view text, const UidSet& found, uint64_t modseq = 0) {
  const auto program = Parse(text);
  REQUIRE(program);
  std::string out;
  AppendSearchResult(&out, *program, "A282", true, found, modseq);
  return out;
}

TEST_CASE("Search results take the form that was asked for", "[imap][unit]") {
  UidSet found = UidSet::Of(2, 3);
  found.Add(10);
  CHECK(Result("ALL", found) == "* SEARCH 2 3 10\r\n");
  CHECK(Result("ALL", UidSet()) == "* SEARCH\r\n");
  CHECK(Result("MODSEQ 1", found, 917) == "* SEARCH 2 3 10 (MODSEQ 917)\r\n");
  CHECK(Result("RETURN () ALL", found) == "* ESEARCH (TAG \"A282\") UID ALL 2:3,10\r\n");
  CHECK(Result("RETURN (MIN MAX COUNT) ALL", found) ==
        "* ESEARCH (TAG \"A282\") UID MIN 2 MAX 10 COUNT 3\r\n");
  CHECK(Result("RETURN (MIN COUNT ALL) ALL", UidSet()) ==
        "* ESEARCH (TAG \"A282\") UID COUNT 0\r\n");
  CHECK(Result("RETURN (SAVE) ALL", found).empty());
  CHECK(SavedResult({.min = true, .save = true}, found).ToString() == "2");
  CHECK(SavedResult({.save = true}, found).ToString() == "2:3,10");
}

TEST_CASE("TextScan finds needles in every split of a text", "[imap][unit]") {
  const std::string text = "Grüße aus der STRASSE, \u00c4pfel A\u0308pfel \U0001F600 the end";
  testing::ForEachSplit(text, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    TextScan scan({Fold("GRÜSSE"), Fold("straße"), Fold("äpfel ä"), Fold("\U0001F600 THE"),
                   Fold("absent"), ""});
    for (const std::string_view chunk : chunks) scan.Feed(chunk);
    scan.Finish();
    for (size_t i = 0; i < 6; ++i) {
      CAPTURE(i);
      REQUIRE(scan.Found(i) == (i != 4));
    }
    CHECK_FALSE(scan.AllFound());
  });
}

TEST_CASE("TextScan does not find what lies on both sides of a break", "[imap][unit]") {
  TextScan scan({"ab"});
  scan.Feed("a");
  scan.Break();
  scan.Feed("b");
  scan.Finish();
  CHECK_FALSE(scan.Found(0));
}

}  // namespace
}  // namespace godwit::imap
