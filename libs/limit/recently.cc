#include "libs/limit/recently.h"

#include <algorithm>
#include <bit>
#include <iterator>

namespace godwit::limit {
namespace {

constexpr size_t kSetSize = 8;

}  // namespace

Recently::Recently(const Options& options)
    : options_(options), slots_(std::bit_ceil(std::max(options.slots, kSetSize))) {}

size_t Recently::SetOf(uint64_t hash) const { return hash % (slots_.size() / kSetSize) * kSetSize; }

bool Recently::Has(uint64_t hash, absl::Duration now) const {
  const double at = absl::ToDoubleSeconds(now);
  std::lock_guard lock(mutex_);
  const auto set = slots_.begin() + static_cast<std::ptrdiff_t>(SetOf(hash));
  return std::any_of(set, set + kSetSize,
                     [&](const Slot& slot) { return slot.hash == hash && slot.until > at; });
}

void Recently::Note(uint64_t hash, absl::Duration now) {
  const double until = absl::ToDoubleSeconds(now + options_.life);
  std::lock_guard lock(mutex_);
  const auto set = slots_.begin() + static_cast<std::ptrdiff_t>(SetOf(hash));
  auto slot =
      std::find_if(set, set + kSetSize, [&](const Slot& each) { return each.hash == hash; });
  if (slot == set + kSetSize) {
    slot = std::min_element(set, set + kSetSize,
                            [](const Slot& a, const Slot& b) { return a.until < b.until; });
  }
  *slot = {hash, until};
}

}  // namespace godwit::limit
