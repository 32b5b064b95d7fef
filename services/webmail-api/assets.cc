#include "services/webmail-api/assets.h"

#include <openssl/sha.h>

#include "libs/base/encoding.h"

namespace godwit::webmail_api {

// Written by web/embed.py.
struct EmbeddedFile {
  const char* name;
  const unsigned char* octets;
  unsigned long size;
};
extern const EmbeddedFile kEmbeddedFiles[];
extern const unsigned long kEmbeddedFileCount;

namespace {

std::string_view TypeOf(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

std::string EtagOf(std::string_view octets) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(octets.data()), octets.size(), digest);
  return "\"" + base::HexEncode({reinterpret_cast<const char*>(digest), 12}) + "\"";
}

std::vector<Asset> MakeAssets() {
  std::vector<Asset> assets;
  for (unsigned long i = 0; i < kEmbeddedFileCount; ++i) {
    const EmbeddedFile& file = kEmbeddedFiles[i];
    Asset asset;
    asset.path = file.name;
    asset.octets = {reinterpret_cast<const char*>(file.octets), file.size};
    asset.content_type = TypeOf(asset.path);
    asset.etag = EtagOf(asset.octets);
    assets.push_back(std::move(asset));
  }
  return assets;
}

}  // namespace

const Asset* FindAsset(std::string_view path) {
  static const std::vector<Asset>* const assets = new std::vector<Asset>(MakeAssets());
  if (path == "/") path = "/index.html";
  for (const Asset& asset : *assets) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

}  // namespace godwit::webmail_api
