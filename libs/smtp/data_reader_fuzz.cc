// Mail data. Properties: the same end, rest and text for the whole and byte by byte; the text, with
// dots put back, is the wire up to the end. As chunks: the same text and fault for the whole and
// byte by byte; the text is the wire, and has lines only.

#include <algorithm>
#include <cstdint>
#include <string>

#include "libs/base/check.h"
#include "libs/smtp/data_reader.h"

namespace {

using godwit::smtp::DataChunk;
using godwit::smtp::DataEnd;
using godwit::smtp::DataError;
using godwit::smtp::DataFraming;
using godwit::smtp::DataReader;

struct Outcome {
  std::string text;
  DataEnd end;
  bool ended = false;
  size_t used = 0;
};

Outcome Read(std::string_view wire, size_t step) {
  DataReader reader({1000, 80});
  Outcome out;
  while (!wire.empty() && !out.ended) {
    std::string_view in = wire.substr(0, step);
    const size_t before = in.size();
    auto result = reader.Next(&in);
    out.used += before - in.size();
    wire.remove_prefix(before - in.size());
    if (auto* chunk = std::get_if<DataChunk>(&result)) {
      out.text += chunk->bytes;
    } else if (auto* end = std::get_if<DataEnd>(&result)) {
      out.end = *end;
      out.ended = true;
    }
  }
  return out;
}

Outcome ReadChunks(std::string_view wire, size_t step) {
  DataReader reader({1000, 80}, DataFraming::kChunks);
  Outcome out;
  for (; !wire.empty(); wire.remove_prefix(std::min(step, wire.size()))) {
    std::string_view in = wire.substr(0, step);
    while (!in.empty()) {
      auto result = reader.Next(&in);
      if (auto* chunk = std::get_if<DataChunk>(&result)) out.text += chunk->bytes;
    }
  }
  out.ended = !reader.in_line();
  out.end = {reader.error(), reader.size()};
  return out;
}

void CheckChunks(std::string_view wire) {
  const Outcome whole = ReadChunks(wire, wire.size());
  const Outcome cut = ReadChunks(wire, 1);
  GODWIT_CHECK(whole.ended == cut.ended && whole.end == cut.end);
  if (!whole.ended || whole.end.error != DataError::kNone) return;
  GODWIT_CHECK(whole.text == wire && cut.text == wire);
  for (size_t i = 0; i < wire.size(); ++i) {
    if (wire[i] == '\n') GODWIT_CHECK(i > 0 && wire[i - 1] == '\r');
    if (wire[i] == '\r') GODWIT_CHECK(i + 1 < wire.size() && wire[i + 1] == '\n');
  }
}

std::string Stuff(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' && (i == 0 || text[i - 1] == '\n')) out += '.';
    out += text[i];
  }
  return out + ".\r\n";
}

// The reader may drop a dot that a client did not double ("\r\n.a"): then stuffing is not the
// inverse, and the line is left alone here.
bool IsStuffed(std::string_view wire) {
  for (size_t i = 0; i + 1 < wire.size(); ++i) {
    const bool at_start = i == 0 || wire[i - 1] == '\n';
    if (wire[i] == '.' && at_start && wire[i + 1] != '.' && wire[i + 1] != '\r') return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  CheckChunks(wire);
  const Outcome whole = Read(wire, wire.size());
  const Outcome cut = Read(wire, 1);
  GODWIT_CHECK(whole.ended == cut.ended && whole.end == cut.end && whole.used == cut.used);
  if (!whole.ended || whole.end.error != DataError::kNone) return 0;
  GODWIT_CHECK(whole.text == cut.text && whole.text.size() == whole.end.size);
  const std::string_view taken = wire.substr(0, whole.used);
  if (IsStuffed(taken)) GODWIT_CHECK(Stuff(whole.text) == taken);
  return 0;
}
