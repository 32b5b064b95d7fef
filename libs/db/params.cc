#include "libs/db/params.h"

#include <bit>
#include <utility>

#include "libs/db/wire.h"

namespace godwit::db {
namespace {

std::string EncodeInt(int64_t value) {
  std::string bytes;
  AppendBigEndian(&bytes, static_cast<uint64_t>(value), 8);
  return bytes;
}

std::string EncodeTime(absl::Time value) { return EncodeInt(ToPostgresTime(value)); }

std::string EncodeBool(bool value) { return std::string(1, value ? '\1' : '\0'); }

// array_recv: dimensions, "has NULLs", element type; for each dimension its size and lower bound;
// then each element behind its length, -1 for NULL.
class ArrayWriter {
 public:
  ArrayWriter(uint32_t element_type, size_t size) {
    AppendBigEndian(&bytes_, size == 0 ? 0 : 1, 4);
    AppendBigEndian(&bytes_, 0, 4);
    AppendBigEndian(&bytes_, element_type, 4);
    if (size == 0) return;
    AppendBigEndian(&bytes_, size, 4);
    AppendBigEndian(&bytes_, 1, 4);
  }
  void Add(std::string_view element) {
    AppendBigEndian(&bytes_, element.size(), 4);
    bytes_ += element;
  }
  void AddNull() {
    bytes_[7] = 1;
    AppendBigEndian(&bytes_, 0xffffffff, 4);
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

template <typename Values>
std::string EncodeStrings(uint32_t element_type, const Values& values) {
  ArrayWriter writer(element_type, values.size());
  for (const auto& value : values) writer.Add(value);
  return writer.Take();
}

}  // namespace

Params& Params::Append(uint32_t type, std::string bytes) {
  values_.push_back({type, false, std::move(bytes)});
  return *this;
}

Params& Params::AppendNull(uint32_t type) {
  values_.push_back({type, true, {}});
  return *this;
}

Params& Params::Int(int64_t value) { return Append(kOidInt8, EncodeInt(value)); }

Params& Params::OptionalInt(std::optional<int64_t> value) {
  return value ? Int(*value) : AppendNull(kOidInt8);
}

Params& Params::Text(std::string_view value) { return Append(kOidText, std::string(value)); }

Params& Params::OptionalText(std::optional<std::string_view> value) {
  return value ? Text(*value) : AppendNull(kOidText);
}

Params& Params::Bytes(std::string_view value) { return Append(kOidBytea, std::string(value)); }

Params& Params::OptionalBytes(std::optional<std::string_view> value) {
  return value ? Bytes(*value) : AppendNull(kOidBytea);
}

Params& Params::Bool(bool value) { return Append(kOidBool, EncodeBool(value)); }

Params& Params::Double(double value) {
  return Append(kOidFloat8, EncodeInt(std::bit_cast<int64_t>(value)));
}

Params& Params::Time(absl::Time value) { return Append(kOidTimestamptz, EncodeTime(value)); }

Params& Params::OptionalTime(std::optional<absl::Time> value) {
  return value ? Time(*value) : AppendNull(kOidTimestamptz);
}

Params& Params::Ints(std::span<const int64_t> values) {
  ArrayWriter writer(kOidInt8, values.size());
  for (int64_t value : values) writer.Add(EncodeInt(value));
  return Append(kOidInt8Array, writer.Take());
}

Params& Params::Texts(std::span<const std::string_view> values) {
  return Append(kOidTextArray, EncodeStrings(kOidText, values));
}

Params& Params::Texts(std::span<const std::string> values) {
  return Append(kOidTextArray, EncodeStrings(kOidText, values));
}

Params& Params::BytesArray(std::span<const std::string_view> values) {
  return Append(kOidByteaArray, EncodeStrings(kOidBytea, values));
}

Params& Params::Bools(const std::vector<bool>& values) {
  ArrayWriter writer(kOidBool, values.size());
  for (bool value : values) writer.Add(EncodeBool(value));
  return Append(kOidBoolArray, writer.Take());
}

Params& Params::Times(std::span<const absl::Time> values) {
  ArrayWriter writer(kOidTimestamptz, values.size());
  for (absl::Time value : values) writer.Add(EncodeTime(value));
  return Append(kOidTimestamptzArray, writer.Take());
}

Params& Params::OptionalTexts(std::span<const std::optional<std::string_view>> values) {
  ArrayWriter writer(kOidText, values.size());
  for (const auto& value : values) value ? writer.Add(*value) : writer.AddNull();
  return Append(kOidTextArray, writer.Take());
}

Params& Params::OptionalTimes(std::span<const std::optional<absl::Time>> values) {
  ArrayWriter writer(kOidTimestamptz, values.size());
  for (const auto& value : values) value ? writer.Add(EncodeTime(*value)) : writer.AddNull();
  return Append(kOidTimestamptzArray, writer.Take());
}

}  // namespace godwit::db
