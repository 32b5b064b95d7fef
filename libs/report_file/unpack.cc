#include "libs/report_file/unpack.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::report_file {
namespace {

constexpr size_t kMaxEntries = 16;
constexpr size_t kStep = 64 * 1024;
constexpr size_t kRatioFrom = 1 << 20;

constexpr int kGzip = 16 + MAX_WBITS;
constexpr int kRaw = -MAX_WBITS;

struct InflateEnd {
  void operator()(z_stream* stream) const {
    inflateEnd(stream);
    delete stream;
  }
};

size_t MostFrom(size_t packed, const UnpackLimits& limits) {
  const size_t by_ratio = std::max(kRatioFrom, packed * limits.ratio);
  return std::min(limits.bytes, by_ratio);
}

// One compressed stream, to its end; what is behind it is not looked at.
absl::StatusOr<std::string> Inflate(std::string_view packed, int window_bits,
                                    const UnpackLimits& limits) {
  std::unique_ptr<z_stream, InflateEnd> stream(new z_stream());
  if (inflateInit2(stream.get(), window_bits) != Z_OK) return base::Internal("inflateInit2");
  stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream->avail_in = static_cast<uInt>(packed.size());
  const size_t most = MostFrom(packed.size(), limits);
  std::string out;
  out.reserve(most + kStep);  // growing by copies would take three times as much of a bomb
  for (int result = Z_OK; result != Z_STREAM_END;) {
    const size_t have = out.size();
    if (have > most) return base::ResourceExhausted("unpacks to too much");
    out.resize(have + kStep);
    stream->next_out = reinterpret_cast<Bytef*>(out.data() + have);
    stream->avail_out = kStep;
    result = inflate(stream.get(), Z_NO_FLUSH);
    out.resize(out.size() - stream->avail_out);
    const bool stuck = result == Z_BUF_ERROR || (result == Z_OK && out.size() == have);
    if (stuck) return base::InvalidArgument("the packed data is cut off");
    if (result != Z_OK && result != Z_STREAM_END) {
      return base::InvalidArgument("the packed data is damaged");
    }
  }
  if (out.size() > most) return base::ResourceExhausted("unpacks to too much");
  return out;
}

// Little-endian numbers of a zip archive. Reading outside of it gives 0 and ok() false.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}

  uint32_t Number(size_t at, size_t size) {
    if (at > bytes_.size() || bytes_.size() - at < size) {
      ok_ = false;
      return 0;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes_[at + i])) << (8 * i);
    }
    return value;
  }
  std::string_view Piece(size_t at, size_t size) {
    if (at > bytes_.size() || bytes_.size() - at < size) {
      ok_ = false;
      return {};
    }
    return bytes_.substr(at, size);
  }
  bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

struct Entry {
  std::string_view name;
  uint32_t flags = 0;
  uint32_t method = 0;
  uint32_t crc = 0;
  uint32_t packed = 0;
  uint32_t size = 0;
  size_t local_header = 0;
};

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr std::string_view kEndOfDirectory = "PK\x05\x06";
constexpr size_t kEndSize = 22;

// The entry at `*at` of the central directory; moves on behind it.
std::optional<Entry> ReadEntry(Fields* zip, size_t* at) {
  if (zip->Number(*at, 4) != kCentralHeader) return std::nullopt;
  Entry entry;
  entry.flags = zip->Number(*at + 8, 2);
  entry.method = zip->Number(*at + 10, 2);
  entry.crc = zip->Number(*at + 16, 4);
  entry.packed = zip->Number(*at + 20, 4);
  entry.size = zip->Number(*at + 24, 4);
  const size_t name = zip->Number(*at + 28, 2);
  const size_t rest = zip->Number(*at + 30, 2) + zip->Number(*at + 32, 2);
  entry.local_header = zip->Number(*at + 42, 4);
  entry.name = zip->Piece(*at + 46, name);
  *at += 46 + name + rest;
  if (!zip->ok()) return std::nullopt;
  return entry;
}

bool IsReportName(std::string_view name) {
  return base::EndsWithIgnoreCase(name, ".xml") || base::EndsWithIgnoreCase(name, ".json");
}

// The directory stands at the end: a comment behind it has at most 65535 octets.
std::optional<Entry> FindEntry(std::string_view archive) {
  const size_t end = archive.rfind(kEndOfDirectory);
  if (end == std::string_view::npos || archive.size() - end < kEndSize) return std::nullopt;
  Fields zip(archive);
  const size_t count = zip.Number(end + 10, 2);
  size_t at = zip.Number(end + 16, 4);
  std::optional<Entry> found;
  for (size_t i = 0; i < std::min(count, kMaxEntries); ++i) {
    const std::optional<Entry> entry = ReadEntry(&zip, &at);
    if (!entry) return std::nullopt;
    if (entry->name.empty() || entry->name.back() == '/') continue;
    if (IsReportName(entry->name)) return entry;
    if (!found) found = entry;
  }
  return found;
}

absl::StatusOr<std::string> Unzip(std::string_view archive, const UnpackLimits& limits) {
  const std::optional<Entry> entry = FindEntry(archive);
  if (!entry) return base::InvalidArgument("the zip archive has no readable file");
  if ((entry->flags & 1) != 0) return base::InvalidArgument("the zip archive is encrypted");
  Fields zip(archive);
  const size_t at = entry->local_header;
  const bool header = zip.Number(at, 4) == kLocalHeader;
  const size_t skip = 30 + zip.Number(at + 26, 2) + zip.Number(at + 28, 2);
  const std::string_view packed = zip.Piece(at + skip, entry->packed);
  if (!header || !zip.ok()) return base::InvalidArgument("the zip archive is damaged");
  if (entry->size > limits.bytes) return base::ResourceExhausted("unpacks to too much");
  absl::StatusOr<std::string> out = base::InvalidArgument("the zip archive packs in another way");
  if (entry->method == 0) out = std::string(packed);
  if (entry->method == Z_DEFLATED) out = Inflate(packed, kRaw, limits);
  if (!out.ok()) return out;
  const uLong crc =
      crc32(0, reinterpret_cast<const Bytef*>(out->data()), static_cast<uInt>(out->size()));
  if (crc != entry->crc) return base::InvalidArgument("the zip archive is damaged");
  return out;
}

}  // namespace

absl::StatusOr<std::string> Unpack(std::string_view file, const UnpackLimits& limits) {
  if (file.size() > limits.bytes) return base::ResourceExhausted("the file is too large");
  if (file.starts_with("\x1f\x8b")) return Inflate(file, kGzip, limits);
  if (file.starts_with("PK\x03\x04")) return Unzip(file, limits);
  return std::string(file);
}

}  // namespace godwit::report_file
