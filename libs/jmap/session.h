#pragma once

// The Session object (RFC 8620 §2) with the capabilities of mail and submission (RFC 8621 §1.3),
// and what is pushed (RFC 8620 §7).

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "libs/jmap/json.h"
#include "libs/jmap/request.h"

namespace godwit::jmap {

struct SessionInfo {
  std::string username;
  std::string account_id;
  std::string base_url;  // "https://mail.example.org"; URLs are told whole
  Limits limits;
};
json::object SessionToJson(const SessionInfo& info);

// Where the API's resources are, below base_url. The same in the URLs of the session.
inline constexpr std::string_view kSessionPath = "/jmap/session";
inline constexpr std::string_view kApiPath = "/jmap/api";
inline constexpr std::string_view kUploadPath = "/jmap/upload/";      // {accountId}/
inline constexpr std::string_view kDownloadPath = "/jmap/download/";  // {accountId}/{blobId}/{name}
inline constexpr std::string_view kEventPath = "/jmap/eventsource";

// RFC 8620 §7.3: the query of the event source's URL.
struct EventRequest {
  bool all_types = false;
  std::set<std::string> types;
  bool close_after_state = false;
  int64_t ping_seconds = 0;  // 0: no ping; else between kMinPing and kMaxPing
};
inline constexpr int64_t kMinPing = 30;
inline constexpr int64_t kMaxPing = 300;
// nullopt when a parameter is missing or wrong.
std::optional<EventRequest> ParseEventQuery(std::string_view query);

// States of the types of one account, by name.
using TypeStates = std::map<std::string, std::string>;
// RFC 8620 §7.1.
json::object StateChangeToJson(std::string_view account_id, const TypeStates& changed);
// An event of the stream (HTML Living Standard, "server-sent events").
std::string FormatEvent(std::string_view name, std::string_view id, const json::object& data);

// "a=b&c=d": the first value of the name, decoded.
std::optional<std::string> QueryParameter(std::string_view query, std::string_view name);
// %41 -> A; nullopt for bad escapes and what is not UTF-8.
std::optional<std::string> PercentDecode(std::string_view text);

}  // namespace godwit::jmap
