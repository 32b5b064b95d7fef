// The framing of BDAT. The input says how a message is cut: an octet for the kind of each chunk,
// one for its size, then its octets. Properties:
// - exactly the octets of the chunks are the message, whatever they are (BODY=BINARYMIME);
// - none of them is run, and the command behind the last chunk is;
// - the same for the whole and byte by byte;
// - with chunks that are refused (no transaction), the commands between them still run.

#include <cstdint>
#include <string>
#include <vector>

#include "libs/base/check.h"
#include "libs/smtp/session_runner.h"

namespace {

using godwit::smtp::RunSession;
using godwit::smtp::ServerOptions;
using godwit::smtp::Transcript;

std::string Chunk(std::string_view octets, bool last) {
  return "BDAT " + std::to_string(octets.size()) + (last ? " LAST\r\n" : "\r\n") +
         std::string(octets);
}

// Consumes `in`; what it cuts off is added to `message`.
std::string Cut(std::string_view* in, std::string* message) {
  std::string wire;
  while (in->size() >= 2) {
    const bool noop = (static_cast<unsigned char>(in->front()) & 1) != 0;
    const size_t size = static_cast<unsigned char>((*in)[1]);
    in->remove_prefix(2);
    const std::string_view octets = in->substr(0, size);
    in->remove_prefix(octets.size());
    wire += Chunk(octets, false);
    if (noop) wire += "NOOP\r\n";
    *message += octets;
  }
  wire += Chunk(*in, true);
  *message += *in;
  return wire;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  std::string_view in(reinterpret_cast<const char*>(data), size);
  ServerOptions options;
  options.hostname = "mx.example";
  options.max_idle_commands = 1 << 20;
  std::string message;
  const std::string chunks = Cut(&in, &message);
  const std::string wire = "EHLO c\r\nMAIL FROM:<a@x> BODY=BINARYMIME\r\nRCPT TO:<b@y>\r\n" +
                           chunks + "MAIL FROM:<c@x>\r\n";
  const Transcript whole = RunSession(options, {wire});
  std::vector<std::string> want = {"MAIL <a@x>", "RCPT <b@y>", "DATA"};
  want.push_back(message.empty() ? "MESSAGE" : "MESSAGE " + message);
  want.emplace_back("MAIL <c@x>");
  GODWIT_CHECK(whole.actions == want);
  std::vector<std::string_view> octets;
  for (size_t i = 0; i < wire.size(); ++i) octets.push_back(std::string_view(wire).substr(i, 1));
  GODWIT_CHECK(RunSession(options, octets) == whole);

  const Transcript refused = RunSession(options, {"EHLO c\r\n" + chunks + "MAIL FROM:<c@x>\r\n"});
  GODWIT_CHECK(refused.actions == std::vector<std::string>{"MAIL <c@x>"});
  return 0;
}
