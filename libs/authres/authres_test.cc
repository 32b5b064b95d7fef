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
