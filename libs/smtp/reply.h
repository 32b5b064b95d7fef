#pragma once

// Reply: what a server answers to a command: a three-digit code, an enhanced status code and one
// or more lines of text (RFC 5321 §4.2, RFC 2034, RFC 3463, RFC 5248).
//
// The peer's faults are Replies, never absl::Status. The text goes to the peer: no text of a
// Status, no SQL, no host name of the inside may stand in it.
//
//   Write(MakeReply(ReplyKind::kUnknownUser))  ->  "550 5.1.1 No such user here\r\n"

#include <string>
#include <string_view>
#include <vector>

namespace godwit::smtp {

struct Reply {
  int code = 0;
  // "5.1.1"; empty where RFC 2034 §4 wants none: the greeting, answers to HELO and EHLO, 3xx.
  std::string enhanced;
  // Text without code and line end; no line stands for one empty line.
  std::vector<std::string> lines;

  bool positive() const { return code >= 200 && code < 300; }
  bool transient() const { return code >= 400 && code < 500; }
  bool permanent() const { return code >= 500 && code < 600; }

  friend bool operator==(const Reply&, const Reply&) = default;
};

// Every answer of the servers, one row each in reply.cc.
enum class ReplyKind {
  // 2xx and 3xx
  kOk,
  kSenderOk,
  kRecipientOk,
  kAccepted,
  kStartTls,
  kAuthenticated,
  kGoodbye,
  kHelp,
  kCannotVerify,
  kStartMailInput,
  // 421: the session ends
  kShuttingDown,
  kTimeout,
  kTooManyErrors,
  kTooManyTransactions,
  kTooManyConnections,
  // other 4xx
  kTemporaryFailure,
  kMailboxDisabledTemporarily,
  kMailboxFull,
  kInsufficientStorage,
  kTooManyRecipients,
  kTlsNotAvailable,
  kAuthNotPossible,
  kLimitReached,
  kNotSigned,
  // 5xx: syntax and order
  kUnknownCommand,
  kBadLineEnd,
  kLineTooLong,
  kBadSequence,
  kNotImplemented,
  kBadArguments,
  kUnknownParameter,
  kBadSenderAddress,
  kBadRecipientAddress,
  kNotSmtp,
  kNoMailHere,
  kNeedGreeting,
  kNoValidRecipients,
  kBadPipelining,
  kTlsRequired,
  kUnknownMechanism,
  kAuthCancelled,
  kBadAuthResponse,
  kAuthLineTooLong,
  kAuthFailed,
  kAccountDisabled,
  kEncryptionRequired,
  kAuthRequired,
  // 5xx: the message or its recipients
  kSizeExceeded,
  kBadMessageLineEnd,
  kMessageLineTooLong,
  kConversionProhibited,
  kNeedsSmtpUtf8,
  kUnknownUser,
  kMailboxDisabled,
  kRelayDenied,
  kRoutingLoop,
  kRejected,
  kBadDestination,
  kSenderNotYours,
  kBadHeader,
  kHeaderNeedsSmtpUtf8,
};

Reply MakeReply(ReplyKind kind);
// The row's codes with another text.
Reply MakeReply(ReplyKind kind, std::string_view text);

// The wire form, "250-..." lines and CRLF included. Octets that RFC 5321 §4.2 does not allow in
// the text become '?', longer lines than §4.5.3.1.5 allows are cut in several.
std::string Write(const Reply& reply);
void AppendTo(const Reply& reply, std::string* out);

}  // namespace godwit::smtp
