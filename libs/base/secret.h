#pragma once

// Secret: bytes that must not be seen (passwords, keys). It is wiped when it goes, compares in
// constant time, and has no stream operator and no implicit conversion, so that it can not reach a
// log by accident.

#include <string>
#include <string_view>

namespace godwit::base {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes) : bytes_(bytes) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  // The bytes themselves: the one place to search for when reviewing who reads secrets.
  std::string_view Reveal() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }

  // Takes time that depends on the sizes only.
  friend bool operator==(const Secret& a, const Secret& b);

 private:
  void Wipe();
  std::string bytes_;
};

// True when both are the same bytes; time depends on the sizes only.
bool ConstantTimeEquals(std::string_view a, std::string_view b);

}  // namespace godwit::base
