#include "libs/testing/fake_zone.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"

namespace godwit::testing {
namespace {

using base::DnsAnswer;
using base::DnsOutcome;
using base::DnsType;

constexpr int kMostCnames = 10;

struct Token {
  std::string text;
  bool quoted = false;
};

std::string TakeQuoted(std::string_view line, size_t* at) {
  std::string text;
  for (++*at; *at < line.size() && line[*at] != '"'; ++*at) {
    if (line[*at] != '\\') {
      text += line[*at];
    } else if (*at + 3 < line.size() && base::IsDigit(line[*at + 1])) {
      text += static_cast<char>(*base::ParseDecimal(line.substr(*at + 1, 3)));
      *at += 3;
    } else {
      text += line[++*at];
    }
  }
  GODWIT_CHECK(*at < line.size());  // the closing quote
  ++*at;
  return text;
}

// Words and quoted strings, up to a comment.
std::vector<Token> Tokenize(std::string_view line) {
  std::vector<Token> tokens;
  size_t at = 0;
  while (at < line.size()) {
    if (base::IsWsp(line[at]) || line[at] == '\r') {
      ++at;
    } else if (line[at] == '#' || line[at] == ';') {
      break;
    } else if (line[at] == '"') {
      tokens.push_back({TakeQuoted(line, &at), true});
    } else {
      const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
      tokens.push_back({std::string(line.substr(at, end - at)), false});
      at = end;
    }
  }
  return tokens;
}

std::string CanonicalName(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  return base::Lower(name);
}

std::optional<DnsType> TypeFromName(std::string_view name) {
  for (DnsType type : {DnsType::kA, DnsType::kNs, DnsType::kCname, DnsType::kPtr, DnsType::kMx,
                       DnsType::kTxt, DnsType::kAaaa, DnsType::kSrv, DnsType::kTlsa}) {
    if (base::EqualsIgnoreCase(name, base::DnsTypeName(type))) return type;
  }
  return std::nullopt;
}

// The rest of a zone line.
class Data {
 public:
  explicit Data(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::string Text() {
    GODWIT_CHECK(next_ < tokens_.size());
    return tokens_[next_++].text;
  }
  std::string Name() { return CanonicalName(Text()); }
  template <typename Int>
  Int Number() {
    const auto number = base::ParseDecimal(Text());
    GODWIT_CHECK(number.has_value());
    return static_cast<Int>(*number);
  }
  bool done() const { return next_ == tokens_.size(); }
  // All that is left, joined.
  std::string Rest() {
    std::string text;
    while (!done()) text += Text();
    return text;
  }

 private:
  std::vector<Token> tokens_;
  size_t next_ = 0;
};

void AddRecord(DnsType type, Data data, DnsAnswer* answer) {
  switch (type) {
    case DnsType::kA:
    case DnsType::kAaaa: {
      const auto address = base::IpAddress::Parse(data.Text());
      GODWIT_CHECK(address.has_value());
      answer->addresses.push_back(*address);
      break;
    }
    case DnsType::kMx: {
      const auto preference = data.Number<uint16_t>();
      answer->mx.push_back({preference, data.Name()});
      break;
    }
    case DnsType::kSrv: {
      base::DnsSrv srv;
      srv.priority = data.Number<uint16_t>();
      srv.weight = data.Number<uint16_t>();
      srv.port = data.Number<uint16_t>();
      srv.target = data.Name();
      answer->srv.push_back(srv);
      break;
    }
    case DnsType::kTlsa: {
      base::DnsTlsa tlsa;
      tlsa.usage = data.Number<uint8_t>();
      tlsa.selector = data.Number<uint8_t>();
      tlsa.matching = data.Number<uint8_t>();
      auto bytes = base::HexDecode(data.Rest());
      GODWIT_CHECK(bytes.ok());
      tlsa.data = *bytes;
      answer->tlsa.push_back(tlsa);
      break;
    }
    case DnsType::kTxt: answer->texts.push_back(data.Rest()); break;
    default: answer->texts.push_back(data.Name());
  }
  GODWIT_CHECK(data.done());
}

bool IsBelow(std::string_view name, std::string_view ancestor) {
  return name.size() > ancestor.size() && name.ends_with(ancestor) &&
         name[name.size() - ancestor.size() - 1] == '.';
}

}  // namespace

DnsAnswer TempFail(std::string_view error) {
  DnsAnswer answer;
  answer.error = error;
  return answer;
}

void FakeZone::Add(std::string_view text) {
  for (std::string_view line : base::Split(text, '\n')) AddLine(line);
}

void FakeZone::AddLine(std::string_view line) {
  std::vector<Token> tokens = Tokenize(line);
  if (tokens.empty()) return;
  GODWIT_CHECK(tokens.size() >= 2);
  const std::string name = CanonicalName(tokens[0].text);
  size_t at = 1;
  absl::Duration ttl = absl::Seconds(300);
  if (const auto seconds = base::ParseDecimal(tokens[at].text)) {
    ttl = absl::Seconds(*seconds);
    ++at;
  }
  GODWIT_CHECK(at < tokens.size());
  if (tokens[at].text == "SIGNED") {
    signed_.insert(name);
    return;
  }
  Node& node = nodes_[name];
  if (tokens[at].text == "TEMPFAIL") {
    node.temp_fail = true;
    return;
  }
  const auto type = TypeFromName(tokens[at].text);
  GODWIT_CHECK(type.has_value());
  DnsAnswer& answer = node.records[*type];
  answer.ttl = answer.found() ? std::min(answer.ttl, ttl) : ttl;
  answer.outcome = DnsOutcome::kOk;
  AddRecord(*type, Data({tokens.begin() + static_cast<ptrdiff_t>(at) + 1, tokens.end()}), &answer);
}

void FakeZone::Override(base::DnsQuestion question, DnsAnswer answer) {
  overrides_[std::move(question)] = std::move(answer);
}

void FakeZone::Remove(std::string_view name) { nodes_.erase(CanonicalName(name)); }

bool FakeZone::Exists(const std::string& name) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& entry) {
    return entry.first == name || IsBelow(entry.first, name);
  });
}

const FakeZone::Node* FakeZone::Find(const std::string& name) const {
  if (const auto exact = nodes_.find(name); exact != nodes_.end()) return &exact->second;
  if (Exists(name)) return nullptr;
  // RFC 4592 §3.3.1: the wildcard below the closest ancestor that exists.
  std::string_view ancestor = name;
  while (true) {
    const size_t dot = ancestor.find('.');
    if (dot == std::string_view::npos) return nullptr;
    ancestor.remove_prefix(dot + 1);
    if (const auto wild = nodes_.find("*." + std::string(ancestor)); wild != nodes_.end()) {
      return &wild->second;
    }
    if (Exists(std::string(ancestor))) return nullptr;
  }
}

bool FakeZone::IsSigned(std::string_view name) const {
  return std::any_of(signed_.begin(), signed_.end(),
                     [&](const std::string& apex) { return name == apex || IsBelow(name, apex); });
}

DnsAnswer FakeZone::Negative(const std::string& name) const {
  DnsAnswer answer;
  answer.outcome =
      Find(name) != nullptr || Exists(name) ? DnsOutcome::kNoData : DnsOutcome::kNoDomain;
  answer.ttl = absl::Seconds(60);
  return answer;
}

DnsAnswer FakeZone::Lookup(const base::DnsQuestion& question) const {
  if (const auto found = overrides_.find(question); found != overrides_.end()) return found->second;
  std::string name = CanonicalName(question.name);
  bool authentic = true;
  absl::Duration ttl = absl::InfiniteDuration();
  for (int hop = 0; hop <= kMostCnames; ++hop) {
    authentic = authentic && IsSigned(name);
    const Node* node = Find(name);
    if (node != nullptr && node->temp_fail) return TempFail("SERVFAIL");
    DnsAnswer answer = Negative(name);
    const DnsAnswer* alias = nullptr;
    if (node != nullptr) {
      if (const auto own = node->records.find(question.type); own != node->records.end()) {
        answer = own->second;
      } else if (const auto cname = node->records.find(DnsType::kCname);
                 cname != node->records.end()) {
        alias = &cname->second;
      }
    }
    if (alias == nullptr) {
      answer.authentic = authentic;
      answer.canonical_name = name;
      answer.ttl = std::min(answer.ttl, ttl);
      return answer;
    }
    ttl = std::min(ttl, alias->ttl);
    name = alias->texts.front();
  }
  return TempFail("the CNAME chain is too long");
}

}  // namespace godwit::testing
