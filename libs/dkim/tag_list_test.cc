#include "libs/dkim/tag_list.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::dkim {
namespace {

TEST_CASE("RFC 6376 §3.2: lists that parse", "[dkim][unit]") {
  const std::string text = " v = 1 ; b_2=a b\r\n\tc ;e=; q=x=y;";
  const auto list = TagList::Parse(text);
  REQUIRE(list.ok());
  CHECK(list->tags().size() == 4);
  CHECK(list->Value("v") == "1");
  CHECK(list->Value("b_2") == "a b\r\n\tc");
  CHECK(list->Find("e") != nullptr);
  CHECK(list->Value("q") == "x=y");
  CHECK(list->Find("V") == nullptr);
  const Tag* v = list->Find("v");
  CHECK(text.substr(v->begin, v->end - v->begin) == " 1 ");
}

TEST_CASE("RFC 6376 §3.2: lists that do not", "[dkim][unit]") {
  const std::string text =
      GENERATE(as<std::string>(), "", ";", "v", "v=1;;a=2", "v=1;x", "=1", "1a=2", "a-b=1",
               "v=1;v=2", "v=a\x01", "v=a\rb", "v=a\nb", "v=a\r\nb", "v=a\r\n\r\n b", "v=\x7f");
  CAPTURE(text);
  CHECK_FALSE(TagList::Parse(text).ok());
}

TEST_CASE("A list has a bound on its tags", "[dkim][unit]") {
  std::string text;
  for (int i = 0; i < 65; ++i) text += "t" + std::to_string(i) + "=1;";
  CHECK_FALSE(TagList::Parse(text).ok());
}

}  // namespace
}  // namespace godwit::dkim
