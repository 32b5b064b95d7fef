#include "libs/mime/binary_encoder.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/ascii.h"
#include "libs/mime/parser.h"
#include "libs/mime/transfer.h"
#include "libs/testing/split.h"

namespace godwit::mime {
namespace {

std::string Encode(const testing::Chunks& chunks, bool* sealed = nullptr) {
  BinaryEncoder encoder;
  std::string out;
  for (std::string_view chunk : chunks) encoder.Feed(chunk, &out);
  encoder.Finish(&out);
  if (sealed != nullptr) *sealed = encoder.sealed();
  return out;
}

struct Row {
  std::string in;
  std::string want;
};

TEST_CASE("Binary parts become base64, the rest stays, for every split (RFC 3030 §3)",
          "[mime][unit]") {
  const Row row = GENERATE(values<Row>({
      // Nothing to do.
      {"Subject: x\r\n\r\ntext\r\n", "Subject: x\r\n\r\ntext\r\n"},
      {"", ""},
      {"Content-Transfer-Encoding: binary\r\n", "Content-Transfer-Encoding: binary\r\n"},
      // A message of one part: all of it is content, its last line end too.
      {"A: b\r\nContent-Transfer-Encoding: binary\r\nC: d\r\n\r\na\nb\r\n",
       "A: b\r\nContent-Transfer-Encoding: base64\r\nC: d\r\n\r\nYQpiDQo=\r\n"},
      {"content-transfer-encoding:\r\n (x) BINARY\r\n\r\nabc",
       "Content-Transfer-Encoding: base64\r\n\r\nYWJj\r\n"},
      {"Content-Transfer-Encoding: binary\r\n\r\n", "Content-Transfer-Encoding: base64\r\n\r\n"},
      // The line end before a delimiter is none of the content; one before that is.
      {"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
       "pre\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\nabc\r\n--b\r\n\r\ntext\r\n"
       "--b\r\nContent-Transfer-Encoding: binary\r\n\r\n\r\n\r\n--b--\r\nepi\r\n",
       "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
       "pre\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b\r\n\r\ntext\r\n"
       "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nDQo=\r\n--b--\r\nepi\r\n"},
      // What looks like a delimiter and is none.
      {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
       "Content-Transfer-Encoding: binary\r\n\r\n--c\r\n-\r\n--\r\n--b--",
       "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
       "Content-Transfer-Encoding: base64\r\n\r\nLS1jDQotDQotLQ==\r\n--b--"},
      // An embedded message has no encoding of its own; its parts have.
      {"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
       "Content-Transfer-Encoding: binary\r\n\r\nabc",
       "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
       "Content-Transfer-Encoding: base64\r\n\r\nYWJj\r\n"},
      // A second field would contradict the first.
      {"Content-Transfer-Encoding: binary\r\nA: b\r\nContent-Transfer-Encoding: 7bit\r\n\r\nabc",
       "Content-Transfer-Encoding: base64\r\nA: b\r\n\r\nYWJj\r\n"},
      // The signature is not what is signed.
      {"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
       "Content-Transfer-Encoding: binary\r\n\r\nabc\r\n--b--\r\n",
       "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
       "Content-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b--\r\n"},
      {"Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n"
       "Content-Transfer-Encoding: binary\r\n\r\nabc\r\n--b--\r\n",
       "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n"
       "Content-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b--\r\n"},
  }));
  CAPTURE(row.in);
  testing::ForEachSplit(row.in, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    bool sealed = true;
    CHECK(Encode(chunks, &sealed) == row.want);
    CHECK_FALSE(sealed);
  });
}

TEST_CASE("A binary part that is signed is left, and told (RFC 1847 §2.1)", "[mime][unit]") {
  const std::string inner = GENERATE(values<std::string>({
      "Content-Transfer-Encoding: binary\r\n\r\na\nb\r\n",
      "Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: binary\r\n\r\n"
      "--c\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n--c--\r\n",
  }));
  const std::string in = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" + inner +
                         "--b\r\n\r\nsignature\r\n--b--\r\n";
  testing::ForEachSplit(in, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    bool sealed = false;
    CHECK(Encode(chunks, &sealed) == in);
    CHECK(sealed);
  });
}

std::string AllOctets() {
  std::string octets;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 256; ++i) octets += static_cast<char>(i);
  }
  return octets + "\r\n--x\r\n--b x\r\n\n\r\r\n";
}

TEST_CASE("Every octet comes out of the base64 again, in lines of 76 (RFC 2045 §6.8)",
          "[mime][unit]") {
  const std::string content = AllOctets();
  const std::string in =
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n"
      "Content-Transfer-Encoding: binary\r\n\r\n" +
      content + "\r\n--b--\r\n";
  testing::ForEachSplit(in, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    const std::string out = Encode(chunks);
    const Summary summary = ParseMessage(out);
    REQUIRE(summary.root.children.size() == 1);
    const Part& part = summary.root.children[0];
    CHECK(part.encoding == "base64");
    const std::string body = out.substr(summary.header_size + part.body_offset, part.body_size);
    for (std::string_view line : base::Split(body, '\n')) CHECK(line.size() <= 77);
    TransferDecoder decoder(TransferEncoding::kBase64);
    std::string decoded;
    decoder.Decode(body, &decoded);
    decoder.Finish(&decoded);
    CHECK(decoded == content);
  });
}

TEST_CASE("A header over the limit, and parts that are too deep, stay as they are",
          "[mime][unit]") {
  const std::string header =
      "A: " + std::string(200, 'x') + "\r\nContent-Transfer-Encoding: binary\r\n\r\n";
  for (const size_t limit : {header.size() - 1, size_t{50}, size_t{1}}) {
    BinaryEncoder encoder({100, limit});
    std::string out;
    encoder.Feed(header + "a\nb", &out);
    encoder.Finish(&out);
    CHECK(out == header + "a\nb");
  }
  std::string deep;
  for (int i = 0; i < 10000; ++i) {
    const std::string b = std::to_string(i);
    deep += "Content-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b + "\r\n";
  }
  BinaryEncoder encoder;
  std::string out;
  encoder.Feed(deep, &out);
  CHECK(encoder.memory() < 100000);
  encoder.Finish(&out);
  CHECK(out == deep);
}

TEST_CASE("Memory does not grow with the content", "[mime][unit]") {
  BinaryEncoder encoder;
  std::string out;
  encoder.Feed("Content-Transfer-Encoding: binary\r\n\r\n", &out);
  const std::string piece(100000, '\0');
  for (int i = 0; i < 100; ++i) {
    out.clear();
    encoder.Feed(piece, &out);
    CHECK(out.size() < 150000);
    CHECK(encoder.memory() < 10000);
  }
}

}  // namespace
}  // namespace godwit::mime
