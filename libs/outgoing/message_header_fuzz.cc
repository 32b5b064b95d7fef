// Headers of submitted messages. Properties of one that is taken:
// - completed it is taken again, with the same authors, and nothing more is added;
// - it ends with the empty line, has no Bcc, and exactly one From, Date and Message-ID.

#include <cstdint>
#include <string>
#include <string_view>

#include "libs/base/check.h"
#include "libs/mime/header.h"
#include "libs/outgoing/message_header.h"

namespace {

using godwit::outgoing::CompleteHeader;
using godwit::outgoing::HeaderFacts;
using godwit::outgoing::ReadHeader;

// As smtp::DataReader lets it through: lines end with CRLF and nothing else.
bool HasGoodLines(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return false;
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return false;
  }
  return text.empty() || text.ends_with("\r\n");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view header(reinterpret_cast<const char*>(data), size);
  // Never one with an empty line in its midst.
  if (!HasGoodLines(header) || godwit::mime::SplitHeader(header).size != size) return 0;
  const auto read = ReadHeader(header, true);
  const auto* facts = std::get_if<HeaderFacts>(&read);
  if (facts == nullptr) return 0;
  const std::string complete = CompleteHeader(header, *facts, absl::UnixEpoch(), "token");
  GODWIT_CHECK(complete.ends_with("\r\n\r\n"));
  const auto again = ReadHeader(complete, true);
  const auto* second = std::get_if<HeaderFacts>(&again);
  GODWIT_CHECK(second != nullptr);
  GODWIT_CHECK(second->authors == facts->authors && second->from == facts->from);
  GODWIT_CHECK(second->has_date && second->has_message_id);
  GODWIT_CHECK(CompleteHeader(complete, *second, absl::UnixEpoch(), "other") == complete);
  const auto block = godwit::mime::SplitHeader(complete);
  GODWIT_CHECK(block.truncated || block.FindAll("Bcc").empty());
  return 0;
}
