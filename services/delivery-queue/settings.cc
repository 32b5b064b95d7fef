#include "services/delivery-queue/settings.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/runtime/units.h"

namespace godwit::delivery_queue {
namespace {

absl::StatusOr<Target> MakeTarget(const std::string& text, std::string_view what) {
  const auto endpoint = runtime::ParseEndpoint(text);
  if (!endpoint || endpoint->host.empty()) {
    return base::InvalidArgument(std::string(what) + " wants HOST:PORT");
  }
  return Target{endpoint->host, endpoint->port};
}

absl::StatusOr<std::optional<base::IpAddress>> MakeSource(const std::string& text, bool v4) {
  if (text.empty()) return std::optional<base::IpAddress>();
  const auto address = base::IpAddress::Parse(text);
  if (!address || address->is_v4() != v4) {
    return base::InvalidArgument("outbound: '" + text + "' is no such address");
  }
  return address;
}

absl::Status SetOutbound(const Config& config, Settings* settings) {
  const Outbound& outbound = config.outbound();
  settings->outbound_port = static_cast<uint16_t>(outbound.port());
  settings->data_only = outbound.data_only();
  settings->ca_file = outbound.ca_file();
  settings->capture_folder = outbound.capture_folder();
  GODWIT_ASSIGN_OR_RETURN(settings->source_ipv4, MakeSource(outbound.source_ipv4(), true));
  GODWIT_ASSIGN_OR_RETURN(settings->source_ipv6, MakeSource(outbound.source_ipv6(), false));
  for (const std::string& host : outbound.own_mx_hosts()) {
    const auto name = idna::ToAscii(host);
    if (!name) return base::InvalidArgument("outbound.own_mx_hosts: '" + host + "' is no host");
    settings->own_mx_hosts.push_back(*name);
  }
  settings->knows_own_mx_hosts = outbound.own_mx_hosts_size() > 0;
  if (outbound.mode() == Outbound::MODE_CAPTURE) {
    settings->outbound = OutboundMode::kCapture;
    if (!settings->capture_folder.empty()) return absl::OkStatus();
    return base::InvalidArgument("outbound.mode capture wants outbound.capture_folder");
  }
  if (!config.has_tls_policy()) return base::InvalidArgument("tls_policy is needed");
  if (outbound.mode() != Outbound::MODE_SMARTHOST) return absl::OkStatus();
  settings->outbound = OutboundMode::kSmarthost;
  GODWIT_ASSIGN_OR_RETURN(settings->smarthost,
                          MakeTarget(outbound.smarthost(), "outbound.smarthost"));
  return absl::OkStatus();
}

absl::Status SetTimes(const Config& config, Settings* settings) {
  const Timeouts& timeouts = config.timeouts();
  settings->connect_timeout = runtime::ToDuration(timeouts.connect());
  settings->handshake_timeout = runtime::ToDuration(timeouts.handshake());
  settings->reply_timeout = runtime::ToDuration(timeouts.reply());
  settings->write_timeout = runtime::ToDuration(timeouts.write());
  settings->opening_timeout = runtime::ToDuration(timeouts.opening());
  settings->transaction_timeout = runtime::ToDuration(timeouts.transaction());
  settings->scheduler.idle = runtime::ToDuration(timeouts.idle());
  settings->retry.first = runtime::ToDuration(config.retry().first());
  settings->retry.longest =
      std::max(settings->retry.first, runtime::ToDuration(config.retry().longest()));
  settings->retry.delay_notice = runtime::ToDuration(config.notices().delay_after());
  settings->give_up = runtime::ToDuration(config.retry().give_up());
  settings->keep_keys = runtime::ToDuration(config.limits().keep_keys());
  settings->lease = runtime::ToDuration(config.leases().lease());
  settings->beat = runtime::ToDuration(config.leases().beat());
  settings->margin = runtime::ToDuration(config.leases().margin());
  settings->poll = runtime::ToDuration(config.leases().poll());
  if (settings->margin + 2 * settings->beat > settings->lease) {
    return base::InvalidArgument("leases.lease must hold leases.margin and two of leases.beat");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Settings> MakeSettings(const Config& config) {
  const Limits& limits = config.limits();
  Settings settings;
  settings.hostname = config.hostname();
  settings.own_mx_hosts = {base::Lower(config.hostname())};
  settings.notice_domain =
      config.notices().domain().empty() ? config.hostname() : config.notices().domain();
  settings.notice_return_size = config.notices().return_size();
  settings.scheduler.connections = limits.connections();
  settings.scheduler.opening = std::max(1U, limits.connections() / 2);
  settings.scheduler.jobs = std::max(1U, limits.messages() / 4 * 3);
  settings.scheduler.connections_per_site = limits.connections_per_site();
  settings.scheduler.internal_connections = limits.internal_connections();
  settings.scheduler.jobs_per_site = limits.messages_per_site();
  settings.scheduler.jobs_per_connection = limits.messages_per_connection();
  settings.max_messages = limits.messages();
  settings.max_memory = static_cast<int64_t>(limits.memory());
  settings.recipients_per_transaction = limits.recipients_per_transaction();
  settings.message_size = limits.message_size();
  settings.recipients = limits.recipients();
  settings.concurrent_enqueues = limits.concurrent_enqueues();
  GODWIT_ASSIGN_OR_RETURN(settings.internal,
                          MakeTarget(config.internal().target(), "internal.target"));
  GODWIT_RETURN_IF_ERROR(SetOutbound(config, &settings));
  GODWIT_RETURN_IF_ERROR(SetTimes(config, &settings));
  return settings;
}

}  // namespace godwit::delivery_queue
