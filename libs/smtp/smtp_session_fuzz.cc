// A whole server session with a driver that accepts everything. Properties:
// - the same transcript for the whole and byte by byte, unless bytes stood behind STARTTLS or a
//   refused DATA (server.h says why);
// - nothing of a message becomes a command: there are not more messages than true ends of DATA and
//   BDAT commands on the wire;
// - a message holds neither a bare CR nor a bare LF, but one with BODY=BINARYMIME.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/smtp/session_runner.h"

namespace {

using godwit::smtp::RunSession;
using godwit::smtp::ServerOptions;
using godwit::smtp::Transcript;

std::vector<std::string_view> Octets(std::string_view wire) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < wire.size(); ++i) out.push_back(wire.substr(i, 1));
  return out;
}

void CheckLineEnds(const std::string& message) {
  for (size_t i = 0; i < message.size(); ++i) {
    if (message[i] == '\r') GODWIT_CHECK(i + 1 < message.size() && message[i + 1] == '\n');
    if (message[i] == '\n') GODWIT_CHECK(i > 0 && message[i - 1] == '\r');
  }
}

size_t CountTrueEnds(std::string_view wire) {
  size_t count = 0;
  for (size_t at = wire.find("\r\n.\r\n"); at != std::string_view::npos;
       at = wire.find("\r\n.\r\n", at + 1)) {
    ++count;
  }
  return count;
}

size_t CountBdat(std::string_view wire) {
  size_t count = 0;
  for (size_t at = 0; at + 4 <= wire.size(); ++at) {
    if (godwit::base::EqualsIgnoreCase(wire.substr(at, 4), "BDAT")) ++count;
  }
  return count;
}

void CheckSplit(const ServerOptions& options, std::string_view wire, const Transcript& whole) {
  const Transcript cut = RunSession(options, Octets(wire));
  const bool closed_early = whole.replies.find("503 5.5.1 Pipelining") != std::string::npos;
  if (!closed_early) GODWIT_CHECK(whole == cut);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  ServerOptions options;
  options.hostname = "mx.example";
  options.data = {4096, 998};
  options.extensions.Remove(godwit::smtp::Extension::kBinaryMime);
  const Transcript whole = RunSession(options, {wire});
  GODWIT_CHECK(whole.messages.size() <= CountTrueEnds(wire) + CountBdat(wire));
  for (const std::string& message : whole.messages) CheckLineEnds(message);

  CheckSplit(options, wire, whole);

  // With STARTTLS offered: no crash, and the same rules for messages.
  options.extensions.Add(godwit::smtp::Extension::kStartTls);
  for (const std::string& message : RunSession(options, {wire}).messages) CheckLineEnds(message);

  options.extensions.Add(godwit::smtp::Extension::kBinaryMime);
  options.extensions.Remove(godwit::smtp::Extension::kStartTls);
  CheckSplit(options, wire, RunSession(options, {wire}));
  return 0;
}
