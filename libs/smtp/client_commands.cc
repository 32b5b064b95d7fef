#include "libs/smtp/client_commands.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_format.h"
#include "libs/base/ascii.h"
#include "libs/smtp/origin.h"
#include "libs/smtp/xtext.h"

namespace godwit::smtp {
namespace {

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 32 || octet == 127;
  });
}

// Path syntax would break on these, whatever the local part's quotes.
bool IsWritable(const Address& address) {
  const std::string_view domain = address.domain;
  return !HasControl(address.local_part) && !HasControl(domain) &&
         domain.find_first_of(" <>\"\\@") == std::string_view::npos;
}

bool IsKeyword(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return base::IsAlnum(c) || c == '-'; });
}

// RFC 6533 §3: utf-8-addr-xtext, with each character beyond ASCII as "\x{HEX}"; plain xtext for
// ASCII. `text` is UTF-8.
std::string OriginalRecipient(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first < 0x80) {
      out += XtextEncode(text.substr(i++, 1));
      continue;
    }
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    uint32_t code = first & (0xFFu >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3Fu);
    }
    out += absl::StrFormat("\\x{%X}", code);
    i += length;
  }
  return out;
}

void AddOriginalRecipient(const RcptParameters& parameters, std::string* out) {
  if (!parameters.orcpt_type || !IsKeyword(*parameters.orcpt_type)) return;
  if (!base::IsUtf8(parameters.orcpt_address)) return;
  *out += " ORCPT=" + *parameters.orcpt_type + ";" + OriginalRecipient(parameters.orcpt_address);
}

void AddNotify(const DsnNotify& notify, std::string* out) {
  if (!notify.given) return;
  std::vector<std::string> words;
  if (notify.success) words.push_back("SUCCESS");
  if (notify.failure) words.push_back("FAILURE");
  if (notify.delay) words.push_back("DELAY");
  // RFC 3461 §4.1: NEVER stands alone.
  if (notify.never || words.empty()) words = {"NEVER"};
  *out += " NOTIFY=" + base::Join(words, ",");
}

}  // namespace

std::optional<Reply> Objection(const ClientMessage& message, const ServerFeatures& features,
                               bool tls) {
  const MailParameters& parameters = message.parameters;
  if (!IsWritable(message.reverse_path)) {
    return Reply{553, "5.1.7", {"The sender's address can not be written"}};
  }
  // RFC 8689 §4.2.1: never to a server that does not promise the same.
  if (message.require_tls && (!tls || !features.require_tls)) {
    return Reply{550, "5.7.30", {"REQUIRETLS is wanted, and the next server does not support it"}};
  }
  // RFC 6531 §3.5.
  const bool utf8 = parameters.smtputf8 || !message.reverse_path.is_ascii();
  if (utf8 && !features.smtputf8) {
    return Reply{550, "5.6.7", {"The message needs SMTPUTF8, and the next server has it not"}};
  }
  // RFC 6152 §3: converting is not for us, a signature would break.
  if (parameters.body == BodyType::k8BitMime && !features.eight_bit_mime) {
    return Reply{554, "5.6.3", {"The message has 8-bit text, and the next server has no 8BITMIME"}};
  }
  // RFC 1870 §5: what is above the bound is not tried.
  if (features.size > 0 && parameters.size.value_or(0) > features.size) {
    return Reply{552, "5.3.4", {"The message is larger than the next server takes"}};
  }
  if (parameters.origin && !features.origin) {
    return Reply{451, "4.3.5", {"The next server is none of ours"}};
  }
  return std::nullopt;
}

std::optional<Reply> Objection(const ClientRecipient& recipient, const ClientMessage& message) {
  if (recipient.address.is_null() || !IsWritable(recipient.address)) {
    return Reply{553, "5.1.3", {"The recipient's address can not be written"}};
  }
  if (!recipient.address.is_ascii() && !message.parameters.smtputf8) {
    return Reply{553, "5.6.7", {"The recipient's address needs SMTPUTF8"}};
  }
  return std::nullopt;
}

std::string MailCommand(const ClientMessage& message, const ServerFeatures& features) {
  const MailParameters& parameters = message.parameters;
  std::string out = "MAIL FROM:" + message.reverse_path.ToPath();
  if (features.takes_size && parameters.size) out += " SIZE=" + std::to_string(*parameters.size);
  if (parameters.body == BodyType::k8BitMime) out += " BODY=8BITMIME";
  if (parameters.smtputf8) out += " SMTPUTF8";
  if (message.require_tls) out += " REQUIRETLS";
  if (features.dsn && parameters.ret) {
    out += *parameters.ret == DsnReturn::kFull ? " RET=FULL" : " RET=HDRS";
  }
  if (features.dsn && parameters.envid) out += " ENVID=" + XtextEncode(*parameters.envid);
  if (parameters.origin) out += " XORIGIN=" + WriteOrigin(*parameters.origin);
  return out + "\r\n";
}

std::string RcptCommand(const ClientRecipient& recipient, const ServerFeatures& features) {
  std::string out = "RCPT TO:" + recipient.address.ToPath();
  const RcptParameters& parameters = recipient.parameters;
  if (features.dsn) {
    AddNotify(parameters.notify, &out);
    AddOriginalRecipient(parameters, &out);
  }
  return out + "\r\n";
}

}  // namespace godwit::smtp
