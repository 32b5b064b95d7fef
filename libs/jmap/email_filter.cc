#include "libs/jmap/email_filter.h"

#include <algorithm>
#include <array>

#include "libs/base/ascii.h"
#include "libs/jmap/email.h"
#include "libs/jmap/id.h"
#include "libs/mime/header.h"

namespace godwit::jmap {
namespace {

constexpr int kMaxConditions = 100;
constexpr int kMaxComparators = 10;

struct SortName {
  std::string_view name;
  Comparator::Property property;
};
constexpr std::array<SortName, 7> kSorts = {{{"receivedAt", Comparator::Property::kReceivedAt},
                                             {"size", Comparator::Property::kSize},
                                             {"from", Comparator::Property::kFrom},
                                             {"to", Comparator::Property::kTo},
                                             {"subject", Comparator::Property::kSubject},
                                             {"sentAt", Comparator::Property::kSentAt},
                                             {"hasKeyword", Comparator::Property::kHasKeyword}}};

std::optional<absl::Time> TakeDate(Arguments* arguments, std::string_view name) {
  const auto text = arguments->String(name);
  if (!text) return std::nullopt;
  const auto time = ParseDate(*text);
  if (!time) arguments->Fail(name, "not a date");
  return time;
}

std::optional<std::string> TakeKeyword(Arguments* arguments, std::string_view name) {
  auto keyword = arguments->String(name);
  if (!keyword) return std::nullopt;
  if (!IsKeyword(*keyword)) arguments->Fail(name, "not a keyword");
  return base::Lower(*keyword);
}

class FilterParser {
 public:
  std::optional<Filter> Parse(const json::object& object) {
    if (++count_ > kMaxConditions) return Fail({"unsupportedFilter", "too many conditions"});
    return Find(object, "operator") != nullptr ? ParseOperator(object) : ParseCondition(object);
  }
  const MethodError& error() const { return error_; }

 private:
  std::nullopt_t Fail(MethodError error) {
    error_ = std::move(error);
    return std::nullopt;
  }

  std::optional<Filter> ParseOperator(const json::object& object) {
    Arguments arguments(object);
    const auto name = arguments.String("operator");
    const json::array* conditions = arguments.Array("conditions");
    if (auto error = arguments.Finish()) return Fail(*error);
    Filter filter;
    if (name == "AND") {
      filter.kind = Filter::Kind::kAnd;
    } else if (name == "OR") {
      filter.kind = Filter::Kind::kOr;
    } else if (name == "NOT") {
      filter.kind = Filter::Kind::kNot;
    } else {
      return Fail({"invalidArguments", "filter: unknown operator"});
    }
    if (conditions == nullptr) return Fail({"invalidArguments", "filter: no conditions"});
    for (const json::value& each : *conditions) {
      if (!each.is_object()) return Fail({"invalidArguments", "filter: not an object"});
      auto child = Parse(each.get_object());
      if (!child) return std::nullopt;
      filter.children.push_back(*std::move(child));
    }
    return filter;
  }

  std::optional<Filter> ParseCondition(const json::object& object) {
    Arguments arguments(object);
    Filter filter;
    FilterCondition& c = filter.condition;
    TakeMailboxes(&arguments, &c);
    c.before = TakeDate(&arguments, "before");
    c.after = TakeDate(&arguments, "after");
    c.min_size = arguments.Uint("minSize");
    c.max_size = arguments.Uint("maxSize");
    c.all_in_thread = TakeKeyword(&arguments, "allInThreadHaveKeyword");
    c.some_in_thread = TakeKeyword(&arguments, "someInThreadHaveKeyword");
    c.none_in_thread = TakeKeyword(&arguments, "noneInThreadHaveKeyword");
    c.has_keyword = TakeKeyword(&arguments, "hasKeyword");
    c.not_keyword = TakeKeyword(&arguments, "notKeyword");
    c.has_attachment = arguments.Bool("hasAttachment");
    c.text = arguments.String("text");
    c.from = arguments.String("from");
    c.to = arguments.String("to");
    c.cc = arguments.String("cc");
    c.bcc = arguments.String("bcc");
    c.subject = arguments.String("subject");
    c.body = arguments.String("body");
    TakeHeader(&arguments, &c);
    if (auto error = arguments.Finish()) return Fail(*error);
    if (c.all_in_thread || c.some_in_thread || c.none_in_thread) {
      return Fail({"unsupportedFilter", "conditions on whole threads"});
    }
    return filter;
  }

  static void TakeMailboxes(Arguments* arguments, FilterCondition* c) {
    if (const auto id = arguments->String("inMailbox")) {
      // One that does not exist holds nothing.
      c->in_mailbox = ParseId(IdType::kMailbox, *id).value_or(-1);
    }
    if (const auto ids = arguments->Ids("inMailboxOtherThan")) {
      c->has_other_than = true;
      for (const std::string& id : *ids) {
        c->in_mailbox_other_than.push_back(ParseId(IdType::kMailbox, id).value_or(-1));
      }
      std::sort(c->in_mailbox_other_than.begin(), c->in_mailbox_other_than.end());
    }
  }

  // A name, and perhaps a text.
  static void TakeHeader(Arguments* arguments, FilterCondition* c) {
    const auto header = arguments->Strings("header");
    if (!header) return;
    if (header->empty() || header->size() > 2 || !mime::IsFieldName((*header)[0])) {
      return arguments->Fail("header", "not a name and a text");
    }
    c->header_name = (*header)[0];
    if (header->size() == 2) c->header_value = (*header)[1];
  }

  int count_ = 0;
  MethodError error_;
};

}  // namespace

bool FilterCondition::needs_fields() const {
  return text || from || to || cc || bcc || subject || has_attachment;
}

bool FilterCondition::needs_content() const { return text || body || header_name; }

std::variant<Filter, MethodError> ParseFilter(const json::object& filter) {
  FilterParser parser;
  auto parsed = parser.Parse(filter);
  if (!parsed) return parser.error();
  return *std::move(parsed);
}

bool Evaluate(const Filter& filter, const std::function<bool(const FilterCondition&)>& judge) {
  const auto holds = [&](const Filter& child) { return Evaluate(child, judge); };
  switch (filter.kind) {
    case Filter::Kind::kCondition: return judge(filter.condition);
    case Filter::Kind::kAnd:
      return std::all_of(filter.children.begin(), filter.children.end(), holds);
    case Filter::Kind::kOr:
      return std::any_of(filter.children.begin(), filter.children.end(), holds);
    case Filter::Kind::kNot: break;
  }
  return std::none_of(filter.children.begin(), filter.children.end(), holds);
}

bool AnyCondition(const Filter& filter,
                  const std::function<bool(const FilterCondition&)>& property) {
  if (filter.kind == Filter::Kind::kCondition) return property(filter.condition);
  return std::any_of(filter.children.begin(), filter.children.end(),
                     [&](const Filter& child) { return AnyCondition(child, property); });
}

std::optional<int64_t> RequiredMailbox(const Filter& filter) {
  if (filter.kind == Filter::Kind::kCondition) return filter.condition.in_mailbox;
  if (filter.kind != Filter::Kind::kAnd) return std::nullopt;
  for (const Filter& child : filter.children) {
    if (const auto id = RequiredMailbox(child)) return id;
  }
  return std::nullopt;
}

std::variant<std::vector<Comparator>, MethodError> ParseSort(const json::array& sort) {
  std::vector<Comparator> comparators;
  for (const json::value& each : sort) {
    if (!each.is_object()) return MethodError{"invalidArguments", "sort: not an object"};
    Arguments arguments(each.get_object());
    Comparator comparator;
    const auto property = arguments.String("property");
    comparator.ascending = arguments.Bool("isAscending").value_or(true);
    const auto collation = arguments.String("collation");
    const auto keyword = TakeKeyword(&arguments, "keyword");
    if (auto error = arguments.Finish()) return *error;
    const auto known = std::find_if(kSorts.begin(), kSorts.end(),
                                    [&](const SortName& s) { return property == s.name; });
    if (known == kSorts.end() || comparators.size() == kMaxComparators) {
      return MethodError{"unsupportedSort", property.value_or("")};
    }
    if (collation && *collation != "i;unicode-casemap") {
      return MethodError{"unsupportedSort", *collation};
    }
    comparator.property = known->property;
    if (comparator.property == Comparator::Property::kHasKeyword) {
      if (!keyword) return MethodError{"invalidArguments", "sort: no keyword"};
      comparator.keyword = *keyword;
    }
    comparators.push_back(std::move(comparator));
  }
  return comparators;
}

}  // namespace godwit::jmap
