// Any bytes are a message: the parser never fails, gives the same for every split, stays within
// the message and its limits, and its Summary survives the way to the database and back.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/mime/body.h"
#include "libs/mime/parser.h"
#include "libs/mime/record.h"

namespace godwit::mime {
namespace {

constexpr Limits kSmall{.max_depth = 5,
                        .max_parts = 8,
                        .max_header_bytes = 200,
                        .max_part_header_bytes = 300,
                        .max_addresses = 3,
                        .max_preview_source = 40};

Summary ParseInSteps(std::string_view message, size_t step, const Limits& limits) {
  Parser parser(limits);
  while (!message.empty()) {
    const size_t size = std::min(step, message.size());
    parser.Feed(message.substr(0, size));
    message.remove_prefix(size);
  }
  return parser.Finish();
}

// Checks `part` and all below it; returns their number.
size_t CheckPart(const Part& part, uint64_t begin, uint64_t end, size_t depth,
                 const Limits& limits) {
  GODWIT_CHECK(depth <= limits.max_depth);
  GODWIT_CHECK(part.body_offset >= begin && part.body_size <= end - part.body_offset);
  GODWIT_CHECK(part.lines <= part.body_size);
  GODWIT_CHECK(part.envelope.has_value() == (part.kind == Part::Kind::kMessage));
  if (part.kind == Part::Kind::kLeaf) GODWIT_CHECK(part.children.empty());
  if (part.kind == Part::Kind::kMessage) GODWIT_CHECK(part.children.size() == 1);
  size_t count = 1;
  uint64_t at = part.body_offset;
  for (const Part& child : part.children) {
    // Header, then body, after the part before, within the parent.
    GODWIT_CHECK(child.header_offset >= at);
    GODWIT_CHECK(child.header_offset + child.header_size == child.body_offset);
    count += CheckPart(child, at, part.body_offset + part.body_size, depth + 1, limits);
    at = child.body_offset + child.body_size;
  }
  return count;
}

void CheckSummary(const Summary& summary, std::string_view message, const Limits& limits) {
  GODWIT_CHECK(summary.header_size + summary.body_size == message.size());
  GODWIT_CHECK(summary.root.header_size == summary.header_size);
  GODWIT_CHECK(summary.root.body_offset == 0 && summary.root.body_size == summary.body_size);
  GODWIT_CHECK(CheckPart(summary.root, 0, summary.body_size, 1, limits) <= limits.max_parts);
  GODWIT_CHECK(base::IsUtf8(summary.preview) && summary.preview.size() <= 4 * 256);
  GODWIT_CHECK(base::IsUtf8(summary.base_subject));
  GODWIT_CHECK(summary.envelope.to.size() <= limits.max_addresses + 1);
  const auto decoded = Decode(Encode(summary));
  GODWIT_CHECK(decoded.ok() && *decoded == summary);
}

void CheckText(const Part& part, std::string_view body) {
  if (part.kind == Part::Kind::kLeaf) {
    const std::string_view content = body.substr(part.body_offset, part.body_size);
    std::string whole;
    TextDecoder decoder(part);
    decoder.Feed(content, &whole);
    decoder.Finish(&whole);
    GODWIT_CHECK(base::IsUtf8(whole));
    std::string octets;
    TextDecoder slow(part);
    for (size_t i = 0; i < content.size(); ++i) slow.Feed(content.substr(i, 1), &octets);
    slow.Finish(&octets);
    GODWIT_CHECK(octets == whole);
  }
  for (const Part& child : part.children) CheckText(child, body);
}

void CheckAll(std::string_view message) {
  for (const Limits& limits : {Limits{}, kSmall}) {
    const Summary summary = ParseMessage(message, limits);
    CheckSummary(summary, message, limits);
    for (const size_t step : {1, 2, 3, 7, 61}) {
      GODWIT_CHECK(ParseInSteps(message, step, limits) == summary);
    }
    CheckText(summary.root, message.substr(summary.header_size));
  }
  // The input as a record of its own.
  const auto record = Decode(message);
  if (record.ok()) GODWIT_CHECK(Decode(Encode(*record)).ok());
}

}  // namespace
}  // namespace godwit::mime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::mime::CheckAll({reinterpret_cast<const char*>(data), size});
  return 0;
}
