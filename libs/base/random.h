#pragma once

// Random bytes for identifiers, salts and nonces. Code that needs them takes a RandomSource*, so
// that tests can hold it still.

#include <cstddef>
#include <cstdint>
#include <string>

namespace godwit::base {

class RandomSource {
 public:
  virtual ~RandomSource() = default;

  // `size` bytes fit for secrets.
  virtual std::string Bytes(size_t size) = 0;

  // 1 .. 2^63-1, for ids that must not be guessable.
  int64_t Id63();
  // `size` characters of [0-9a-z] without i, l, o, u (Crockford's base 32): 5 bits each.
  std::string Token(size_t size);

  // The kernel's generator (getrandom(2)); any thread; lives for ever.
  static RandomSource* System();
};

}  // namespace godwit::base
