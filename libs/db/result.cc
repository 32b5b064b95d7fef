#include "libs/db/result.h"

#include <postgresql/libpq-fe.h>

#include <bit>
#include <cstdlib>

#include "libs/base/check.h"
#include "libs/db/wire.h"

namespace godwit::db {
namespace {

// Takes `size` bytes from the front of `*bytes`.
std::string_view Take(std::string_view* bytes, size_t size) {
  GODWIT_CHECK(bytes->size() >= size);
  std::string_view front = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return front;
}

int64_t TakeInt4(std::string_view* bytes) { return ReadBigEndian(Take(bytes, 4)); }

}  // namespace

std::string_view Row::Raw(int column) const {
  GODWIT_CHECK(column >= 0 && column < PQnfields(result_));
  GODWIT_CHECK(PQgetisnull(result_, row_, column) == 0);
  return {PQgetvalue(result_, row_, column),
          static_cast<size_t>(PQgetlength(result_, row_, column))};
}

bool Row::IsNull(int column) const {
  GODWIT_CHECK(column >= 0 && column < PQnfields(result_));
  return PQgetisnull(result_, row_, column) != 0;
}

int64_t Row::Int(int column) const {
  const Oid type = static_cast<Oid>(PQftype(result_, column));
  GODWIT_CHECK(type == kOidInt8 || type == kOidInt4 || type == kOidInt2);
  return ReadBigEndian(Raw(column));
}

bool Row::Bool(int column) const {
  GODWIT_CHECK(PQftype(result_, column) == kOidBool);
  return Raw(column)[0] != 0;
}

double Row::Double(int column) const {
  GODWIT_CHECK(PQftype(result_, column) == kOidFloat8);
  return std::bit_cast<double>(ReadBigEndian(Raw(column)));
}

std::string_view Row::Text(int column) const {
  // Scripts return every type as text.
  if (PQfformat(result_, column) == 0) return Raw(column);
  const Oid type = static_cast<Oid>(PQftype(result_, column));
  GODWIT_CHECK(type == kOidText || type == kOidVarchar || type == kOidName);
  return Raw(column);
}

std::string_view Row::Bytes(int column) const {
  GODWIT_CHECK(PQftype(result_, column) == kOidBytea);
  return Raw(column);
}

absl::Time Row::Time(int column) const {
  GODWIT_CHECK(PQftype(result_, column) == kOidTimestamptz);
  return FromPostgresTime(ReadBigEndian(Raw(column)));
}

std::optional<int64_t> Row::OptionalInt(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

std::optional<std::string_view> Row::OptionalText(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Text(column);
}

std::optional<std::string_view> Row::OptionalBytes(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Bytes(column);
}

std::optional<absl::Time> Row::OptionalTime(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Time(column);
}

std::vector<std::string_view> Row::Elements(int column) const {
  std::vector<std::string_view> elements;
  if (IsNull(column)) return elements;
  std::string_view bytes = Raw(column);
  const int64_t dimensions = TakeInt4(&bytes);
  Take(&bytes, 8);  // "has NULLs" and the element type
  if (dimensions == 0) return elements;
  GODWIT_CHECK(dimensions == 1);
  const int64_t size = TakeInt4(&bytes);
  Take(&bytes, 4);  // lower bound
  elements.reserve(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) {
    const int64_t length = TakeInt4(&bytes);
    GODWIT_CHECK(length >= 0);
    elements.push_back(Take(&bytes, static_cast<size_t>(length)));
  }
  return elements;
}

std::vector<int64_t> Row::Ints(int column) const {
  std::vector<int64_t> values;
  for (std::string_view element : Elements(column)) {
    GODWIT_CHECK(element.size() == 2 || element.size() == 4 || element.size() == 8);
    values.push_back(ReadBigEndian(element));
  }
  return values;
}

std::vector<std::string> Row::Texts(int column) const {
  std::vector<std::string> values;
  for (std::string_view element : Elements(column)) values.emplace_back(element);
  return values;
}

void Result::Clear::operator()(pg_result* result) const { PQclear(result); }

Result::Result(pg_result* result) : result_(result), size_(PQntuples(result)) {}

Row Result::operator[](int row) const {
  GODWIT_CHECK(row >= 0 && row < size_);
  return Row(result_.get(), row);
}

int64_t Result::affected() const { return std::strtoll(PQcmdTuples(result_.get()), nullptr, 10); }

}  // namespace godwit::db
