#pragma once

// Result and Row: what a statement returned, read from PostgreSQL's binary format.
//
//   for (db::Row row : *result) use(row.Int(0), row.Text(1));
//
// A Result owns its rows; Row, and every string_view taken from it, is valid as long as the Result.
// Columns are numbered from 0. The statement is our own text, so a column that is not there, has
// another type or is NULL where the accessor does not allow it is a bug: GODWIT_CHECK.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

struct pg_result;

namespace godwit::db {

class Row {
 public:
  bool IsNull(int column) const;

  int64_t Int(int column) const;  // smallint, integer, bigint
  bool Bool(int column) const;
  double Double(int column) const;
  std::string_view Text(int column) const;   // text, varchar, name
  std::string_view Bytes(int column) const;  // bytea
  absl::Time Time(int column) const;         // timestamptz

  std::optional<int64_t> OptionalInt(int column) const;
  std::optional<std::string_view> OptionalText(int column) const;
  std::optional<std::string_view> OptionalBytes(int column) const;
  std::optional<absl::Time> OptionalTime(int column) const;

  // One-dimensional arrays without NULL elements; NULL reads as empty.
  std::vector<int64_t> Ints(int column) const;
  std::vector<std::string> Texts(int column) const;

 private:
  friend class Result;
  Row(const pg_result* result, int row) : result_(result), row_(row) {}
  std::string_view Raw(int column) const;
  std::vector<std::string_view> Elements(int column) const;

  const pg_result* result_;
  int row_;
};

class Result {
 public:
  // Takes ownership of `result`.
  explicit Result(pg_result* result);

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Row operator[](int row) const;

  // Rows that INSERT, UPDATE or DELETE touched; 0 for others.
  int64_t affected() const;

  class Iterator {
   public:
    Iterator(const Result* result, int row) : result_(result), row_(row) {}
    Row operator*() const { return (*result_)[row_]; }
    Iterator& operator++() {
      ++row_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return row_ != other.row_; }

   private:
    const Result* result_;
    int row_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
  int size_;
};

}  // namespace godwit::db
