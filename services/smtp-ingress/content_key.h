#pragma once

// ContentKey: a key for the queue that is made of what a message is, so that a client who sends it
// once more, after an answer that was lost or was 451, makes no second copy.
//
//   ContentKey key;
//   key.Add(piece); ...
//   std::string name = key.Finish();  // once
//
// SHA-256 (FIPS 180-4) over all pieces and their lengths. Pure; one thread.

#include <openssl/sha.h>

#include <string>
#include <string_view>

namespace godwit::smtp_ingress {

class ContentKey {
 public:
  ContentKey() { SHA256_Init(&state_); }

  // ("ab", "c") is something else than ("a", "bc").
  void Add(std::string_view piece);
  // The next octets of one long piece, however they are cut.
  void Feed(std::string_view bytes);

  std::string Finish();  // 64 octets, hexadecimal

 private:
  SHA256_CTX state_;
};

// Whether the header tells this message from another with the same text (RFC 5322 §3.6.1, §3.6.4).
bool TellsMessages(std::string_view header);

}  // namespace godwit::smtp_ingress
