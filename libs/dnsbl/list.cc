#include "libs/dnsbl/list.h"

#include <algorithm>
#include <optional>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::dnsbl {
namespace {

constexpr size_t kMaxCodes = 16;
constexpr uint64_t kMaxWeight = 1000;
constexpr size_t kMaxCategory = 40;

const base::IpAddress& Network(std::string_view text) {
  static const base::IpAddress& loopback =
      *new base::IpAddress(*base::IpAddress::Parse("127.0.0.0"));
  static const base::IpAddress& errors =
      *new base::IpAddress(*base::IpAddress::Parse("127.255.255.0"));
  return text == "127.0.0.0" ? loopback : errors;
}

// Of an IPv4 address, to compare: IpAddress has an order, but not this one.
uint32_t Number(const base::IpAddress& address) {
  uint32_t number = 0;
  for (const char byte : address.bytes()) {
    number = number << 8U | static_cast<unsigned char>(byte);
  }
  return number;
}

bool IsLoopback(const base::IpAddress& address) {
  return address.is_v4() && address.InNetwork(Network("127.0.0.0"), 8);
}

// The last address of a network.
base::IpAddress LastOf(const base::IpAddress& network, int bits) {
  std::string bytes(network.bytes());
  for (int bit = bits; bit < 32; ++bit) {
    char& byte = bytes[static_cast<size_t>(bit / 8)];
    byte = static_cast<char>(static_cast<unsigned char>(byte) | (0x80U >> (bit % 8)));
  }
  return *base::IpAddress::FromBytes(bytes);
}

absl::Status ParseRange(std::string_view text, CodeRule* rule) {
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  const auto first = base::IpAddress::Parse(text.substr(0, std::min(dash, slash)));
  if (!first) return base::InvalidArgument("no address");
  rule->first = *first;
  rule->last = *first;
  if (dash != text.npos) {
    const auto last = base::IpAddress::Parse(text.substr(dash + 1));
    if (!last || Number(*last) < Number(*first)) {
      return base::InvalidArgument("no range of addresses");
    }
    rule->last = *last;
  } else if (slash != text.npos) {
    const auto bits = base::ParseDecimal(text.substr(slash + 1));
    if (!bits || *bits > 32 || first->is_v6()) return base::InvalidArgument("no network");
    rule->first = first->Masked(static_cast<int>(*bits));
    rule->last = LastOf(rule->first, static_cast<int>(*bits));
  }
  if (!IsLoopback(rule->first) || !IsLoopback(rule->last)) {
    return base::InvalidArgument("not within 127.0.0.0/8");
  }
  return absl::OkStatus();
}

bool IsCategory(std::string_view text) {
  return !text.empty() && text.size() <= kMaxCategory &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return base::IsAlnum(c) || c == '-' || c == '_'; });
}

// What is wrong with an answer whatever the list; "" for nothing.
std::string Fault(const base::IpAddress& address) {
  if (!IsLoopback(address)) return "answers outside 127.0.0.0/8";
  if (address.InNetwork(Network("127.255.255.0"), 24)) return "answers with an error";
  if (address.ToString() == "127.0.0.1") return "answers 127.0.0.1, which lists nothing";
  return "";
}

const CodeRule* RuleFor(const List& list, const base::IpAddress& address) {
  static const CodeRule& any = *new CodeRule{{}, {}, "listed", 1};
  if (list.codes.empty()) return &any;
  for (const CodeRule& rule : list.codes) {
    if (Number(rule.first) <= Number(address) && Number(address) <= Number(rule.last)) return &rule;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<CodeRule> ParseCodeRule(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == text.npos) return base::InvalidArgument("no = between code and category");
  CodeRule rule;
  GODWIT_RETURN_IF_ERROR(ParseRange(base::Trim(text.substr(0, equals)), &rule));
  std::string_view meaning = base::Trim(text.substr(equals + 1));
  const size_t colon = meaning.find(':');
  if (colon != meaning.npos) {
    const auto weight = base::ParseDecimal(meaning.substr(colon + 1));
    if (!weight || *weight > kMaxWeight) return base::InvalidArgument("weight is 0 to 1000");
    rule.weight = static_cast<int>(*weight);
    meaning = meaning.substr(0, colon);
  }
  if (!IsCategory(meaning)) return base::InvalidArgument("no category");
  rule.category = std::string(meaning);
  return rule;
}

Meaning Interpret(const List& list, const std::vector<base::IpAddress>& addresses) {
  Meaning meaning;
  for (const base::IpAddress& address : addresses) {
    if (meaning.codes.size() < kMaxCodes) meaning.codes.push_back(address.ToString());
    if (meaning.problem.empty()) meaning.problem = Fault(address);
    const CodeRule* rule = RuleFor(list, address);
    if (rule == nullptr) continue;
    meaning.listed = true;
    meaning.weight = std::max(meaning.weight, rule->weight);
    auto& categories = meaning.categories;
    if (std::find(categories.begin(), categories.end(), rule->category) == categories.end()) {
      categories.push_back(rule->category);
    }
  }
  if (meaning.problem.empty()) return meaning;
  // One bad answer makes the others unbelievable.
  meaning.listed = false;
  meaning.weight = 0;
  meaning.categories.clear();
  return meaning;
}

std::string AddressName(const List& list, const base::IpAddress& address) {
  // "1.2.0.192.in-addr.arpa": without its last two labels.
  const std::string reverse = address.ReverseName();
  const size_t arpa = reverse.rfind('.');
  return reverse.substr(0, reverse.rfind('.', arpa - 1) + 1) + list.zone;
}

std::string DomainName(const List& list, std::string_view domain) {
  return std::string(domain) + "." + list.zone;
}

bool Covers(const List& list, const base::IpAddress& address) {
  return address.is_v4() ? list.ipv4 : list.ipv6;
}

}  // namespace godwit::dnsbl
