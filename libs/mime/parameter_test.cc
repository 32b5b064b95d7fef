#include "libs/mime/parameter.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::mime {
namespace {

std::string Show(const Parameters& params) {
  std::string out;
  for (const Parameter& parameter : params)
    out += "[" + parameter.name + "=" + parameter.value + "]";
  return out;
}

TEST_CASE("ParseMediaType reads types and parameters", "[mime][unit]") {
  struct Row {
    std::string value;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"text/plain", "text/plain"},
      {" TEXT / Plain ; Charset=UTF-8", "text/plain[charset=UTF-8]"},
      {"text/plain; charset=us-ascii (Plain text)", "text/plain[charset=us-ascii]"},
      {"text/plain (c); (c) charset (c) = \"a\\\"b\" (c); x=y", "text/plain[charset=a\"b][x=y]"},
      {"multipart/mixed; boundary=\"foo\r\n bar\"", "multipart/mixed[boundary=foo bar]"},
      {"multipart/mixed; boundary=----=_Part_1/2:3", "multipart/mixed[boundary=----=_Part_1/2:3]"},
      {"application/pdf; name=My File (1).pdf; x=y", "application/pdf[name=My File][x=y]"},
      {"application/pdf; name=File(1).pdf", "application/pdf[name=File(1).pdf]"},
      {"text/plain;;; charset=a;", "text/plain[charset=a]"},
      {"text/plain; junk; charset=a; =b; c=", "text/plain[charset=a][c=]"},
      {"text/plain; charset=a; charset=b", "text/plain[charset=a]"},
      {"text/plain charset=a", "text/plain[charset=a]"},
      // RFC 2231 §3 and §4.1
      {"message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/x\"",
       "message/external-body[access-type=URL][url=ftp://cs.utk.edu/x]"},
      {"application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun",
       "application/x-stuff[title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun]"},
      {"a/b; t*0*=us-ascii'en'This%20is; t*1*=%20even; t*2=\"isn't it!\"",
       "a/b[t*=us-ascii'en'This%20is%20evenisn%27t%20it!]"},
      {"a/b; t*1=b; t*0=a; t*3=d", "a/b[t=ab]"},  // 2 is missing: it ends before
      {"a/b; t*1=b", "a/b"},
      {"a/b; t*0=a; t*0=z", "a/b[t=a]"},
      {"a/b; t*0=a; t*1*=%41", "a/b[t*=''a%41]"},
      {"a/b; t*1000=x; t*0=a", "a/b[t=a]"},
  }));
  CAPTURE(row.value);
  const auto media = ParseMediaType(row.value);
  REQUIRE(media.has_value());
  CHECK(media->type + "/" + media->subtype + Show(media->params) == row.want);
}

TEST_CASE("ParseMediaType refuses what is no type", "[mime][unit]") {
  CHECK_FALSE(ParseMediaType("").has_value());
  CHECK_FALSE(ParseMediaType("text").has_value());
  CHECK_FALSE(ParseMediaType("/plain").has_value());
  CHECK_FALSE(ParseMediaType("text/").has_value());
  CHECK_FALSE(ParseMediaType("t\xc3\xa9xt/plain").has_value());
}

TEST_CASE("FindParameter decodes", "[mime][unit]") {
  struct Row {
    std::string value;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"attachment; filename=a.txt", "a.txt"},
      {"attachment; filename*=utf-8''na%C3%AFve%20x", "na\xc3\xafve x"},
      {"attachment; filename*=iso-8859-1'de'%FC.txt", "\xc3\xbc.txt"},
      {"attachment; filename*0*=utf-8''na%C3; filename*1*=%AFve", "na\xc3\xafve"},
      {"attachment; filename=b; filename*=utf-8''c", "c"},
      {"attachment; filename=\"=?utf-8?B?w7w=?=.txt\"", "\xc3\xbc.txt"},
      {"attachment; filename*=broken%zz", "broken%zz"},
      {"attachment; filename*=utf-8''%", "%"},
  }));
  CAPTURE(row.value);
  const auto disposition = ParseDisposition(row.value);
  REQUIRE(disposition.has_value());
  CHECK(disposition->type == "attachment");
  CHECK(FindParameter(disposition->params, "filename") == row.want);
  CHECK_FALSE(FindParameter(disposition->params, "size").has_value());
}

TEST_CASE("A parameter list has a limit", "[mime][unit]") {
  std::string value = "a/b";
  for (int i = 0; i < 5000; ++i) value += "; p" + std::to_string(i) + "=x";
  CHECK(ParseMediaType(value)->params.size() == 100);
}

TEST_CASE("AppendParameter writes what FindParameter reads", "[mime][unit]") {
  const auto text = GENERATE(values<std::string>(
      {"a", "", "a b", "a\"b\\c", "na\xc3\xafve;x", "a=b", "line\r\nend", "100%'*"}));
  CAPTURE(text);
  std::string value = "attachment";
  AppendParameter(&value, "filename", text);
  CHECK(FindParameter(ParseDisposition(value)->params, "filename") == text);
  CHECK(value.find('\n') == std::string::npos);
}

}  // namespace
}  // namespace godwit::mime
