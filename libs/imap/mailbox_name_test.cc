#include "libs/imap/mailbox_name.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/imap/list_match.h"

namespace godwit::imap {
namespace {

struct Row {
  std::string wire;
  std::string name;
};

TEST_CASE("Modified UTF-7 goes both ways", "[imap][unit]") {
  const Row row = GENERATE(values<Row>({
      {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},  // RFC 3501 §5.1.3
      {"&Jjo-!", "☺!"},
      {"Entw&APw-rfe", "Entwürfe"},
      {"A&-B", "A&B"},
      {"&2D3eCQ-", "😉"},
      {"INBOX", "INBOX"},
      {"", ""},
  }));
  CAPTURE(row.wire);
  const auto name = DecodeMailboxName(row.wire, NameEncoding::kModifiedUtf7);
  REQUIRE(name.ok());
  CHECK(*name == row.name);
  CHECK(EncodeMailboxName(row.name, NameEncoding::kModifiedUtf7) == row.wire);
}

TEST_CASE("Names that are not well encoded are refused", "[imap][unit]") {
  const std::string wire = GENERATE(values<std::string>(
      {"&", "&AB", "&A-", "&AAAA*-", "&2D0-", "&3gk-", "caf\xc3\xa9", "a\tb", "&AAo-", "&ACg"}));
  CAPTURE(wire);
  CHECK_FALSE(DecodeMailboxName(wire, NameEncoding::kModifiedUtf7).ok());
}

TEST_CASE("Names in UTF-8 are normalised and judged", "[imap][unit]") {
  CHECK(*DecodeMailboxName("A\u0308", NameEncoding::kUtf8) == "\u00c4");
  CHECK(*DecodeMailboxName("a&b", NameEncoding::kUtf8) == "a&b");
  CHECK_FALSE(DecodeMailboxName("\xff", NameEncoding::kUtf8).ok());
  CHECK_FALSE(DecodeMailboxName("a\u2028b", NameEncoding::kUtf8).ok());
  CHECK_FALSE(DecodeMailboxName(std::string(5000, 'a'), NameEncoding::kUtf8).ok());
}

TEST_CASE("INBOX is one name however it is written", "[imap][unit]") {
  CHECK(*DecodeMailboxName("inBox", NameEncoding::kModifiedUtf7) == "INBOX");
  CHECK(*DecodeMailboxName("inbox/Sub", NameEncoding::kModifiedUtf7) == "INBOX/Sub");
  CHECK(*DecodeMailboxName("inboxes", NameEncoding::kModifiedUtf7) == "inboxes");
  CHECK(*DecodeMailboxName("a/inbox", NameEncoding::kModifiedUtf7) == "a/inbox");
}

TEST_CASE("Names of new mailboxes are judged", "[imap][unit]") {
  CHECK(CheckNewMailboxName("a/b c/d").ok());
  const std::string bad =
      GENERATE(values<std::string>({"", "/a", "a/", "a//b", "#news", "a*", "%"}));
  CAPTURE(bad);
  CHECK_FALSE(CheckNewMailboxName(bad).ok());
}

TEST_CASE("Parents and children", "[imap][unit]") {
  CHECK(ParentMailboxName("a/b/c") == "a/b");
  CHECK(ParentMailboxName("a").empty());
  CHECK(IsBelow("a/b/c", "a"));
  CHECK_FALSE(IsBelow("ab", "a"));
  CHECK_FALSE(IsBelow("a", "a"));
}

struct Match {
  std::string pattern;
  std::string name;
  bool want;
};

TEST_CASE("LIST patterns match as RFC 9051 section 6.3.9 says", "[imap][unit]") {
  const Match row = GENERATE(values<Match>({
      {"*", "a/b/c", true},
      {"%", "a", true},
      {"%", "a/b", false},
      {"%/%", "a/b", true},
      {"a%", "abc", true},
      {"a%", "a/c", false},
      {"a*", "a/c", true},
      {"*c", "a/b/c", true},
      {"%c", "a/b/c", false},
      {"a/%/c", "a/b/c", true},
      {"", "", true},
      {"", "a", false},
      {"INBOX", "INBOX", true},
      {"INBOX%", "INBOX", true},
      {"*%*%*", "aaaaaaaaaaaaaaaaaa", true},
      {"a", "A", false},
      {"%*b", "a/b", true},
  }));
  CAPTURE(row.pattern, row.name);
  CHECK(ListMatches(row.pattern, row.name) == row.want);
}

// What the matcher was once, plainly: reach[j] says that the pattern so far matches the first j
// octets.
bool MatchesSlowly(std::string_view pattern, std::string_view name) {
  std::vector<bool> reach(name.size() + 1, false);
  reach[0] = true;
  for (const char p : pattern) {
    std::vector<bool> next(name.size() + 1, false);
    for (size_t j = 0; j <= name.size(); ++j) {
      const bool wild = p == '*' || p == '%';
      const bool longer = j > 0 && next[j - 1] && (p == '*' || name[j - 1] != '/');
      next[j] = wild ? reach[j] || longer : j > 0 && reach[j - 1] && name[j - 1] == p;
    }
    reach = next;
  }
  return reach[name.size()];
}

// The texts of up to `size` characters out of `letters`.
std::vector<std::string> Texts(std::string_view letters, size_t size) {
  std::vector<std::string> all = {""};
  for (size_t begin = 0; begin < all.size() && all[begin].size() < size; ++begin) {
    for (const char c : letters) all.push_back(all[begin] + c);
  }
  return all;
}

TEST_CASE("LIST patterns match as the plain table does", "[imap][unit]") {
  size_t differences = 0;
  for (const std::string& pattern : Texts("ab/*%", 5)) {
    const ListPattern compiled(pattern);
    for (const std::string& name : Texts("a/", 6)) {
      differences += compiled.Matches(name) != MatchesSlowly(pattern, name);
    }
  }
  CHECK(differences == 0);
}

// 100 patterns of 160 octets over 60 names of 950 took 3.2 s, and for so long nobody else on the
// thread was served: each octet of the pattern was tried at each octet of the name.
TEST_CASE("Patterns and names longer than a machine word match", "[imap][unit]") {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  CHECK(ListMatches(pattern, std::string(200, 'a')));
  CHECK_FALSE(ListMatches(pattern, std::string(199, 'a')));
  CHECK_FALSE(ListMatches(pattern + "b", std::string(950, 'a')));
  CHECK(ListMatches(std::string(500, '*') + "b", std::string(900, 'a') + "b"));
  const std::string name(300, 'a');
  CHECK(ListMatches(name, name));
  CHECK_FALSE(ListMatches(name, name + "a"));
  CHECK(ListMatches(name + "%", name));
  CHECK_FALSE(ListMatches(name + "%", name + "/"));
}

TEST_CASE("The reference goes in front of the pattern", "[imap][unit]") {
  CHECK(JoinListPattern("", "inbox") == "INBOX");
  CHECK(JoinListPattern("", "inbox/*") == "INBOX/*");
  CHECK(JoinListPattern("a/", "%") == "a/%");
  CHECK(JoinListPattern("a/", "/b") == "b");
  CHECK(JoinListPattern("", "inboxes") == "inboxes");
  CHECK(JoinListPattern("", "Inbo%") == "Inbo%");
}

}  // namespace
}  // namespace godwit::imap
