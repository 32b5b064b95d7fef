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

const DecayingTable::Slot* DecayingTable::Find(size_t set, const NetworkKey& key) const {
  const Slot* const begin = &slots_[set * kSetSize];
  const Slot* const end = begin + kSetSize;
  const Slot* const found =
      std::find_if(begin, end, [&](const Slot& s) { return s.key == key && s.rank > 0; });
  return found == end ? nullptr : found;
}

DecayingTable::Slot& DecayingTable::Lowest(size_t set, double now) {
  size_t lowest = set * kSetSize;
  double lowest_rank = RankAt(slots_[lowest], now);
  for (size_t i = lowest + 1; i < (set + 1) * kSetSize && lowest_rank > 0; ++i) {
    const double rank = RankAt(slots_[i], now);
    if (rank >= lowest_rank) continue;
    lowest = i;
    lowest_rank = rank;
  }
  return slots_[lowest];
}

double DecayingTable::Level(const NetworkKey& key, absl::Duration now) const {
  const double at = absl::FDivDuration(now, period_);
  const size_t set = SetOf(key);
  std::lock_guard lock(MutexOf(set));
  const Slot* slot = Find(set, key);
  return slot == nullptr ? 0 : LevelAt(*slot, at);
}

double DecayingTable::Add(const NetworkKey& key, double amount, absl::Duration now) {
  const double at = absl::FDivDuration(now, period_);
  const size_t set = SetOf(key);
  std::lock_guard lock(MutexOf(set));
  const Slot* found = Find(set, key);
  Slot& slot = found == nullptr ? Lowest(set, at) : slots_[static_cast<size_t>(found - &slots_[0])];
  const double rank = RankAt(slot, at);
  const double level = found == nullptr ? 0 : LevelAt(slot, at);
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
