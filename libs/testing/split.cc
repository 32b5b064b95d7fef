#include "libs/testing/split.h"

#include <random>

namespace godwit::testing {
namespace {

constexpr size_t kEveryCutUpTo = 512;
constexpr size_t kSampledCuts = 256;
constexpr int kRandomSplits = 16;

bool IsInteresting(std::string_view wire, size_t cut, size_t stride) {
  if (cut % stride == 0) return true;
  return wire.size() <= 64 * kEveryCutUpTo && (wire[cut - 1] == '\r' || wire[cut - 1] == '\n');
}

void EveryCutInTwo(std::string_view wire, const std::function<void(const Chunks&)>& fn) {
  const size_t stride = wire.size() <= kEveryCutUpTo ? 1 : wire.size() / kSampledCuts;
  for (size_t cut = 1; cut < wire.size(); ++cut) {
    if (IsInteresting(wire, cut, stride)) fn({wire.substr(0, cut), wire.substr(cut)});
  }
}

void RandomCuts(std::string_view wire, const std::function<void(const Chunks&)>& fn) {
  std::mt19937 random(4711);
  for (int i = 0; i < kRandomSplits; ++i) {
    const size_t longest = 1 + random() % wire.size();
    Chunks chunks;
    for (size_t at = 0; at < wire.size();) {
      chunks.push_back(wire.substr(at, 1 + random() % longest));
      at += chunks.back().size();
    }
    fn(chunks);
  }
}

}  // namespace

void ForEachSplit(std::string_view wire, const std::function<void(const Chunks&)>& fn) {
  fn({wire});
  if (wire.size() < 2) return;
  Chunks bytes;
  for (size_t i = 0; i < wire.size(); ++i) bytes.push_back(wire.substr(i, 1));
  fn(bytes);
  EveryCutInTwo(wire, fn);
  RandomCuts(wire, fn);
}

std::string Describe(const Chunks& chunks) {
  std::string text;
  for (std::string_view chunk : chunks) {
    if (!text.empty()) text += '+';
    text += std::to_string(chunk.size());
  }
  return text;
}

}  // namespace godwit::testing
