#pragma once

// TLSA records (RFC 6698, RFC 7671): which of them SMTP can use, and whether one fits a
// certificate. Pure: DER in, answer out.

#include <string>
#include <string_view>
#include <vector>

#include "libs/base/dns_answer.h"

namespace godwit::dane {

// RFC 7218's names of the numbers in a record.
inline constexpr uint8_t kDaneTa = 2;  // a trust anchor in the server's chain
inline constexpr uint8_t kDaneEe = 3;  // the server's own certificate or key
inline constexpr uint8_t kCert = 0;    // selector: the whole certificate
inline constexpr uint8_t kSpki = 1;    // its SubjectPublicKeyInfo
inline constexpr uint8_t kFull = 0;    // matching type: the octets themselves
inline constexpr uint8_t kSha256 = 1;
inline constexpr uint8_t kSha512 = 2;

// RFC 7672 §3.1: usages 2 and 3, a selector and matching type that we know, data of the right form
// (the length of its digest; a certificate or key that parses).
bool IsUsable(const base::DnsTlsa& record);

// The usable ones of them. RFC 7671 §9: of a usage and selector whose records have SHA2-256 and
// SHA2-512 only the stronger count; kFull always does.
std::vector<base::DnsTlsa> Usable(const std::vector<base::DnsTlsa>& records);

// Selector and matching type only (RFC 6698 §2.1.2, §2.1.3). False, too, when the certificate does
// not parse.
bool Matches(const base::DnsTlsa& record, std::string_view certificate_der);

// The SubjectPublicKeyInfo of a certificate, as its octets stand there; empty when it does not
// parse.
std::string_view PublicKeyInfo(std::string_view certificate_der);

// "3 1 1 0123ab": the presentation form (RFC 6698 §2.2), of logs and reports.
std::string ToString(const base::DnsTlsa& record);

}  // namespace godwit::dane
