#pragma once

// The record by which a domain asks for TLS reports: the TXT record at _smtp._tls.<domain> (RFC
// 8460 §3).

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace godwit::tlsrpt {

struct Record {
  // URIs of the schemes that there are, mailto and https, in the order of the record.
  std::vector<std::string> rua;
  friend bool operator==(const Record&, const Record&) = default;
};

// "_smtp._tls.example.com".
std::string RecordName(std::string_view domain);

// InvalidArgument, with the reason, when the record can't be used: fields that are no name and
// value, no rua=, or one without a URI that we know. Fields of other names are ignored.
absl::StatusOr<Record> ParseRecord(std::string_view text);

// Of all TXT records at the name the one that is such a record. NotFound when there is none,
// InvalidArgument when there are several, or it can't be used.
absl::StatusOr<Record> ChooseRecord(const std::vector<std::string>& texts);

}  // namespace godwit::tlsrpt
