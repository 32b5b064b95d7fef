#include "libs/dns/cares_resolver.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/dns/cares_loop.h"
#include "libs/dns/chain.h"
#include "libs/dns/wire.h"

namespace godwit::dns {
namespace {

constexpr uint16_t kDnsPort = 53;

std::string ReadResolvConf() {
  std::ifstream file("/etc/resolv.conf");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

uint16_t RandomId() {
  const std::string bytes = base::RandomSource::System()->Bytes(2);
  return static_cast<uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                               static_cast<unsigned char>(bytes[1]));
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

}  // namespace

absl::StatusOr<Server> ParseServer(std::string_view text) {
  Server server;
  std::string_view address = text;
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return base::InvalidArgument("no ] after [");
    address = text.substr(1, close - 1);
    port = text.substr(close + 1);
  } else if (const size_t colon = text.find(':');
             colon != std::string_view::npos && colon == text.rfind(':')) {
    address = text.substr(0, colon);
    port = text.substr(colon);
  }
  const auto parsed = base::IpAddress::Parse(address);
  if (!parsed) return base::InvalidArgument("no address of a DNS server: " + std::string(text));
  server.address = *parsed;
  if (port.empty()) return server;
  const auto number = port.front() == ':' ? base::ParseDecimal(port.substr(1)) : std::nullopt;
  if (!number || *number == 0 || *number > 65535) {
    return base::InvalidArgument("no port of a DNS server: " + std::string(text));
  }
  server.port = static_cast<uint16_t>(*number);
  return server;
}

std::vector<Server> ParseResolvConf(std::string_view text) {
  std::vector<Server> servers;
  bool trust = false;
  for (std::string_view line : base::Split(text, '\n')) {
    const auto words = Words(line);
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") {
      if (const auto address = base::IpAddress::Parse(words[1])) {
        servers.push_back({*address, kDnsPort, address->is_loopback()});
      }
    } else if (words[0] == "options") {
      for (std::string_view word : words) trust = trust || word == "trust-ad";
    }
  }
  if (trust) {
    for (Server& server : servers) server.trusted = true;
  }
  return servers;
}

absl::StatusOr<std::unique_ptr<CaresResolver>> CaresResolver::Create(CaresOptions options) {
  if (options.servers.empty()) options.servers = ParseResolvConf(ReadResolvConf());
  if (options.servers.empty()) return base::FailedPrecondition("there is no DNS server to ask");
  return std::unique_ptr<CaresResolver>(new CaresResolver(std::move(options)));
}

CaresResolver::CaresResolver(CaresOptions options)
    : options_(std::move(options)), loop_(std::make_unique<Loop>(options_)) {}

CaresResolver::~CaresResolver() = default;

base::Task<base::DnsAnswer> CaresResolver::Resolve(base::DnsQuestion question) {
  const auto name = CanonicalName(question.name);
  Chain chain({name.value_or(question.name), question.type});
  if (!name) chain.NoSuchName("no domain name");
  const QueryFlags flags{options_.dnssec_ok, options_.checking_disabled};
  while (!chain.done()) {
    const auto wire = WriteQuery(RandomId(), chain.next(), flags);
    GODWIT_CHECK(wire.has_value());  // what CanonicalName or the reader gave can be written
    Loop::Outcome outcome = co_await loop_->Ask(chain.next(), *wire);
    if (outcome.ok()) {
      chain.Add(outcome->message, outcome->trusted);
    } else {
      chain.Fail(base::Message(outcome.status()));
    }
  }
  co_return chain.answer();
}

}  // namespace godwit::dns
