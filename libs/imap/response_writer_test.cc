#include "libs/imap/response_writer.h"

#include <catch2/catch.hpp>

namespace godwit::imap {
namespace {

std::string String(std::string_view text, TextMode mode = TextMode::kAscii) {
  std::string out;
  AppendString(&out, text, mode);
  return out;
}

TEST_CASE("Strings are quoted where they can be", "[imap][unit]") {
  CHECK(String("") == "\"\"");
  CHECK(String("a \"b\\c\"") == "\"a \\\"b\\\\c\\\"\"");
  CHECK(String("a\r\nb") == "{4}\r\na\r\nb");
  CHECK(String("caf\u00e9") == "{5}\r\ncaf\u00e9");
  CHECK(String("caf\u00e9", TextMode::kUtf8) == "\"caf\u00e9\"");
  CHECK(String("\xff", TextMode::kUtf8) == "{1}\r\n\xff");
  CHECK(String(std::string_view("a\0b", 3)) == "{3}\r\na?b");
}

TEST_CASE("Astrings are atoms where they can be", "[imap][unit]") {
  std::string out;
  AppendAstring(&out, "a]b");
  out += ' ';
  AppendAstring(&out, "nil");
  out += ' ';
  AppendAstring(&out, "");
  out += ' ';
  AppendAstring(&out, "a%b");
  CHECK(out == "a]b \"nil\" \"\" \"a%b\"");
}

TEST_CASE("Status responses are one line whatever the text holds", "[imap][unit]") {
  std::string out;
  AppendTagged(&out, "a1", "NO", code::kTryCreate, "No\r\n* BYE");
  AppendUntagged(&out, "OK", "", "[x");
  AppendContinuation(&out, "");
  CHECK(out == "a1 NO [TRYCREATE] No??* BYE\r\n* OK  [x\r\n+ \r\n");
}

TEST_CASE("UIDPLUS codes", "[imap][unit]") {
  CHECK(AppendUidCode(38505, 3955) == "APPENDUID 38505 3955");
  UidSet source = UidSet::Of(304, 304);
  source.AddRange(319, 320);
  CHECK(CopyUidCode(38505, source, UidSet::Of(3956, 3958)) ==
        "COPYUID 38505 304,319:320 3956:3958");
}

}  // namespace
}  // namespace godwit::imap
