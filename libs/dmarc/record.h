#pragma once

// The DMARC policy record (RFC 9989 §4.7, §4.8; RFC 7489 §6.3), parsed. Both versions of the
// specification share it: tags that one of them does not know are filled and simply not looked at.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::dmarc {

enum class Policy : uint8_t { kNone, kQuarantine, kReject };
std::string_view PolicyName(Policy policy);  // "quarantine"

enum class Alignment : uint8_t { kRelaxed, kStrict };
enum class PublicSuffix : uint8_t { kUnknown, kYes, kNo };  // psd=u, y, n

struct Record {
  Policy policy = Policy::kNone;           // p=
  std::optional<Policy> subdomain_policy;  // sp=
  std::optional<Policy> missing_policy;    // np=, for names that do not exist
  Alignment dkim = Alignment::kRelaxed;    // adkim=
  Alignment spf = Alignment::kRelaxed;     // aspf=
  PublicSuffix public_suffix = PublicSuffix::kUnknown;
  bool testing = false;               // t=y
  int percent = 100;                  // pct=, RFC 7489 only
  std::string failure_options = "0";  // fo=
  std::vector<std::string> rua;       // URIs, as written, "!size" kept
  std::vector<std::string> ruf;
  uint32_t report_interval = 86'400;  // ri=, seconds, RFC 7489 only
  std::string text;                   // as published
};

// True when `text` starts with v=DMARC1 and so counts as a DMARC record, whatever follows (RFC 9989
// §4.10 step 2).
bool IsDmarcRecord(std::string_view text);

// nullopt when the record is to be ignored: it is none, or p=, sp= or np= can't be used and there
// is no usable rua= (RFC 9989 §4.10.1). With a usable rua= such a record counts as p=none. Other
// errors leave the tag at its default.
std::optional<Record> ParseRecord(std::string_view text);

}  // namespace godwit::dmarc
