#include "libs/smtp/data_reader.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

struct Outcome {
  std::string text;  // only when there was no error
  DataError error = DataError::kNone;
  uint64_t size = 0;
  bool ended = false;
  std::string rest;  // behind the end
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Read(const testing::Chunks& chunks, const DataReader::Limits& limits = {}) {
  DataReader reader(limits);
  Outcome out;
  for (std::string_view in : chunks) {
    while (!out.ended && !in.empty()) {
      auto result = reader.Next(&in);
      if (auto* chunk = std::get_if<DataChunk>(&result)) {
        CHECK_FALSE(chunk->bytes.empty());
        out.text += chunk->bytes;
      } else if (auto* end = std::get_if<DataEnd>(&result)) {
        out.ended = true;
        out.error = end->error;
        out.size = end->size;
      } else {
        CHECK(in.empty());
      }
    }
    if (out.ended) out.rest += in;
  }
  if (out.error != DataError::kNone) out.text.clear();
  return out;
}

struct Row {
  std::string wire;
  std::string text;
};

TEST_CASE("DataReader takes dots away and ends at CRLF.CRLF, for every split (RFC 5321 §4.5.2)",
          "[smtp][unit]") {
  const Row row = GENERATE(values<Row>({
      {".\r\n", ""},
      {"a\r\n.\r\n", "a\r\n"},
      {"a\r\n..\r\n.\r\n", "a\r\n.\r\n"},
      {"..\r\n.\r\n", ".\r\n"},
      {".a\r\n...b\r\n.\r\n", "a\r\n..b\r\n"},
      {"\r\n\r\n.\r\n", "\r\n\r\n"},
      {"a.\r\nb\r\n.\r\n", "a.\r\nb\r\n"},
      {"a\r\nb\r\n. \r\n.\r\n", "a\r\nb\r\n \r\n"},
  }));
  CAPTURE(row.wire);
  const std::string wire = row.wire + "QUIT\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(Read(chunks) == Outcome{row.text, DataError::kNone, row.text.size(), true, "QUIT\r\n"});
  });
}

// SMTP smuggling (2023): servers that took another sequence for the end of data let one message
// carry a second one, with any sender. Each such sequence, followed by commands, must stay inside
// the message, and the message be refused at its true end.
TEST_CASE("No end of data but CRLF.CRLF is one, and a message that tries is bad", "[smtp][unit]") {
  const std::string before = GENERATE(values<std::string>({"\n", "\r", "\r\r\n", "\n\n", "\r\n"}));
  const std::string after = GENERATE(values<std::string>({"\n", "\r", "\r\r\n", "\n\n", "\r\n"}));
  if (before == "\r\r\n" && after == "\r\n") return;  // ends there: CR CR LF is a bare CR and CRLF
  if (before == "\r\n" && after == "\r\n") return;    // the true end
  const std::string wire =
      "a" + before + "." + after + "MAIL FROM:<evil@x.example>\r\n.\r\nQUIT\r\n";
  CAPTURE(wire);
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const Outcome out = Read(chunks);
    CHECK(out.ended);
    CHECK(out.error == DataError::kBadLineEnd);
    CHECK(out.rest == "QUIT\r\n");
  });
}

TEST_CASE("CR CR LF . CR LF is an end, of a bad message", "[smtp][unit]") {
  const std::string wire = "a\r\r\n.\r\nQUIT\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const Outcome out = Read(chunks);
    CHECK(out.error == DataError::kBadLineEnd);
    CHECK(out.rest == "QUIT\r\n");
  });
}

TEST_CASE("Data of chunks has no dots and no end, and the same line ends (RFC 3030 §2)",
          "[smtp][unit]") {
  struct ChunkRow {
    std::string wire;
    DataError error;
    bool in_line;
  };
  const ChunkRow row = GENERATE(values<ChunkRow>({
      {"", DataError::kNone, false},
      {".\r\n", DataError::kNone, false},
      {"a\r\n.\r\n..b\r\n", DataError::kNone, false},
      {"a\r\nb", DataError::kNone, true},
      {"a\r\n.", DataError::kNone, true},
      {"a\r", DataError::kNone, true},  // its LF may come
      {"a\n", DataError::kBadLineEnd, true},
      {"a\rb\r\n", DataError::kBadLineEnd, false},
      {"a\r\r\n", DataError::kBadLineEnd, false},
  }));
  CAPTURE(row.wire);
  testing::ForEachSplit(row.wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    DataReader reader({}, DataFraming::kChunks);
    DataReader octets({}, DataFraming::kBinary);
    std::string text;
    std::string raw;
    for (std::string_view chunk : chunks) {
      for (std::string_view in = chunk; !in.empty();) {
        auto result = reader.Next(&in);
        if (auto* part = std::get_if<DataChunk>(&result)) text += part->bytes;
      }
      for (std::string_view in = chunk; !in.empty();) {
        raw += std::get<DataChunk>(octets.Next(&in)).bytes;
      }
    }
    CHECK(reader.error() == row.error);
    CHECK(reader.in_line() == row.in_line);
    if (row.error == DataError::kNone && row.wire != "a\r") CHECK(text == row.wire);
    CHECK(raw == row.wire);
    CHECK(octets.size() == row.wire.size());
    CHECK_FALSE(octets.in_line());
  });
}

TEST_CASE("Size counts what RFC 1870 §4 counts, to the octet", "[smtp][unit]") {
  const std::string wire = "..ab\r\ncd\r\n.\r\n";  // .ab CRLF cd CRLF: 9
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(Read(chunks, {9, 998}) == Outcome{".ab\r\ncd\r\n", DataError::kNone, 9, true, ""});
    CHECK(Read(chunks, {8, 998}) == Outcome{"", DataError::kTooBig, 9, true, ""});
  });
}

TEST_CASE("A line may have 998 octets and its CRLF (RFC 5321 §4.5.3.1.6)", "[smtp][unit]") {
  const std::string fits = std::string(998, 'x') + "\r\n";
  CHECK(Read({fits + ".\r\n"}).error == DataError::kNone);
  CHECK(Read({"." + fits + ".\r\n"}).error == DataError::kNone);  // its dot is not counted
  CHECK(Read({"x" + fits + ".\r\n"}).error == DataError::kLineTooLong);
  const std::string wire = "12345\r\n123456\r\n.\r\n";
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    CHECK(Read(chunks, {100, 6}).error == DataError::kNone);
    CHECK(Read(chunks, {100, 5}).error == DataError::kLineTooLong);
    CHECK(Read(chunks, {9, 4}).error == DataError::kLineTooLong);
    CHECK(Read(chunks, {4, 4}).error == DataError::kTooBig);
  });
}

}  // namespace
}  // namespace godwit::smtp
