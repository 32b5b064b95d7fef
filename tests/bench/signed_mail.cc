// The mail of tests/bench/receive.py: messages that differ from each other, each with a DKIM
// signature for each key (RFC 6376), as netstrings: recipient, message, recipient, message, ...
//
//   signed_mail SENDER RECIPIENTS COUNT SIZE SEED [SELECTOR KEY-FILE]... > FILE
//
// RECIPIENTS: addresses with a comma between them, taken in turn. SIZE: octets of the body. SEED:
// other seeds give other messages. The bodies are words by chance, which compress as a text does.

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/base/ascii.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/sign.h"

namespace godwit {
namespace {

struct Order {
  std::string sender;
  std::vector<std::string> recipients;
  size_t count = 0;
  size_t size = 0;
  uint64_t seed = 0;
  absl::Time now = absl::Now();
  std::vector<std::string> arguments_of_keys;  // selector, file, selector, file, ...
};

std::vector<std::string> MakeWords() {
  std::mt19937_64 random(1);
  std::vector<std::string> words(5000);
  for (std::string& word : words) {
    const size_t length = 2 + random() % 8;
    while (word.size() < length) word += static_cast<char>('a' + random() % 26);
  }
  return words;
}

std::string MakeBody(size_t size, std::mt19937_64* random) {
  static const std::vector<std::string> words = MakeWords();
  std::string body;
  body.reserve(size + 16);
  size_t line = 0;
  while (body.size() + 2 < size) {
    const std::string& word = words[(*random)() % words.size()];
    if (line + word.size() > 72) {
      body += "\r\n";
      line = 0;
    }
    if (line > 0) body += ' ';
    body += word;
    line += word.size() + 1;
  }
  return body + "\r\n";
}

std::string MakeMessage(const Order& order, size_t number) {
  std::mt19937_64 random(order.seed * 1'000'003 + number);
  const std::string id = std::to_string(order.seed) + "." + std::to_string(number);
  return "From: Ann Example <" + order.sender +
         ">\r\n"
         "To: " +
         order.recipients[number % order.recipients.size()] +
         "\r\n"
         "Subject: message " +
         id +
         "\r\n"
         "Date: " +
         absl::FormatTime("%a, %d %b %Y %H:%M:%S +0000", order.now, absl::UTCTimeZone()) +
         "\r\n"
         "Message-ID: <" +
         id + "@bench." + order.sender.substr(order.sender.rfind('@') + 1) +
         ">\r\n"
         "MIME-Version: 1.0\r\n"
         "Content-Type: text/plain; charset=utf-8\r\n"
         "\r\n" +
         MakeBody(order.size, &random);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<dkim::SigningKey> ReadKeys(const Order& order) {
  std::vector<dkim::SigningKey> keys;
  for (size_t i = 0; i + 1 < order.arguments_of_keys.size(); i += 2) {
    keys.push_back({order.arguments_of_keys[i],
                    dkim::PrivateKey::FromPem(ReadFile(order.arguments_of_keys[i + 1])).value()});
  }
  return keys;
}

std::string Netstring(const std::string& text) {
  return std::to_string(text.size()) + ":" + text + ",";
}

std::string Signed(const Order& order, const std::vector<dkim::SigningKey>& keys, size_t number) {
  std::string message = MakeMessage(order, number);
  if (!keys.empty()) {
    dkim::SignOptions options;
    options.domain = order.sender.substr(order.sender.rfind('@') + 1);
    options.timestamp = order.now;
    dkim::Signer signer(options);
    signer.Feed(message);
    message = signer.Finish(keys).value() + message;
  }
  return Netstring(order.recipients[number % order.recipients.size()]) + Netstring(message);
}

// A block of messages, by as many threads as there are cores.
std::vector<std::string> MakeBlock(const Order& order, size_t first, size_t count) {
  std::vector<std::string> made(count);
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (size_t core = 0; core < cores; ++core) {
    threads.emplace_back([&, core] {
      const std::vector<dkim::SigningKey> keys = ReadKeys(order);
      for (size_t i = core; i < count; i += cores) made[i] = Signed(order, keys, first + i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return made;
}

int Main(const std::vector<std::string>& args) {
  if (args.size() < 5) {
    std::cerr << "signed_mail: its arguments stand at the top of its source\n";
    return 1;
  }
  Order order;
  order.sender = args[0];
  for (const std::string_view address : base::Split(args[1], ','))
    order.recipients.emplace_back(address);
  order.count = std::stoul(args[2]);
  order.size = std::stoul(args[3]);
  order.seed = std::stoull(args[4]);
  order.arguments_of_keys.assign(args.begin() + 5, args.end());
  constexpr size_t kBlock = 1000;
  for (size_t first = 0; first < order.count; first += kBlock) {
    for (const std::string& one : MakeBlock(order, first, std::min(kBlock, order.count - first))) {
      std::cout << one;
    }
  }
  std::cout.flush();
  return std::cout ? 0 : 1;
}

}  // namespace
}  // namespace godwit

int main(int argc, char** argv) { return godwit::Main({argv + 1, argv + argc}); }
