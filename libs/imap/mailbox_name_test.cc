#include "libs/imap/mailbox_name.h"

#include <catch2/catch.hpp>

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

TEST_CASE("Names of new mailboxes have bounds", "[imap][unit]") {
  CHECK(CheckNewMailboxName("a/b c/d").ok());
  const std::string bad = GENERATE(
      values<std::string>({"", "/a", "a/", "a//b", "#news", "a*", "%", std::string(1001, 'x')}));
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
