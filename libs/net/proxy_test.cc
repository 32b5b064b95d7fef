#include "libs/net/proxy.h"

#include <catch2/catch.hpp>

#include "libs/testing/split.h"

namespace godwit::net {
namespace {

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string V2(int version_command, int family_protocol, std::string_view rest) {
  std::string wire = kSignature;
  wire.push_back(static_cast<char>(version_command));
  wire.push_back(static_cast<char>(family_protocol));
  wire.push_back(static_cast<char>(rest.size() >> 8));
  wire.push_back(static_cast<char>(rest.size() & 255));
  return wire.append(rest);
}

const std::string kTcp4Body("\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x00\x19", 12);

struct Outcome {
  ProxyResult result;
  std::string left;
};

Outcome Parse(const testing::Chunks& chunks) {
  ProxyParser parser;
  Outcome outcome;
  bool done = false;
  for (std::string_view chunk : chunks) {
    if (!done) outcome.result = parser.Next(&chunk);
    done = !std::holds_alternative<ProxyNeedMore>(outcome.result);
    outcome.left += chunk;
  }
  return outcome;
}

ProxyHeader Addresses(std::string_view source, std::string_view destination) {
  return {true, *Endpoint::Parse(source), *Endpoint::Parse(destination)};
}

struct Good {
  std::string wire;
  ProxyHeader want;
};

TEST_CASE("ProxyParser gives the same header for every split and leaves what follows",
          "[net][unit]") {
  const auto row = GENERATE(values<Good>({
      {"PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n",
       Addresses("192.0.2.1:12345", "198.51.100.2:25")},
      {"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Addresses("[2001:db8::1]:1", "[::1]:65535")},
      {"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n", Addresses("192.0.2.1:1", "[::1]:25")},
      {"PROXY UNKNOWN\r\n", ProxyHeader()},
      {"PROXY UNKNOWN ffff::1 junk 7 8 9\r\n", ProxyHeader()},
      {V2(0x21, 0x11, kTcp4Body), Addresses("192.0.2.1:12345", "198.51.100.2:25")},
      {V2(0x21, 0x11, kTcp4Body + std::string(300, '\x04')),
       Addresses("192.0.2.1:12345", "198.51.100.2:25")},
      {V2(0x21, 0x21,
          std::string(15, '\0') + "\x01" + std::string(15, '\0') + "\x02" +
              std::string("\x00\x07\x00\x08", 4)),
       Addresses("[::1]:7", "[::2]:8")},
      {V2(0x20, 0x00, ""), ProxyHeader()},                     // LOCAL: a health check
      {V2(0x20, 0x11, kTcp4Body), ProxyHeader()},              // LOCAL: addresses do not count
      {V2(0x20, 0x11, "abc"), ProxyHeader()},                  // nor does their length
      {V2(0x21, 0x00, "tlvs"), ProxyHeader()},                 // UNSPEC
      {V2(0x21, 0x12, kTcp4Body), ProxyHeader()},              // UDP
      {V2(0x21, 0x31, std::string(216, 'x')), ProxyHeader()},  // Unix socket
  }));
  CAPTURE(row.wire);
  testing::ForEachSplit(row.wire + "EHLO a\r\n", [&](const testing::Chunks& chunks) {
    const Outcome outcome = Parse(chunks);
    CHECK(outcome.result == ProxyResult(row.want));
    CHECK(outcome.left == "EHLO a\r\n");
  });
}

TEST_CASE("ProxyParser wants more for every beginning of a header", "[net][unit]") {
  const std::string wire =
      GENERATE_COPY(as<std::string>(), "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n",
                    V2(0x21, 0x11, kTcp4Body + "tlv"));
  for (size_t size = 1; size < wire.size(); ++size) {
    CAPTURE(size);
    CHECK(Parse({std::string_view(wire).substr(0, size)}).result == ProxyResult(ProxyNeedMore()));
  }
}

TEST_CASE("ProxyParser refuses what is malformed, in the same words for every split",
          "[net][unit]") {
  const std::string wire = GENERATE_COPY(
      as<std::string>(), "EHLO a.example\r\n", "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
      "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
      "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
      "PROXY TCP4 1.1.1.1\r 2.2.2.2 1 2\r\n", "PROXY UNKNOWNX\r\n", "PROXY \r\n",
      "PROXY UNKNOWN " + std::string(100, 'x') + "\r\n", "\r\nEHLO\r\n", "GET / HTTP/1.1\r\n",
      V2(0x11, 0x11, kTcp4Body), V2(0x22, 0x11, kTcp4Body), V2(0x21, 0x41, kTcp4Body),
      V2(0x21, 0x13, kTcp4Body), V2(0x21, 0x11, kTcp4Body.substr(1)), V2(0x21, 0x21, kTcp4Body),
      V2(0x21, 0x11, std::string(4097, 'x')));
  CAPTURE(wire);
  const ProxyResult whole = Parse({wire}).result;
  CHECK(std::holds_alternative<ProxyMalformed>(whole));
  testing::ForEachSplit(
      wire, [&](const testing::Chunks& chunks) { CHECK(Parse(chunks).result == whole); });
}

}  // namespace
}  // namespace godwit::net
