#include "libs/dns/chain.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace godwit::dns {
namespace {

using base::DnsOutcome;
using base::DnsType;

const std::string* AliasOf(const WireMessage& message, const std::string& name) {
  for (const Record& record : message.answers) {
    if (record.type != static_cast<uint16_t>(DnsType::kCname) || record.owner != name) continue;
    if (const auto* target = std::get_if<std::string>(&record.data)) return target;
  }
  return nullptr;
}

uint32_t AliasTtl(const WireMessage& message, const std::string& name) {
  uint32_t ttl = 0;
  for (const Record& record : message.answers) {
    if (record.type == static_cast<uint16_t>(DnsType::kCname) && record.owner == name) {
      ttl = record.ttl;
    }
  }
  return ttl;
}

// False for a record that has no data of its type.
bool AddData(const Record& record, base::DnsAnswer* answer) {
  if (const auto* address = std::get_if<base::IpAddress>(&record.data)) {
    answer->addresses.push_back(*address);
  } else if (const auto* text = std::get_if<std::string>(&record.data)) {
    answer->texts.push_back(*text);
  } else if (const auto* mx = std::get_if<base::DnsMx>(&record.data)) {
    answer->mx.push_back(*mx);
  } else if (const auto* srv = std::get_if<base::DnsSrv>(&record.data)) {
    answer->srv.push_back(*srv);
  } else if (const auto* tlsa = std::get_if<base::DnsTlsa>(&record.data)) {
    answer->tlsa.push_back(*tlsa);
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool Answers(const WireMessage& message, const base::DnsQuestion& question) {
  return message.response && message.question == question.name &&
         message.question_type == static_cast<uint16_t>(question.type);
}

Chain::Chain(base::DnsQuestion question) : next_(std::move(question)) {
  answer_.ttl = absl::InfiniteDuration();
  answer_.canonical_name = next_.name;
  answer_.authentic = true;
  seen_.insert(next_.name);
}

void Chain::LowerTtl(uint32_t seconds) {
  answer_.ttl = std::min(answer_.ttl, absl::Seconds(seconds));
}

void Chain::Fail(std::string_view error) {
  answer_ = {};
  answer_.outcome = DnsOutcome::kTempFail;
  answer_.error = error;
  done_ = true;
}

void Chain::NoSuchName(std::string_view error) {
  Fail(error);
  answer_.outcome = DnsOutcome::kNoDomain;
}

// Moves next_ to the end of the chain in `message`; false when the chain never ends.
bool Chain::FollowAliases(const WireMessage& message) {
  if (next_.type == DnsType::kCname) return true;
  while (const std::string* target = AliasOf(message, next_.name)) {
    LowerTtl(AliasTtl(message, next_.name));
    if (seen_.size() > kMostAliases || !seen_.insert(*target).second) return false;
    next_.name = *target;
  }
  answer_.canonical_name = next_.name;
  return true;
}

bool Chain::Collect(const WireMessage& message) {
  bool any = false;
  for (const Record& record : message.answers) {
    if (record.type != static_cast<uint16_t>(next_.type) || record.owner != next_.name) continue;
    if (!AddData(record, &answer_)) continue;
    LowerTtl(record.ttl);
    any = true;
  }
  return any;
}

void Chain::Negative(const WireMessage& message) {
  answer_.outcome = message.rcode == kRcodeNoDomain ? DnsOutcome::kNoDomain : DnsOutcome::kNoData;
  // RFC 2308 §5: the lesser of the SOA's own TTL and its minimum; without a SOA it is not cached.
  const auto soa =
      std::find_if(message.authority.begin(), message.authority.end(),
                   [](const Record& record) { return std::holds_alternative<Soa>(record.data); });
  LowerTtl(soa == message.authority.end() ? 0
                                          : std::min(soa->ttl, std::get<Soa>(soa->data).minimum));
  done_ = true;
}

void Chain::Add(const WireMessage& message, bool trusted) {
  const std::string asked = next_.name;
  // The whole answer is authentic only when every part of it is.
  answer_.authentic = answer_.authentic && trusted && message.authentic;
  if (!FollowAliases(message)) return Fail("the CNAME chain does not end");
  if (Collect(message)) {
    answer_.outcome = DnsOutcome::kOk;
    done_ = true;
    return;
  }
  // RFC 6604 §3: the rcode is that of the end of the chain, which this message has seen.
  if (message.rcode == kRcodeNoDomain || next_.name == asked) return Negative(message);
  // A chain that ends in an authority's SOA has been followed to its end by the server.
  const bool followed =
      std::any_of(message.authority.begin(), message.authority.end(),
                  [](const Record& record) { return std::holds_alternative<Soa>(record.data); });
  if (followed) Negative(message);
}

}  // namespace godwit::dns
