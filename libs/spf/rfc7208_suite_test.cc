// The openspf test suite for RFC 7208, as Debian installs it with python3-spf: some 200 scenarios
// with a zone each. It is read where it is; where documentation was not installed there is nothing
// to run, and the test says so.

#include <yaml-cpp/yaml.h>
#include <zlib.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/dns_answer.h"
#include "libs/base/ip_address.h"
#include "libs/idna/domain.h"
#include "libs/spf/evaluate.h"
#include "libs/testing/fake_zone.h"

namespace godwit::spf {
namespace {

constexpr char kSuite[] = "/usr/share/doc/python3-spf/rfc7208-tests.yml.gz";

std::string ReadCompressed(const char* path) {
  std::string text;
  gzFile file = gzopen(path, "rb");
  if (file == nullptr) return text;
  std::string buffer(64 * 1024, '\0');
  for (int n = 1; n > 0;) {
    n = gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()));
    if (n > 0) text.append(buffer, 0, static_cast<size_t>(n));
  }
  gzclose(file);
  return text;
}

// A name of the zone may be impossible as DNS goes; then it stays as it is and is never asked.
std::string Name(const std::string& name) { return idna::ToAscii(name).value_or(name); }

std::string Text(const YAML::Node& node) {
  if (node.IsScalar()) return node.as<std::string>();
  std::string joined;
  for (const YAML::Node& piece : node) joined += piece.as<std::string>();
  return joined;
}

void AddRecord(const std::string& type, const YAML::Node& data, base::DnsAnswer* answer) {
  answer->outcome = base::DnsOutcome::kOk;
  if (type == "TXT") answer->texts.push_back(Text(data));
  if (type == "PTR") answer->texts.push_back(Name(data.as<std::string>()));
  if (type == "MX") {
    const std::string host = data[1].as<std::string>();
    answer->mx.push_back({data[0].as<uint16_t>(), host.empty() ? "" : Name(host)});
  }
  if (type == "A" || type == "AAAA") {
    answer->addresses.push_back(base::IpAddress::Parse(data.as<std::string>()).value());
  }
}

const std::map<std::string, base::DnsType> kTypes = {{"A", base::DnsType::kA},
                                                     {"AAAA", base::DnsType::kAaaa},
                                                     {"MX", base::DnsType::kMx},
                                                     {"PTR", base::DnsType::kPtr},
                                                     {"TXT", base::DnsType::kTxt}};

// The suite's conventions: SPF records count as TXT where a name has no TXT, "TXT: NONE" stops
// that, TIMEOUT makes all types without a record fail.
class SuiteZone {
 public:
  explicit SuiteZone(const YAML::Node& zone) {
    for (const auto& entry : zone) AddName(Name(entry.first.as<std::string>()), entry.second);
  }

  base::DnsAnswer Lookup(base::DnsQuestion question) const {
    const auto alias = aliases_.find(question.name);
    if (alias != aliases_.end()) question.name = alias->second;
    const auto found = answers_.find(question);
    if (found != answers_.end()) return found->second;
    base::DnsAnswer none;
    none.outcome = base::DnsOutcome::kNoDomain;
    if (names_.contains(question.name)) none.outcome = base::DnsOutcome::kNoData;
    if (timeouts_.contains(question.name)) none.outcome = base::DnsOutcome::kTempFail;
    return none;
  }

 private:
  void AddName(const std::string& name, const YAML::Node& records) {
    names_.insert(name);
    bool has_txt = false;
    for (const YAML::Node& record : records) {
      has_txt = has_txt || (record.IsMap() && record.begin()->first.as<std::string>() == "TXT");
    }
    for (const YAML::Node& record : records) {
      if (record.IsScalar()) {
        timeouts_.insert(name);
        continue;
      }
      std::string type = record.begin()->first.as<std::string>();
      const YAML::Node data = record.begin()->second;
      if (type == "SPF" && !has_txt) type = "TXT";
      if (data.IsScalar() && data.as<std::string>() == "NONE") continue;
      if (data.IsScalar() && data.as<std::string>() == "TIMEOUT") {
        if (kTypes.contains(type)) answers_[{name, kTypes.at(type)}] = {};
        continue;
      }
      if (type == "CNAME") aliases_[name] = Name(data.as<std::string>());
      if (kTypes.contains(type)) AddRecord(type, data, &answers_[{name, kTypes.at(type)}]);
    }
  }

  std::set<std::string> names_;
  std::set<std::string> timeouts_;
  std::map<std::string, std::string> aliases_;
  base::DnsAnswers answers_;
};

Result Run(const SuiteZone& zone, const YAML::Node& test) {
  const std::string mail_from = test["mailfrom"].as<std::string>();
  Query query;
  query.ip = base::IpAddress::Parse(test["host"].as<std::string>()).value();
  query.helo = test["helo"].as<std::string>();
  query.mail_from = mail_from;
  base::DnsAnswers answers;
  for (int round = 0; round < 40; ++round) {
    auto step = Evaluate(query, answers);
    if (auto* result = std::get_if<Result>(&step)) return *result;
    for (const auto& question : std::get<1>(step)) {
      REQUIRE_FALSE(answers.contains(question));
      answers[question] = zone.Lookup(question);
    }
  }
  FAIL("no end");
  return {};
}

bool Allows(const YAML::Node& wanted, std::string_view result) {
  if (wanted.IsScalar()) return wanted.as<std::string>() == result;
  for (const YAML::Node& one : wanted) {
    if (one.as<std::string>() == result) return true;
  }
  return false;
}

TEST_CASE("check_host() gives what the openspf suite for RFC 7208 wants", "[spf][conformance]") {
  const std::string text = ReadCompressed(kSuite);
  if (text.empty()) {
    WARN("not run: " << kSuite << " is not installed");
    return;
  }
  int ran = 0;
  for (const YAML::Node& scenario : YAML::LoadAll(text)) {
    if (!scenario.IsMap()) continue;
    const SuiteZone zone(scenario["zonedata"]);
    for (const auto& entry : scenario["tests"]) {
      const std::string name = entry.first.as<std::string>();
      const Result result = Run(zone, entry.second);
      INFO(scenario["description"].as<std::string>() << ": " << name << ": " << result.problem);
      INFO("got " << ResultName(result.code) << " by " << result.mechanism << ", wanted "
                  << YAML::Dump(entry.second["result"]));
      CHECK(Allows(entry.second["result"], ResultName(result.code)));
      const YAML::Node explanation = entry.second["explanation"];
      if (explanation && explanation.as<std::string>() != "DEFAULT") {
        // The suite has the nibbles of IPv6 in capitals, RFC 7208 §7.4 in small letters.
        INFO("explanation: " << result.explanation);
        CHECK(base::EqualsIgnoreCase(result.explanation, explanation.as<std::string>()));
      } else if (explanation) {
        CHECK(result.explanation.empty());
      }
      ++ran;
    }
  }
  CHECK(ran > 150);
}

}  // namespace
}  // namespace godwit::spf
