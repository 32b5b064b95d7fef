// The commands of ServerSession, one function each.

#include "libs/base/ascii.h"
#include "libs/smtp/server.h"

namespace godwit::smtp {
namespace {

struct KeywordRow {
  Extension extension;
  const char* keyword;
};

// EHLO's keywords in the order they are written.
constexpr KeywordRow kKeywords[] = {
    {Extension::kPipelining, "PIPELINING"},
    {Extension::kSize, "SIZE"},
    {Extension::kStartTls, "STARTTLS"},
    {Extension::kEnhancedStatusCodes, "ENHANCEDSTATUSCODES"},
    {Extension::k8BitMime, "8BITMIME"},
    {Extension::kSmtpUtf8, "SMTPUTF8"},
    {Extension::kChunking, "CHUNKING"},
    {Extension::kBinaryMime, "BINARYMIME"},
    {Extension::kDsn, "DSN"},
    {Extension::kAuth, "AUTH"},
    {Extension::kRequireTls, "REQUIRETLS"},
    {Extension::kFutureRelease, "FUTURERELEASE"},
    {Extension::kLimits, "LIMITS"},
    {Extension::kOrigin, "XORIGIN"},
};

std::string KeywordArgument(Extension extension, const ServerOptions& options) {
  switch (extension) {
    // RFC 1870 §4: the fixed maximum message size.
    case Extension::kSize: return " " + std::to_string(options.data.size);
    // RFC 4954 §3: a space-separated list of mechanisms.
    case Extension::kAuth: return " " + base::Join(options.auth_mechanisms, " ");
    case Extension::kFutureRelease: return " " + options.future_release;
    // RFC 9422 §4: both are kept by the session itself.
    case Extension::kLimits:
      return " MAILMAX=" + std::to_string(options.max_transactions) +
             " RCPTMAX=" + std::to_string(options.max_recipients);
    default: return "";
  }
}

Reply PathReply(ReplyKind kind, PathError error) {
  switch (error) {
    case PathError::kTooLong: return MakeReply(kind, "Address too long");
    case PathError::kNotUtf8: return MakeReply(kind, "Address is not UTF-8");
    case PathError::kSyntax: break;
  }
  return MakeReply(kind);
}

}  // namespace

bool ServerSession::Greet(const Command& command) {
  if (!IsGreetingName(command.argument)) {
    Error(MakeReply(ReplyKind::kBadArguments, "Give your domain or address literal"));
    return false;
  }
  // RFC 5321 §4.1.4: EHLO during a transaction acts as RSET.
  ResetTransaction();
  state_ = State::kGreeted;
  greeting_name_ = command.argument;
  return true;
}

ServerSession::Step ServerSession::HandleHelo(const Command& command) {
  if (!Greet(command)) return std::nullopt;
  esmtp_ = false;
  return Idle({250, "", {options_.hostname}});
}

ServerSession::Step ServerSession::HandleEhlo(const Command& command) {
  if (!Greet(command)) return std::nullopt;
  esmtp_ = true;
  Reply reply{250, "", {options_.hostname}};
  const ExtensionSet offered = Offered();
  for (const KeywordRow& row : kKeywords) {
    if (!offered.Has(row.extension)) continue;
    reply.lines.push_back(row.keyword + KeywordArgument(row.extension, options_));
  }
  return Idle(reply);
}

std::optional<Reply> ServerSession::CheckSender(const Address& address,
                                                const MailParameters& parameters) const {
  // RFC 6531 §3.4: a non-ASCII address needs the parameter.
  if (!address.is_ascii() && !parameters.smtputf8) return MakeReply(ReplyKind::kNeedsSmtpUtf8);
  // RFC 1870 §6.1: refuse now what would be refused at the end.
  if (parameters.size && *parameters.size > options_.data.size) {
    return MakeReply(ReplyKind::kSizeExceeded);
  }
  return std::nullopt;
}

ServerSession::Step ServerSession::HandleMail(const Command& command) {
  if (state_ == State::kConnected) return Error(MakeReply(ReplyKind::kNeedGreeting));
  if (in_transaction()) return Error(MakeReply(ReplyKind::kBadSequence, "MAIL was given already"));
  if (++transactions_ > options_.max_transactions) {
    Cut(MakeReply(ReplyKind::kTooManyTransactions), "transactions");
    return std::nullopt;
  }
  std::string_view rest = command.argument;
  auto path = ParseReversePath(&rest, options_.reverse_path);
  if (auto* error = std::get_if<PathError>(&path)) {
    return Error(PathReply(ReplyKind::kBadSenderAddress, *error));
  }
  auto parameters = ParseMailParameters(rest, Offered());
  if (auto* reply = std::get_if<Reply>(&parameters)) return Error(*reply);
  CheckMailFrom check{std::get<Address>(std::move(path)),
                      std::get<MailParameters>(std::move(parameters))};
  if (auto reply = CheckSender(check.reverse_path, check.parameters)) return Error(*reply);
  smtputf8_ = check.parameters.smtputf8;
  body_ = check.parameters.body;
  awaiting_ = Awaiting::kMail;
  return check;
}

bool ServerSession::CountRefusedRecipient(const Reply& reply) {
  if (reply.permanent()) ++faults_;
  const bool too_many = ++refused_recipients_ > options_.max_refused_recipients;
  if (too_many) Cut(MakeReply(ReplyKind::kTooManyErrors), "refused-recipients");
  return too_many;
}

ServerSession::Step ServerSession::RefuseRecipient(const Reply& reply) {
  if (!CountRefusedRecipient(reply)) SayOwn(reply);
  return std::nullopt;
}

ServerSession::Step ServerSession::HandleRcpt(const Command& command) {
  if (!in_transaction()) return Error(MakeReply(ReplyKind::kBadSequence, "Send MAIL first"));
  if (in_message()) return Error(MakeReply(ReplyKind::kBadSequence, "The message has begun"));
  if (recipients_ >= options_.max_recipients) {
    return RefuseRecipient(MakeReply(ReplyKind::kTooManyRecipients));
  }
  std::string_view rest = command.argument;
  auto path = ParseForwardPath(&rest, options_.forward_path);
  if (auto* error = std::get_if<PathError>(&path)) {
    return RefuseRecipient(PathReply(ReplyKind::kBadRecipientAddress, *error));
  }
  auto parameters = ParseRcptParameters(rest, Offered());
  if (auto* reply = std::get_if<Reply>(&parameters)) return Error(*reply);
  if (!std::get<Address>(path).is_ascii() && !smtputf8_) {
    return RefuseRecipient(MakeReply(ReplyKind::kNeedsSmtpUtf8));
  }
  awaiting_ = Awaiting::kRcpt;
  return CheckRcpt{std::get<Address>(std::move(path)),
                   std::get<RcptParameters>(std::move(parameters))};
}

ServerSession::Step ServerSession::HandleData(const Command& command) {
  data_refused_ = true;  // until it is accepted
  if (!command.argument.empty()) return Error(MakeReply(ReplyKind::kBadArguments));
  if (!in_transaction()) return Error(MakeReply(ReplyKind::kBadSequence, "Send MAIL first"));
  // RFC 3030 §2: DATA and BDAT do not mix in one transaction; §3: BINARYMIME has no DATA.
  if (in_message()) return Error(MakeReply(ReplyKind::kBadSequence, "The message has begun"));
  if (body_ == BodyType::kBinaryMime) {
    return Error(MakeReply(ReplyKind::kBadSequence, "BINARYMIME needs BDAT"));
  }
  // RFC 5321 §3.3: 503 or 554 when no recipient was accepted. Not counted as an error: a client
  // that pipelines can not know (RFC 2920 §3.1).
  if (recipients_ == 0) {
    SayOwn(MakeReply(ReplyKind::kNoValidRecipients));
    return std::nullopt;
  }
  data_refused_ = false;
  awaiting_ = Awaiting::kData;
  return BeginData{};
}

ServerSession::Step ServerSession::HandleRset(const Command& command) {
  if (!command.argument.empty()) return Error(MakeReply(ReplyKind::kBadArguments));
  ResetTransaction();
  return Idle(MakeReply(ReplyKind::kOk));
}

ServerSession::Step ServerSession::HandleNoop(const Command&) {
  return Idle(MakeReply(ReplyKind::kOk));
}

// RFC 5321 §7.3: nobody learns from VRFY who is here.
ServerSession::Step ServerSession::HandleVrfy(const Command& command) {
  if (command.argument.empty()) return Error(MakeReply(ReplyKind::kBadArguments));
  return Idle(MakeReply(ReplyKind::kCannotVerify));
}

ServerSession::Step ServerSession::HandleHelp(const Command&) {
  return Idle(MakeReply(ReplyKind::kHelp));
}

ServerSession::Step ServerSession::HandleQuit(const Command& command) {
  // RFC 5321 §4.1.1.10: no argument; one that is given does no harm.
  (void)command;
  Say(MakeReply(ReplyKind::kGoodbye));
  closing_ = true;
  return std::nullopt;
}

ServerSession::Step ServerSession::HandleStartTls(const Command& command) {
  if (!command.argument.empty()) return Error(MakeReply(ReplyKind::kBadArguments));
  if (tls_) return Error(MakeReply(ReplyKind::kBadSequence, "TLS is on already"));
  if (!Offers(Extension::kStartTls)) return Error(MakeReply(ReplyKind::kNotImplemented));
  // RFC 3207 §4 has no order but EHLO before; a transaction that is open is forgotten with the
  // rest.
  if (state_ == State::kConnected) return Error(MakeReply(ReplyKind::kNeedGreeting));
  start_tls_ = true;  // Handle() says 220 when nothing stands behind
  return std::nullopt;
}

ServerSession::Step ServerSession::HandleHttp(const Command&) {
  Cut(MakeReply(ReplyKind::kNotSmtp), kProtocol);
  return std::nullopt;
}

}  // namespace godwit::smtp
