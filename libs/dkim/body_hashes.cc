#include "libs/dkim/body_hashes.h"

#include <openssl/sha.h>

#include <algorithm>

namespace godwit::dkim {

// One hash: the first `length` octets of a canonical form, or all of it.
struct BodyHashes::Sink {
  explicit Sink(std::optional<uint64_t> wanted) : length(wanted) { SHA256_Init(&context); }

  void Update(std::string_view bytes) {
    if (length) {
      const uint64_t room = *length - taken;
      partial = partial || bytes.size() > room;
      bytes = bytes.substr(0, std::min<uint64_t>(room, bytes.size()));
    }
    taken += bytes.size();
    SHA256_Update(&context, bytes.data(), bytes.size());
  }

  void End() {
    digest.sha256.resize(SHA256_DIGEST_LENGTH);
    SHA256_Final(reinterpret_cast<uint8_t*>(digest.sha256.data()), &context);
    digest.too_short = length && taken < *length;
    digest.partial = partial;
  }

  std::optional<uint64_t> length;
  uint64_t taken = 0;
  bool partial = false;
  SHA256_CTX context;
  Digest digest;
};

// One canonical form and the hashes that run over it.
struct BodyHashes::Stream {
  explicit Stream(Canonicalization wanted) : form(wanted), canonicalizer(wanted) {}

  void Update(std::string_view bytes) {
    for (Sink* sink : sinks) sink->Update(bytes);
  }

  Canonicalization form;
  BodyCanonicalizer canonicalizer;
  std::vector<Sink*> sinks;
  std::vector<int> numbers;  // of the sinks
};

BodyHashes::BodyHashes() = default;
BodyHashes::~BodyHashes() = default;
BodyHashes::BodyHashes(BodyHashes&&) noexcept = default;
BodyHashes& BodyHashes::operator=(BodyHashes&&) noexcept = default;

int BodyHashes::Request(Canonicalization canonicalization, std::optional<uint64_t> length) {
  auto stream = std::find_if(streams_.begin(), streams_.end(),
                             [&](const auto& s) { return s->form == canonicalization; });
  if (stream == streams_.end()) {
    streams_.push_back(std::make_unique<Stream>(canonicalization));
    stream = std::prev(streams_.end());
  }
  for (size_t i = 0; i < (*stream)->sinks.size(); ++i) {
    if ((*stream)->sinks[i]->length == length) return (*stream)->numbers[i];
  }
  sinks_.push_back(std::make_unique<Sink>(length));
  const int number = static_cast<int>(sinks_.size()) - 1;
  (*stream)->sinks.push_back(sinks_.back().get());
  (*stream)->numbers.push_back(number);
  return number;
}

void BodyHashes::Feed(std::string_view chunk) {
  for (const auto& stream : streams_) {
    stream->canonicalizer.Feed(chunk, [&](std::string_view bytes) { stream->Update(bytes); });
  }
}

void BodyHashes::End() {
  for (const auto& stream : streams_) {
    stream->canonicalizer.End([&](std::string_view bytes) { stream->Update(bytes); });
  }
  for (const auto& sink : sinks_) sink->End();
}

const BodyHashes::Digest& BodyHashes::Get(int request) const {
  return sinks_[static_cast<size_t>(request)]->digest;
}

}  // namespace godwit::dkim
