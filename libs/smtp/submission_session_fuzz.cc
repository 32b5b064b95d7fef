// A server session that wants a login first, with a driver that lets in whoever says "secret".
// Properties:
// - the same transcript for the whole and byte by byte, unless bytes stood behind a refused DATA
//   (server.h says why);
// - no mail transaction before an AUTH that ended with "secret", and no AUTH behind it.

#include <cstdint>
#include <string>
#include <vector>

#include "libs/base/check.h"
#include "libs/smtp/session_runner.h"

namespace {

using godwit::smtp::Extension;
using godwit::smtp::RunSession;
using godwit::smtp::ServerOptions;
using godwit::smtp::Transcript;

ServerOptions Options() {
  ServerOptions options;
  options.hostname = "mail.example";
  options.tls = true;
  options.require_tls = true;
  options.require_auth = true;
  for (Extension extension :
       {Extension::kAuth, Extension::kDsn, Extension::kRequireTls, Extension::kFutureRelease}) {
    options.extensions.Add(extension);
  }
  options.auth_mechanisms = {"SCRAM-SHA-256", "PLAIN", "LOGIN"};
  options.auth_line = 4096;
  options.data = {4096, 998};
  return options;
}

void CheckOrder(const std::vector<std::string>& actions) {
  bool in = false;
  for (const std::string& action : actions) {
    const bool auth = action.starts_with("AUTH ") || action.starts_with("RESPONSE");
    if (auth) GODWIT_CHECK(!in);
    if (!auth && action != "CLOSE") GODWIT_CHECK(in);
    in = in || (auth && (action == "RESPONSE secret" || action.ends_with(" secret")));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  const Transcript whole = RunSession(Options(), {wire});
  CheckOrder(whole.actions);
  std::vector<std::string_view> octets;
  for (size_t i = 0; i < wire.size(); ++i) octets.push_back(wire.substr(i, 1));
  const Transcript cut = RunSession(Options(), octets);
  CheckOrder(cut.actions);
  const bool closed_early = whole.replies.find("503 5.5.1 Pipelining") != std::string::npos;
  if (!closed_early) GODWIT_CHECK(whole == cut);
  return 0;
}
