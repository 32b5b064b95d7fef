#include "libs/dsn/dsn.h"

#include <catch2/catch.hpp>

#include "libs/dsn/clean.h"
#include "libs/dsn/utf8_address.h"

namespace godwit::dsn {
namespace {

using smtp::DsnNotify;

TEST_CASE("RFC 6533 §3: an address in UTF-8 goes to ASCII and back", "[dsn][unit]") {
  struct Row {
    std::string utf8;
    std::string ascii;
  };
  const auto row =
      GENERATE(values<Row>({{"bob@example.org", "bob@example.org"},
                            {"bücher@例え.example", "b\\x{FC}cher@\\x{4F8B}\\x{3048}.example"},
                            {"a+b=c@x", "a\\x{2B}b\\x{3D}c@x"},
                            {"\"a b\\c\"@x", "\"a\\x{20}b\\x{5C}c\"@x"},
                            {"\xF0\x9F\x90\xA6@x", "\\x{1F426}@x"},
                            {"\x7f@x", "\\x{7F}@x"},
                            {"", ""}}));
  CAPTURE(row.utf8);
  CHECK(EncodeUtf8Address(row.utf8) == row.ascii);
  CHECK(DecodeUtf8Address(row.ascii) == row.utf8);
}

TEST_CASE("Escapes that are none", "[dsn][unit]") {
  for (const char* bad : {"\\", "a\\x", "\\x{", "\\x{}", "\\x{110000}", "\\x{D800}", "\\x{0}",
                          "\\x{zz}", "\\x{0000041}", "\\y{41}"}) {
    CAPTURE(bad);
    CHECK_FALSE(DecodeUtf8Address(bad));
  }
  CHECK(EncodeUtf8Address("a\xff\xc3") == "a\\x{FFFD}\\x{FFFD}");
}

TEST_CASE("RFC 3461 §4.2: ORCPT", "[dsn][unit]") {
  struct Row {
    std::string value;
    TypedAddress address;
  };
  const auto row = GENERATE(values<Row>({{"rfc822;bob@example.org", {"rfc822", "bob@example.org"}},
                                         {"rfc822;a+2Bb@x", {"rfc822", "a+b@x"}},
                                         {"x400;a+20b", {"x400", "a b"}},
                                         {"utf-8;b\\x{FC}b@x", {"utf-8", "büb@x"}}}));
  CAPTURE(row.value);
  CHECK(ParseOrcpt(row.value) == row.address);
  CHECK(FormatOrcpt(row.address) == row.value);
  CHECK(ParseOrcpt("RFC822;a@x") == TypedAddress{"rfc822", "a@x"});
  CHECK(ParseOrcpt("UTF-8;büb@x") == TypedAddress{"utf-8", "büb@x"});
  for (const char* bad : {"", "bob@x", ";bob@x", "rfc822;", "rfc822;a+zz", "rfc822;a+FF"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseOrcpt(bad));
  }
}

TEST_CASE("RFC 3461 §4.1: who is told of what", "[dsn][unit]") {
  const DsnNotify none;
  const DsnNotify never{.given = true, .never = true};
  const DsnNotify success{.given = true, .success = true};
  const DsnNotify failure{.given = true, .failure = true};
  const DsnNotify delay{.given = true, .delay = true};
  struct Row {
    Action action;
    bool by_default;
    DsnNotify asked;  // the only one that asks for it
  };
  const auto row = GENERATE_COPY(values<Row>({{Action::kFailed, true, failure},
                                              {Action::kDelayed, true, delay},
                                              {Action::kDelivered, false, success},
                                              {Action::kRelayed, false, success},
                                              {Action::kExpanded, false, success}}));
  CAPTURE(ActionName(row.action));
  CHECK(FindAction(ActionName(row.action)) == row.action);
  CHECK(Wanted(row.action, "a@x", none) == row.by_default);
  CHECK_FALSE(Wanted(row.action, "a@x", never));
  for (const DsnNotify& notify : {success, failure, delay}) {
    CHECK(Wanted(row.action, "a@x", notify) == (notify == row.asked));
    // RFC 5321 §6.1: a notification about a notification is a loop.
    CHECK_FALSE(Wanted(row.action, "", notify));
  }
  CHECK_FALSE(Wanted(row.action, "", none));
}

TEST_CASE("RFC 3461 §4.3: how much comes back", "[dsn][unit]") {
  constexpr auto kFull = smtp::DsnReturn::kFull;
  constexpr auto kHeaders = smtp::DsnReturn::kHeaders;
  Report failed;
  failed.recipients = {{.action = Action::kDelivered}, {.action = Action::kFailed}};
  Report delayed;
  delayed.recipients = {{.action = Action::kDelayed}};
  const ReturnRule rule{.small = 1000, .limit = 5000};
  const auto all = [&](const Report& report, std::optional<smtp::DsnReturn> ret, uint64_t size) {
    return WhatToReturn(report, ret, size, rule) == Returned::kMessage;
  };
  CHECK(all(failed, kFull, 5000));
  CHECK_FALSE(all(failed, kFull, 5001));
  CHECK_FALSE(all(failed, kHeaders, 10));
  CHECK(all(failed, std::nullopt, 1000));
  CHECK_FALSE(all(failed, std::nullopt, 1001));
  CHECK_FALSE(all(delayed, kFull, 10));
  CHECK_FALSE(all(delayed, std::nullopt, 10));
}

TEST_CASE("Text from elsewhere is made fit", "[dsn][unit]") {
  CHECK(CleanLine("  550 no\r\nsuch\tuser \t", false) == "550 no such user");
  CHECK(CleanLine("a\r\n\r\nb\x01", false) == "a b?");
  CHECK(CleanLine("bü", true) == "bü");
  CHECK(CleanLine("bü", false) == "b??");
  CHECK(CleanLine("b\xff", true) == "b?");
  CHECK(CleanHeader("A: b\nC: d\re\r\n\r\nbody") == "A: b\r\nC: d?e\r\n");
  CHECK(CleanHeader("A: b") == "A: b\r\n");
  CHECK(CleanHeader("") == "");
}

TEST_CASE("RFC 2045 §6.7: quoted-printable", "[dsn][unit]") {
  CHECK(QuotedPrintable("a=b \r\nü\r\n") == "a=3Db=20\r\n=C3=BC\r\n");
  CHECK(QuotedPrintable("a\tb") == "a=09b");
  CHECK(QuotedPrintable(std::string(76, 'x') + "\r\n") == std::string(76, 'x') + "\r\n");
  CHECK(QuotedPrintable(std::string(77, 'x')) == std::string(75, 'x') + "=\r\nxx");
}

}  // namespace
}  // namespace godwit::dsn
