#include "libs/store/local_part.h"

#include <catch2/catch.hpp>

namespace godwit::store {
namespace {

TEST_CASE("Local parts are compared in NFC (RFC 6532 §3.1) and ASCII case is folded",
          "[store][unit]") {
  CHECK(MakeLocalPart("Alice").kept == "Alice");
  CHECK(MakeLocalPart("Alice").folded == "alice");
  // o and a combining diaeresis are the one letter.
  CHECK(MakeLocalPart("Jo\xCC\x88rg").kept == "J\xC3\xB6rg");
  CHECK(MakeLocalPart("Jo\xCC\x88rg").folded == MakeLocalPart("j\xC3\xB6rg").folded);
  // Folding is of ASCII only, whatever the language.
  CHECK(MakeLocalPart("\xC3\x96").folded == "\xC3\x96");
  CHECK(MakeLocalPart("A\xFF").folded == "a\xFF");
  CHECK(MakeLocalPart("").kept.empty());
}

TEST_CASE("What stands before a tag is tried longest first", "[store][unit]") {
  using List = std::vector<std::string_view>;
  CHECK(BeforeTags("a+b-c") == List{"a+b", "a"});
  CHECK(BeforeTags("a.b") == List{});
  CHECK(BeforeTags("+a") == List{});
  CHECK(BeforeTags("a+") == List{"a"});
  CHECK(BeforeTags("") == List{});
}

}  // namespace
}  // namespace godwit::store
