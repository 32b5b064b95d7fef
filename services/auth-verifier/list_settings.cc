#include "services/auth-verifier/list_settings.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/runtime/units.h"

namespace godwit::auth_verifier {
namespace {

absl::Status ReadSubjects(const DnsList& config, dnsbl::List* list) {
  if (config.subjects().empty()) return absl::OkStatus();
  list->ipv4 = false;
  for (const std::string& subject : config.subjects()) {
    if (subject == "ipv4") {
      list->ipv4 = true;
    } else if (subject == "ipv6") {
      list->ipv6 = true;
    } else if (subject == "domains") {
      list->domains = true;
    } else {
      return base::InvalidArgument("subjects are ipv4, ipv6 and domains, not " + subject);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<dnsbl::List> ReadList(const DnsList& config) {
  dnsbl::List list;
  const auto zone = idna::ToAscii(config.zone());
  if (!zone || !idna::IsHostName(*zone)) return base::InvalidArgument("not a domain name");
  list.zone = *zone;
  list.kind = config.kind() == DnsList::KIND_ALLOW ? dnsbl::Kind::kAllow : dnsbl::Kind::kBlock;
  GODWIT_RETURN_IF_ERROR(ReadSubjects(config, &list));
  if (list.kind == dnsbl::Kind::kAllow && list.domains) {
    return base::InvalidArgument(
        "a list that allows is not asked about domains: they can be forged");
  }
  for (const std::string& code : config.codes()) {
    auto rule = dnsbl::ParseCodeRule(code);
    if (!rule.ok()) return base::Annotate(rule.status(), code);
    list.codes.push_back(*std::move(rule));
  }
  return list;
}

}  // namespace

absl::StatusOr<ListOptions> MakeListOptions(const Dnsbl& config) {
  ListOptions options;
  options.interval = runtime::ToDuration(config.check_interval());
  for (const DnsList& entry : config.lists()) {
    auto list = ReadList(entry);
    if (!list.ok()) return base::Annotate(list.status(), "dnsbl.lists " + entry.zone());
    const bool twice =
        std::any_of(options.lists.begin(), options.lists.end(),
                    [&](const dnsbl::List& other) { return other.zone == list->zone; });
    if (twice) return base::InvalidArgument("dnsbl.lists " + entry.zone() + ": is there twice");
    options.lists.push_back(*std::move(list));
  }
  for (const std::string& text : config.own_addresses()) {
    const auto address = base::IpAddress::Parse(text);
    if (!address) return base::InvalidArgument("dnsbl.own_addresses: not an address: " + text);
    options.own_addresses.push_back(*address);
  }
  return options;
}

}  // namespace godwit::auth_verifier
