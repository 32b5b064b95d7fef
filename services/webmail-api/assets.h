#pragma once

// The files of the web page, built from web/ and compiled in.

#include <string>
#include <string_view>
#include <vector>

namespace godwit::webmail_api {

struct Asset {
  std::string_view path;  // "/app.js"
  std::string_view content_type;
  std::string_view octets;
  std::string etag;  // with its quotes
};

// nullptr when there is none.
const Asset* FindAsset(std::string_view path);

}  // namespace godwit::webmail_api
