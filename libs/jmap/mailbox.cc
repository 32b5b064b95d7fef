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

constexpr int kMaxConditions = 100;
constexpr size_t kMaxComparators = 10;

// §2.3: a FilterCondition, or a FilterOperator of them.
struct MailboxFilter {
  enum class Kind { kCondition, kAnd, kOr, kNot };
  Kind kind = Kind::kCondition;
  std::optional<int64_t> parent;    // 0: the top level
  std::optional<std::string> name;  // lower case
  std::optional<std::string> role;  // "" for none
  std::optional<bool> has_any_role, subscribed;
  std::vector<MailboxFilter> children;

  bool Passes(const MailboxInfo& mailbox) const {
    const auto passes = [&](const MailboxFilter& child) { return child.Passes(mailbox); };
    switch (kind) {
      case Kind::kCondition: break;
      case Kind::kAnd: return std::all_of(children.begin(), children.end(), passes);
      case Kind::kOr: return std::any_of(children.begin(), children.end(), passes);
      case Kind::kNot: return std::none_of(children.begin(), children.end(), passes);
    }
    return (!parent || mailbox.parent == *parent) && (!role || mailbox.role == *role) &&
           (!has_any_role || *has_any_role == !mailbox.role.empty()) &&
           (!subscribed || *subscribed == mailbox.subscribed) &&
           (!name || base::Lower(mailbox.name).find(*name) != std::string::npos);
  }
};

class MailboxFilterParser {
 public:
  // nullopt when the filter is wrong; error() says why.
  std::optional<MailboxFilter> Parse(const json::object& object) {
    if (++count_ > kMaxConditions) return Fail({"unsupportedFilter", "too many conditions"});
    return Find(object, "operator") != nullptr ? ParseOperator(object) : ParseCondition(object);
  }
  const MethodError& error() const { return error_; }

 private:
  std::nullopt_t Fail(MethodError error) {
    error_ = std::move(error);
    return std::nullopt;
  }

  std::optional<MailboxFilter> ParseCondition(const json::object& object) {
    Arguments arguments(object);
    MailboxFilter filter;
    // Null is a value here: no parent, no role.
    const auto parent = arguments.String("parentId");
    if (Find(object, "parentId") != nullptr) {
      filter.parent = parent ? ParseId(IdType::kMailbox, *parent).value_or(-1) : 0;
    }
    const auto role = arguments.String("role");
    if (Find(object, "role") != nullptr) filter.role = role.value_or("");
    if (const auto name = arguments.String("name")) filter.name = base::Lower(*name);
    filter.has_any_role = arguments.Bool("hasAnyRole");
    filter.subscribed = arguments.Bool("isSubscribed");
    if (auto error = arguments.Finish()) return Fail(*error);
    return filter;
  }

  std::optional<MailboxFilter> ParseOperator(const json::object& object) {
    const auto name = FindString(object, "operator").value_or("");
    const json::value* conditions = Find(object, "conditions");
    MailboxFilter filter;
    if (name == "AND") {
      filter.kind = MailboxFilter::Kind::kAnd;
    } else if (name == "OR") {
      filter.kind = MailboxFilter::Kind::kOr;
    } else if (name == "NOT") {
      filter.kind = MailboxFilter::Kind::kNot;
    }
    if (conditions == nullptr || !conditions->is_array() ||
        filter.kind == MailboxFilter::Kind::kCondition) {
      return Fail({"invalidArguments", "filter: bad operator"});
    }
    for (const json::value& each : conditions->get_array()) {
      if (!each.is_object()) return Fail({"invalidArguments", "filter: not an object"});
      auto child = Parse(each.get_object());
      if (!child) return std::nullopt;
      filter.children.push_back(*std::move(child));
    }
    return filter;
  }

  int count_ = 0;
  MethodError error_;
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
    if (orders.size() == kMaxComparators) return MethodError{"unsupportedSort", "too many"};
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
  std::optional<MailboxFilter> filter;
  if (query.filter != nullptr) {
    MailboxFilterParser parser;
    filter = parser.Parse(*query.filter);
    if (!filter) return parser.error();
  }
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
  for (const MailboxInfo* mailbox : sorted) {
    passed[mailbox->id] = !filter || filter->Passes(*mailbox);
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
