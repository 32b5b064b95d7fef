// Clients that mean harm: they take a bounded amount of time and memory, get a clear end, and those
// who mean well are served meanwhile. Longer and larger: tests/fault/hostile_clients_test.

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {
namespace {

constexpr std::string_view kText = "Subject: hello\r\n\r\nThe text.\r\n";
const std::string kAccepted = "250 2.0.0 Message accepted";

// A client that costs us a descriptor and nothing else.
class RawClient {
 public:
  explicit RawClient(const net::Endpoint& server) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_storage to;
    const socklen_t size = server.ToSockaddr(&to);
    REQUIRE(fd_ >= 0);
    REQUIRE(connect(fd_, reinterpret_cast<const sockaddr*>(&to), size) == 0);
  }
  RawClient(RawClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() {
    if (fd_ >= 0) close(fd_);
  }
  // False when the server has closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // All that comes, up to the end of the connection.
  std::string ReadAll() {
    std::string all;
    char bytes[4096];
    for (;;) {
      const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0) return all;
      all.append(bytes, static_cast<size_t>(got));
    }
  }

 private:
  int fd_;
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GODWIT_SANITIZED
#endif
#endif

int64_t StatusBytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(name, 0) == 0) return std::stoll(line.substr(name.size())) * 1024;
  }
  return 0;
}

int64_t ResidentBytes() { return StatusBytes("VmRSS:"); }

// The most since the last ForgetPeak(): what is held meanwhile is gone when the session is.
int64_t PeakBytes() { return StatusBytes("VmHWM:"); }
void CheckPeak(int64_t before, int64_t most) {
#ifdef GODWIT_SANITIZED
  WARN("a sanitizer keeps what was freed: " << PeakBytes() - before << " octets, " << most);
#else
  CHECK(PeakBytes() - before < most);
#endif
}
void ForgetPeak() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;
  REQUIRE(clear.good());
}

void AllowDescriptors() {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Connects, and reads beside what is written, so that nobody waits for the other.
std::string Converse(const net::Endpoint& server, const std::function<void(RawClient*)>& write) {
  RawClient client(server);
  std::string said;
  std::thread reader([&] { said = client.ReadAll(); });
  write(&client);
  reader.join();
  return said;
}

TEST_CASE_METHOD(IngressFixture, "2,000 slow connections are held while mail comes in, and cut",
                 "[smtp-ingress][component]") {
  constexpr int kSlow = 2000;
  AllowDescriptors();
  Start("limits: {sessions: 3000}\ntimeouts: {command: 10s}\n");
  SmtpClient client = Connect();
  client.Reply();
  const auto deliver = [&](int count) {
    std::vector<absl::Duration> took;
    for (int i = 0; i < count; ++i) {
      const absl::Time begin = absl::Now();
      CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
      took.push_back(absl::Now() - begin);
    }
    std::sort(took.begin(), took.end());
    return took[took.size() / 2];
  };
  deliver(5);
  const absl::Duration alone = deliver(20);
  const int64_t before = ResidentBytes();
  std::vector<RawClient> slow;
  for (int i = 0; i < kSlow; ++i) {
    slow.emplace_back(server->endpoints().at(0));
    slow.back().Send("EHLO slow");
  }
  absl::Duration crowded;
  for (int round = 0; round < 5; ++round) {
    for (RawClient& each : slow) each.Send(".");
    crowded = std::max(crowded, deliver(5));
  }
  const int64_t each = (ResidentBytes() - before) / kSlow;
  WARN("median of a delivery " << absl::FormatDuration(alone) << " alone, at most "
                               << absl::FormatDuration(crowded) << " beside " << kSlow
                               << " slow connections of " << each << " octets each");
#ifndef GODWIT_SANITIZED  // a sanitizer keeps what was freed
  CHECK(each < 16 * 1024);
#endif
  CHECK(crowded < 20 * alone + absl::Milliseconds(200));
  // However they trickle: the command's time ends them, long before the trickle does.
  std::thread trickle([&] {
    for (int i = 0; i < 300 && slow.front().Send("."); ++i) absl::SleepFor(absl::Milliseconds(100));
  });
  const absl::Time last = absl::Now();
  const std::string said = slow.front().ReadAll();
  CHECK(absl::Now() - last < absl::Seconds(20));
  trickle.join();
  CHECK(Contains(said, "421 4.4.2 Timeout, closing the connection ["));
  CHECK(Contains(slow.back().ReadAll(), "421 4.4.2 "));
  client.Reply();  // it, too, was silent for long
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "An endless header takes no memory and ends with 552",
                 "[smtp-ingress][component]") {
  Start("limits: {message_size: 32MiB}\n");
  verifier.keep = false;
  ForgetPeak();
  const int64_t before = ResidentBytes();
  const std::string lines = [] {
    std::string text;
    while (text.size() < 64 * 1024) text += "X-Endless: " + std::string(60, 'x') + "\r\n";
    return text;
  }();
  size_t sent = 0;
  const absl::Time begin = absl::Now();
  const std::string said = Converse(server->endpoints().at(0), [&](RawClient* client) {
    client->Send("EHLO c\r\nMAIL FROM:<s@x.example>\r\nRCPT TO:<alice@y.example>\r\nDATA\r\n");
    while (client->Send(lines)) sent += lines.size();
  });
  CHECK(Contains(said, "354 "));
  CHECK(Contains(said, "552 5.3.4 Message size exceeds the limit ["));
  CHECK(sent > 32 << 20);
  CHECK(absl::Now() - begin < absl::Seconds(60));
  CheckPeak(before, 24 << 20);
  CHECK(CountEmails() == "0");
}

TEST_CASE_METHOD(IngressFixture, "An endless line is no command, and no line of a message",
                 "[smtp-ingress][component]") {
  Start("limits: {message_size: 32MiB}\n");
  const std::string piece(64 * 1024, 'x');
  ForgetPeak();
  const int64_t before = ResidentBytes();
  const absl::Time begin = absl::Now();
  const auto flood = [&](RawClient* client) {
    while (client->Send(piece)) {
    }
  };
  const std::string command = Converse(server->endpoints().at(0), flood);
  CHECK(Contains(command, "500 5.5.2 Command line too long ["));
  const std::string data = Converse(server->endpoints().at(0), [&](RawClient* client) {
    client->Send("EHLO c\r\nMAIL FROM:<s@x.example>\r\nRCPT TO:<alice@y.example>\r\nDATA\r\n");
    flood(client);
  });
  CHECK(Contains(data, "354 "));
  CHECK(Contains(data, "550 5.6.0 Line too long in the message ["));
  CHECK(absl::Now() - begin < absl::Seconds(60));
  CheckPeak(before, 24 << 20);
}

TEST_CASE_METHOD(IngressFixture, "100,000 recipients: as many as may be, and then the end",
                 "[smtp-ingress][component]") {
  Start("limits: {recipients: 100, refused_recipients: 200}\n");
  std::string commands;
  for (int i = 0; i < 1000; ++i)
    commands += "RCPT TO:<alice+" + std::to_string(i) + "@y.example>\r\n";
  const absl::Time begin = absl::Now();
  const std::string said = Converse(server->endpoints().at(0), [&](RawClient* client) {
    client->Send("EHLO c\r\nMAIL FROM:<s@x.example>\r\n");
    for (int i = 0; i < 100; ++i) {
      if (!client->Send(commands)) break;
    }
  });
  CHECK(absl::Now() - begin < absl::Seconds(20));
  const auto count = [&](std::string_view part) {
    int found = 0;
    for (size_t at = said.find(part); at != said.npos; at = said.find(part, at + 1)) ++found;
    return found;
  };
  CHECK(count("250 2.1.5 ") == 100);
  CHECK(count("452 4.5.3 ") == 200);
  CHECK(count("421 4.7.0 Too many errors") == 1);
  // Another client comes in at once.
  SmtpClient client = Connect();
  client.Reply();
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, kText) == kAccepted);
}

}  // namespace
}  // namespace godwit::smtp_ingress
