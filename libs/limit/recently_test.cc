#include "libs/limit/recently.h"

#include <catch2/catch.hpp>

namespace godwit::limit {
namespace {

TEST_CASE("What happened is known until its life is over", "[limit][unit]") {
  Recently recently({.life = absl::Hours(1), .slots = 64});
  CHECK_FALSE(recently.Has(7, absl::ZeroDuration()));
  CHECK_FALSE(recently.Has(0, absl::ZeroDuration()));
  recently.Note(7, absl::ZeroDuration());
  CHECK(recently.Has(7, absl::Minutes(59)));
  CHECK_FALSE(recently.Has(7, absl::Minutes(60)));
  recently.Note(7, absl::Minutes(59));
  CHECK(recently.Has(7, absl::Minutes(100)));
  CHECK_FALSE(recently.Has(8, absl::Minutes(100)));
}

TEST_CASE("In a full set the oldest is forgotten", "[limit][unit]") {
  Recently recently({.life = absl::Hours(1), .slots = 8});
  for (uint64_t i = 1; i <= 8; ++i) recently.Note(i, absl::Minutes(i));
  recently.Note(1, absl::Minutes(9));  // renewed: 2 is the oldest
  recently.Note(9, absl::Minutes(10));
  CHECK_FALSE(recently.Has(2, absl::Minutes(10)));
  for (const uint64_t kept : {1, 3, 4, 5, 6, 7, 8, 9}) CHECK(recently.Has(kept, absl::Minutes(10)));
}

}  // namespace
}  // namespace godwit::limit
