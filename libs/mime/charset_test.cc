#include "libs/mime/charset.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/ascii.h"
#include "libs/testing/split.h"

namespace godwit::mime {
namespace {

TEST_CASE("CharsetDecoder gives good UTF-8, the same for every split", "[mime][unit]") {
  struct Row {
    std::string charset;
    std::string in;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"utf-8", "caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
      {"", "caf\xe9", "caf\xc3\xa9"},
      {"us-ascii", "\x93quoted\x94", "\xe2\x80\x9cquoted\xe2\x80\x9d"},
      {"no-such", "caf\xc3\xa9", "caf\xc3\xa9"},
      {"utf-8", "cut \xe6\x97", "cut \xc3\xa6\xe2\x80\x94"},
      {"utf-8", "overlong \xc0\xaf", "overlong \xc3\x80\xc2\xaf"},
      {"utf-8", "surrogate \xed\xa0\x80", "surrogate \xc3\xad\xc2\xa0\xe2\x82\xac"},
      {"utf-8", "too high \xf4\x90\x80\x80", "too high \xc3\xb4\xc2\x90\xe2\x82\xac\xe2\x82\xac"},
      {"ISO-8859-1", "\xe9\x80", "\xc3\xa9\xe2\x82\xac"},
      {"iso-8859-2", "\xb1", "\xc4\x85"},
      {"koi8-r", "\xcd\xc9\xd2", "\xd0\xbc\xd0\xb8\xd1\x80"},
      {"shift_jis", "\x93\xfa\x96\x7b", "\xe6\x97\xa5\xe6\x9c\xac"},
      {"iso-2022-jp", "\x1b$BF|K\\\x1b(B.", "\xe6\x97\xa5\xe6\x9c\xac."},
      {"gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd"},
      {"big5", "\xa7\x41", "\xe4\xbd\xa0"},
      {"euc-kr", "\xb0\xa1", "\xea\xb0\x80"},
      {"utf-16be", std::string("\xd8\x3d\xde\x00\x00\x41", 6),
       "\xf0\x9f\x98\x80"
       "A"},
      {"utf-16be", std::string("\x00\x41\xd8\x3d", 4), "A\xef\xbf\xbd"},
      {"utf-7", "A+AGEAYg-", "Aab"},
  }));
  CAPTURE(row.charset, row.want);
  testing::ForEachSplit(row.in, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CharsetDecoder decoder(row.charset);
    std::string out;
    for (const auto chunk : chunks) decoder.Decode(chunk, &out);
    decoder.Finish(&out);
    CHECK(out == row.want);
    CHECK(base::IsUtf8(out));
  });
}

TEST_CASE("IsKnownCharset knows names and refuses what is none", "[mime][unit]") {
  CHECK(IsKnownCharset("UTF-8"));
  CHECK(IsKnownCharset("iso-8859-15"));
  CHECK(IsKnownCharset("Windows-1251"));
  CHECK_FALSE(IsKnownCharset(""));
  CHECK_FALSE(IsKnownCharset("no-such"));
  CHECK_FALSE(IsKnownCharset("iso-8859-1,swaplfnl"));
  CHECK_FALSE(IsKnownCharset("../../../etc/passwd"));
  CHECK_FALSE(IsKnownCharset(std::string(100, 'a')));
}

}  // namespace
}  // namespace godwit::mime
