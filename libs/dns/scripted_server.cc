#include "libs/dns/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "libs/base/check.h"
#include "libs/base/ip_address.h"

namespace godwit::dns {
namespace {

constexpr size_t kHeaderOctets = 12;

// The end of the one question.
size_t QuestionEnd(std::string_view wire) {
  size_t at = kHeaderOctets;
  while (wire[at] != 0) at += static_cast<unsigned char>(wire[at]) + size_t{1};
  return at + 5;
}

int Bound(int type, uint16_t* port) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) {
    close(fd);
    return -1;
  }
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  *port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

ReplyBuilder::ReplyBuilder(std::string_view query) : wire_(query.substr(0, QuestionEnd(query))) {
  wire_[2] = static_cast<char>(0x81);  // QR RD
  wire_[3] = static_cast<char>(0x80);  // RA
  for (size_t i = 6; i < kHeaderOctets; ++i) wire_[i] = 0;
}
ReplyBuilder& ReplyBuilder::Rcode(uint8_t rcode) {
  wire_[3] = static_cast<char>((wire_[3] & 0xf0) | rcode);
  return *this;
}
ReplyBuilder& ReplyBuilder::Authentic() {
  wire_[3] = static_cast<char>(wire_[3] | 0x20);
  return *this;
}
ReplyBuilder& ReplyBuilder::Truncated() {
  wire_[2] = static_cast<char>(wire_[2] | 0x02);
  return *this;
}
void ReplyBuilder::Count(size_t section) { ++wire_[kHeaderOctets - 6 + 2 * section + 1]; }
ReplyBuilder& ReplyBuilder::Answer(std::string_view owner, base::DnsType type, uint32_t ttl,
                                   std::string_view data) {
  Count(0);
  Append(owner, static_cast<uint16_t>(type), ttl, data);
  return *this;
}
ReplyBuilder& ReplyBuilder::Authority(std::string_view owner, uint16_t type, uint32_t ttl,
                                      std::string_view data) {
  Count(1);
  Append(owner, type, ttl, data);
  return *this;
}
void ReplyBuilder::Append(std::string_view owner, uint16_t type, uint32_t ttl,
                          std::string_view data) {
  wire_ += NameData(owner) + U16Data(type) + U16Data(kClassIn);
  wire_ += U16Data(static_cast<uint16_t>(ttl >> 16)) + U16Data(static_cast<uint16_t>(ttl));
  wire_ += U16Data(static_cast<uint16_t>(data.size()));
  wire_ += data;
}

std::string AddressData(std::string_view address) {
  return std::string(base::IpAddress::Parse(address)->bytes());
}
std::string NameData(std::string_view name) { return *WriteName(name); }
std::string TextData(const std::vector<std::string>& strings) {
  std::string data;
  for (const std::string& text : strings) data += static_cast<char>(text.size()) + text;
  return data;
}
std::string U16Data(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}
std::string SoaData(uint32_t minimum) {
  std::string data = NameData("ns.example") + NameData("root.example") + std::string(16, '\0');
  return data + U16Data(static_cast<uint16_t>(minimum >> 16)) +
         U16Data(static_cast<uint16_t>(minimum));
}

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  // A port that is free for both.
  for (int tries = 0; tries < 100 && tcp_ < 0; ++tries) {
    if (udp_ >= 0) close(udp_);
    port_ = 0;
    udp_ = Bound(SOCK_DGRAM, &port_);
    tcp_ = Bound(SOCK_STREAM, &port_);
  }
  GODWIT_CHECK(udp_ >= 0 && tcp_ >= 0 && listen(tcp_, 16) == 0);
  thread_ = std::thread([this] { Run(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  shutdown(tcp_, SHUT_RDWR);  // wakes poll
  thread_.join();
  close(udp_);
  close(tcp_);
}

std::vector<ScriptedServer::Query> ScriptedServer::seen() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

void ScriptedServer::Run() {
  while (!stopping_) {
    std::array<pollfd, 2> fds = {{{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}}};
    poll(fds.data(), fds.size(), 1000);
    if (stopping_) return;
    if (fds[0].revents != 0) AnswerUdp();
    if (fds[1].revents != 0) AnswerTcp();
  }
}

std::optional<std::string> ScriptedServer::Answer(std::string bytes, bool tcp) {
  auto message = ParseMessage(bytes);
  GODWIT_CHECK(message.ok());  // our own writer made it
  const Query query{std::move(bytes), *std::move(message), tcp, ++queries_};
  {
    std::lock_guard lock(mutex_);
    seen_.push_back(query);
  }
  return script_(query);
}

void ScriptedServer::AnswerUdp() {
  std::string bytes(4096, '\0');
  sockaddr_in peer = {};
  socklen_t size = sizeof peer;
  auto* address = reinterpret_cast<sockaddr*>(&peer);
  const ssize_t got = recvfrom(udp_, bytes.data(), bytes.size(), 0, address, &size);
  if (got <= 0) return;
  bytes.resize(static_cast<size_t>(got));
  if (const auto reply = Answer(std::move(bytes), false)) {
    sendto(udp_, reply->data(), reply->size(), 0, address, size);
  }
}

void ScriptedServer::AnswerTcp() {
  const int fd = accept(tcp_, nullptr, nullptr);
  if (fd < 0) return;
  std::string length(2, '\0');
  if (recv(fd, length.data(), 2, MSG_WAITALL) == 2) {
    std::string bytes(static_cast<size_t>(static_cast<unsigned char>(length[0]) << 8 |
                                          static_cast<unsigned char>(length[1])),
                      '\0');
    recv(fd, bytes.data(), bytes.size(), MSG_WAITALL);
    if (const auto reply = Answer(std::move(bytes), true)) {
      const std::string wire = U16Data(static_cast<uint16_t>(reply->size())) + *reply;
      [[maybe_unused]] const ssize_t sent = send(fd, wire.data(), wire.size(), MSG_NOSIGNAL);
    }
  }
  close(fd);
}

}  // namespace godwit::dns
