#include "libs/smtp/command_parser.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

using Results = std::vector<CommandParser::ParseResult>;

Results ParseAll(const testing::Chunks& chunks, const CommandParser::Limits& limits = {}) {
  CommandParser parser(limits);
  Results results;
  for (std::string_view chunk : chunks) {
    while (!chunk.empty()) {
      auto result = parser.Next(&chunk);
      if (!std::holds_alternative<NeedMore>(result)) results.push_back(std::move(result));
    }
  }
  return results;
}

Malformed Bad(ReplyKind kind) { return Malformed{MakeReply(kind)}; }

struct Row {
  std::string wire;
  Results want;
};

TEST_CASE("CommandParser gives the same commands for every split", "[smtp][unit]") {
  const Row row = GENERATE(values<Row>({
      {"NOOP\r\n", {Command{Verb::kNoop, ""}}},
      {"noop foo \r\nQuit\r\n", {Command{Verb::kNoop, "foo"}, Command{Verb::kQuit, ""}}},
      {"MAIL FROM:<a@b.example>\r\n", {Command{Verb::kMail, "<a@b.example>"}}},
      {"mail from: <a@b.example> SIZE=1\r\n", {Command{Verb::kMail, "<a@b.example> SIZE=1"}}},
      {"RCPT TO:<a@b.example>\r\n", {Command{Verb::kRcpt, "<a@b.example>"}}},
      {"MAILFROM:<a@b>\r\n", {Command{Verb::kUnknown, ""}}},
      {"GET / HTTP/1.1\r\n", {Command{Verb::kHttp, "/ HTTP/1.1"}}},
      {"\r\n", {Command{Verb::kUnknown, ""}}},
      {"NOOP\n", {}},
      {"NOOP\r", {}},
      {"", {}},
  }));
  CAPTURE(row.wire);
  testing::ForEachSplit(row.wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(ParseAll(chunks) == row.want);
  });
}

TEST_CASE("A line with a bare CR, bare LF or NUL is one bad line, and nothing in it a command",
          "[smtp][unit]") {
  const std::string line = GENERATE(values<std::string>({
      "NOOP\nQUIT\r\n",
      "NOOP\rQUIT\r\n",
      "NOOP\r\r\n",
      "\nNOOP\r\n",
      "NOOP\n\r\n",
      std::string("NO\0P\r\n", 6),
  }));
  CAPTURE(line);
  const Results want = {Bad(ReplyKind::kBadLineEnd), Command{Verb::kRset, ""}};
  const std::string wire = line + "RSET\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(ParseAll(chunks) == want);
  });
}

TEST_CASE("MAIL and RCPT without their word are answered with the syntax", "[smtp][unit]") {
  for (const char* wire : {"MAIL\r\n", "MAIL <a@b>\r\n", "RCPT FROM:<a@b>\r\n"}) {
    CAPTURE(wire);
    const Results results = ParseAll({wire});
    REQUIRE(results.size() == 1);
    REQUIRE(std::holds_alternative<Malformed>(results[0]));
    CHECK(std::get<Malformed>(results[0]).reply.code == 501);
  }
}

TEST_CASE("A line over the limit is read to its end and answered once", "[smtp][unit]") {
  const CommandParser::Limits limits{20, 100};
  const std::string fits = "NOOP " + std::string(13, 'x') + "\r\n";  // 20
  const std::string wire = fits + "NOOP " + std::string(14, 'x') + "\r\nQUIT\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(ParseAll(chunks, limits) == Results{Command{Verb::kNoop, std::string(13, 'x')},
                                              Bad(ReplyKind::kLineTooLong),
                                              Command{Verb::kQuit, ""}});
  });
}

TEST_CASE("A line without end is fatal at the same octet for every split", "[smtp][unit]") {
  const std::string wire(101, 'x');
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CommandParser parser({20, 100});
    size_t used = 0;
    for (std::string_view chunk : chunks) {
      const size_t before = chunk.size();
      auto result = parser.Next(&chunk);
      used += before - chunk.size();
      if (std::holds_alternative<NeedMore>(result)) continue;
      REQUIRE(std::holds_alternative<Malformed>(result));
      CHECK(std::get<Malformed>(result).fatal);
      CHECK(used == 100);
      return;
    }
    FAIL("not noticed");
  });
}

}  // namespace
}  // namespace godwit::smtp
