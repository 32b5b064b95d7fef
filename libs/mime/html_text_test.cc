#include "libs/mime/html_text.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/testing/split.h"

namespace godwit::mime {
namespace {

TEST_CASE("HtmlToText strips tags, the same for every split", "[mime][unit]") {
  struct Row {
    std::string html;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"plain", "plain"},
      {"<p>one</p><p>two</p>", "\none\n\ntwo\n"},
      {"a<b>b</b>c", "abc"},
      {"a<br/>b<BR>c", "a\nb\nc"},
      {"a &amp; b &lt; &#65;&#x42; &eacute;", "a & b < AB \xc3\xa9"},
      {"&unknown; &amp &#xD800; &#; &", "&unknown; & \xef\xbf\xbd &#; &"},
      {"&averyveryverylongname;", "&averyveryverylongname;"},
      {"&&amp;", "&&"},
      {"1 < 2 <3", "1 < 2 <3"},
      {"<<b>x", "<x"},
      {"<a title=\"x > y\">link</a>", "link"},
      {"<!-- a > b -- c --->x", "x"},
      {"<!-->x", "x"},
      {"<!DOCTYPE html><?xml ?>x", "x"},
      {"<head><title>t</title></head><body>x", "\nx"},
      {"<head>never closed<body>x", "\nx"},
      {"a<script>if (a<b) \"</p>\" </scrip </script >c", "ac"},
      {"<style>p { }</style>x<script src=\"y\"></script>z", "xz"},
      {"<table><tr><td>a</td><td>b</td></tr>", "\n\n a  b \n"},
      {"a\r\n\tb", "a   b"},
      {"unclosed <b", "unclosed "},
      {"caf\xc3\xa9", "caf\xc3\xa9"},
  }));
  CAPTURE(row.html);
  testing::ForEachSplit(row.html, [&](const testing::Chunks& chunks) {
    HtmlToText stripper;
    std::string out;
    for (const auto chunk : chunks) stripper.Feed(chunk, &out);
    stripper.Finish(&out);
    CHECK(out == row.want);
  });
  CHECK(HtmlText(row.html) == row.want);
}

}  // namespace
}  // namespace godwit::mime
