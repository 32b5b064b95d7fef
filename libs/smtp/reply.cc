#include "libs/smtp/reply.h"

#include <algorithm>
#include <iterator>

#include "libs/base/check.h"

namespace godwit::smtp {
namespace {

struct Row {
  ReplyKind kind;
  int code;
  const char* enhanced;
  const char* text;
};

// In the order of the enum; MakeReply checks it.
constexpr Row kRows[] = {
    {ReplyKind::kOk, 250, "2.0.0", "OK"},
    {ReplyKind::kSenderOk, 250, "2.1.0", "Sender OK"},
    {ReplyKind::kRecipientOk, 250, "2.1.5", "Recipient OK"},
    {ReplyKind::kAccepted, 250, "2.0.0", "Message accepted"},
    {ReplyKind::kStartTls, 220, "2.0.0", "Ready to start TLS"},
    // RFC 4954 §6 has the replies of AUTH.
    {ReplyKind::kAuthenticated, 235, "2.7.0", "Authentication succeeded"},
    {ReplyKind::kGoodbye, 221, "2.0.0", "Goodbye"},
    {ReplyKind::kHelp, 214, "2.0.0", "See RFC 5321"},
    {ReplyKind::kCannotVerify, 252, "2.0.0", "Can not verify, send the message and see"},
    {ReplyKind::kStartMailInput, 354, "", "Start mail input; end with <CRLF>.<CRLF>"},

    {ReplyKind::kShuttingDown, 421, "4.3.2", "Service shutting down, try again"},
    {ReplyKind::kTimeout, 421, "4.4.2", "Timeout, closing the connection"},
    {ReplyKind::kTooManyErrors, 421, "4.7.0", "Too many errors, closing the connection"},
    {ReplyKind::kTooManyTransactions, 421, "4.7.0", "Too many messages, connect again"},
    {ReplyKind::kTooManyConnections, 421, "4.7.0", "Too many connections, try again later"},

    {ReplyKind::kTemporaryFailure, 451, "4.3.0", "Temporary failure, try again later"},
    {ReplyKind::kMailboxDisabledTemporarily, 450, "4.2.1", "Mailbox temporarily disabled"},
    {ReplyKind::kMailboxFull, 452, "4.2.2", "Mailbox full"},
    {ReplyKind::kInsufficientStorage, 452, "4.3.1", "Insufficient storage, try again later"},
    // RFC 5321 §4.5.3.1.10: 452 for too many recipients, so that the client sends the rest later.
    {ReplyKind::kTooManyRecipients, 452, "4.5.3", "Too many recipients"},
    // RFC 3207 §4: 454 TLS not available due to temporary reason.
    {ReplyKind::kTlsNotAvailable, 454, "4.7.0", "TLS not available"},
    {ReplyKind::kAuthNotPossible, 454, "4.7.0", "Temporary authentication failure"},
    {ReplyKind::kLimitReached, 451, "4.7.1", "You have sent too much for today, try again later"},
    {ReplyKind::kNotSigned, 451, "4.7.0", "Can not sign the message now, try again later"},

    {ReplyKind::kUnknownCommand, 500, "5.5.1", "Unknown command"},
    {ReplyKind::kBadLineEnd, 500, "5.5.2", "Bare CR, bare LF or NUL in a command"},
    {ReplyKind::kLineTooLong, 500, "5.5.2", "Command line too long"},
    {ReplyKind::kBadSequence, 503, "5.5.1", "Bad sequence of commands"},
    {ReplyKind::kNotImplemented, 502, "5.5.1", "Command not implemented"},
    {ReplyKind::kBadArguments, 501, "5.5.4", "Syntax error in arguments"},
    {ReplyKind::kUnknownParameter, 555, "5.5.4", "Parameter not recognized"},
    {ReplyKind::kBadSenderAddress, 501, "5.1.7", "Bad sender address syntax"},
    {ReplyKind::kBadRecipientAddress, 501, "5.1.3", "Bad recipient address syntax"},
    {ReplyKind::kNotSmtp, 554, "5.5.1", "This is an SMTP server"},
    // RFC 7504 §3: a host that takes no mail, whatever the address.
    {ReplyKind::kNoMailHere, 521, "5.3.2", "This host does not accept mail"},
    {ReplyKind::kNeedGreeting, 503, "5.5.1", "Send EHLO first"},
    {ReplyKind::kNoValidRecipients, 554, "5.5.1", "No valid recipients"},
    {ReplyKind::kBadPipelining, 503, "5.5.1", "Pipelining not allowed here, closing"},
    // RFC 3207 §4: 530 Must issue a STARTTLS command first.
    {ReplyKind::kTlsRequired, 530, "5.7.0", "Must issue a STARTTLS command first"},
    {ReplyKind::kUnknownMechanism, 504, "5.5.4", "Authentication mechanism not supported"},
    {ReplyKind::kAuthCancelled, 501, "5.7.0", "Authentication cancelled"},
    {ReplyKind::kBadAuthResponse, 501, "5.5.2", "Not base 64"},
    {ReplyKind::kAuthLineTooLong, 500, "5.5.6", "Authentication exchange line is too long"},
    {ReplyKind::kAuthFailed, 535, "5.7.8", "Authentication credentials invalid"},
    // RFC 5248: X.7.13 User Account Disabled.
    {ReplyKind::kAccountDisabled, 525, "5.7.13", "Account disabled"},
    {ReplyKind::kEncryptionRequired, 538, "5.7.11", "Encryption required, use STARTTLS first"},
    {ReplyKind::kAuthRequired, 530, "5.7.0", "Authentication required"},

    {ReplyKind::kSizeExceeded, 552, "5.3.4", "Message size exceeds the limit"},
    {ReplyKind::kBadMessageLineEnd, 550, "5.6.11", "Bare CR or bare LF in the message"},
    {ReplyKind::kMessageLineTooLong, 550, "5.6.0", "Line too long in the message"},
    // RFC 3463 §3.7: X.6.2 conversion required and prohibited.
    {ReplyKind::kConversionProhibited, 554, "5.6.2",
     "Binary parts can not be encoded, a signature covers them"},
    // RFC 6531 §3.5: a non-ASCII address without the SMTPUTF8 parameter.
    {ReplyKind::kNeedsSmtpUtf8, 553, "5.6.7", "Non-ASCII address needs SMTPUTF8"},
    {ReplyKind::kUnknownUser, 550, "5.1.1", "No such user here"},
    {ReplyKind::kMailboxDisabled, 550, "5.2.1", "Mailbox disabled"},
    {ReplyKind::kRelayDenied, 550, "5.7.1", "Relay access denied"},
    {ReplyKind::kRoutingLoop, 550, "5.4.6", "Routing loop, too many Received fields"},
    {ReplyKind::kRejected, 550, "5.7.1", "Message rejected"},
    {ReplyKind::kBadDestination, 550, "5.1.2", "No such domain"},
    // RFC 6409 §6.1: 550 and 5.7.1 for a sender that the user may not use.
    {ReplyKind::kSenderNotYours, 550, "5.7.1", "Not an address of yours"},
    {ReplyKind::kBadHeader, 550, "5.6.0", "The header is not well-formed"},
    // RFC 6531 §3.5: X.6.9, UTF-8 header message.
    {ReplyKind::kHeaderNeedsSmtpUtf8, 550, "5.6.9", "Non-ASCII header needs SMTPUTF8"},
};

// RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets, code and CRLF included.
constexpr size_t kMaxReplyLine = 512;

std::string Clean(std::string_view text) {
  std::string out(text);
  // RFC 5321 §4.2: textstring = 1*(%d09 / %d32-126).
  for (char& c : out) {
    if (c != '\t' && (c < 32 || c > 126)) c = '?';
  }
  return out;
}

std::vector<std::string> WireTexts(const Reply& reply) {
  const size_t prefix = 4 + (reply.enhanced.empty() ? 0 : reply.enhanced.size() + 1);
  const size_t room = kMaxReplyLine - 2 - prefix;
  std::vector<std::string> texts;
  for (const std::string& line : reply.lines) {
    std::string text = Clean(line);
    for (size_t at = 0; at == 0 || at < text.size(); at += room) {
      texts.push_back(text.substr(at, room));
    }
  }
  if (texts.empty()) texts.emplace_back();
  return texts;
}

}  // namespace

Reply MakeReply(ReplyKind kind) {
  const size_t index = static_cast<size_t>(kind);
  GODWIT_CHECK(index < std::size(kRows) && kRows[index].kind == kind);
  const Row& row = kRows[index];
  return Reply{row.code, row.enhanced, {row.text}};
}

Reply MakeReply(ReplyKind kind, std::string_view text) {
  Reply reply = MakeReply(kind);
  reply.lines = {std::string(text)};
  return reply;
}

void AppendTo(const Reply& reply, std::string* out) {
  const std::vector<std::string> texts = WireTexts(reply);
  for (size_t i = 0; i < texts.size(); ++i) {
    *out += std::to_string(reply.code);
    *out += i + 1 < texts.size() ? '-' : ' ';
    // RFC 2034 §4: the enhanced code stands on every line of a multi-line reply.
    if (!reply.enhanced.empty()) {
      *out += reply.enhanced;
      *out += ' ';
    }
    *out += texts[i];
    *out += "\r\n";
  }
}

std::string Write(const Reply& reply) {
  std::string out;
  AppendTo(reply, &out);
  return out;
}

}  // namespace godwit::smtp
