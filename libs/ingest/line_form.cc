#include "libs/ingest/line_form.h"

#include <cstdint>
#include <limits>

namespace godwit::ingest {
namespace {

// What came was bounded; base64 adds a third.
constexpr uint64_t kAnySize = std::numeric_limits<uint64_t>::max();

}  // namespace

LineForm::LineForm(size_t max_line) : reader_({kAnySize, max_line}, smtp::DataFraming::kChunks) {}

void LineForm::Judge(std::string_view bytes) {
  while (!bytes.empty()) (void)reader_.Next(&bytes);
}

void LineForm::Feed(std::string_view bytes, std::string* out) {
  const size_t before = out->size();
  encoder_.Feed(bytes, out);
  Judge(std::string_view(*out).substr(before));
}

void LineForm::Finish(std::string* out) {
  const size_t before = out->size();
  encoder_.Finish(out);
  Judge(std::string_view(*out).substr(before));
  if (!reader_.in_line()) return;
  *out += "\r\n";
  Judge("\r\n");
}

std::optional<smtp::Reply> LineForm::refused() const {
  if (encoder_.sealed()) {
    return smtp::MakeReply(smtp::ReplyKind::kConversionProhibited);
  }
  if (reader_.error() == smtp::DataError::kNone) return std::nullopt;
  return smtp::MakeReply(smtp::ReplyFor(reader_.error()));
}

}  // namespace godwit::ingest
