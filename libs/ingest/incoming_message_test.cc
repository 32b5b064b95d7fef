#include "libs/ingest/incoming_message.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/ascii.h"
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

TEST_CASE("A body that was kept whole is there to be read, and leaves in chunks afterwards",
          "[ingest][unit]") {
  IncomingMessage message;
  message.Feed("A: b\r\n\r\n");
  std::string body;
  while (body.size() < 5 * store::kChunkSize)
    body += "line " + std::to_string(body.size()) + "\r\n";
  message.Feed(body);
  CHECK(message.body() == body);
  std::string staged;
  while (message.has_full_chunk()) {
    staged += message.TakeChunk();
    CHECK(message.body() == std::string_view(body).substr(staged.size()));
  }
  CHECK(message.body().size() <= kInMemory);
  staged += message.TakeRest();
  CHECK(staged == body);
  CHECK(message.body().empty());
}

// One octet of Latin-1 in a Message-ID was "invalid byte sequence" to the database: the message got
// 451 at every try, and took its whole group of deliveries with it.
TEST_CASE("Every text of a description is UTF-8 without NUL, whatever octets come",
          "[ingest][unit]") {
  const std::string bad =
      GENERATE(std::string("\xe9"), std::string("\xed\xa0\x80"), std::string("\xff"),
               std::string("=?utf-8?Q?=00=ff?="), std::string("a\0b", 3));
  CAPTURE(bad);
  const auto describe = [&](const std::string& field) {
    IncomingMessage message;
    message.Feed(field + "\r\n\r\n" + bad + " text\r\n");
    return message.Finish("\r\n");
  };
  for (const std::string field : {"Message-ID: <", "References: <0@x.example> <", "In-Reply-To: <",
                                  "Subject: Re: <", "From: \"A\" <", "To: <", "Cc: <", "Bcc: <"}) {
    CAPTURE(field);
    const store::Delivery delivery = describe(field + bad + "@x.example>");
    std::vector<std::string> texts = delivery.references;
    texts.insert(texts.end(),
                 {delivery.message_id, delivery.subject_base, delivery.subject, delivery.from,
                  delivery.to, delivery.cc, delivery.bcc, delivery.preview});
    for (const std::string& text : texts) {
      CHECK(base::IsUtf8(text));
      CHECK(text.find('\0') == std::string::npos);
    }
  }
}

// Threads go by ids: two messages that name the same bad id must still name the same text.
TEST_CASE("An id that is not UTF-8 still leads to its thread", "[ingest][unit]") {
  IncomingMessage first;
  first.Feed("Message-ID: <caf\xe9@x.example>\r\n\r\n");
  const store::Delivery original = first.Finish("\r\n");
  CHECK(original.message_id == "caf\xc3\xa9@x.example");
  IncomingMessage second;
  second.Feed("References: <caf\xe9@x.example>\r\n\r\n");
  CHECK(second.Finish("\r\n").references == std::vector{original.message_id});
}

// limits.memory of smtp-ingress counted header and body only, and the parser keeps its own copies.
TEST_CASE("What the parser keeps is counted as memory", "[ingest][unit]") {
  IncomingMessage message;
  std::string header;
  while (header.size() < 200 * 1024) header += "X-Long: " + std::string(900, 'x') + "\r\n";
  message.Feed(header + "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
  const size_t before = message.memory();
  CHECK(before >= 2 * header.size());
  std::string parts;
  for (int i = 0; i < 900; ++i) parts += "--b\r\n\r\n";
  message.Feed(parts);
  CHECK(message.memory() >= before + 900 * sizeof(mime::Part));
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
