#include "libs/jmap/session.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/encoding.h"

namespace godwit::jmap {
namespace {

json::object CoreCapability(const Limits& limits) {
  return {{"maxSizeUpload", limits.max_size_upload},
          {"maxConcurrentUpload", limits.max_concurrent_upload},
          {"maxSizeRequest", limits.max_size_request},
          {"maxConcurrentRequests", limits.max_concurrent_requests},
          {"maxCallsInRequest", limits.max_calls_in_request},
          {"maxObjectsInGet", limits.max_objects_in_get},
          {"maxObjectsInSet", limits.max_objects_in_set},
          {"collationAlgorithms", json::array{"i;unicode-casemap"}}};
}

// RFC 8621 §1.3.1.
json::object MailAccountCapability(const Limits& limits) {
  return {{"maxMailboxesPerEmail", nullptr},
          {"maxMailboxDepth", 20},
          {"maxSizeMailboxName", 255},
          {"maxSizeAttachmentsPerEmail", limits.max_size_upload},
          {"emailQuerySortOptions",
           json::array{"receivedAt", "size", "from", "to", "subject", "sentAt", "hasKeyword"}},
          {"mayCreateTopLevelMailbox", true}};
}

// RFC 8621 §1.3.2.
json::object SubmissionAccountCapability() {
  return {{"maxDelayedSend", 0}, {"submissionExtensions", json::object()}};
}

}  // namespace

json::object SessionToJson(const SessionInfo& info) {
  json::object account = {
      {"name", info.username},
      {"isPersonal", true},
      {"isReadOnly", false},
      {"accountCapabilities",
       json::object{{kCoreCapability.data(), json::object()},
                    {kMailCapability.data(), MailAccountCapability(info.limits)},
                    {kSubmissionCapability.data(), SubmissionAccountCapability()}}}};
  json::object session = {
      {"capabilities", json::object{{kCoreCapability.data(), CoreCapability(info.limits)},
                                    {kMailCapability.data(), json::object()},
                                    {kSubmissionCapability.data(), json::object()}}},
      {"accounts", json::object{{info.account_id, std::move(account)}}},
      {"primaryAccounts", json::object{{kCoreCapability.data(), info.account_id},
                                       {kMailCapability.data(), info.account_id},
                                       {kSubmissionCapability.data(), info.account_id}}},
      {"username", info.username}};
  const std::string base = info.base_url;
  session["apiUrl"] = base + std::string(kApiPath);
  session["downloadUrl"] =
      base + std::string(kDownloadPath) + "{accountId}/{blobId}/{name}?accept={type}";
  session["uploadUrl"] = base + std::string(kUploadPath) + "{accountId}/";
  session["eventSourceUrl"] =
      base + std::string(kEventPath) + "?types={types}&closeafter={closeafter}&ping={ping}";
  // Nothing of a session changes while the account lives, but its limits with a new release.
  session["state"] = "1";
  return session;
}

std::optional<EventRequest> ParseEventQuery(std::string_view query) {
  EventRequest request;
  const auto types = QueryParameter(query, "types");
  const auto close_after = QueryParameter(query, "closeafter");
  const auto ping = QueryParameter(query, "ping");
  if (!types || !close_after || !ping) return std::nullopt;
  request.all_types = *types == "*";
  for (const std::string_view type : base::Split(*types, ',')) request.types.emplace(type);
  if (*close_after != "state" && *close_after != "no") return std::nullopt;
  request.close_after_state = *close_after == "state";
  const auto seconds = base::ParseDecimal(*ping);
  if (!seconds) return std::nullopt;
  // §7.3: the server may change the interval.
  if (*seconds > 0) {
    request.ping_seconds = std::clamp(static_cast<int64_t>(std::min<uint64_t>(*seconds, kMaxPing)),
                                      kMinPing, kMaxPing);
  }
  return request;
}

json::object StateChangeToJson(std::string_view account_id, const TypeStates& changed) {
  json::object states;
  for (const auto& [type, state] : changed) states[type] = state;
  json::object accounts;
  accounts[json::string_view(account_id.data(), account_id.size())] = std::move(states);
  return {{"@type", "StateChange"}, {"changed", std::move(accounts)}};
}

std::string FormatEvent(std::string_view name, std::string_view id, const json::object& data) {
  std::string event = "event: " + std::string(name) + "\n";
  if (!id.empty()) event += "id: " + std::string(id) + "\n";
  return event + "data: " + Serialize(data) + "\n\n";
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const auto octet = base::HexDecode(text.substr(i + 1, 2));
    if (!octet.ok() || octet->size() != 1) return std::nullopt;
    out += *octet;
    i += 2;
  }
  if (!base::IsUtf8(out)) return std::nullopt;
  return out;
}

std::optional<std::string> QueryParameter(std::string_view query, std::string_view name) {
  for (const std::string_view pair : base::Split(query, '&')) {
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    return PercentDecode(pair.substr(equals + 1));
  }
  return std::nullopt;
}

}  // namespace godwit::jmap
