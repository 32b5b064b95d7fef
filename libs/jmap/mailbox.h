#pragma once

// The Mailbox object (RFC 8621 §2), its query (§2.3) and what a client may change of it (§2.5). All
// mailboxes of an account are at hand: there are few.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"

namespace godwit::jmap {

struct MailboxInfo {
  int64_t id = 0;
  int64_t parent = 0;  // 0: none
  std::string name;
  std::string role;  // "" for none
  bool subscribed = false;
  uint64_t total_emails = 0;
  uint64_t unread_emails = 0;
  // Only when asked for.
  uint64_t total_threads = 0;
  uint64_t unread_threads = 0;
};

json::object MailboxToJson(const MailboxInfo& mailbox);
bool IsMailboxProperty(std::string_view name);

// The order of §2: sortOrder is the place of the role.
int MailboxSortOrder(std::string_view role);

// Ids of the mailboxes that pass, sorted.
struct MailboxQuery {
  const json::object* filter = nullptr;
  const json::array* sort = nullptr;
  bool sort_as_tree = false;
  bool filter_as_tree = false;
};
std::variant<std::vector<int64_t>, MethodError> QueryMailboxes(
    const std::vector<MailboxInfo>& mailboxes, const MailboxQuery& query);

// What a create or an update may say: null members of an update are unchanged.
struct MailboxChangeRequest {
  std::optional<std::string> name;
  // "" for the top level; an id, or "#k1".
  std::optional<std::string> parent;
  std::optional<std::string> role;  // "" for none
  std::optional<bool> subscribed;
};
std::variant<MailboxChangeRequest, SetError> ReadMailboxChange(const json::object& object);

}  // namespace godwit::jmap
