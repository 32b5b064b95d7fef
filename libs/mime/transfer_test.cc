#include "libs/mime/transfer.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/testing/split.h"

namespace godwit::mime {
namespace {

struct Row {
  TransferEncoding encoding;
  std::string in;
  std::string want;
  bool damaged;
};

constexpr auto kB = TransferEncoding::kBase64;
constexpr auto kQ = TransferEncoding::kQuotedPrintable;

TEST_CASE("TransferDecoder gives the same for every split", "[mime][unit]") {
  const Row row = GENERATE(values<Row>({
      {TransferEncoding::kIdentity, "a=41\r\n", "a=41\r\n", false},
      {TransferEncoding::kUnknown, "a=41\r\n", "a=41\r\n", false},
      {kB, "SGVsbG8sIHdvcmxkIQ==", "Hello, world!", false},
      {kB, "SGVs\r\nbG8s IHdv\tcmxk\r\nIQ==\r\n", "Hello, world!", false},
      {kB, "SGVsbG8", "Hello", false},
      {kB, "SGVsbG8*=", "Hello", true},
      {kB, "SGVsbA==SGVsbA==", "HellHell", true},
      {kB, "A", "", true},
      {kB, "=", "", true},
      {kB, "", "", false},
      {kB, std::string("AP//\0", 5), std::string("\0\xff\xff", 3), true},
      {kQ, "caf=C3=A9 x\r\n", "caf\xc3\xa9 x\r\n", false},
      {kQ, "soft=\r\nbreak=\nhere=  \r\nend", "softbreakhereend", false},
      {kQ, "trail  \t\r\nx \n", "trail\r\nx\n", false},
      {kQ, "a =20\r\n", "a  \r\n", false},
      {kQ, "lower=c3=a9", "lower\xc3\xa9", false},
      {kQ, "bad=GG=4", "bad=GG=4", true},
      {kQ, "bad=4G", "bad=4G", true},
      {kQ, "bad==41", "bad=A", true},
      {kQ, "end=", "end", false},
      {kQ, "end=\r\n", "end", false},
      {kQ, "bare\rcr", "bare\rcr", true},
      {kQ, "bare =\rcr", "bare =\rcr", true},
      {kQ, "end \r", "end \r", true},
      {kQ, "8bit \xc3\xa9", "8bit \xc3\xa9", true},
      {kQ, "spaces at the very end  ", "spaces at the very end", false},
  }));
  CAPTURE(row.in);
  testing::ForEachSplit(row.in, [&](const testing::Chunks& chunks) {
    TransferDecoder decoder(row.encoding);
    std::string out;
    for (const auto chunk : chunks) decoder.Decode(chunk, &out);
    decoder.Finish(&out);
    CHECK(out == row.want);
    CHECK(decoder.damaged() == row.damaged);
  });
}

TEST_CASE("TransferDecoder holds back a bounded number of octets", "[mime][unit]") {
  TransferDecoder decoder(kQ);
  std::string out;
  decoder.Decode(std::string(1 << 20, ' '), &out);
  CHECK(out.size() > (1 << 20) - 2000);
}

TEST_CASE("ParseTransferEncoding knows the five", "[mime][unit]") {
  CHECK(ParseTransferEncoding("") == TransferEncoding::kIdentity);
  CHECK(ParseTransferEncoding(" 8BIT ") == TransferEncoding::kIdentity);
  CHECK(ParseTransferEncoding("binary") == TransferEncoding::kIdentity);
  CHECK(ParseTransferEncoding("Base64 (comment)") == kB);
  CHECK(ParseTransferEncoding("quoted-printable;") == kQ);
  CHECK(ParseTransferEncoding("x-uuencode") == TransferEncoding::kUnknown);
}

}  // namespace
}  // namespace godwit::mime
