#include "libs/smtp/reply.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/smtp/reply_parser.h"
#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

TEST_CASE("Every row of the reply table has codes that fit together", "[smtp][unit]") {
  for (int i = 0; i <= static_cast<int>(ReplyKind::kRejected); ++i) {
    CAPTURE(i);
    const Reply reply = MakeReply(static_cast<ReplyKind>(i));
    REQUIRE(reply.lines.size() == 1);
    if (reply.code / 100 == 3) {
      CHECK(reply.enhanced.empty());
    } else {
      // RFC 2034 §4: the class of the enhanced code is the first digit of the code.
      CHECK(reply.enhanced.at(0) == '0' + reply.code / 100);
    }
  }
}

TEST_CASE("Write puts both codes on every line", "[smtp][unit]") {
  CHECK(Write({550, "5.1.1", {"No", "such user"}}) == "550-5.1.1 No\r\n550 5.1.1 such user\r\n");
  CHECK(Write({354, "", {"Go on"}}) == "354 Go on\r\n");
  CHECK(Write({250, "", {}}) == "250 \r\n");
}

TEST_CASE("Write lets no octet out that is not allowed in a reply", "[smtp][unit]") {
  CHECK(Write({550, "", {"a\r\n250 b\xc3\xa4"}}) == "550 a??250 b??\r\n");
}

TEST_CASE("Write cuts a text that is longer than a reply line may be", "[smtp][unit]") {
  const std::string wire = Write({550, "5.7.1", {std::string(1200, 'x')}});
  size_t at = 0;
  size_t octets = 0;
  while (at < wire.size()) {
    const size_t end = wire.find("\r\n", at) + 2;
    CHECK(end - at <= 512);
    octets += end - at - 2 - 10;
    at = end;
  }
  CHECK(octets == 1200);
}

TEST_CASE("ReplyParser reads what Write wrote, for every split", "[smtp][unit]") {
  const Reply reply = GENERATE(values<Reply>({
      {250, "", {"mx.example", "PIPELINING", "SIZE 1000"}},
      {550, "5.1.1", {"No", "such user"}},
      {354, "", {"Go"}},
      {421, "4.3.2", {""}},
  }));
  const std::string wire = Write(reply) + "221 2.0.0 Bye\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    ReplyParser parser;
    std::vector<ReplyParser::Result> results;
    for (std::string_view chunk : chunks) {
      while (!chunk.empty()) {
        auto result = parser.Next(&chunk);
        if (!std::holds_alternative<NeedMore>(result)) results.push_back(result);
      }
    }
    CHECK(results == std::vector<ReplyParser::Result>{reply, Reply{221, "2.0.0", {"Bye"}}});
  });
}

TEST_CASE("ReplyParser refuses what is no reply", "[smtp][unit]") {
  const std::string wire = GENERATE(values<std::string>({
      "220 a\n",
      "220 a\rb\r\n",
      "hello\r\n",
      "199 a\r\n",
      "650 a\r\n",
      "2500 a\r\n",
      "250-a\r\n251 b\r\n",
      "\r\n",
  }));
  CAPTURE(wire);
  ReplyParser parser;
  std::string_view in = wire;
  CHECK(std::holds_alternative<MalformedReply>(parser.Next(&in)));
}

TEST_CASE("ReplyParser bounds lines and their number", "[smtp][unit]") {
  ReplyParser parser({20, 3});
  std::string long_line(30, '2');
  std::string_view in = long_line;
  CHECK(std::holds_alternative<MalformedReply>(parser.Next(&in)));
  ReplyParser other({20, 3});
  const std::string many = "250-a\r\n250-b\r\n250-c\r\n250-d\r\n";
  in = many;
  CHECK(std::holds_alternative<MalformedReply>(other.Next(&in)));
}

// A server answered each of a hundred recipients with half a megabyte, all of which was kept,
// copied into a notice about ten times, and ended the process.
TEST_CASE("ReplyParser keeps so much text, and the codes of a reply that has more",
          "[smtp][unit]") {
  const std::string wire =
      "550-5.1.1 abcdef\r\n550-5.1.1 ghi\r\n550-5.1.1 j\r\n550 5.1.1 k\r\n250 ok\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    ReplyParser parser({.line = 100, .lines = 4, .text = 20});
    std::vector<ReplyParser::Result> results;
    for (std::string_view chunk : chunks) {
      while (!chunk.empty()) {
        auto result = parser.Next(&chunk);
        if (!std::holds_alternative<NeedMore>(result)) results.push_back(result);
      }
    }
    CHECK(results == std::vector<ReplyParser::Result>{Reply{550, "5.1.1", {"abcdef"}},
                                                      Reply{250, "", {"ok"}}});
  });
  ReplyParser first({.line = 100, .lines = 4, .text = 3});
  std::string_view in = "250 abcdef\r\n";
  CHECK(first.Next(&in) == ReplyParser::Result(Reply{250, "", {"abc"}}));
  // Lines are counted whether they are kept or not.
  ReplyParser parser({.line = 20, .lines = 3, .text = 1});
  const std::string many = "250-a\r\n250-b\r\n250-c\r\n250-d\r\n";
  in = many;
  CHECK(std::holds_alternative<MalformedReply>(parser.Next(&in)));
}

}  // namespace
}  // namespace godwit::smtp
