#include "libs/mime/message_id.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace godwit::mime {
namespace {

using Ids = std::vector<std::string>;

TEST_CASE("ParseMessageIds finds and normalises ids", "[mime][unit]") {
  struct Row {
    std::string value;
    Ids want;
  };
  const Row row = GENERATE(values<Row>({
      {"<a@b>", {"a@b"}},
      {" <a@b>\r\n <c@d>", {"a@b", "c@d"}},
      {"<a@b><c@d>", {"a@b", "c@d"}},
      {"<\"01KF8JCEOCBS0045PS\"@x.y.com>", {"01KF8JCEOCBS0045PS@x.y.com"}},
      {"<\"a b\"@c>", {"\"a b\"@c"}},
      {"< a . b @ c >", {"a.b@c"}},
      {"(c <x@y>) <a@b> (c)", {"a@b"}},
      {"Your message of \"<q@q>\" <a@b>", {"a@b"}},
      {"<a@[1.2.3.4]>", {"a@[1.2.3.4]"}},
      {"<no-at>", {"no-at"}},
      {"<a@b <c@d>", {"c@d"}},
      {"<>", {}},
      {"a@b", {}},
      {"<a@b", {}},
      {"", {}},
  }));
  CAPTURE(row.value);
  CHECK(ParseMessageIds(row.value) == row.want);
}

TEST_CASE("ParseMessageIds keeps the first and the last of many", "[mime][unit]") {
  std::string value;
  for (int i = 0; i < 10; ++i) value += "<" + std::to_string(i) + "@x> ";
  CHECK(ParseMessageIds(value, 3) == Ids{"0@x", "8@x", "9@x"});
  CHECK(ParseMessageIds(value, 1) == Ids{"0@x"});
  CHECK(ParseMessageIds(value, 10).size() == 10);
  CHECK(ParseMessageIds("<" + std::string(1000, 'x') + "@y> <a@b>") == Ids{"a@b"});
}

}  // namespace
}  // namespace godwit::mime
