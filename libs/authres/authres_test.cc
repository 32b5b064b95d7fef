#include "libs/authres/authres.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::authres {
namespace {

TEST_CASE("RFC 8601 B.2: no authentication done", "[authres][unit]") {
  CHECK(Format("example.org", {}) == "example.org; none");
}

TEST_CASE("RFC 8601 B.3, B.5: results", "[authres][unit]") {
  CHECK(Format("example.com", {{"spf", "pass", "", "", {{"smtp", "mailfrom", "example.net"}}}}) ==
        "example.com;\r\n\tspf=pass smtp.mailfrom=example.net");
  CHECK(Format("example.com",
               {{"dkim",
                 "fail",
                 "1024-bit key",
                 "bad signature",
                 {{"header", "d", "newyork.example.com"}}},
                {"auth", "pass", "cram-md5", "", {{"smtp", "auth", "sender@example.net"}}}}) ==
        "example.com;\r\n\tdkim=fail (1024-bit key) reason=\"bad signature\"\r\n"
        "\theader.d=newyork.example.com;\r\n\tauth=pass (cram-md5) smtp.auth=sender@example.net");
}

TEST_CASE("RFC 8601 §2.2: values are quoted where they must be", "[authres][unit]") {
  struct Row {
    std::string raw;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"example.com", "example.com"},
      {"a.b+c@example.com", "a.b+c@example.com"},
      {"@example.com", "@example.com"},
      {"a b@example.com", "\"a b@example.com\""},
      {"\"x\"@example.com", "\"\\\"x\\\"@example.com\""},
      {"a;spf=pass", "\"a;spf=pass\""},
      {"2001:db8::1", "\"2001:db8::1\""},
      {"AbC/+=", "\"AbC/+=\""},
      {"", "\"\""},
      {"a\r\nb", "\"a??b\""},
      {"a\\", "\"a\\\\\""},
      {"j\xc3\xbc@b\xc3\xbc.example", "j\xc3\xbc@b\xc3\xbc.example"},
      {"\xff", "\"?\""},
  }));
  CAPTURE(row.raw);
  CHECK(Format("x", {{"spf", "pass", "", "", {{"smtp", "mailfrom", row.raw}}}}) ==
        "x;\r\n\tspf=pass smtp.mailfrom=" + row.want);
}

TEST_CASE("Long values are cut between characters", "[authres][unit]") {
  std::string raw(254, 'a');
  raw += "\xc3\xbc";
  const std::string text = Format("x", {{"spf", "pass", "", "", {{"smtp", "helo", raw}}}});
  CHECK(text.ends_with("helo=" + std::string(254, 'a')));
}

TEST_CASE("A comment can't be left", "[authres][unit]") {
  CHECK(Format("x", {{"iprev", "pass", "a) dmarc=pass (", "", {}}}) ==
        "x;\r\n\tiprev=pass (a? dmarc=pass ?)");
}

TEST_CASE("RFC 8601 §2.2: the start of a field", "[authres][unit]") {
  struct Row {
    std::string value;
    std::string id;
    int version;
  };
  const Row row = GENERATE(values<Row>({
      {" example.com; none", "example.com", 1},
      {"example.com 1; spf=pass", "example.com", 1},
      {" (hi (there)) example.com (x) 2 (y) ; none", "example.com", 2},
      {"\"example.com\"; none", "example.com", 1},
      {"\"a\\\"b c\"; none", "a\"b c", 1},
      {"\r\n example.com\r\n\t;none", "example.com", 1},
      {"example.com", "example.com", 1},
      {"(\\)) example.com; none", "example.com", 1},
  }));
  CAPTURE(row.value);
  const auto start = ParseStart(row.value);
  REQUIRE(start.ok());
  CHECK(start->authserv_id == row.id);
  CHECK(start->version == row.version);
}

TEST_CASE("RFC 8601 §2.2: starts that do not parse", "[authres][unit]") {
  const std::string value = GENERATE(as<std::string>(), "", "  ", "; none", "(x", "\"x", "\"x\\",
                                     "a b; none", "a 1 2; none", "a/b; none", "a 1000;");
  CAPTURE(value);
  CHECK_FALSE(ParseStart(value).ok());
}

TEST_CASE("RFC 8601 §5: fields that claim to be ours", "[authres][unit]") {
  struct Row {
    std::string value;
    bool ours;
  };
  const Row row = GENERATE(values<Row>({
      {" mx.Example.COM; spf=pass", true},
      {" \"mx.example.com\"; spf=pass", true},
      {" \"mx.example\\.com\"; spf=pass", true},
      {"(comment) mx.example.com (c) 1; none", true},
      {"mx.example.com.; none", true},
      {"mx.example.com 7; none", true},
      {"mx.example.com", true},
      {"mx.example.com x; none", true},  // does not parse, names us
      {"(open mx.example.com; none", true},
      {"mx.example.com.evil.example; none", false},
      {"example.com; none", false},
      {"other.example; spf=pass smtp.mailfrom=mx.example.com", false},
      {"", false},
  }));
  CAPTURE(row.value);
  CHECK(ClaimsToBeFrom(row.value, "mx.example.com") == row.ours);
}

// Spellings that were kept once, because our reading of them was stricter than that of a program
// that believes the field.
TEST_CASE("RFC 8601 §5: white space, comments, quotes and controls do not hide our name",
          "[authres][unit]") {
  const std::string value = GENERATE(values<std::string>(
      {" \" mx.example.com\"; dmarc=pass", "\"mx.example.com \"; dmarc=pass",
       "\"mx. example.com\"; dmarc=pass", "\"mx.example.com(a)\"; dmarc=pass",
       " mx . example . com; dmarc=pass", "mx.(a)example.com; dmarc=pass",
       "mx.\r\n\texample.com; dmarc=pass", "\"mx.example\"(a).com; dmarc=pass",
       "\"mx\".\"example\".\"com\"; dmarc=pass", std::string("mx.example.com\0; dmarc=pass", 27),
       std::string("mx.\0example.com; dmarc=pass", 27), "\"mx.example.com\x7f\"; dmarc=pass",
       "mx.example.com\xc2\xa0; dmarc=pass", "mx.example.com\xff; dmarc=pass"}));
  CAPTURE(value);
  CHECK(ClaimsToBeFrom(value, "mx.example.com"));
  CHECK_FALSE(ClaimsToBeFrom(value, "mx.example.net"));
}

TEST_CASE("RFC 8601 §2.2, Appendix B: fields that parse", "[authres][unit]") {
  const Field field =
      Parse(
          "example.com 1;\r\n\tDKIM=pass (good (nested) signature) reason=\"good; one\"\r\n"
          "\theader.i=@mail-router.example.net header.b=ab+/cd= ;\r\n"
          "\tspf / 1 = FAIL smtp.mailfrom=a@example.net policy.Expired=1(x); ")
          .value();
  CHECK(field.authserv_id == "example.com");
  REQUIRE(field.results.size() == 2);
  CHECK(field.results[0].method == "dkim");
  CHECK(field.results[0].result == "pass");
  CHECK(field.results[0].reason == "good; one");
  REQUIRE(field.results[0].properties.size() == 2);
  CHECK(field.results[0].properties[0].name == "i");
  CHECK(field.results[0].properties[0].value == "@mail-router.example.net");
  CHECK(field.results[0].properties[1].value == "ab+/cd=");
  CHECK(field.results[1].result == "fail");
  REQUIRE(field.results[1].properties.size() == 2);
  CHECK(field.results[1].properties[0].ptype == "smtp");
  CHECK(field.results[1].properties[0].value == "a@example.net");
  CHECK(field.results[1].properties[1].name == "expired");
  CHECK(Parse("mx.example.com; none")->results.empty());
  CHECK(Parse("mx.example.com")->results.empty());
}

TEST_CASE("What we write is what we read", "[authres][unit]") {
  const std::vector<MethodResult> results = {
      {"iprev", "pass", "mail.example.org", "", {{"policy", "iprev", "2001:db8::1"}}},
      {"spf", "softfail", "", "a \"b\" \\", {{"smtp", "mailfrom", "\"x;y\"@example.org"}}}};
  const Field field = Parse(Format("mx.example.com", results)).value();
  REQUIRE(field.results.size() == 2);
  for (size_t i = 0; i < results.size(); ++i) {
    CHECK(field.results[i].method == results[i].method);
    CHECK(field.results[i].result == results[i].result);
    CHECK(field.results[i].reason == results[i].reason);
    REQUIRE(field.results[i].properties.size() == 1);
    CHECK(field.results[i].properties[0].value == results[i].properties[0].value);
  }
}

TEST_CASE("RFC 8601 §2.2: a field with an error anywhere is not believed", "[authres][unit]") {
  const std::string value = GENERATE(
      "", ";", "mx; spf", "mx; spf=", "mx; =pass", "mx; spf=pass smtp", "mx; spf=pass smtp=a@b",
      "mx; spf=pass smtp.mailfrom", "mx; spf=pass smtp.mailfrom=", "mx; spf=pass (",
      "mx; spf=pass smtp.mailfrom=\"a", "mx 2; spf=pass", "mx; spf/2=pass", "mx; dkim=pass;;",
      "mx; dkim=pass; none", "mx dkim=pass");
  CAPTURE(value);
  CHECK_FALSE(Parse(value).ok());
  std::string many = "mx";
  for (int i = 0; i < 101; ++i) many += "; spf=pass";
  CHECK_FALSE(Parse(many).ok());
  many = "mx; spf=pass";
  for (int i = 0; i < 21; ++i) many += " smtp.a=b";
  CHECK_FALSE(Parse(many).ok());
}

TEST_CASE("RFC 8601 §5: U-labels and A-labels are one name", "[authres][unit]") {
  CHECK(ClaimsToBeFrom("xn--bcher-kva.example; none",
                       "b\xc3\xbc"
                       "cher.example"));
  CHECK(
      ClaimsToBeFrom("B\xc3\x9c"
                     "CHER.example; none",
                     "xn--bcher-kva.example"));
  CHECK(ClaimsToBeFrom("a.mx.example.com; none", "mx.example.com", true));
  CHECK_FALSE(ClaimsToBeFrom("a.mx.example.com; none", "mx.example.com", false));
}

}  // namespace
}  // namespace godwit::authres
