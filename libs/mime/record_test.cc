#include "libs/mime/record.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "libs/base/status.h"
#include "libs/mime/parser.h"

namespace godwit::mime {
namespace {

// Summaries of arbitrary content, from a fixed seed.
class Maker {
 public:
  explicit Maker(uint32_t seed) : random_(seed) {}

  Summary Make() {
    Summary summary;
    summary.root = MakePart(0);
    summary.envelope = MakeEnvelope();
    summary.header_size = Number();
    summary.body_size = Number();
    summary.header_8bit = Coin();
    summary.body_8bit = Coin();
    summary.needs_smtputf8 = Coin();
    summary.has_nul = Coin();
    summary.limited = Coin();
    summary.preview = Text();
    if (Coin()) {
      summary.sent = DateTime{absl::FromUnixSeconds(static_cast<int64_t>(Number() >> 30) - 100000),
                              static_cast<int>(random_() % 11999) - 5999};
    }
    summary.message_id = Text();
    summary.in_reply_to = Texts();
    summary.references = Texts();
    summary.base_subject = Text();
    summary.is_reply = Coin();
    return summary;
  }

 private:
  bool Coin() { return random_() % 2 == 0; }
  uint64_t Number() { return (uint64_t{random_()} << 32 | random_()) >> (random_() % 64); }
  std::string Text() {
    std::string text(random_() % 200 < 150 ? random_() % 20 : random_() % 400, '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }
  std::optional<std::string> Maybe() { return Coin() ? std::optional(Text()) : std::nullopt; }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts(random_() % 4);
    for (auto& text : texts) text = Text();
    return texts;
  }
  Parameters Params() {
    Parameters params(random_() % 4);
    for (auto& parameter : params) parameter = {Text(), Text()};
    return params;
  }
  AddressList Addresses() {
    AddressList list(random_() % 4);
    for (auto& address : list) {
      address.kind = static_cast<Address::Kind>(random_() % 3);
      if (address.kind == Address::Kind::kGroupEnd) continue;
      address = {address.kind, Text(), Text(), Text(), Text()};
    }
    return list;
  }
  Envelope MakeEnvelope() {
    return {Maybe(),     Maybe(),     Addresses(), Addresses(), Addresses(),
            Addresses(), Addresses(), Addresses(), Maybe(),     Maybe()};
  }
  Part MakePart(int depth) {
    Part part;
    part.kind = static_cast<Part::Kind>(random_() % 3);
    part.type = Text();
    part.subtype = Text();
    part.params = Params();
    part.id = Text();
    part.description = Text();
    part.encoding = Text();
    part.md5 = Text();
    part.location = Text();
    if (Coin()) part.disposition = Disposition{Text(), Params()};
    part.languages = Texts();
    part.header_offset = Number();
    part.header_size = Number();
    part.body_offset = Number();
    part.body_size = Number();
    part.lines = Number();
    if (Coin()) part.envelope = MakeEnvelope();
    const size_t children = depth < 4 ? random_() % 3 : 0;
    for (size_t i = 0; i < children; ++i) part.children.push_back(MakePart(depth + 1));
    return part;
  }

  std::mt19937 random_;
};

TEST_CASE("Decode gives back what Encode took", "[mime][unit]") {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    const Summary summary = Maker(seed).Make();
    const auto decoded = Decode(Encode(summary));
    REQUIRE(decoded.ok());
    CHECK(*decoded == summary);
  }
}

TEST_CASE("Decode refuses what is not a whole record", "[mime][unit]") {
  const std::string record = Encode(Maker(7).Make());
  for (size_t size = 0; size < record.size(); ++size) {
    const auto decoded = Decode(record.substr(0, size));
    CHECK(decoded.status().code() == absl::StatusCode::kDataLoss);
  }
  CHECK_FALSE(Decode(record + '\0').ok());
  std::string newer = record;
  newer[0] = 2;
  CHECK_FALSE(Decode(newer).ok());
}

TEST_CASE("Decode survives damaged bytes", "[mime][unit]") {
  const std::string record = Encode(Maker(11).Make());
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string damaged = record;
    for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto decoded = Decode(damaged);
    if (decoded.ok()) CHECK(Decode(Encode(*decoded)).ok());
  }
  // A count of 2^64 - 1 costs nothing.
  CHECK_FALSE(Decode("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").ok());
}

// A record that some version has written must stay readable for ever.
TEST_CASE("The bytes of version 1 stay as they are", "[mime][unit]") {
  const Summary summary = ParseMessage("Subject: Re: x\r\n\r\nhi\r\n");
  const std::string record = Encode(summary);
  const std::string want(
      "\x01\0\x04text\x05plain\0\0\0\x04"
      "7bit\0\0\0\0\0\x12\0\x04\x01\0\0"
      "\0\x06Re: x\0\0\0\0\0\0\0\0\x12\x04\0\0\0\0\0\x01\x02hi\0\0\0\0\x01x",
      64);
  CHECK(record == want);
  CHECK(*Decode(want) == summary);
}

TEST_CASE("A record of an ordinary message is small", "[mime][unit]") {
  const Summary summary = ParseMessage(
      "From: Alice <alice@godwit.test>\r\nTo: bob@godwit.test\r\nSubject: lunch\r\n"
      "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <1@godwit.test>\r\n\r\nhello\r\n");
  CHECK(Encode(summary).size() < 220);
}

}  // namespace
}  // namespace godwit::mime
