#pragma once

// The SHA-256 hashes of a message body that its signatures need, made while the body streams. Each
// canonical form is made once, whatever the number of signatures; signatures that want the same
// hash share it.
//
//   int h = hashes.Request(Canonicalization::kRelaxed, std::nullopt);
//   hashes.Feed(chunk); ... hashes.End();
//   hashes.Get(h).sha256

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/dkim/canonical.h"

namespace godwit::dkim {

class BodyHashes {
 public:
  struct Digest {
    std::string sha256;      // 32 bytes
    bool too_short = false;  // the body has fewer canonical octets than the length asked for
    bool partial = false;    // it has more
  };

  BodyHashes();
  ~BodyHashes();
  BodyHashes(BodyHashes&&) noexcept;
  BodyHashes& operator=(BodyHashes&&) noexcept;

  // Before the first Feed(). With a length only the first `length` canonical octets count (the l=
  // tag of RFC 6376 §3.5). Equal requests give the same number.
  int Request(Canonicalization canonicalization, std::optional<uint64_t> length);
  void Feed(std::string_view chunk);
  void End();
  // After End().
  const Digest& Get(int request) const;

 private:
  struct Sink;
  struct Stream;

  std::vector<std::unique_ptr<Stream>> streams_;  // at most one a canonical form
  std::vector<std::unique_ptr<Sink>> sinks_;
};

}  // namespace godwit::dkim
