#include "libs/dns/wire.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/dns/scripted_server.h"

namespace godwit::dns {
namespace {

using base::DnsType;
using namespace std::string_literals;

std::string Query(std::string_view name, DnsType type) {
  return *WriteQuery(7, {std::string(name), type}, {});
}

TEST_CASE("WriteQuery sets RD, AD and an OPT record, and DO and CD when told", "[dns][unit]") {
  const std::string wire = *WriteQuery(0x1234, {"a.example", DnsType::kMx}, {true, true, 1232});
  CHECK(wire ==
        "\x12\x34\x01\x30\0\1\0\0\0\0\0\1"s
        "\1a\7example\0\0\x0f\0\1"s
        "\0\0\x29\x04\xd0\0\0\x80\0\0\0"s);
  CHECK(Query("a.example", DnsType::kMx)[3] == '\x20');
}

TEST_CASE("Names that are none are not written", "[dns][unit]") {
  const std::string long_label(64, 'a');
  std::string long_name = "a";
  for (int i = 0; i < 127; ++i) long_name += ".a";  // 257 octets
  for (const std::string& name : {".example"s, "a..b"s, "a."s, long_label + ".example", long_name,
                                  "a\\"s, "a\\25"s, "a\\256"s}) {
    CAPTURE(name);
    CHECK_FALSE(WriteName(name).has_value());
    CHECK_FALSE(CanonicalName(name).has_value());
  }
  CHECK(WriteName("") == "\0"s);
  CHECK(WriteName(std::string(63, 'a')).has_value());
}

TEST_CASE("A name has one text: lower-case, with odd bytes escaped", "[dns][unit]") {
  CHECK(CanonicalName("MAIL.Example") == "mail.example");
  CHECK(CanonicalName("a b.example") == "a\\032b.example");
  CHECK(CanonicalName("a\\.b.example") == "a\\046b.example");
  CHECK(CanonicalName("a\\046b.example") == "a\\046b.example");
  CHECK(CanonicalName("a\\b.example") == "ab.example");
  CHECK(CanonicalName("\xc3\xa9.example") == "\xc3\xa9.example");
}

TEST_CASE("ParseMessage reads every type we ask for", "[dns][unit]") {
  const std::string query = Query("a.example", DnsType::kA);
  const std::string wire =
      ReplyBuilder(query)
          .Authentic()
          .Answer("a.example", DnsType::kA, 300, AddressData("192.0.2.1"))
          .Answer("a.example", DnsType::kAaaa, 300, AddressData("2001:db8::1"))
          .Answer("a.example", DnsType::kMx, 300, U16Data(10) + NameData("MX.example"))
          .Answer("a.example", DnsType::kTxt, 300, TextData({"v=spf1 ", "-all", ""}))
          .Answer("a.example", DnsType::kCname, 300, NameData("b.example"))
          .Answer("a.example", DnsType::kSrv, 300,
                  U16Data(1) + U16Data(2) + U16Data(443) + NameData("s.example"))
          .Answer("a.example", DnsType::kTlsa, 0xffffffff, "\3\1\1abc")
          .Answer("a.example", DnsType::kA, 300, "12345")
          .Authority("example", kTypeSoa, 900, SoaData(60))
          .bytes();
  const auto message = ParseMessage(wire);
  REQUIRE(message.ok());
  CHECK(message->id == 7);
  CHECK(message->authentic);
  CHECK(message->question == "a.example");
  const auto& answers = message->answers;
  REQUIRE(answers.size() == 8);
  CHECK(std::get<base::IpAddress>(answers[0].data).ToString() == "192.0.2.1");
  CHECK(std::get<base::IpAddress>(answers[1].data).ToString() == "2001:db8::1");
  CHECK(std::get<base::DnsMx>(answers[2].data) == base::DnsMx{10, "mx.example"});
  CHECK(std::get<std::string>(answers[3].data) == "v=spf1 -all");
  CHECK(std::get<std::string>(answers[4].data) == "b.example");
  CHECK(std::get<base::DnsSrv>(answers[5].data) == base::DnsSrv{1, 2, 443, "s.example"});
  CHECK(std::get<base::DnsTlsa>(answers[6].data) == base::DnsTlsa{3, 1, 1, "abc"});
  CHECK(answers[6].ttl == 0);
  CHECK(std::holds_alternative<std::monostate>(answers[7].data));
  CHECK(std::get<Soa>(message->authority[0].data).minimum == 60);
}

TEST_CASE("ParseMessage refuses what is cut anywhere", "[dns][unit]") {
  const std::string wire = ReplyBuilder(Query("a.example", DnsType::kMx))
                               .Answer("a.example", DnsType::kMx, 1, U16Data(1) + NameData("b"))
                               .bytes();
  REQUIRE(ParseMessage(wire).ok());
  for (size_t size = 0; size < wire.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(ParseMessage(wire.substr(0, size)).ok());
  }
}

TEST_CASE("Compression pointers must go back, again and again", "[dns][unit]") {
  struct Row {
    const char* what;
    std::string owner;
    bool good;
  };
  // The question's name starts at 12: \1a\7example\0, so "example" is at 14; an answer starts
  // at 27.
  const std::vector<Row> rows = {
      {"the question", "\xc0\x0c"s, true},
      {"a label and a suffix", "\1b\xc0\x0e"s, true},
      {"itself", "\xc0\x1b"s, false},
      {"forwards", "\xc0\x20"s, false},
      {"a loop over a label", "\1b\xc0\x1b"s, false},
      {"the reserved label type", "\x40"s, false},
      {"half a pointer's meaning: the header", "\xc0\x00"s, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    std::string wire = ReplyBuilder(Query("a.example", DnsType::kA)).bytes();
    REQUIRE(wire.size() == 27);
    wire[7] = 1;
    wire += row.owner + "\0\1\0\1\0\0\0\1\0\4"s + AddressData("192.0.2.1");
    const auto message = ParseMessage(wire);
    if (row.good) {
      REQUIRE(message.ok());
      CHECK(message->answers[0].owner.ends_with("example"));
    } else if (message.ok()) {
      CHECK(message->answers[0].owner.find("example") == std::string::npos);
    }
    if (std::string_view(row.what).find("header") == std::string_view::npos) {
      CHECK(message.ok() == row.good);
    }
  }
}

TEST_CASE("A message with no question or two is refused", "[dns][unit]") {
  std::string wire = Query("a.example", DnsType::kA);
  wire[5] = 0;
  CHECK_FALSE(ParseMessage(wire).ok());
  wire[5] = 2;
  CHECK_FALSE(ParseMessage(wire).ok());
}

}  // namespace
}  // namespace godwit::dns
