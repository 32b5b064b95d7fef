#pragma once

// What the dkim commands share: their arguments, and the DNS record of a key.

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/dkim/keys.h"
#include "libs/store/dkim_keys.h"
#include "tools/godwitctl/command_line.h"

namespace godwit::ctl {

// DOMAIN, --algorithm, --bits. InvalidArgument for what can't be read.
absl::StatusOr<std::string> DomainArgument(const Invocation& in);
absl::StatusOr<dkim::KeyType> ReadAlgorithm(const Invocation& in);
absl::StatusOr<int> ReadBits(const Invocation& in);

// A new pending key, without its place in the store.
struct MadeKey {
  store::DkimKey key;
  base::Secret private_key;
};
// `selector`: "" for one made of the date and the algorithm.
absl::StatusOr<MadeKey> MakeKey(const std::string& domain, const std::string& selector,
                                dkim::KeyType type, int bits, absl::Time now);

// What is to be put into the DNS for a key.
struct DnsRecord {
  std::string name;                  // without the final dot
  std::string text;                  // all of it
  std::vector<std::string> strings;  // as a TXT record holds it
};
DnsRecord RecordOf(const store::DkimKey& key);
// As a zone file has it.
std::string ZoneLine(const DnsRecord& record);

boost::json::object ToJson(const DnsRecord& record);
// RFC 3339, or null.
boost::json::value TimeJson(const std::optional<absl::Time>& time);

}  // namespace godwit::ctl
