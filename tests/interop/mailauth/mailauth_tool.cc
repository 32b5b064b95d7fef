// For tests against other implementations: verifies, signs and seals files against a zone file in
// the form of testing::FakeZone.
//
//   mailauth_tool verify ZONE FILE...
//       one line a file: dkim=pass,fail arc=none
//   mailauth_tool sign DOMAIN FORM FIELDS FILE SELECTOR KEY...
//       FORM: "relaxed/simple"; FIELDS: "from:to", "" for the usual ones; a field for each key
//   mailauth_tool seal KEY DOMAIN SELECTOR ZONE FILE
//       the three fields
//   mailauth_tool spf ZONE < lines "IP <tab> HELO <tab> SENDER"
//       one line each: "pass <tab> explanation <tab> problem"; %{t} is 0

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "libs/arc/chain.h"
#include "libs/arc/seal.h"
#include "libs/base/ascii.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/sign.h"
#include "libs/dkim/verify.h"
#include "libs/spf/evaluate.h"
#include "libs/testing/fake_zone.h"

namespace godwit {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// One message in one walk, as the daemon does it.
struct Checked {
  std::vector<dkim::SignatureResult> dkim;
  arc::Result arc;
};

Checked Check(const testing::FakeZone& zone, const std::string& text) {
  dkim::SignatureChecker checker({}, absl::Now());
  arc::ChainChecker chain({}, absl::Now());
  dkim::MessageStream message(1 << 20, [&](const auto& header, auto& body) {
    checker.OnHeader(header, body);
    chain.OnHeader(header, body);
  });
  message.Feed(text);
  message.End();
  return {testing::Evaluate(zone, [&](const auto& a) { return checker.Evaluate(message, a); }),
          testing::Evaluate(zone, [&](const auto& a) { return chain.Evaluate(message, a); })};
}

int Verify(const std::vector<std::string>& args) {
  const testing::FakeZone zone(ReadFile(args.at(1)));
  for (size_t i = 2; i < args.size(); ++i) {
    const Checked checked = Check(zone, ReadFile(args[i]));
    std::string line = "dkim=";
    for (const auto& result : checked.dkim) {
      if (!line.ends_with('=')) line += ",";
      line += dkim::ResultName(result.code);
    }
    line += " arc=";
    line += arc::ResultName(checked.arc.code);
    std::cout << line << "\n";
  }
  return 0;
}

int Sign(const std::vector<std::string>& args) {
  const auto form = [](std::string_view name) {
    return name == "simple" ? dkim::Canonicalization::kSimple : dkim::Canonicalization::kRelaxed;
  };
  const auto names = base::Split(args.at(2), '/');
  dkim::SignOptions options;
  options.domain = args.at(1);
  options.header_canonicalization = form(names.at(0));
  options.body_canonicalization = form(names.at(1));
  options.timestamp = absl::Now();
  for (const std::string_view name : base::Split(args.at(3), ':')) {
    if (!name.empty()) options.exact_fields.emplace_back(name);
  }
  std::vector<dkim::SigningKey> keys;
  for (size_t i = 5; i + 1 < args.size(); i += 2) {
    keys.push_back({args[i], dkim::PrivateKey::FromPem(ReadFile(args[i + 1])).value()});
  }
  dkim::Signer signer(options);
  signer.Feed(ReadFile(args.at(4)));
  std::cout << signer.Finish(keys).value();
  return 0;
}

int Seal(const std::vector<std::string>& args) {
  const testing::FakeZone zone(ReadFile(args.at(4)));
  arc::Sealer sealer({.domain = args.at(2),
                      .selector = args.at(3),
                      .key = dkim::PrivateKey::FromPem(ReadFile(args.at(1))).value(),
                      .timestamp = absl::Now()});
  arc::ChainChecker chain({}, absl::Now());
  dkim::MessageStream message(1 << 20, [&](const auto& header, auto& body) {
    chain.OnHeader(header, body);
    sealer.OnHeader(header, body);
  });
  message.Feed(ReadFile(args.at(5)));
  message.End();
  const arc::Result result =
      testing::Evaluate(zone, [&](const auto& a) { return chain.Evaluate(message, a); });
  std::cout << sealer.Seal(message, chain, result, args.at(2) + "; none").value();
  return 0;
}

int Spf(const std::vector<std::string>& args) {
  const testing::FakeZone zone(ReadFile(args.at(1)));
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto parts = base::Split(line, '\t');
    spf::Query query;
    query.ip = base::IpAddress::Parse(parts.at(0)).value();
    query.helo = std::string(parts.at(1));
    query.mail_from = std::string(parts.at(2));
    query.now = absl::UnixEpoch();
    const auto result =
        testing::Evaluate(zone, [&](const auto& answers) { return spf::Evaluate(query, answers); });
    std::cout << spf::ResultName(result.code) << "\t" << result.explanation << "\t"
              << result.problem << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace godwit

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 2) return 2;
  if (args[0] == "verify") return godwit::Verify(args);
  if (args[0] == "sign") return godwit::Sign(args);
  if (args[0] == "seal") return godwit::Seal(args);
  if (args[0] == "spf") return godwit::Spf(args);
  return 2;
}
