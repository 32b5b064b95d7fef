#pragma once

// XORIGIN: the MAIL parameter by which another daemon of the suite says where a message to one of
// our own domains comes from. It is offered and taken only on the internal listener, whose clients
// show a certificate of ours; to anyone else it is an unknown parameter (555).
//
//   C: MAIL FROM:<alice@x.example>
//   XORIGIN=submission;account:42;client:192.0.2.1;user:alice@x.example
//
// A kind and then fields "name:xtext" (RFC 3461 §4), each at most once; unknown names are an error,
// so that no field is lost in silence between releases: the one that offers knows all.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace godwit::smtp {

enum class OriginKind {
  kSubmission,  // an authenticated user of ours sent it
  kForward,     // an alias or a rule of ours forwarded it
  kDsn,         // the queue made it
  kReport,      // a report of ours (DMARC, TLSRPT)
};

struct Origin {
  OriginKind kind = OriginKind::kSubmission;
  int64_t account = 0;  // 0: none
  std::string client;   // the address the user connected from; "" unknown
  std::string user;     // who authenticated; "" nobody
  friend bool operator==(const Origin&, const Origin&) = default;
};

// The value behind "XORIGIN="; nullopt for anything else than the form above.
std::optional<Origin> ParseOrigin(std::string_view value);
std::string WriteOrigin(const Origin& origin);

std::string_view OriginKindName(OriginKind kind);

}  // namespace godwit::smtp
