#pragma once

// ScriptedServer: a name server on loopback, UDP and TCP, that answers what a test's script says,
// right or wrong. The peer for answers that no real server gives on demand. For tests.

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "libs/base/dns_answer.h"
#include "libs/dns/wire.h"

namespace godwit::dns {

// Builds an answer to a query: its id and question, QR, RD, RA.
class ReplyBuilder {
 public:
  explicit ReplyBuilder(std::string_view query);
  ReplyBuilder& Rcode(uint8_t rcode);
  ReplyBuilder& Authentic();
  ReplyBuilder& Truncated();
  ReplyBuilder& Answer(std::string_view owner, base::DnsType type, uint32_t ttl,
                       std::string_view data);
  ReplyBuilder& Authority(std::string_view owner, uint16_t type, uint32_t ttl,
                          std::string_view data);
  const std::string& bytes() const { return wire_; }

 private:
  void Count(size_t section);
  void Append(std::string_view owner, uint16_t type, uint32_t ttl, std::string_view data);
  std::string wire_;
};

// The data of records.
std::string AddressData(std::string_view address);
std::string NameData(std::string_view name);
std::string TextData(const std::vector<std::string>& strings);
std::string U16Data(uint16_t value);
std::string SoaData(uint32_t minimum);

class ScriptedServer {
 public:
  struct Query {
    std::string bytes;
    WireMessage message;
    bool tcp = false;
    int number = 0;  // 1 is the first
  };
  // The answer's bytes; nothing: silence.
  using Script = std::function<std::optional<std::string>(const Query&)>;

  explicit ScriptedServer(Script script);
  ~ScriptedServer();

  uint16_t port() const { return port_; }
  int queries() const { return queries_; }
  std::vector<Query> seen() const;

 private:
  void Run();
  void AnswerUdp();
  void AnswerTcp();
  std::optional<std::string> Answer(std::string bytes, bool tcp);

  Script script_;
  int udp_ = -1;
  int tcp_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> queries_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<Query> seen_;
  std::thread thread_;
};

}  // namespace godwit::dns
