#pragma once

// Params: the typed parameters of one statement, encoded as PostgreSQL's binary format.
//
//   db::Params params;
//   params.Int(account).Text("INBOX").Ints(uids);
//   auto rows = connection.Execute(kFindMailbox, params);
//
// Every call appends one parameter ($1, $2, ...) and fixes its SQL type, so nothing is inferred and
// nothing is quoted. The names are spelled out instead of overloaded because a string literal would
// become a bool. Strings are copied; a Params may outlive what it was made from.
//
// SQL types: Int bigint, Text text, Bytes bytea, Bool boolean, Double double precision, Time
// timestamptz (microseconds; absl::InfiniteFuture/Past are SQL's infinity), and one-dimensional
// arrays of them. Text must be UTF-8 without NUL: the server refuses anything else
// (InvalidArgument). One value holds at most 1 GiB; that bound is the caller's to keep.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace godwit::db {

class Params {
 public:
  Params& Int(int64_t value);
  Params& OptionalInt(std::optional<int64_t> value);
  Params& Text(std::string_view value);
  Params& OptionalText(std::optional<std::string_view> value);
  Params& Bytes(std::string_view value);
  Params& OptionalBytes(std::optional<std::string_view> value);
  Params& Bool(bool value);
  Params& Double(double value);
  Params& Time(absl::Time value);
  Params& OptionalTime(std::optional<absl::Time> value);

  Params& Ints(std::span<const int64_t> values);
  Params& Texts(std::span<const std::string_view> values);
  Params& Texts(std::span<const std::string> values);
  Params& BytesArray(std::span<const std::string_view> values);
  Params& Bools(const std::vector<bool>& values);
  Params& Times(std::span<const absl::Time> values);
  // As Texts and Times, with NULL for what is absent.
  Params& OptionalTexts(std::span<const std::optional<std::string_view>> values);
  Params& OptionalTimes(std::span<const std::optional<absl::Time>> values);

  size_t size() const { return values_.size(); }

 private:
  friend class Connection;

  struct Value {
    uint32_t type;  // OID
    bool null;
    std::string bytes;
  };

  Params& Append(uint32_t type, std::string bytes);
  Params& AppendNull(uint32_t type);

  std::vector<Value> values_;
};

}  // namespace godwit::db
