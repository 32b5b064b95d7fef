#include "libs/base/random.h"

#include <catch2/catch.hpp>
#include <deque>
#include <set>
#include <string_view>

namespace godwit::base {
namespace {

// Hands out what the test put into it.
class Scripted : public RandomSource {
 public:
  explicit Scripted(std::deque<std::string> bytes) : bytes_(std::move(bytes)) {}
  std::string Bytes(size_t size) override {
    std::string next = bytes_.front();
    bytes_.pop_front();
    REQUIRE(next.size() == size);
    return next;
  }

 private:
  std::deque<std::string> bytes_;
};

TEST_CASE("System random bytes have the asked size and do not repeat", "[base][unit]") {
  RandomSource* random = RandomSource::System();
  CHECK(random->Bytes(0).empty());
  // Above 256 bytes getrandom may be interrupted and give less.
  CHECK(random->Bytes(100'000).size() == 100'000);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random->Bytes(16));
  CHECK(seen.size() == 1000);
}

TEST_CASE("Id63 is positive and never zero", "[base][unit]") {
  Scripted random({std::string(8, '\0'), std::string("\x01\0\0\0\0\0\0\0", 8),  // both give 0
                   std::string(8, '\xff')});
  CHECK(random.Id63() == INT64_MAX);
  for (int i = 0; i < 1000; ++i) CHECK(RandomSource::System()->Id63() > 0);
}

TEST_CASE("Token uses all of Crockford's alphabet and nothing else", "[base][unit]") {
  static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  const std::string token = RandomSource::System()->Token(5000);
  CHECK(token.size() == 5000);
  CHECK(token.find_first_not_of(kAlphabet) == std::string::npos);
  CHECK(std::set<char>(token.begin(), token.end()).size() == kAlphabet.size());
  Scripted random({std::string("\x00\x1f\x20\xff", 4)});
  CHECK(random.Token(4) == "0z0z");
}

}  // namespace
}  // namespace godwit::base
