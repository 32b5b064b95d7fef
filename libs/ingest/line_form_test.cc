#include "libs/ingest/line_form.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/testing/split.h"

namespace godwit::ingest {
namespace {

constexpr std::string_view kBinary = "Content-Transfer-Encoding: binary\r\n";

struct Row {
  std::string in;
  std::string out;
  std::string refused;  // its enhanced code; "" for none
};

TEST_CASE("A binary message becomes lines, or is refused, for every split (RFC 3030 §3)",
          "[ingest][unit]") {
  const std::string binary(kBinary);
  const std::string multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  const Row row = GENERATE_COPY(values<Row>({
      {"A: b\r\n\r\ntext", "A: b\r\n\r\ntext\r\n", ""},
      {"A: b", "A: b\r\n", ""},
      {"", "", ""},
      {binary + "\r\n\n\r", "Content-Transfer-Encoding: base64\r\n\r\nCg0=\r\n", ""},
      {"A: b\nC: d\r\n\r\n", "", "5.6.11"},
      {"A: b\r\n\r\ntext\n.\r\n", "", "5.6.11"},
      {"A: b\r\n\r\ntext\r", "", "5.6.11"},
      {multipart + "--b\r\n\r\nx\ry\r\n--b--\r\n", "", "5.6.11"},
      {multipart + "pre\n--b\r\n\r\nx\r\n--b--\r\n", "", "5.6.11"},
      {multipart + "--b\r\n" + binary + "\r\nx\r\n--b\n\r\ny\r\n--b--\r\n", "", "5.6.11"},
      {"A: b\r\n\r\n12345678901\r\n", "", "5.6.0"},
      {"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" + binary + "\r\nx\r\n--b--\r\n",
       "", "5.6.2"},
  }));
  CAPTURE(row.in);
  const size_t max_line = row.refused == "5.6.0" ? 10 : 998;
  testing::ForEachSplit(row.in, [&](const testing::Chunks& chunks) {
    CAPTURE(testing::Describe(chunks));
    LineForm lines(max_line);
    std::string out;
    for (std::string_view chunk : chunks) lines.Feed(chunk, &out);
    lines.Finish(&out);
    const auto refused = lines.refused();
    CHECK((refused ? refused->enhanced : "") == row.refused);
    if (!refused) CHECK(out == row.out);
  });
}

}  // namespace
}  // namespace godwit::ingest
