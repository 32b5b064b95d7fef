#pragma once

// DecayingTable: how much each of very many networks has done lately, in a fixed amount of memory.
//
//   DecayingTable table({.period = absl::Minutes(1)}, seed);
//   if (table.Level(key, now) < 300) table.Add(key, 1, now);
//
// The level of a key is the sum of what was added for it, each addition worth 1/e of itself after
// every `period`. Who does r in each period, evenly, has the level r; a burst counts in full at
// once. Levels of several tables (replicas) add up exactly: decay is linear.
//
// Bounds. The slots stand in sets of eight; SipHash under a random seed says which set is a key's,
// so that nobody can aim at one. A key that finds its set full takes over the slot with the lowest
// rank and goes on from that rank, but not from that level (Metwally, Agrawal, El Abbadi,
// "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005: Space-Saving, with
// its error subtracted, here in each set). So
//   - a level is never too high: nobody is refused for what others did;
//   - it is too low by at most the lowest of eight ranks, hence by at most an eighth of what all
//     keys of its set did: on average (all that was done lately) / slots;
//   - who does more than that is never pushed out by those who do little.
// A million new connections a minute from as many addresses, three keys each, in 16,384 slots: an
// address that may have 300 gets at most about 480. Below 16,384 keys at a time nothing is lost.
//
// Cost: a look at one set, 256 bytes. Thread-safe: one mutex for every 32 sets, held for as long
// as that look takes; two threads meet with a chance of one in 64.

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/time/time.h"
#include "libs/limit/network.h"

namespace godwit::limit {

// A network and its level, or what else is counted of it.
struct Count {
  NetworkKey network;
  double level = 0;
};

// For the hash.
using Seed = std::array<uint64_t, 2>;

class DecayingTable {
 public:
  struct Options {
    absl::Duration period = absl::Minutes(1);
    size_t slots = 16384;  // 32 octets each; rounded up to whole sets and a power of two
  };
  DecayingTable(const Options& options, const Seed& seed);
  ~DecayingTable();
  DecayingTable(const DecayingTable&) = delete;
  DecayingTable& operator=(const DecayingTable&) = delete;

  // `now`: on the monotonic clock; one that goes back counts as standing still.
  double Level(const NetworkKey& key, absl::Duration now) const;
  // The level afterwards.
  double Add(const NetworkKey& key, double amount, absl::Duration now);
  // All whose level is at least `floor`; in no order.
  std::vector<Count> Above(double floor, absl::Duration now) const;

  size_t slots() const { return slots_.size(); }

 private:
  struct Slot {
    NetworkKey key;
    float rank = 0;   // the level and the error
    float error = 0;  // the rank of the key before
    double at = 0;    // when they were that, in periods
  };
  struct Stripe;

  size_t SetOf(const NetworkKey& key) const;
  std::mutex& MutexOf(size_t set) const;
  static double RankAt(const Slot& slot, double now);
  static double LevelAt(const Slot& slot, double now);
  // nullptr: it has none.
  const Slot* Find(size_t set, const NetworkKey& key) const;
  Slot& Lowest(size_t set, double now);

  const absl::Duration period_;
  const Seed seed_;
  std::vector<Slot> slots_;
  mutable std::vector<std::mutex> mutexes_;
};

}  // namespace godwit::limit
