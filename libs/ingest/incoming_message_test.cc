#include "libs/ingest/incoming_message.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/mime/record.h"
#include "libs/testing/split.h"

namespace godwit::ingest {
namespace {

constexpr std::string_view kMessage =
    "From: =?utf-8?Q?J=C3=B6rg?= <j@x.example>\r\n"
    "To: a@y.example, B <b@y.example>\r\n"
    "Subject: Re: hello\r\n"
    "Message-ID: <2@x.example>\r\n"
    "References: <0@x.example> <1@x.example>\r\n"
    "In-Reply-To: <1@x.example>\r\n"
    "Date: Mon, 02 Jan 2006 15:04:05 +0000\r\n"
    "\r\n"
    "The text.\r\n";

TEST_CASE("A message is cut into header and body and described, for every split",
          "[ingest][unit]") {
  testing::ForEachSplit(kMessage, [](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    IncomingMessage message;
    for (std::string_view chunk : chunks) message.Feed(chunk);
    REQUIRE(message.header_complete());
    CHECK(message.size() == kMessage.size());
    const std::string header = "X: y\r\n" + message.header();
    const store::Delivery delivery = message.Finish(header);
    CHECK(delivery.header == header);
    CHECK(delivery.body == "The text.\r\n");
    CHECK(delivery.from == "J\xc3\xb6rg <j@x.example>");
    CHECK(delivery.to == "<a@y.example>, B <b@y.example>");
    CHECK(delivery.subject == "Re: hello");
    CHECK(delivery.subject_base == "hello");
    CHECK(delivery.message_id == "2@x.example");
    CHECK(delivery.references == std::vector<std::string>{"0@x.example", "1@x.example"});
    CHECK(delivery.sent == absl::FromUnixSeconds(1136214245));
    CHECK(delivery.preview == "The text.");
    CHECK_FALSE(delivery.has_attachment);
    const auto summary = mime::Decode(delivery.summary);
    REQUIRE(summary.ok());
    CHECK(summary->header_size == header.size());
    CHECK(summary->body_size == 11);
  });
}

TEST_CASE("A message without header, and one without body", "[ingest][unit]") {
  IncomingMessage body_only;
  body_only.Feed("\r\ntext\r\n");
  CHECK(body_only.header() == "\r\n");
  CHECK(body_only.Finish("\r\n").body == "text\r\n");
  IncomingMessage header_only;
  header_only.Feed("A: b\r\n");
  CHECK_FALSE(header_only.header_complete());
  CHECK(header_only.header() == "A: b\r\n");
  CHECK(header_only.Finish("A: b\r\n\r\n").body.empty());
}

TEST_CASE("A header over its limit is noticed, one at it is not", "[ingest][unit]") {
  const std::string wire = "A: 3456\r\n\r\nbody";  // 11
  testing::ForEachSplit(wire, [&](const testing::Chunks& chunks) {
    IncomingMessage fits({11});
    IncomingMessage over({10});
    for (std::string_view chunk : chunks) {
      fits.Feed(chunk);
      over.Feed(chunk);
    }
    CHECK_FALSE(fits.header_too_large());
    CHECK(over.header_too_large());
  });
}

TEST_CASE("A long body leaves in chunks, and memory stays bounded", "[ingest][unit]") {
  IncomingMessage message;
  message.Feed("A: b\r\n\r\n");
  const std::string line = std::string(998, 'x') + "\r\n";
  std::string body;
  std::string staged;
  for (int i = 0; i < 1000; ++i) {
    body += line;
    message.Feed(line);
    while (message.has_full_chunk()) {
      const std::string chunk = message.TakeChunk();
      CHECK(chunk.size() == store::kChunkSize);
      staged += chunk;
    }
    CHECK(message.memory() < 3 * store::kChunkSize);
  }
  staged += message.TakeRest();
  CHECK(staged == body);
}

TEST_CASE("An attachment is seen where there is one", "[ingest][unit]") {
  IncomingMessage message;
  message.Feed(
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
      "Content-Disposition: attachment; filename=x\r\n\r\nx\r\n--b--\r\n");
  CHECK(message.Finish("\r\n").has_attachment);
}

}  // namespace
}  // namespace godwit::ingest
