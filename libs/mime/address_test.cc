#include "libs/mime/address.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::mime {
namespace {

// "name|route|mailbox|host" for each, "{name" and "}" around a group.
std::string Show(const AddressList& list) {
  std::string out;
  for (const Address& address : list) {
    if (!out.empty()) out += ' ';
    if (address.kind == Address::Kind::kGroupEnd) {
      out += '}';
    } else if (address.kind == Address::Kind::kGroupStart) {
      out += '{' + address.mailbox;
    } else {
      out += address.name + '|' + address.route + '|' + address.mailbox + '|' + address.host;
    }
  }
  return out;
}

struct Row {
  std::string value;
  std::string want;
};

TEST_CASE("ParseAddressList reads what RFC 5322 allows", "[mime][unit]") {
  const Row row = GENERATE(values<Row>({
      {"", ""},
      {" , ,, ", ""},
      {"a@b.example", "||a|b.example"},
      {"<a@b.example>", "||a|b.example"},
      {"Joe Smith <a@b>", "Joe Smith||a|b"},
      {"\"Smith, Joe\" <a@b>", "Smith, Joe||a|b"},
      {"\"a \\\"b\\\" c\" <a@b>", "a \"b\" c||a|b"},
      {"John Q. Public <a@b>", "John Q. Public||a|b"},
      {"a@b (Joe)", "Joe||a|b"},
      {"a@b (J(o)e \\) x)", "J(o)e ) x||a|b"},
      {"(c) a (c) @ (c) b (Joe)", "Joe||a|b"},
      {"<a@b> (Joe)", "Joe||a|b"},
      {"a@b, c@d", "||a|b ||c|d"},
      {"\"john doe\"@b", "||john doe|b"},
      {"a . b @ c . d", "||a.b|c.d"},
      {"\"a\".b@c", "||a.b|c"},
      {"<@r1,@r2:a@b>", "|@r1,@r2|a|b"},
      {"x <@r1 , @r2 : a@b>", "x|@r1,@r2|a|b"},
      {"a@[127.0.0.1]", "||a|[127.0.0.1]"},
      {"Undisclosed recipients:;", "{Undisclosed recipients }"},
      {"g: a@b, J <c@d>;, e@f", "{g ||a|b J||c|d } ||e|f"},
      {"g1: a@d1, b@d2;, g2: c@d3;", "{g1 ||a|d1 ||b|d2 } {g2 ||c|d3 }"},
      {"=?utf-8?q?J=C3=B6?= <a@b>", "=?utf-8?q?J=C3=B6?=||a|b"},
      {"J\xc3\xb6 <j\xc3\xb6@b\xc3\xbc.example>", "J\xc3\xb6||j\xc3\xb6|b\xc3\xbc.example"},
      {"Joe\r\n Smith\r\n <a@b>", "Joe Smith||a|b"},
  }));
  CAPTURE(row.value);
  CHECK(Show(ParseAddressList(row.value)) == row.want);
}

TEST_CASE("ParseAddressList makes the best of what is wrong", "[mime][unit]") {
  const Row row = GENERATE(values<Row>({
      {"joe", "||joe|"},
      {"Joe Smith", "||Joe Smith|"},
      {"<>", "|||"},
      {"Joe <>", "Joe|||"},
      {"<joe>", "||joe|"},
      {"<a@b", "||a|b"},
      {"<a@b, c@d", "||a|b ||c|d"},
      {"\"open <a@b>", "||open <a@b>|"},
      {"(open <a@b>", ""},
      {"a@b; c@d;", "||a|b ||c|d"},
      {"g: a@b", "{g ||a|b }"},
      {"g: h: a@b;", "{g ||a|b }"},
      {"<a@b> <c@d>", "||a|b ||c|d"},
      {"<a@b> junk, c@d", "||a|b ||c|d"},
      {"Joe a@b", "Joe||a|b"},
      {"[list] Joe <a@b>", "[list] Joe||a|b"},
      {"<mailto:a@b>", "||mailto:a|b"},
      {"@b", "|||b"},
      {"a@", "||a|"},
      {"a@b@c", "||a|b |||c"},
      {">>> a@b", "||a|b"},
      {std::string("a\0b@c", 5), "a||b|c"},
  }));
  CAPTURE(row.value);
  CHECK(Show(ParseAddressList(row.value)) == row.want);
}

TEST_CASE("ParseAddressList keeps its limits", "[mime][unit]") {
  std::string many = "g:";
  for (int i = 0; i < 100; ++i) many += "a@b,";
  const AddressList list = ParseAddressList(many, {.max_addresses = 10});
  CHECK(list.size() == 11);
  CHECK(list.back().kind == Address::Kind::kGroupEnd);
  // Deep and unclosed comments cost no more than their size.
  CHECK(ParseAddressList(std::string(200000, '(')).empty());
  CHECK(ParseAddressList(std::string(200000, ':')).size() == 2);
  CHECK(ParseAddressList("(" + std::string(60, '(') + ") a@b").empty());
}

TEST_CASE("FormatAddressList writes what ParseAddressList reads", "[mime][unit]") {
  const auto value = GENERATE(values<std::string>(
      {"a@b", "Joe Smith <a@b>", "\"Smith, Joe\" <a@b>", "\"john doe\"@b", "\"a\\\"b\" <c@d>",
       "g: a@b, J <c@d>;, e@f", "g: ;", "a@[127.0.0.1]", "\"a..b\"@c"}));
  CAPTURE(value);
  const AddressList list = ParseAddressList(value);
  CHECK(ParseAddressList(FormatAddressList(list)) == list);
}

TEST_CASE("Names are decoded and encoded", "[mime][unit]") {
  const AddressList list = ParseAddressList("=?utf-8?q?J=C3=B6rg?= <a@b>");
  REQUIRE(list.size() == 1);
  CHECK(list[0].DecodedName() == "J\xc3\xb6rg");
  CHECK(list[0].Spec() == "a@b");
  CHECK(QuotePhrase("J\xc3\xb6rg Smith") == "=?UTF-8?Q?J=C3=B6rg_Smith?=");
  CHECK(QuotePhrase("Smith, Joe") == "\"Smith, Joe\"");
  CHECK(QuotePhrase("Joe Smith") == "Joe Smith");
  CHECK(QuotePhrase("a\r\nb") == "\"a  b\"");
  CHECK(QuoteLocalPart("a.b") == "a.b");
  CHECK(QuoteLocalPart("a..b") == "\"a..b\"");
  CHECK(QuoteLocalPart("a b\"") == "\"a b\\\"\"");
}

}  // namespace
}  // namespace godwit::mime
