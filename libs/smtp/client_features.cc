#include "libs/smtp/client_features.h"

#include <algorithm>

#include "libs/base/ascii.h"

namespace godwit::smtp {
namespace {

// There are some thirty.
constexpr size_t kMaxMechanisms = 100;

struct FlagRow {
  std::string_view keyword;
  bool ServerFeatures::*flag;
};

constexpr FlagRow kFlags[] = {
    {"PIPELINING", &ServerFeatures::pipelining},
    {"STARTTLS", &ServerFeatures::start_tls},
    {"ENHANCEDSTATUSCODES", &ServerFeatures::enhanced_codes},
    {"SIZE", &ServerFeatures::takes_size},
    {"8BITMIME", &ServerFeatures::eight_bit_mime},
    {"SMTPUTF8", &ServerFeatures::smtputf8},
    {"DSN", &ServerFeatures::dsn},
    {"REQUIRETLS", &ServerFeatures::require_tls},
    {"CHUNKING", &ServerFeatures::chunking},
    {"XORIGIN", &ServerFeatures::origin},
};

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::string_view word : base::Split(text, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

void ReadLine(std::string_view line, ServerFeatures* features) {
  const auto words = Words(line);
  if (words.empty()) return;
  for (const FlagRow& row : kFlags) {
    if (base::EqualsIgnoreCase(words[0], row.keyword)) features->*row.flag = true;
  }
  if (base::EqualsIgnoreCase(words[0], "SIZE") && words.size() > 1) {
    features->size = base::ParseDecimal(words[1]).value_or(0);
  }
  if (base::EqualsIgnoreCase(words[0], "AUTH")) {
    const size_t most = std::min(words.size(), kMaxMechanisms);
    for (size_t i = 1; i < most; ++i) features->auth.push_back(base::Upper(words[i]));
  }
}

}  // namespace

bool ServerFeatures::Authenticates(std::string_view mechanism) const {
  return std::find(auth.begin(), auth.end(), mechanism) != auth.end();
}

ServerFeatures ReadFeatures(const Reply& reply) {
  ServerFeatures features;
  features.esmtp = true;
  for (size_t i = 0; i < reply.lines.size(); ++i) {
    if (i > 0) {
      ReadLine(reply.lines[i], &features);
      continue;
    }
    const auto words = Words(reply.lines[i]);
    if (!words.empty()) features.name = words[0];
  }
  return features;
}

}  // namespace godwit::smtp
