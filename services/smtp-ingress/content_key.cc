#include "services/smtp-ingress/content_key.h"

#include <cstdint>

#include "libs/base/encoding.h"
#include "libs/mime/header.h"

namespace godwit::smtp_ingress {

void ContentKey::Add(std::string_view piece) {
  Feed(std::to_string(piece.size()) + ":");
  Feed(piece);
}

void ContentKey::Feed(std::string_view bytes) {
  SHA256_Update(&state_, bytes.data(), bytes.size());
}

std::string ContentKey::Finish() {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &state_);
  return base::HexEncode({reinterpret_cast<const char*>(digest), sizeof digest});
}

bool TellsMessages(std::string_view header) {
  const mime::HeaderBlock fields = mime::SplitHeader(header);
  return !fields.FindAll("Message-ID").empty() || !fields.FindAll("Date").empty();
}

}  // namespace godwit::smtp_ingress
