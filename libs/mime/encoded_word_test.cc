#include "libs/mime/encoded_word.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/ascii.h"

namespace godwit::mime {
namespace {

TEST_CASE("DecodeWords decodes words and leaves the rest", "[mime][unit]") {
  struct Row {
    std::string text;
    std::string want;
  };
  const Row row = GENERATE(values<Row>({
      {"plain text", "plain text"},
      // RFC 2047 §8
      {"=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?= <x>", "Patrik F\xc3\xa4ltstr\xc3\xb6m <x>"},
      {"=?ISO-8859-1?Q?a?= b", "a b"},
      {"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
      {"=?ISO-8859-1?Q?a?=   \t  =?ISO-8859-1?Q?b?=", "ab"},
      {"=?ISO-8859-1?Q?a_b?=", "a b"},
      {"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"},
      {"=?utf-8?B?SGVsbG8=?=", "Hello"},
      {"=?utf-8?b?SGVsbG8?=", "Hello"},  // padding missing
      {"=?UTF-8*en?Q?caf=C3=A9?=", "caf\xc3\xa9"},
      // A character cut over two words comes together.
      {"=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "caf\xc3\xa9"},
      {"=?utf-8?B?w?= x", "=?utf-8?B?w?= x"},
      {"=?utf-8?Q?a b?=", "a b"},
      {"=?utf-8?Q?\?=", ""},
      {"a=?utf-8?Q?b?=c", "abc"},
      {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
      // No line end comes out of a word.
      {"=?utf-8?Q?a=0D=0ABcc:_x=00?=", "a  Bcc: x "},
      // Broken words stay.
      {"=?utf-8?Q?=GG?=", "=?utf-8?Q?=GG?="},
      {"=?utf-8?X?abc?=", "=?utf-8?X?abc?="},
      {"=?no-such-charset?Q?abc?=", "=?no-such-charset?Q?abc?="},
      {"=?utf-8?Q?abc", "=?utf-8?Q?abc"},
      {"=?utf-8?Q?abc =?utf-8?Q?d?=", "=?utf-8?Q?abc d"},
      {"=?\?Q?abc?=", "=?\?Q?abc?="},
      {"=?=?=?", "=?=?=?"},
      {"=?", "=?"},
      // 8-bit outside of words
      {"caf\xc3\xa9", "caf\xc3\xa9"},
      {"caf\xe9", "caf\xc3\xa9"},
      {"=?x-unknown,swaplfnl?Q?a?=", "=?x-unknown,swaplfnl?Q?a?="},
  }));
  CAPTURE(row.text);
  CHECK(DecodeWords(row.text) == row.want);
}

TEST_CASE("DecodeWords takes linear time", "[mime][unit]") {
  const auto piece =
      GENERATE(values<std::string>({"=?", "=?a?q?", "=?utf-8?q?", "=?a?q?b =", "?="}));
  std::string text;
  while (text.size() < 256 * 1024) text += piece;
  CHECK(DecodeWords(text).size() <= text.size());
}

TEST_CASE("EncodeWords makes words of at most 75 characters that decode again", "[mime][unit]") {
  std::string japanese;
  for (int i = 0; i < 100; ++i) japanese += "\xe6\x97\xa5";
  const auto text = GENERATE_COPY(values<std::string>(
      {"plain", "caf\xc3\xa9", japanese, "a =?utf-8?q?b?= c", std::string(200, 'x') + "\xc3\xa9",
       "\xf0\x9f\x98\x80 smile", " lead and trail \xc3\xa9 ", "\"quoted\""}));
  CAPTURE(text);
  const auto place = GENERATE(WordPlace::kText, WordPlace::kPhrase);
  const std::string encoded = EncodeWords(text, place);
  CHECK(base::IsAscii(encoded));
  CHECK(DecodeWords(encoded) == text);
  for (const auto word : base::Split(encoded, ' ')) {
    if (base::StartsWithIgnoreCase(word, "=?")) CHECK(word.size() <= 75);
  }
}

TEST_CASE("EncodeWords takes the shorter encoding", "[mime][unit]") {
  CHECK(EncodeWords("a caf\xc3\xa9") == "=?UTF-8?Q?a_caf=C3=A9?=");
  CHECK(EncodeWords("\xe6\x97\xa5") == "=?UTF-8?B?5pel?=");
  CHECK(EncodeWords("a\r\nBcc: b").find('\n') == std::string::npos);
}

}  // namespace
}  // namespace godwit::mime
