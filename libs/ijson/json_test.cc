#include "libs/ijson/json.h"

#include <catch2/catch.hpp>
#include <string>

namespace godwit::ijson {
namespace {

TEST_CASE("JSON is I-JSON (RFC 7493)", "[ijson][unit]") {
  struct Row {
    std::string_view text;
    bool good;
  };
  const Row row = GENERATE(values<Row>({{R"({"a":1,"b":[1,2,{"c":null}]})", true},
                                        {R"("\ud83d\ude00")", true},
                                        {"", false},
                                        {"{", false},
                                        {"{} {}", false},
                                        {"{'a':1}", false},
                                        {"[1,]", false},
                                        {"// x\n{}", false},
                                        {R"({"a":1,"a":2})", false},
                                        {R"({"x":[{"a":1,"a":1}]})", false},
                                        {R"("\ud83d")", false},
                                        {"[1e300]", true},
                                        {"[-1e999]", false},
                                        {"[0e400]", false},
                                        {"\"\xff\"", false},
                                        {"\xef\xbb\xbf{}", false}}));
  CAPTURE(row.text);
  CHECK(ParseJson(row.text).ok() == row.good);
}

TEST_CASE("Depth of JSON has a bound", "[ijson][unit]") {
  CHECK(ParseJson(std::string(60, '[') + std::string(60, ']')).ok());
  CHECK_FALSE(ParseJson(std::string(100, '[') + std::string(100, ']')).ok());
  CHECK_FALSE(ParseJson(std::string(1'000'000, '[')).ok());
}

}  // namespace
}  // namespace godwit::ijson
