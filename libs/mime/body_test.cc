#include "libs/mime/body.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::mime {
namespace {

std::string Decode(const Part& part, std::string_view body, size_t step) {
  TextDecoder decoder(part);
  std::string out;
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size()))) {
    decoder.Feed(body.substr(0, step), &out);
  }
  decoder.Finish(&out);
  return out;
}

TEST_CASE("TextDecoder joins transfer encoding, charset and HTML", "[mime][unit]") {
  Part part;
  part.subtype = "html";
  part.encoding = "quoted-printable";
  part.params = {{"charset", "iso-8859-1"}};
  const std::string body = "<p>caf=E9 &euro;</=\r\np>x=E9";
  CHECK(Decode(part, body, body.size()) == "\ncaf\xc3\xa9 \xe2\x82\xac\nx\xc3\xa9");
  CHECK(Decode(part, body, 1) == "\ncaf\xc3\xa9 \xe2\x82\xac\nx\xc3\xa9");
  part = Part{};
  part.encoding = "base64";
  part.params = {{"charset", "shift_jis"}};
  CHECK(Decode(part, "k/qWew==", 3) == "\xe6\x97\xa5\xe6\x9c\xac");
}

TEST_CASE("MakePreview collapses and cuts", "[mime][unit]") {
  CHECK(MakePreview(" a \r\n\t b ") == "a b");
  CHECK(MakePreview("a\x01\xc2\xa0\xe2\x80\x8c\xc2\xa0"
                    "b") == "a b");
  CHECK(MakePreview("").empty());
  CHECK(MakePreview("abc def", 3) == "abc");
  CHECK(MakePreview("abc def", 4) == "abc");
  CHECK(MakePreview("abc def", 5) == "abc d");
  std::string accents;
  for (int i = 0; i < 300; ++i) accents += "\xc3\xa9";
  CHECK(MakePreview(accents).size() == 512);
}

}  // namespace
}  // namespace godwit::mime
