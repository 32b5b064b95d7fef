#include "libs/jmap/mailbox.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "libs/base/ascii.h"
#include "libs/jmap/id.h"

namespace godwit::jmap {
namespace {

constexpr std::array<std::string_view, 11> kProperties = {
    "id",           "name",         "parentId",      "role",     "sortOrder",   "totalEmails",
    "unreadEmails", "totalThreads", "unreadThreads", "myRights", "isSubscribed"};

constexpr std::array<std::string_view, 6> kRoleOrder = {"inbox",   "drafts", "sent",
                                                        "archive", "junk",   "trash"};

// §2.1: an owner may do everything, but INBOX stays.
json::object Rights(const MailboxInfo& mailbox) {
  const bool inbox = mailbox.role == "inbox";
  return {{"mayReadItems", true}, {"mayAddItems", true},    {"mayRemoveItems", true},
          {"maySetSeen", true},   {"maySetKeywords", true}, {"mayCreateChild", true},
          {"mayRename", !inbox},  {"mayDelete", !inbox},    {"maySubmit", true}};
}

// §2.3: a FilterCondition, or a FilterOperator of them.
class MailboxFilter {
 public:
  // nullopt when the filter is wrong; error() says why.
  std::optional<bool> Passes(const json::object& filter, const MailboxInfo& mailbox) {
    if (Find(filter, "operator") != nullptr) return PassesOperator(filter, mailbox);
    Arguments arguments(filter);
    bool passes = true;
    if (const json::value* parent = Find(filter, "parentId")) {
      const auto id = arguments.String("parentId");
      const int64_t wanted = id ? ParseId(IdType::kMailbox, *id).value_or(-1) : 0;
      passes = passes && mailbox.parent == (parent->is_null() ? 0 : wanted);
    }
    if (const auto name = arguments.String("name")) {
      passes = passes && base::Lower(mailbox.name).find(base::Lower(*name)) != std::string::npos;
    }
    if (Find(filter, "role") != nullptr) {
      passes = passes && mailbox.role == arguments.String("role").value_or("");
    }
    if (const auto any = arguments.Bool("hasAnyRole")) {
      passes = passes && *any == !mailbox.role.empty();
    }
    if (const auto subscribed = arguments.Bool("isSubscribed")) {
      passes = passes && *subscribed == mailbox.subscribed;
    }
    error_ = arguments.Finish();
    if (error_) return std::nullopt;
    return passes;
  }
  const std::optional<MethodError>& error() const { return error_; }

 private:
  std::optional<bool> PassesOperator(const json::object& filter, const MailboxInfo& mailbox) {
    const auto name = FindString(filter, "operator").value_or("");
    const json::value* conditions = Find(filter, "conditions");
    if (conditions == nullptr || !conditions->is_array() ||
        (name != "AND" && name != "OR" && name != "NOT")) {
      error_ = MethodError{"invalidArguments", "filter: bad operator"};
      return std::nullopt;
    }
    size_t passed = 0;
    for (const json::value& each : conditions->get_array()) {
      if (!each.is_object()) error_ = MethodError{"invalidArguments", "filter: not an object"};
      const auto one = each.is_object() ? Passes(each.get_object(), mailbox) : std::nullopt;
      if (!one) return std::nullopt;
      passed += *one ? 1 : 0;
    }
    if (name == "AND") return passed == conditions->get_array().size();
    return name == "OR" ? passed > 0 : passed == 0;
  }

  std::optional<MethodError> error_;
};

struct Order {
  std::string property;  // "name" or "sortOrder"
  bool ascending = true;
};

std::variant<std::vector<Order>, MethodError> ReadSort(const json::array* sort) {
  std::vector<Order> orders;
  if (sort == nullptr) return std::vector<Order>{{"sortOrder"}, {"name"}};
  for (const json::value& each : *sort) {
    if (!each.is_object()) return MethodError{"invalidArguments", "sort: not an object"};
    Arguments arguments(each.get_object());
    Order order;
    order.property = arguments.String("property").value_or("");
    order.ascending = arguments.Bool("isAscending").value_or(true);
    arguments.String("collation");
    if (auto error = arguments.Finish()) return *error;
    if (order.property != "name" && order.property != "sortOrder") {
      return MethodError{"unsupportedSort", order.property};
    }
    orders.push_back(std::move(order));
  }
  return orders;
}

bool Less(const MailboxInfo& a, const MailboxInfo& b, const std::vector<Order>& orders) {
  for (const Order& order : orders) {
    int difference = MailboxSortOrder(a.role) - MailboxSortOrder(b.role);
    if (order.property == "name") difference = base::Lower(a.name).compare(base::Lower(b.name));
    if (difference != 0) return order.ascending ? difference < 0 : difference > 0;
  }
  return a.id < b.id;
}

using Children = std::map<int64_t, std::vector<const MailboxInfo*>>;

void AppendTree(const Children& children, int64_t parent, std::vector<const MailboxInfo*>* out) {
  const auto at = children.find(parent);
  if (at == children.end()) return;
  for (const MailboxInfo* child : at->second) {
    out->push_back(child);
    AppendTree(children, child->id, out);
  }
}

}  // namespace

int MailboxSortOrder(std::string_view role) {
  const auto* at = std::find(kRoleOrder.begin(), kRoleOrder.end(), role);
  return static_cast<int>(at - kRoleOrder.begin()) + 1;
}

bool IsMailboxProperty(std::string_view name) {
  return std::find(kProperties.begin(), kProperties.end(), name) != kProperties.end();
}

json::object MailboxToJson(const MailboxInfo& mailbox) {
  return {
      {"id", FormatId(IdType::kMailbox, mailbox.id)},
      {"name", mailbox.name},
      {"parentId", mailbox.parent == 0 ? json::value(nullptr)
                                       : json::value(FormatId(IdType::kMailbox, mailbox.parent))},
      {"role", mailbox.role.empty() ? json::value(nullptr) : json::value(mailbox.role)},
      {"sortOrder", MailboxSortOrder(mailbox.role)},
      {"totalEmails", mailbox.total_emails},
      {"unreadEmails", mailbox.unread_emails},
      {"totalThreads", mailbox.total_threads},
      {"unreadThreads", mailbox.unread_threads},
      {"myRights", Rights(mailbox)},
      {"isSubscribed", mailbox.subscribed}};
}

std::variant<std::vector<int64_t>, MethodError> QueryMailboxes(
    const std::vector<MailboxInfo>& mailboxes, const MailboxQuery& query) {
  auto orders = ReadSort(query.sort);
  if (auto* error = std::get_if<MethodError>(&orders)) return *error;
  std::vector<const MailboxInfo*> sorted;
  for (const MailboxInfo& mailbox : mailboxes) sorted.push_back(&mailbox);
  std::sort(sorted.begin(), sorted.end(), [&](const MailboxInfo* a, const MailboxInfo* b) {
    return Less(*a, *b, std::get<std::vector<Order>>(orders));
  });
  if (query.sort_as_tree) {
    Children children;
    for (const MailboxInfo* mailbox : sorted) children[mailbox->parent].push_back(mailbox);
    sorted.clear();
    AppendTree(children, 0, &sorted);
  }
  std::map<int64_t, bool> passed;
  MailboxFilter filter;
  for (const MailboxInfo* mailbox : sorted) {
    const auto passes =
        query.filter == nullptr ? std::optional(true) : filter.Passes(*query.filter, *mailbox);
    if (!passes) return *filter.error();
    passed[mailbox->id] = *passes;
  }
  std::map<int64_t, int64_t> parents;
  for (const MailboxInfo& mailbox : mailboxes) parents[mailbox.id] = mailbox.parent;
  std::vector<int64_t> ids;
  for (const MailboxInfo* mailbox : sorted) {
    bool in = passed[mailbox->id];
    // §2.3: with filterAsTree all ancestors must pass, too.
    for (int64_t up = mailbox->parent; in && query.filter_as_tree && up != 0; up = parents[up]) {
      in = passed[up];
    }
    if (in) ids.push_back(mailbox->id);
  }
  return ids;
}

std::variant<MailboxChangeRequest, SetError> ReadMailboxChange(const json::object& object) {
  MailboxChangeRequest change;
  SetError error{"invalidProperties"};
  for (const auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    const json::value& value = member.value();
    if (name == "name" && value.is_string()) {
      change.name = View(value.get_string());
    } else if (name == "parentId" && (value.is_string() || value.is_null())) {
      change.parent = value.is_null() ? std::string() : std::string(View(value.get_string()));
    } else if (name == "role" && (value.is_string() || value.is_null())) {
      change.role = value.is_null() ? std::string() : std::string(View(value.get_string()));
    } else if (name == "isSubscribed" && value.is_bool()) {
      change.subscribed = value.get_bool();
    } else if (name != "sortOrder") {
      // sortOrder is ours: it is taken and not kept.
      error.properties.emplace_back(name);
    }
  }
  if (!error.properties.empty()) return error;
  return change;
}

}  // namespace godwit::jmap
