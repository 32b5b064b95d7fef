#include "libs/base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "libs/base/check.h"

namespace godwit::base {
namespace {

class SystemRandom : public RandomSource {
 public:
  std::string Bytes(size_t size) override {
    std::string bytes(size, '\0');
    size_t done = 0;
    while (done < size) {
      const ssize_t n = getrandom(bytes.data() + done, size - done, 0);
      GODWIT_CHECK(n > 0 || errno == EINTR);
      if (n > 0) done += static_cast<size_t>(n);
    }
    return bytes;
  }
};

}  // namespace

int64_t RandomSource::Id63() {
  while (true) {
    const std::string bytes = Bytes(sizeof(uint64_t));
    uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    value >>= 1;
    if (value != 0) return static_cast<int64_t>(value);
  }
}

std::string RandomSource::Token(size_t size) {
  static constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  std::string token = Bytes(size);
  for (char& c : token) c = kAlphabet[static_cast<unsigned char>(c) & 31];
  return token;
}

RandomSource* RandomSource::System() {
  static SystemRandom* const source = new SystemRandom;
  return source;
}

}  // namespace godwit::base
