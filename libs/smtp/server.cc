#include "libs/smtp/server.h"

#include <utility>

#include "libs/base/check.h"

namespace godwit::smtp {
namespace {

// Replies are collected for a group of pipelined commands, up to this many octets.
constexpr size_t kFlushAt = 4096;

}  // namespace

// One row a verb: who handles it, and whether it is allowed while TLS or authentication is required
// and missing.
struct ServerSession::VerbRow {
  Verb verb;
  Step (ServerSession::*handle)(const Command&);
  bool before_login;
};

const ServerSession::VerbRow ServerSession::kVerbRows[] = {
    {Verb::kHelo, &ServerSession::HandleHelo, true},
    {Verb::kEhlo, &ServerSession::HandleEhlo, true},
    {Verb::kMail, &ServerSession::HandleMail, false},
    {Verb::kRcpt, &ServerSession::HandleRcpt, false},
    {Verb::kData, &ServerSession::HandleData, false},
    {Verb::kBdat, &ServerSession::HandleBdat, true},  // its octets come, whatever is missing
    {Verb::kRset, &ServerSession::HandleRset, true},
    {Verb::kNoop, &ServerSession::HandleNoop, true},
    {Verb::kQuit, &ServerSession::HandleQuit, true},
    {Verb::kVrfy, &ServerSession::HandleVrfy, false},
    {Verb::kHelp, &ServerSession::HandleHelp, true},
    {Verb::kStartTls, &ServerSession::HandleStartTls, true},
    {Verb::kAuth, &ServerSession::HandleAuth, true},  // has a reply of its own
    {Verb::kHttp, &ServerSession::HandleHttp, true},
};

ServerSession::ServerSession(ServerOptions options)
    : options_(std::move(options)), parser_(options_.command), tls_(options_.tls) {
  Say({220, "", {options_.hostname + " " + options_.greeting}});
  if (options_.no_mail) Refuse(MakeReply(ReplyKind::kNoMailHere));
}

bool ServerSession::Offers(Extension extension) const { return Offered().Has(extension); }

ExtensionSet ServerSession::Offered() const {
  ExtensionSet offered = options_.extensions;
  // RFC 3207 §4.2: not offered a second time.
  if (tls_) offered.Remove(Extension::kStartTls);
  // RFC 8689 §3: not without TLS.
  if (!tls_) offered.Remove(Extension::kRequireTls);
  if (!tls_ && !options_.auth_without_tls) offered.Remove(Extension::kAuth);
  return offered;
}

bool ServerSession::idle() const {
  return awaiting_ == Awaiting::kNothing && !in_transaction() && parser_.at_line_start() &&
         !start_tls_ && !authenticating_ && !chunk_;
}

void ServerSession::Say(const Reply& reply) {
  if (reply.code == 421) closing_ = true;
  const bool named =
      options_.id.empty() || reply.code < 400 ||
      (!reply.lines.empty() && reply.lines.back().find(" [" + options_.id) != std::string::npos);
  if (named) return AppendTo(reply, &output_);
  Reply with_id = reply;
  if (with_id.lines.empty()) with_id.lines.emplace_back();
  with_id.lines.back() += " [" + options_.id + "]";
  AppendTo(with_id, &output_);
}

void ServerSession::SayOwn(const Reply& reply) {
  if (reply.code >= 400) refusal_ = reply;
  Say(reply);
}

void ServerSession::Cut(const Reply& reply, std::string_view why) {
  cut_ = why;
  SayOwn(reply);
  closing_ = true;
}

void ServerSession::End(const Reply& reply, std::string_view why) {
  GODWIT_CHECK(awaiting_ == Awaiting::kNothing || awaiting_ == Awaiting::kTls);
  awaiting_ = Awaiting::kNothing;
  start_tls_ = false;
  cut_ = why;
  Say(reply);
  closing_ = true;
}

void ServerSession::Refuse(const Reply& reply) {
  output_.clear();
  Cut(reply, "refused");
}

ServerSession::Step ServerSession::Error(const Reply& reply) {
  ++faults_;
  if (++errors_ > options_.max_errors) {
    Cut(MakeReply(ReplyKind::kTooManyErrors), "errors");
  } else {
    SayOwn(reply);
  }
  return std::nullopt;
}

// Commands that do nothing cost us something all the same.
ServerSession::Step ServerSession::Idle(const Reply& reply) {
  if (++idle_commands_ > options_.max_idle_commands) {
    Cut(MakeReply(ReplyKind::kTooManyErrors), "idle-commands");
  } else {
    Say(reply);
  }
  return std::nullopt;
}

void ServerSession::ResetTransaction() {
  abandoned_ = state_ == State::kChunks;
  if (state_ > State::kGreeted) state_ = State::kGreeted;
  data_.reset();
  recipients_ = 0;
  smtputf8_ = false;
  body_ = BodyType::k7Bit;
}

Action ServerSession::Flush(Action when_empty) {
  if (output_.empty()) return when_empty;
  sending_ = std::exchange(output_, {});
  return Send{sending_};
}

Action ServerSession::Next(std::string_view* in) {
  GODWIT_CHECK(awaiting_ == Awaiting::kNothing);
  for (;;) {
    if (output_.size() >= kFlushAt) return Flush(NeedInput{});
    if (closing_) return Flush(Close{});
    if (start_tls_) {
      if (!output_.empty()) return Flush(StartTls{});
      start_tls_ = false;
      awaiting_ = Awaiting::kTls;
      return StartTls{};
    }
    if (std::exchange(abandoned_, false)) return AbandonData{};
    Step step = chunk_                   ? NextChunk(in)
                : state_ == State::kData ? NextData(in)
                : authenticating_        ? NextAuthLine(in)
                                         : NextCommand(in);
    if (step) {
      if (std::holds_alternative<NeedInput>(*step)) return Flush(NeedInput{});
      return *std::move(step);
    }
  }
}

ServerSession::Step ServerSession::NextData(std::string_view* in) {
  // A message that was refused long ago and does not end is given up at this octet; only a refused
  // one can come so far.
  std::string_view piece = in->substr(0, give_up() - data_->size());
  const size_t before = piece.size();
  auto result = data_->Next(&piece);
  in->remove_prefix(before - piece.size());
  if (auto* chunk = std::get_if<DataChunk>(&result)) return *chunk;
  if (std::holds_alternative<DataEnd>(result)) return EndOfData();
  if (data_->size() >= give_up()) {
    Cut(MakeReply(ReplyFor(data_->error())), kProtocol);
    return std::nullopt;
  }
  if (in->empty()) return NeedInput{};
  return std::nullopt;
}

// The message is complete, or bad.
ServerSession::Step ServerSession::EndOfData() {
  awaiting_ = Awaiting::kEnd;
  EndData action{data_->size(), std::nullopt};
  if (data_->error() != DataError::kNone) action.refused = MakeReply(ReplyFor(data_->error()));
  return action;
}

ServerSession::Step ServerSession::NextCommand(std::string_view* in) {
  if (in->empty()) {
    data_refused_ = false;
    return NeedInput{};
  }
  // RFC 2920 §3.1: DATA is the last command of a group. What stands behind one that was refused may
  // be the text of a message, and must not be run.
  if (std::exchange(data_refused_, false)) {
    Cut(MakeReply(ReplyKind::kBadPipelining), kProtocol);
    return std::nullopt;
  }
  // The first octet of a TLS record: RFC 8446 §5.1 ContentType handshake(22). No command has it.
  if (!std::exchange(first_octet_seen_, true) && in->front() == 0x16) {
    Cut(MakeReply(ReplyKind::kNotSmtp, "This is SMTP without TLS; TLS begins with STARTTLS"),
        kProtocol);
    return std::nullopt;
  }
  auto result = parser_.Next(in);
  if (std::holds_alternative<NeedMore>(result)) return NeedInput{};
  if (auto* malformed = std::get_if<Malformed>(&result)) {
    Error(malformed->reply);
    if (malformed->fatal) {
      cut_ = kProtocol;
      closing_ = true;
    }
    data_refused_ = malformed->before_data;
    return std::nullopt;
  }
  return Handle(std::get<Command>(result), in);
}

ServerSession::Step ServerSession::Handle(const Command& command, std::string_view* in) {
  if (command.verb == Verb::kUnknown) return Error(MakeReply(ReplyKind::kUnknownCommand));
  for (const VerbRow& row : kVerbRows) {
    if (row.verb != command.verb) continue;
    if (!row.before_login) {
      data_refused_ = command.verb == Verb::kData;
      if (auto reply = CheckLogin()) return Error(*reply);
    }
    Step step = (this->*row.handle)(command);
    // RFC 3207 §4.2, §6: what came before TLS is forgotten. Bytes behind STARTTLS in clear can only
    // be an injection (or a client that does not wait): they are dropped, and the session ends.
    if (start_tls_ && !in->empty()) {
      *in = {};
      start_tls_ = false;
      Cut(MakeReply(ReplyKind::kBadPipelining), kProtocol);
    } else if (start_tls_) {
      Say(MakeReply(ReplyKind::kStartTls));
    }
    return step;
  }
  return Error(MakeReply(ReplyKind::kNotImplemented));
}

std::optional<Reply> ServerSession::CheckLogin() const {
  if (options_.require_tls && !tls_) return MakeReply(ReplyKind::kTlsRequired);
  if (options_.require_auth && !authenticated_) return MakeReply(ReplyKind::kAuthRequired);
  return std::nullopt;
}

void ServerSession::OnReply(const Reply& reply) {
  const Awaiting what = std::exchange(awaiting_, Awaiting::kNothing);
  switch (what) {
    case Awaiting::kMail:
      if (reply.positive()) {
        state_ = State::kMail;
      } else {
        ResetTransaction();
      }
      break;
    case Awaiting::kRcpt:
      if (!reply.positive()) {
        if (CountRefusedRecipient(reply)) return;
        break;
      }
      state_ = State::kRcpt;
      ++recipients_;
      break;
    case Awaiting::kData:
      if (chunk_) return BeginChunks(reply);
      if (reply.code == 354) {
        state_ = State::kData;
        data_.emplace(options_.data);
      } else {
        ResetTransaction();
        data_refused_ = true;
      }
      break;
    case Awaiting::kEnd:
      // RFC 5321 §4.1.1.4: the end of data clears the buffers, whatever the answer.
      ResetTransaction();
      abandoned_ = false;
      if (reply.positive()) {
        idle_commands_ = 0;
        discarded_ = 0;
      }
      break;
    case Awaiting::kNothing:
    case Awaiting::kAuth:
    case Awaiting::kTls: GODWIT_CHECK(false);
  }
  Say(reply);
}

void ServerSession::OnTlsStarted() {
  GODWIT_CHECK(awaiting_ == Awaiting::kTls);
  awaiting_ = Awaiting::kNothing;
  // RFC 3207 §4.2: the server discards all it knew of the client, the EHLO argument included.
  ResetTransaction();
  abandoned_ = false;  // the driver knows
  state_ = State::kConnected;
  greeting_name_.clear();
  esmtp_ = false;
  authenticated_ = false;
  tls_ = true;
  parser_.Reset();
}

}  // namespace godwit::smtp
