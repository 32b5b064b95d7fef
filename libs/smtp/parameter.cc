#include "libs/smtp/parameter.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/smtp/xtext.h"

namespace godwit::smtp {
namespace {

// One row of a table: `set` takes the value ("" when there is no "=") and says whether it is good.
template <typename Parameters>
struct Row {
  std::string_view keyword;
  std::optional<Extension> needs;
  bool (*set)(std::string_view value, Parameters* out);
};

bool SetSize(std::string_view value, MailParameters* out) {
  // RFC 1870 §5: size-value = 1*20DIGIT.
  out->size = base::ParseDecimal(value);
  return out->size.has_value() && value.size() <= 20;
}

bool SetBody(std::string_view value, MailParameters* out) {
  if (base::EqualsIgnoreCase(value, "8BITMIME")) {
    out->body = BodyType::k8BitMime;
    return true;
  }
  if (base::EqualsIgnoreCase(value, "BINARYMIME")) {
    out->body = BodyType::kBinaryMime;
    return true;
  }
  return base::EqualsIgnoreCase(value, "7BIT");
}

bool SetSmtpUtf8(std::string_view value, MailParameters* out) {
  out->smtputf8 = true;
  return value.empty();
}

bool SetAuth(std::string_view value, MailParameters* out) {
  out->auth = value == "<>" ? std::string() : XtextDecode(value);
  return out->auth.has_value() && !value.empty();
}

bool SetRet(std::string_view value, MailParameters* out) {
  if (base::EqualsIgnoreCase(value, "FULL")) {
    out->ret = DsnReturn::kFull;
  } else if (base::EqualsIgnoreCase(value, "HDRS")) {
    out->ret = DsnReturn::kHeaders;
  }
  return out->ret.has_value();
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool SetEnvid(std::string_view value, MailParameters* out) {
  // RFC 3461 §4.4: at most 100 characters as written, of printable ASCII before the encoding.
  out->envid = XtextDecode(value);
  return out->envid && IsPrintableAscii(*out->envid) && !value.empty() && value.size() <= 100;
}

bool SetOrigin(std::string_view value, MailParameters* out) {
  out->origin = ParseOrigin(value);
  return out->origin.has_value();
}

bool SetRequireTls(std::string_view value, MailParameters* out) {
  out->requiretls = true;
  return value.empty();
}

bool SetHoldFor(std::string_view value, MailParameters* out) {
  // RFC 4865 §4: future-release-integer = 1*9DIGIT.
  const std::optional<uint64_t> seconds = base::ParseDecimal(value);
  if (!seconds || value.size() > 9 || out->hold_until) return false;
  out->hold_for = absl::Seconds(static_cast<int64_t>(*seconds));
  return true;
}

bool SetHoldUntil(std::string_view value, MailParameters* out) {
  // RFC 4865 §4 (EID 2040): date-time of RFC 3339 §5.6. Abseil takes "infinite-future", too.
  absl::Time until;
  std::string error;
  if (value.empty() || !base::IsDigit(value.front()) || out->hold_for ||
      !absl::ParseTime(absl::RFC3339_full, std::string(value), &until, &error)) {
    return false;
  }
  out->hold_until = until;
  return true;
}

bool SetNotifyWord(std::string_view word, DsnNotify* out) {
  constexpr std::pair<std::string_view, bool DsnNotify::*> kWords[] = {
      {"NEVER", &DsnNotify::never},
      {"SUCCESS", &DsnNotify::success},
      {"FAILURE", &DsnNotify::failure},
      {"DELAY", &DsnNotify::delay},
  };
  for (const auto& [name, member] : kWords) {
    if (base::EqualsIgnoreCase(word, name)) {
      out->*member = true;
      return true;
    }
  }
  return false;
}

bool SetNotify(std::string_view value, RcptParameters* out) {
  DsnNotify& notify = out->notify;
  notify.given = true;
  for (std::string_view word : base::Split(value, ',')) {
    if (!SetNotifyWord(word, &notify)) return false;
  }
  // RFC 3461 §4.1: NEVER stands alone.
  return !notify.never || !(notify.success || notify.failure || notify.delay);
}

bool SetOrcpt(std::string_view value, RcptParameters* out) {
  // RFC 3461 §4.2: addr-type ";" xtext, at most 500 characters.
  const size_t semicolon = value.find(';');
  if (semicolon == std::string_view::npos || semicolon == 0 || value.size() > 500) return false;
  const std::string_view type = value.substr(0, semicolon);
  if (!std::all_of(type.begin(), type.end(), [](char c) { return base::IsAlnum(c) || c == '-'; })) {
    return false;
  }
  const std::string_view address = value.substr(semicolon + 1);
  // RFC 6533 §3: the type utf-8 may carry UTF-8 as it is.
  const bool encoded = base::IsAscii(address);
  auto decoded = encoded ? XtextDecode(address) : std::optional(std::string(address));
  if (!decoded || decoded->empty()) return false;
  // RFC 3461 §4.2: printable ASCII before the encoding.
  if (encoded && !IsPrintableAscii(*decoded)) return false;
  out->orcpt_type = base::Lower(type);
  out->orcpt_address = *std::move(decoded);
  return true;
}

constexpr Row<MailParameters> kMailRows[] = {
    {"SIZE", Extension::kSize, SetSize},
    {"BODY", Extension::k8BitMime, SetBody},
    {"SMTPUTF8", Extension::kSmtpUtf8, SetSmtpUtf8},
    {"AUTH", Extension::kAuth, SetAuth},
    {"RET", Extension::kDsn, SetRet},
    {"ENVID", Extension::kDsn, SetEnvid},
    {"XORIGIN", Extension::kOrigin, SetOrigin},
    {"REQUIRETLS", Extension::kRequireTls, SetRequireTls},
    {"HOLDFOR", Extension::kFutureRelease, SetHoldFor},
    {"HOLDUNTIL", Extension::kFutureRelease, SetHoldUntil},
};

constexpr Row<RcptParameters> kRcptRows[] = {
    {"NOTIFY", Extension::kDsn, SetNotify},
    {"ORCPT", Extension::kDsn, SetOrcpt},
};

// RFC 5321 §4.1.2 esmtp-keyword.
bool IsKeyword(std::string_view text) {
  return !text.empty() && base::IsAlnum(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return base::IsAlnum(c) || c == '-'; });
}

// RFC 5321 §4.1.2 esmtp-value, with RFC 6531 §3.3's UTF-8. A second "=" is no part of it.
bool IsValue(std::string_view text) {
  return !text.empty() && base::IsUtf8(text) && std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet > 32 && octet != '=' && octet != 127;
  });
}

template <typename Parameters, size_t kRows>
std::optional<Reply> ReadOne(std::string_view text, const Row<Parameters> (&rows)[kRows],
                             ExtensionSet offered, uint32_t* seen, Parameters* out) {
  const size_t equals = text.find('=');
  const std::string_view keyword = text.substr(0, equals);
  std::string_view value;
  if (equals != std::string_view::npos) {
    value = text.substr(equals + 1);
    if (!IsValue(value)) return MakeReply(ReplyKind::kBadArguments, "Bad parameter value");
  }
  if (!IsKeyword(keyword)) return MakeReply(ReplyKind::kBadArguments);
  for (size_t i = 0; i < kRows; ++i) {
    if (!base::EqualsIgnoreCase(keyword, rows[i].keyword)) continue;
    if (rows[i].needs && !offered.Has(*rows[i].needs)) break;
    if (*seen & (1u << i)) return MakeReply(ReplyKind::kBadArguments, "Parameter given twice");
    *seen |= 1u << i;
    if (rows[i].set(value, out)) return std::nullopt;
    return MakeReply(ReplyKind::kBadArguments, "Bad parameter value");
  }
  return MakeReply(ReplyKind::kUnknownParameter);
}

template <typename Parameters, size_t kRows>
std::variant<Parameters, Reply> ReadAll(std::string_view text, const Row<Parameters> (&rows)[kRows],
                                        ExtensionSet offered) {
  Parameters parameters;
  uint32_t seen = 0;
  if (!text.empty() && text.front() != ' ') return MakeReply(ReplyKind::kBadArguments);
  for (std::string_view word : base::Split(text, ' ')) {
    if (word.empty()) continue;  // more than one space between them does no harm
    if (auto reply = ReadOne(word, rows, offered, &seen, &parameters)) return *std::move(reply);
  }
  return parameters;
}

}  // namespace

std::variant<MailParameters, Reply> ParseMailParameters(std::string_view text,
                                                        ExtensionSet offered) {
  auto parameters = ReadAll(text, kMailRows, offered);
  // RFC 3030 §3: BINARYMIME is a value of BODY where the extension is offered.
  const auto* mail = std::get_if<MailParameters>(&parameters);
  if (mail != nullptr && mail->body == BodyType::kBinaryMime &&
      !offered.Has(Extension::kBinaryMime)) {
    return MakeReply(ReplyKind::kBadArguments, "Bad parameter value");
  }
  return parameters;
}

std::variant<RcptParameters, Reply> ParseRcptParameters(std::string_view text,
                                                        ExtensionSet offered) {
  return ReadAll(text, kRcptRows, offered);
}

}  // namespace godwit::smtp
