// BinaryEncoder. Properties: the same output for the whole and byte by byte; a message that was
// encoded has nothing more to encode, but for what is signed.

#include <algorithm>
#include <cstdint>
#include <string>

#include "libs/base/check.h"
#include "libs/mime/binary_encoder.h"

namespace {

using godwit::mime::BinaryEncoder;

std::string Encode(std::string_view in, size_t step, bool* sealed) {
  BinaryEncoder encoder({8, 4096});
  std::string out;
  for (; !in.empty(); in.remove_prefix(std::min(step, in.size()))) {
    encoder.Feed(in.substr(0, step), &out);
  }
  encoder.Finish(&out);
  *sealed = encoder.sealed();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in(reinterpret_cast<const char*>(data), size);
  bool sealed = false;
  bool cut_sealed = false;
  const std::string whole = Encode(in, in.size(), &sealed);
  GODWIT_CHECK(whole == Encode(in, 1, &cut_sealed) && sealed == cut_sealed);
  GODWIT_CHECK(Encode(whole, whole.size(), &sealed) == whole);
  return 0;
}
