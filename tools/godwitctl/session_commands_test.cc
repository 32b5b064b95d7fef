// godwitctl session and sessions: what an operator types, on a real database.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"
#include "libs/base/ascii.h"
#include "libs/store/refused_sessions.h"
#include "libs/testing/scratch_database.h"
#include "tools/godwitctl/commands.h"

namespace godwit::ctl {
namespace {

// 49 octets and a letter of two: 60 with what stands before it end within the letter.
const std::string kLong = std::string(49, 'r') + "\u00e4" + "rest";

struct Printed {
  int code = 0;
  std::string text;  // standard output
};

Printed Run(const std::vector<std::string>& words) {
  std::fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  std::FILE* file = std::tmpfile();
  REQUIRE((kept >= 0 && file != nullptr));
  dup2(fileno(file), STDOUT_FILENO);
  Printed printed;
  printed.code = CommandLine(SessionCommands()).Run(words);
  std::fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  std::rewind(file);
  char bytes[4096];
  for (size_t got; (got = std::fread(bytes, 1, sizeof bytes, file)) > 0;) {
    printed.text.append(bytes, got);
  }
  std::fclose(file);
  return printed;
}

std::string When(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

// Without the padding of a table.
std::string Words(std::string_view line) {
  std::string words;
  for (const std::string_view word : base::Split(line, ' ')) {
    if (word.empty()) continue;
    if (!words.empty()) words += ' ';
    words += word;
  }
  return words;
}

TEST_CASE("An operator looks up the id of a refusal", "[godwitctl][integration]") {
  testing::ScratchDatabase database;
  auto connection = database.Connect();
  ::setenv("GODWIT_DATABASE", database.ConnInfo("godwit_reader").c_str(), 1);
  store::RefusedSession message;
  message.at = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));
  message.session = "k3dj4mmzq5ra";
  message.transaction = 2;
  message.client = *base::IpAddress::Parse("192.0.2.1");
  message.greeting_name = "mx.x.example";
  message.mail_from = "s@x.example";
  message.recipients = {{"nobody@y.example", "550 5.1.1 No such user here"}};
  message.recipient_count = 3;
  message.reply = "550 5.7.1 " + kLong;
  message.reason = "dmarc-reject";
  message.verdict = "mx.y.example; dmarc=fail";
  store::RefusedSession old = message;
  old.at -= absl::Hours(48);
  old.transaction = 1;
  REQUIRE(store::AddRefusedSessions(*connection, {old, message}).ok());

  const auto found = Run({"session", "k3dj4mmzq5ra.2"});
  CHECK(found.code == 0);
  CHECK(found.text == "k3dj4mmzq5ra.2  " + When(message.at) +
                          "\n"
                          "  client:     192.0.2.1\n"
                          "  EHLO:       mx.x.example\n"
                          "  TLS:        none\n"
                          "  MAIL FROM:  <s@x.example>\n"
                          "  RCPT TO:    <nobody@y.example>  550 5.1.1 No such user here\n"
                          "              and 2 more\n"
                          "  reply:      550 5.7.1 " +
                          kLong +
                          "\n"
                          "  reason:     dmarc-reject\n"
                          "  verdict:    mx.y.example; dmarc=fail\n");
  const auto both = Run({"session", "k3dj4mmzq5ra", "--json"});
  CHECK(both.code == 0);
  CHECK(both.text.find(R"("id":"k3dj4mmzq5ra.1")") < both.text.find(R"("id":"k3dj4mmzq5ra.2")"));
  CHECK(
      both.text.find(R"("recipients":[{"address":"nobody@y.example","reply":"550 5.1.1 No such)") !=
      std::string::npos);
  CHECK(Run({"session", "k3dj4mmzq5ra.3"}).code == 1);

  const auto list = Run({"sessions"});
  CHECK(list.code == 0);
  const std::vector<std::string_view> lines = base::Split(base::Trim(list.text), '\n');
  REQUIRE(lines.size() == 2);  // the old one is older than a day
  CHECK(Words(lines[0]) == "TIME ID CLIENT MAIL FROM RECIPIENTS REASON REPLY");
  // Cut, and not within a character.
  CHECK(Words(lines[1]) == When(message.at) +
                               " k3dj4mmzq5ra.2 192.0.2.1 <s@x.example> 3 dmarc-reject 550 5.7.1 " +
                               kLong.substr(0, 49));
  const auto older = Run({"sessions", "--since", "3d", "--client", "192.0.2.0/24", "--limit", "9"});
  CHECK(older.code == 0);
  CHECK(older.text.find("k3dj4mmzq5ra.2") < older.text.find("k3dj4mmzq5ra.1"));
  CHECK(Run({"sessions", "--client", "192.0.3.0/24"}).text.find("k3dj") == std::string::npos);
  CHECK(Run({"sessions", "--since", "3d", "--limit", "1"}).text.find("k3dj4mmzq5ra.1") ==
        std::string::npos);
  CHECK(Run({"sessions", "--since", "yesterday"}).code == 1);
  CHECK(Run({"sessions", "--client", "somebody"}).code == 1);
  CHECK(Run({"sessions", "--limit", "0"}).code == 1);
}

}  // namespace
}  // namespace godwit::ctl
