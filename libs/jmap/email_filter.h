#pragma once

// Filters and sorting of Email/query (RFC 8621 §4.4): parsed, and judged on what is known of an
// email.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "libs/jmap/json.h"
#include "libs/jmap/method_error.h"

namespace godwit::jmap {

// §4.4.1. All that is given must hold.
struct FilterCondition {
  std::optional<int64_t> in_mailbox;
  std::vector<int64_t> in_mailbox_other_than;  // ascending
  bool has_other_than = false;
  std::optional<absl::Time> before, after;
  std::optional<uint64_t> min_size, max_size;
  std::optional<std::string> all_in_thread, some_in_thread, none_in_thread;
  std::optional<std::string> has_keyword, not_keyword;
  std::optional<bool> has_attachment;
  std::optional<std::string> text, from, to, cc, bcc, subject, body;
  std::optional<std::string> header_name, header_value;

  bool needs_fields() const;   // of the searched columns
  bool needs_content() const;  // header or body octets
};

struct Filter {
  enum class Kind { kCondition, kAnd, kOr, kNot };
  Kind kind = Kind::kCondition;
  FilterCondition condition;
  std::vector<Filter> children;
};

// invalidArguments; unsupportedFilter for what is defined and not done here (conditions on whole
// threads), and for more than 100 conditions.
std::variant<Filter, MethodError> ParseFilter(const json::object& filter);

// Whether the email passes; `judge` is asked about conditions, as few as decide.
bool Evaluate(const Filter& filter, const std::function<bool(const FilterCondition&)>& judge);
// Any condition of the filter has the property.
bool AnyCondition(const Filter& filter,
                  const std::function<bool(const FilterCondition&)>& property);
// The mailbox that every email that passes lies in, if the filter says so at its top.
std::optional<int64_t> RequiredMailbox(const Filter& filter);

// §4.4.2.
struct Comparator {
  enum class Property { kReceivedAt, kSize, kFrom, kTo, kSubject, kSentAt, kHasKeyword };
  Property property = Property::kReceivedAt;
  bool ascending = true;
  std::string keyword;
};
// unsupportedSort, invalidArguments.
std::variant<std::vector<Comparator>, MethodError> ParseSort(const json::array& sort);

}  // namespace godwit::jmap
