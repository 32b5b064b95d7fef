#include "libs/spf/record.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/spf/macro.h"

namespace godwit::spf {
namespace {

TEST_CASE("RFC 7208 §4.5: which texts are SPF records", "[spf][unit]") {
  CHECK(IsSpfRecord("v=spf1"));
  CHECK(IsSpfRecord("V=SPF1 -all"));
  CHECK_FALSE(IsSpfRecord("v=spf10 -all"));
  CHECK_FALSE(IsSpfRecord("v=spf1\t-all"));
  CHECK_FALSE(IsSpfRecord(" v=spf1 -all"));
  CHECK_FALSE(IsSpfRecord("spf1 -all"));
}

TEST_CASE("RFC 7208 §4.6.1: a record in its parts", "[spf][unit]") {
  const auto record = ParseRecord(
      "v=spf1  +MX:a.example/24//64 ?a/8 ~ip6:2001:db8::/32 exists:%{i}.x.example "
      "redirect=r.example EXP=e.example moo.cow-far_out=man:dog/cat -all ");
  REQUIRE(record.ok());
  REQUIRE(record->mechanisms.size() == 5);
  const Mechanism& mx = record->mechanisms[0];
  CHECK(mx.kind == MechanismKind::kMx);
  CHECK(mx.domain_spec == "a.example");
  CHECK(mx.prefix_v4 == 24);
  CHECK(mx.prefix_v6 == 64);
  CHECK(mx.text == "+MX:a.example/24//64");
  CHECK(record->mechanisms[1].qualifier == Qualifier::kNeutral);
  CHECK(record->mechanisms[1].prefix_v4 == 8);
  CHECK(record->mechanisms[1].prefix_v6 == 128);
  CHECK(record->mechanisms[2].prefix_v6 == 32);
  CHECK(record->mechanisms[4].qualifier == Qualifier::kFail);
  CHECK(record->redirect == "r.example");
  CHECK(record->exp == "e.example");
}

TEST_CASE("RFC 7208 §4.6, §5, §6: terms that are a PermError", "[spf][unit]") {
  const std::string term = GENERATE(
      as<std::string>(), "foo", "a:", "a:example", "a:example.com/33", "a:example.com/024",
      "a:example.com//129", "a:/24", "a:example.com/", "mx:", "ptr:", "include",
      "include:", "include:example", "exists", "ip4", "ip4:1.2.3", "ip4:1.2.3.4/33", "ip4:1.2.3.4/",
      "ip4:::1", "ip6:1.2.3.4", "ip6:::1/129", "ip6", "all:x", "all/8", "--all", "-", "a:%{x}.com",
      "a:%{d", "a:%d.com", "a:%{d0}.com", "a:%{c}.com", "a:%{t}.com", "a:%{dd}.com", "a:e.123",
      "a:e.-com", "a:e.com-", "redirect=", "redirect=a.com redirect=b.com", "exp=a.com exp=b.com",
      "x=%{", "a:\x80.com", "9x=1", "all\t");
  CAPTURE(term);
  CHECK_FALSE(ParseRecord("v=spf1 " + term).ok());
  CHECK_FALSE(ParseRecord("v=spf1 +all " + term).ok());
}

TEST_CASE("RFC 7208 §7.4: the examples of macro expansion", "[spf][unit]") {
  MacroValues macro_values;
  macro_values.local_part = "strong-bad";
  macro_values.sender_domain = "email.example.com";
  macro_values.domain = "email.example.com";
  macro_values.ip = base::IpAddress::Parse("192.0.2.3").value();
  struct Row {
    std::string macro;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"%{s}", "strong-bad@email.example.com"},
      {"%{o}", "email.example.com"},
      {"%{d}", "email.example.com"},
      {"%{d4}", "email.example.com"},
      {"%{d3}", "email.example.com"},
      {"%{d2}", "example.com"},
      {"%{d1}", "com"},
      {"%{dr}", "com.example.email"},
      {"%{d2r}", "example.email"},
      {"%{l}", "strong-bad"},
      {"%{l-}", "strong.bad"},
      {"%{lr}", "strong-bad"},
      {"%{lr-}", "bad.strong"},
      {"%{l1r-}", "strong"},
      {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
      {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
      {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
      {"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
      {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
      {"%{S}", "strong-bad%40email.example.com"},
      {"a%%b%_c%-d", "a%b c%20d"},
  }));
  CAPTURE(row.macro);
  CHECK(ExpandMacros(row.macro, macro_values) == row.want);
}

TEST_CASE("RFC 7208 §7.4: the IPv6 example", "[spf][unit]") {
  MacroValues macro_values;
  macro_values.domain = "email.example.com";
  macro_values.ip = base::IpAddress::Parse("2001:db8::cb01").value();
  CHECK(ExpandMacros("%{ir}.%{v}._spf.%{d2}", macro_values) ==
        "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com");
}

}  // namespace
}  // namespace godwit::spf
