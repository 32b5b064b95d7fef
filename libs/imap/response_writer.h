#pragma once

// The small pieces of which responses are written (RFC 9051 §9). All functions append to `*out`.
// What goes out is always well formed, whatever the text holds.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/imap/uid_set.h"

namespace godwit::imap {

// Which characters may stand in quoted strings: 7-bit, or UTF-8 after ENABLE IMAP4rev2 or
// UTF8=ACCEPT (RFC 9051 §4.3).
enum class TextMode { kAscii, kUtf8 };

// "..." where it can be quoted, else "{n}\r\n...". A NUL, which neither may hold, becomes "?".
void AppendString(std::string* out, std::string_view text, TextMode mode = TextMode::kAscii);
// The same; nullopt is NIL.
void AppendNstring(std::string* out, const std::optional<std::string>& text,
                   TextMode mode = TextMode::kAscii);
// As atom where it is one, else AppendString.
void AppendAstring(std::string* out, std::string_view text, TextMode mode = TextMode::kAscii);
// "{n}\r\n": the n octets follow.
void AppendLiteralHeader(std::string* out, uint64_t size);
// "~{n}\r\n": the n octets may hold NUL (RFC 9051 §4.3).
void AppendLiteral8Header(std::string* out, uint64_t size);

// The human text of a status response: one line of printable ASCII, not empty, no "[" in front.
void AppendText(std::string* out, std::string_view text);

// Status responses, with CRLF. `code` is without brackets, "" for none.
//   Tagged(&out, "a1", "NO", "TRYCREATE", "No such mailbox");
void AppendTagged(std::string* out, std::string_view tag, std::string_view condition,
                  std::string_view code, std::string_view text);
// "* OK [UNSEEN 3] ..."
void AppendUntagged(std::string* out, std::string_view condition, std::string_view code,
                    std::string_view text);
// "+ text"
void AppendContinuation(std::string* out, std::string_view text);

// RFC 5530 and RFC 9051 §7.1: response codes without arguments.
namespace code {
inline constexpr std::string_view kAlreadyExists = "ALREADYEXISTS";
inline constexpr std::string_view kAuthenticationFailed = "AUTHENTICATIONFAILED";
inline constexpr std::string_view kAuthorizationFailed = "AUTHORIZATIONFAILED";
inline constexpr std::string_view kBadCharset = "BADCHARSET (UTF-8 US-ASCII)";
inline constexpr std::string_view kCannot = "CANNOT";
inline constexpr std::string_view kClientBug = "CLIENTBUG";
inline constexpr std::string_view kClosed = "CLOSED";
inline constexpr std::string_view kExpungeIssued = "EXPUNGEISSUED";
inline constexpr std::string_view kHasChildren = "HASCHILDREN";
inline constexpr std::string_view kInUse = "INUSE";
inline constexpr std::string_view kLimit = "LIMIT";
inline constexpr std::string_view kNonExistent = "NONEXISTENT";
inline constexpr std::string_view kNotSaved = "NOTSAVED";
inline constexpr std::string_view kOverQuota = "OVERQUOTA";
inline constexpr std::string_view kPrivacyRequired = "PRIVACYREQUIRED";
inline constexpr std::string_view kReadOnly = "READ-ONLY";
inline constexpr std::string_view kReadWrite = "READ-WRITE";
inline constexpr std::string_view kServerBug = "SERVERBUG";
inline constexpr std::string_view kTooBig = "TOOBIG";
inline constexpr std::string_view kTryCreate = "TRYCREATE";
inline constexpr std::string_view kUnavailable = "UNAVAILABLE";
inline constexpr std::string_view kUnknownCte = "UNKNOWN-CTE";
inline constexpr std::string_view kUseAttr = "USEATTR";
}  // namespace code

// RFC 4315 §3.
std::string AppendUidCode(uint32_t uid_validity, uint32_t uid);
// `source` and `target` of the same size; the targets were given in the order of the sources.
std::string CopyUidCode(uint32_t uid_validity, const UidSet& source, const UidSet& target);

}  // namespace godwit::imap
