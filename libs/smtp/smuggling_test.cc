// SMTP smuggling (2023): a server that takes another sequence than <CRLF>.<CRLF> for the end of
// data, behind one that does not, lets one message carry a second with any sender. The matrix: each
// such sequence, with and without pipelining, by DATA and by BDAT, with another message behind it.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/smtp/server.h"
#include "libs/smtp/session_runner.h"
#include "libs/testing/split.h"

namespace godwit::smtp {
namespace {

using std::string_view_literals::operator""sv;

ServerOptions Options() {
  ServerOptions options;
  options.hostname = "mx.example";
  return options;
}

std::vector<std::string> LineEnds() {
  return {"\r\n",
          "\n",
          "\r",
          "\r\r\n",
          "\r\n\n",
          "\n\r",
          std::string("\r\0\n", 3),
          std::string("\0\r\n", 3),
          std::string("\n\0", 2),
          " \r\n",
          "\t\n",
          "\x0b",
          "\x85",
          ""};
}

// The message that is to get in: commands behind the false end.
constexpr std::string_view kEvil =
    "MAIL FROM:<evil@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nevil\r\n.\r\n";

bool HasEvil(const Transcript& transcript) {
  for (const std::string& action : transcript.actions) {
    if (action.starts_with("MAIL <evil")) return true;
  }
  return false;
}

TEST_CASE("No end of data but CRLF.CRLF lets a second message through, by DATA", "[smtp][unit]") {
  const std::string envelope = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n";
  for (const std::string& before : LineEnds()) {
    for (const std::string& after : LineEnds()) {
      for (const std::string_view dot : {"."sv, ".."sv, ". "sv, ".\0"sv}) {
        // The true end: what is behind it are commands.
        if (before.ends_with("\r\n") && dot == "." && after.starts_with("\r\n")) continue;
        const std::string data = "text" + before + std::string(dot) + after + std::string(kEvil);
        CAPTURE(data);
        SessionRunner patient(Options());
        patient.Feed("EHLO c\r\n");
        patient.Feed(envelope);
        patient.Feed(data);
        patient.Feed("NOOP\r\n");
        CHECK_FALSE(HasEvil(patient.transcript()));
        CHECK(patient.transcript().messages.size() <= 1);
        CHECK(base::EndsWithIgnoreCase(patient.transcript().replies, "250 2.0.0 OK\r\n"));
        // All of it in one piece, and every octet alone.
        const std::string wire = "EHLO c\r\n" + envelope + data + "NOOP\r\n";
        const Transcript whole = RunSession(Options(), {wire});
        CHECK(whole == patient.transcript());
        std::vector<std::string_view> octets;
        for (size_t i = 0; i < wire.size(); ++i) {
          octets.push_back(std::string_view(wire).substr(i, 1));
        }
        CHECK(RunSession(Options(), octets) == whole);
        // What was taken has lines and nothing else.
        for (const std::string& message : whole.messages) {
          for (size_t i = 0; i < message.size(); ++i) {
            if (message[i] == '\n') CHECK((i > 0 && message[i - 1] == '\r'));
            if (message[i] == '\r') CHECK((i + 1 < message.size() && message[i + 1] == '\n'));
          }
        }
      }
    }
  }
}

TEST_CASE("Nothing ends a chunk but its size", "[smtp][unit]") {
  for (const std::string body : {"", " BODY=8BITMIME", " BODY=BINARYMIME"}) {
    for (const std::string& before : LineEnds()) {
      for (const std::string& after : LineEnds()) {
        const std::string data = "text" + before + "." + after + std::string(kEvil) + "BDAT 0 LAST";
        CAPTURE(body, data);
        const std::string envelope =
            "EHLO c\r\nMAIL FROM:<a@x.example>" + body + "\r\nRCPT TO:<b@y.example>\r\n";
        const std::string size = std::to_string(data.size());
        for (const std::string& chunks : {"BDAT " + size + " LAST\r\n" + data,
                                          "BDAT " + size + "\r\n" + data + "BDAT 0 LAST\r\n"}) {
          const std::string wire = envelope + chunks + "NOOP\r\n";
          const Transcript whole = RunSession(Options(), {wire});
          CHECK_FALSE(HasEvil(whole));
          CHECK(whole.messages.size() <= 1);
          CHECK(base::EndsWithIgnoreCase(whole.replies, "250 2.0.0 OK\r\n"));
          std::vector<std::string_view> octets;
          for (size_t i = 0; i < wire.size(); ++i) {
            octets.push_back(std::string_view(wire).substr(i, 1));
          }
          CHECK(RunSession(Options(), octets) == whole);
        }
      }
    }
  }
}

// Text that a client sends behind a command that was not taken.
TEST_CASE("No text becomes commands behind a DATA or BDAT line that is no good", "[smtp][unit]") {
  const std::string start = "EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n";
  const std::string line = GENERATE(values<std::string>(
      {"DATA\n\r\n", "DATA x\r\n", "data\r\r\n", std::string("DATA\0\r\n", 7), "BDAT\r\n",
       "BDAT 5\n\r\n", "bdat 5 LAST\r\r\n", std::string("BDAT 5\0\r\n", 9)}));
  CAPTURE(line);
  SessionRunner runner(Options());
  runner.Feed(start + line + "RSET\r\n" + std::string(kEvil));
  CHECK_FALSE(HasEvil(runner.transcript()));
  CHECK(runner.closed());
}

}  // namespace
}  // namespace godwit::smtp
