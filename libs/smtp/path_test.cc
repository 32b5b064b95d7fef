#include "libs/smtp/path.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::smtp {
namespace {

struct Good {
  std::string wire;
  std::string local_part;
  std::string domain;
  std::string canonical;
};

TEST_CASE("ParseForwardPath reads paths and writes them canonically (RFC 5321 §4.1.2)",
          "[smtp][unit]") {
  const Good row = GENERATE(values<Good>({
      {"<a@b.example>", "a", "b.example", "<a@b.example>"},
      {"<A.b+c@X.Example>", "A.b+c", "x.example", "<A.b+c@x.example>"},
      {"<\"a b\"@x.example>", "a b", "x.example", "<\"a b\"@x.example>"},
      {"<\"a.b\"@x.example>", "a.b", "x.example", "<a.b@x.example>"},
      {"<\"a\\\"b\\\\\"@x.example>", "a\"b\\", "x.example", "<\"a\\\"b\\\\\"@x.example>"},
      {"<\"a>b@c\"@x.example>", "a>b@c", "x.example", "<\"a>b@c\"@x.example>"},
      {"<\"\"@x.example>", "", "x.example", "<\"\"@x.example>"},
      {"<@r.example,@s.example:a@x.example>", "a", "x.example", "<a@x.example>"},
      {"<a@[192.0.2.1]>", "a", "[192.0.2.1]", "<a@[192.0.2.1]>"},
      {"<a@[ipv6:2001:DB8:0::1]>", "a", "[IPv6:2001:db8::1]", "<a@[IPv6:2001:db8::1]>"},
      {"<j\xc3\xb6rg@b\xc3\xbc.example>", "j\xc3\xb6rg", "b\xc3\xbc.example",
       "<j\xc3\xb6rg@b\xc3\xbc.example>"},
      {"<PostMaster>", "postmaster", "", "<postmaster>"},
      {"<postmaster@x.example>", "postmaster", "x.example", "<postmaster@x.example>"},
      {"<a@my_host.example>", "a", "my_host.example", "<a@my_host.example>"},
      {"<a@localhost>", "a", "localhost", "<a@localhost>"},
      {"<!#$%&'*/=?^_`{|}~-@x.example>", "!#$%&'*/=?^_`{|}~-", "x.example",
       "<!#$%&'*/=?^_`{|}~-@x.example>"},
  }));
  CAPTURE(row.wire);
  const std::string wire = row.wire + " SIZE=1";
  std::string_view in = wire;
  const PathResult result = ParseForwardPath(&in);
  REQUIRE(std::holds_alternative<Address>(result));
  const Address& address = std::get<Address>(result);
  CHECK(address == Address{row.local_part, row.domain});
  CHECK(in == " SIZE=1");
  CHECK(address.ToPath() == row.canonical);
  std::string_view again = row.canonical;
  CHECK(ParseForwardPath(&again) == result);
}

TEST_CASE("ParseForwardPath refuses what is no path", "[smtp][unit]") {
  const std::string wire = GENERATE(values<std::string>({
      "",
      "<",
      "<>",
      "a@b",
      "<a>",
      "<a@>",
      "<@b>",
      "<a@b",
      "<a@b c>",
      "<a b@c>",
      "<.a@b>",
      "<a.@b>",
      "<a..b@c>",
      "<a@b..c>",
      "<a@.b>",
      "<a@b.>",
      "<a@-b>",
      "<a@b->",
      "<a@b@c>",
      "<\"a@b>",
      "<\"a\"b@c>",
      "<\"a\tb\"@c>",
      "<\"\\\xc3\xa4\"@c>",
      "<a@[1.2.3]>",
      "<a@[IPv6:1.2.3.4]>",
      "<a@[::1]>",
      "<a@[192.0.2.1>",
      "<@r.example a@b>",
      "<@r.example:>",
      "<a@b\r\n>",
      "<a,b@c>",
      "< a@b>",
      "<a@b >",
      "<a@b/c>",
  }));
  CAPTURE(wire);
  std::string_view in = wire;
  CHECK(ParseForwardPath(&in) == PathResult(PathError::kSyntax));
  CHECK(in == wire);
}

TEST_CASE("ParseReversePath has the null path and no bare postmaster", "[smtp][unit]") {
  std::string_view in = "<> X";
  const PathResult result = ParseReversePath(&in);
  REQUIRE(std::holds_alternative<Address>(result));
  CHECK(std::get<Address>(result).is_null());
  CHECK(std::get<Address>(result).ToPath() == "<>");
  CHECK(in == " X");
  in = "<postmaster>";
  CHECK(ParseReversePath(&in) == PathResult(PathError::kSyntax));
}

TEST_CASE("The limits of RFC 5321 §4.5.3.1 hold to the octet", "[smtp][unit]") {
  const auto parse = [](const std::string& text) {
    std::string_view in = text;
    return std::holds_alternative<Address>(ParseForwardPath(&in));
  };
  CHECK(parse("<" + std::string(64, 'a') + "@b>"));
  CHECK_FALSE(parse("<" + std::string(65, 'a') + "@b>"));
  CHECK(parse("<a@" + std::string(63, 'b') + ">"));
  CHECK_FALSE(parse("<a@" + std::string(64, 'b') + ">"));
  std::string domain;
  while (domain.size() < 240) domain += "bbbbbbb.";
  domain += "example";                      // 247
  CHECK(parse("<aaaaaa@" + domain + ">"));  // 256 in all
  CHECK_FALSE(parse("<aaaaaaa@" + domain + ">"));
  std::string_view in = "<a@b>";
  CHECK(ParseForwardPath(&in, {1, 1, 4}) == PathResult(PathError::kTooLong));
}

TEST_CASE("An address that is not UTF-8 is refused (RFC 6531 §3.3)", "[smtp][unit]") {
  std::string_view in = "<a\xff@b>";
  CHECK(ParseForwardPath(&in) == PathResult(PathError::kNotUtf8));
}

TEST_CASE("ParseMailbox takes a whole mailbox only", "[smtp][unit]") {
  CHECK(ParseMailbox("a@b.example") == Address{"a", "b.example"});
  CHECK(ParseMailbox("\"a b\"@b.example") == Address{"a b", "b.example"});
  CHECK_FALSE(ParseMailbox("a@b.example "));
  CHECK_FALSE(ParseMailbox("<a@b.example>"));
  CHECK_FALSE(ParseMailbox("a"));
}

TEST_CASE("IsGreetingName keeps harm out of trace fields", "[smtp][unit]") {
  CHECK(IsGreetingName("mail.example.org"));
  CHECK(IsGreetingName("[192.0.2.1]"));
  CHECK(IsGreetingName("[IPv6:2001:db8::1]"));
  CHECK(IsGreetingName("my_pc"));
  CHECK_FALSE(IsGreetingName(""));
  CHECK_FALSE(IsGreetingName("a b"));
  CHECK_FALSE(IsGreetingName("a)"));
  CHECK_FALSE(IsGreetingName("a\tb"));
  CHECK_FALSE(IsGreetingName("\xc3\xa4"));
  CHECK_FALSE(IsGreetingName(std::string(256, 'a')));
}

}  // namespace
}  // namespace godwit::smtp
