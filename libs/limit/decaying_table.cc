#include "libs/limit/decaying_table.h"

#include <openssl/siphash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace godwit::limit {
namespace {

constexpr size_t kSetSize = 8;
constexpr size_t kMutexes = 64;
// A slot of a lower rank is as good as empty.
constexpr float kNothing = 0.01F;

double Decay(double at, double now) { return now <= at ? 1 : std::exp(at - now); }

}  // namespace

DecayingTable::DecayingTable(const Options& options, const Seed& seed)
    : period_(options.period),
      seed_(seed),
      slots_(std::bit_ceil(std::max(options.slots, kSetSize))),
      mutexes_(kMutexes) {}

DecayingTable::~DecayingTable() = default;

size_t DecayingTable::SetOf(const NetworkKey& key) const {
  uint8_t bytes[10];
  std::memcpy(bytes, &key.prefix, 8);
  bytes[8] = key.bits;
  bytes[9] = key.v4 ? 4 : 6;
  return SIPHASH_24(seed_.data(), bytes, sizeof bytes) % (slots_.size() / kSetSize);
}

std::mutex& DecayingTable::MutexOf(size_t set) const { return mutexes_[set % kMutexes]; }

double DecayingTable::RankAt(const Slot& slot, double now) {
  return slot.rank < kNothing ? 0 : slot.rank * Decay(slot.at, now);
}

double DecayingTable::LevelAt(const Slot& slot, double now) {
  return slot.rank < kNothing ? 0 : (slot.rank - slot.error) * Decay(slot.at, now);
}

size_t DecayingTable::Find(size_t set, const NetworkKey& key, double now) const {
  size_t lowest = set * kSetSize;
  for (size_t i = set * kSetSize; i < (set + 1) * kSetSize; ++i) {
    if (slots_[i].key == key && slots_[i].rank > 0) return i;
    if (RankAt(slots_[i], now) < RankAt(slots_[lowest], now)) lowest = i;
  }
  return lowest;
}

double DecayingTable::Level(const NetworkKey& key, absl::Duration now) const {
  const double at = absl::FDivDuration(now, period_);
  const size_t set = SetOf(key);
  std::lock_guard lock(MutexOf(set));
  const Slot& slot = slots_[Find(set, key, at)];
  return slot.key == key ? LevelAt(slot, at) : 0;
}

double DecayingTable::Add(const NetworkKey& key, double amount, absl::Duration now) {
  const double at = absl::FDivDuration(now, period_);
  const size_t set = SetOf(key);
  std::lock_guard lock(MutexOf(set));
  Slot& slot = slots_[Find(set, key, at)];
  const double rank = RankAt(slot, at);
  const double level = slot.key == key ? LevelAt(slot, at) : 0;
  slot.rank = static_cast<float>(rank + amount);
  slot.error = static_cast<float>(rank - level);
  slot.at = std::max(slot.at, at);
  slot.key = key;
  return level + amount;
}

std::vector<Count> DecayingTable::Above(double floor, absl::Duration now) const {
  const double at = absl::FDivDuration(now, period_);
  std::vector<Count> loud;
  for (size_t mutex = 0; mutex < kMutexes; ++mutex) {
    std::lock_guard lock(mutexes_[mutex]);
    for (size_t set = mutex; set < slots_.size() / kSetSize; set += kMutexes) {
      for (size_t i = set * kSetSize; i < (set + 1) * kSetSize; ++i) {
        const Slot& slot = slots_[i];
        if (slot.rank < floor) continue;
        const double level = LevelAt(slot, at);
        if (level > 0 && level >= floor) loud.push_back({slot.key, level});
      }
    }
  }
  return loud;
}

}  // namespace godwit::limit
