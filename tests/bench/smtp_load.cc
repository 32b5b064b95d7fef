// The load of tests/bench/receive.py: brings prepared messages to one SMTP server, in several
// sessions at the same time.
//
//   smtp_load SERVER:PORT CLIENT-ADDRESS HELO SENDER SESSIONS PER-CONNECTION FILE
//
// FILE holds netstrings ("5:hello,"), for each message its recipient and its text with CRLF line
// ends. All is read and made ready first; then "ready" is printed and a line awaited on standard
// input. A session sends PER-CONNECTION messages before it connects anew. What comes out is one
// line of JSON: begin and end (seconds of the clock), the milliseconds from the last octet of a
// message to its 250 (median and 99th percentile), and the CPU seconds of this process. Anything
// but acceptance is an error with the server's words.
//
// Blocking sockets, a thread a session; IPv4; no TLS. MAIL, RCPT and DATA go together (RFC 2920).

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace godwit {
namespace {

[[noreturn]] void Die(const std::string& text) {
  std::cerr << "smtp_load: " + text + "\n";
  std::_Exit(1);
}

struct Options {
  sockaddr_in server = {};
  sockaddr_in client = {};
  std::string helo;
  std::string sender;
  size_t sessions = 1;
  size_t per_connection = 1;
};

struct Message {
  std::string envelope;  // MAIL, RCPT, DATA
  std::string data;      // with dots stuffed, and its end
};

sockaddr_in Address(const std::string& host, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) Die(host + " is no IPv4 address");
  return address;
}

// RFC 5321 §4.5.2.
std::string Stuffed(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && c == '.') out += '.';
    out += c;
    line_begins = c == '\n';
  }
  return out + ".\r\n";
}

std::string_view TakeNetstring(std::string_view* in) {
  const size_t colon = in->find(':');
  if (colon == std::string_view::npos) Die("the file holds something else than netstrings");
  const size_t size = std::strtoull(std::string(in->substr(0, colon)).c_str(), nullptr, 10);
  if (colon + 1 + size >= in->size()) Die("the file ends within a netstring");
  const std::string_view value = in->substr(colon + 1, size);
  in->remove_prefix(colon + 1 + size + 1);
  return value;
}

std::vector<Message> ReadMessages(const std::string& path, const Options& options) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Die(path + " can't be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<Message> messages;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string recipient(TakeNetstring(&rest));
    messages.push_back(
        {"MAIL FROM:<" + options.sender + ">\r\nRCPT TO:<" + recipient + ">\r\nDATA\r\n",
         Stuffed(TakeNetstring(&rest))});
  }
  return messages;
}

// One connection to the server.
class Connection {
 public:
  explicit Connection(const Options& options) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int one = 1;
    const timeval patience = {.tv_sec = 120, .tv_usec = 0};
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    // The port is chosen by connect(), of those that are free towards this server.
    setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&options.client), sizeof options.client) != 0 ||
        connect(fd_, reinterpret_cast<const sockaddr*>(&options.server), sizeof options.server) !=
            0) {
      Die(std::string("connecting: ") + std::strerror(errno));
    }
    Expect("220");
    Write("EHLO " + options.helo + "\r\n");
    Expect("250");
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The milliseconds from the last octet to 250.
  double Send(const Message& message) {
    Write(message.envelope);
    Expect("250");
    Expect("250");
    Expect("354");
    Write(message.data);
    const auto begin = std::chrono::steady_clock::now();
    Expect("250");
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
  }

  void Quit() {
    Write("QUIT\r\n");
    Expect("221");
  }

 private:
  void Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) Die(std::string("sending: ") + std::strerror(errno));
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  std::string Line() {
    size_t end;
    while ((end = in_.find("\r\n")) == std::string::npos) {
      char bytes[2048];
      const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
      if (got < 0) Die(std::string("receiving: ") + std::strerror(errno));
      if (got == 0) Die("the server has closed the connection; before that: " + in_);
      in_.append(bytes, static_cast<size_t>(got));
    }
    std::string line = in_.substr(0, end);
    in_.erase(0, end + 2);
    return line;
  }

  void Expect(std::string_view code) {
    std::string line = Line();
    while (line.size() > 3 && line[3] == '-') line = Line();
    if (!line.starts_with(code)) Die("awaited " + std::string(code) + ", got: " + line);
  }

  const int fd_;
  std::string in_;
};

// One session: messages as long as there are any.
void Run(const Options& options, const std::vector<Message>& messages, std::atomic<size_t>* next,
         std::vector<double>* waits) {
  size_t at = (*next)++;
  while (at < messages.size()) {
    Connection connection(options);
    for (size_t i = 0; i < options.per_connection && at < messages.size(); ++i) {
      waits->push_back(connection.Send(messages[at]));
      at = (*next)++;
    }
    connection.Quit();
  }
}

std::vector<double> RunAll(const Options& options, const std::vector<Message>& messages) {
  std::atomic<size_t> next{0};
  std::vector<std::vector<double>> waits(options.sessions);
  std::vector<std::thread> threads;
  for (std::vector<double>& one : waits)
    threads.emplace_back([&] { Run(options, messages, &next, &one); });
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (const std::vector<double>& one : waits) all.insert(all.end(), one.begin(), one.end());
  std::sort(all.begin(), all.end());
  return all;
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int Main(const std::vector<std::string>& args) {
  if (args.size() != 7) Die("its arguments stand at the top of its source");
  const size_t colon = args[0].rfind(':');
  if (colon == std::string::npos) Die(args[0] + " is no SERVER:PORT");
  Options options;
  options.server = Address(args[0].substr(0, colon),
                           static_cast<uint16_t>(std::stoul(args[0].substr(colon + 1))));
  options.client = Address(args[1], 0);
  options.helo = args[2];
  options.sender = args[3];
  options.sessions = std::stoul(args[4]);
  options.per_connection = std::stoul(args[5]);
  const std::vector<Message> messages = ReadMessages(args[6], options);
  if (messages.empty()) Die("there is no message");

  std::cout << "ready" << std::endl;
  std::string line;
  if (!std::getline(std::cin, line)) Die("nobody waits for it any more");
  const double cpu = CpuSeconds();
  const double begin = Now();
  const std::vector<double> waits = RunAll(options, messages);
  const double end = Now();
  std::cout << std::fixed << "{\"begin\": " << begin << ", \"end\": " << end
            << ", \"p50_ms\": " << waits[waits.size() / 2]
            << ", \"p99_ms\": " << waits[waits.size() * 99 / 100]
            << ", \"cpu_seconds\": " << CpuSeconds() - cpu << "}" << std::endl;
  return 0;
}

}  // namespace
}  // namespace godwit

int main(int argc, char** argv) { return godwit::Main({argv + 1, argv + argc}); }
