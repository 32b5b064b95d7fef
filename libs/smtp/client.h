#pragma once

// ClientSession: the client's side of one SMTP connection without the connection (RFC 5321): bytes
// of the server in, actions out. The mirror of ServerSession. It knows EHLO and HELO, STARTTLS,
// AUTH PLAIN, pipelining, DATA and (where it is offered) BDAT, the order of commands and the
// meaning of every class of reply; the driver has the socket, the clock and the message. It makes
// no retry and no second connection.
//
//   smtp::ClientSession session({.hostname = "mx1.example.org", .tls = TlsUse::kWhenOffered});
//   std::string_view in;
//   for (;;) {
//     smtp::ClientAction action = session.Next(&in);
//     if (std::get_if<NeedInput>(&action)) {
//       ... in = co_await Read(within session.patience()), or session.OnLost("...") ...
//     } else if (auto* send = std::get_if<Send>(&action)) ... co_await Write(send->bytes) ...
//     else if (std::get_if<StartTls>(&action)) { co_await stream->StartTlsClient(...);
//                                                session.OnTlsStarted(); }
//     else if (std::get_if<Ready>(&action)) session.Begin(message);         // or Quit()
//     else if (std::get_if<GiveData>(&action)) session.Data(chunk);         // ..., EndData()
//     else if (std::get_if<Done>(&action)) Settle(session.result());
//     else if (auto* failed = std::get_if<Failed>(&action)) ...             // result() is settled,
//     too else break;                                                           // Close
//   }
//
// Contract: after StartTls the driver calls OnTlsStarted() or OnLost(); after Ready Begin() or
// Quit(), or it keeps the connection for later: when bytes come meanwhile it calls Next, which says
// Failed (a server that goes says 421). After GiveData it calls Data() with the next piece of the
// message, or EndData(), right after the last moment to think better of it: until the final dot or
// the last chunk is sent nothing is delivered; to give a message up, close the connection. OnLost()
// may be called at any time. Views in actions are valid until the next call.
//
// States:
//
//   kGreeting -220-> kHello -250-> [STARTTLS -220-> TLS -> kHello] -> [AUTH -235] -> kReady
//   kReady --Begin--> kEnvelope (MAIL RCPT.. DATA, in groups) -354-> kData --EndData--> kEnd -->
//   kReady kReady --Quit--> kQuit -221-> kClosed;   everything --Failed--> kClosed
//   with CHUNKING kData comes after the replies to RCPT, and each chunk has one of its own
//
// With PIPELINING the commands of an envelope go out in groups of at most 4 KiB, whose replies are
// all taken before the next group: neither side can block the other (RFC 2920 §3.1).
//
// A reply that does not parse, comes uninvited or is of a class that its command can't have, ends
// the session: client and server are out of step, and what is read as the answer to the dot may be
// something else.
//
// With both, at most four chunks wait for their replies (RFC 3030 §4.2).
//
// One thread. Memory: the envelope, one group or three pieces of data.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libs/base/secret.h"
#include "libs/smtp/action.h"
#include "libs/smtp/client_commands.h"
#include "libs/smtp/client_data.h"
#include "libs/smtp/client_features.h"
#include "libs/smtp/reply.h"
#include "libs/smtp/reply_parser.h"

namespace godwit::smtp {

enum class TlsUse {
  kNever,        // the second attempt after a failed opportunistic handshake
  kWhenOffered,  // a refused STARTTLS (454, 5xx) is passed over
  kRequired,     // no STARTTLS, no session
  kActive,       // TLS is on from the first byte
};

struct ClientOptions {
  std::string hostname;  // of EHLO: our name, as the address we connect from has it
  TlsUse tls = TlsUse::kWhenOffered;
  // RFC 4954, RFC 4616: AUTH PLAIN when the name is not empty. Only inside TLS.
  std::string user = {};
  base::Secret password = {};
  // RFC 3030: BDAT where the server offers CHUNKING. Of a message that is smaller there is one
  // chunk; of a larger one each goes out when it has so many octets, and the last has fewer, or
  // none. 0: always DATA.
  size_t chunk_size = 16 * 1024;
  ReplyParser::Limits reply = {};
};

// Where in the dialogue something happened.
enum class ClientStage {
  kGreeting,
  kHello,
  kStartTls,
  kAuth,
  kMail,
  kRcpt,
  kData,
  kMessage,
  kQuit
};
std::string_view ClientStageName(ClientStage stage);  // "RCPT TO"

// What became of one recipient.
struct RecipientOutcome {
  enum class State {
    kPending,    // nothing is known yet
    kAccepted,   // RCPT had 2xx; nothing is delivered yet
    kDelivered,  // the server has taken the responsibility
    kRefused,    // by `reply`, at `stage`
  };
  State state = State::kPending;
  ClientStage stage = ClientStage::kMail;
  // Of a recipient that is delivered or refused. One of our own (an objection, a lost connection)
  // has `ours` set.
  Reply reply;
  bool ours = false;

  // RFC 5321 §4.2.1: trying again may help.
  bool temporary() const { return state == State::kRefused && !reply.permanent(); }
  friend bool operator==(const RecipientOutcome&, const RecipientOutcome&) = default;
};

struct TransactionResult {
  std::vector<RecipientOutcome> recipients;  // in the order of ClientMessage::recipients
  // The final dot, or the last chunk, went out (as far as we are concerned): when no reply to it
  // came, the message may or may not be delivered.
  bool dot_sent = false;
  bool chunks = false;     // it went by BDAT, where the last chunk is also the question of DATA
  bool uncertain = false;  // the dot was sent, and its reply never came
  // The message can't be given to this server (client_commands.h): another one may take it.
  bool objection = false;
};

// The session is of no use any more, and why.
struct ClientFailure {
  enum class Kind {
    kRefused,         // by `reply`: at the greeting (554, 521, 4xx), at HELO, or 421 at any time
    kTlsUnavailable,  // TLS is required: not offered, or refused by `reply`
    kAuth,            // by `reply`, or PLAIN is not offered
    kProtocol,        // malformed, uninvited or impossible reply; text behind STARTTLS's 220
    kLost,            // OnLost()
    kBadMessage,      // the message has a bare CR or LF: permanent, and our own fault
  };
  Kind kind = Kind::kLost;
  ClientStage stage = ClientStage::kGreeting;
  std::optional<Reply> reply;
  std::string what;  // for logs; none of the peer's octets
};

// The session is in order and no transaction is open.
struct Ready {};
// The server waits for the message.
struct GiveData {};
// The transaction is over; result() is settled.
struct Done {};
// Followed by Close, after a last QUIT where the two are in step.
struct Failed {
  ClientFailure failure;
};

using ClientAction = std::variant<NeedInput, Send, StartTls, Ready, GiveData, Done, Failed, Close>;

class ClientSession {
 public:
  explicit ClientSession(ClientOptions options);

  // See the contract above. Takes what it used from the front of `*in`.
  ClientAction Next(std::string_view* in);

  void OnTlsStarted();
  void Begin(ClientMessage message);
  void Quit();
  void Data(std::string_view chunk);
  void EndData();
  // The connection is gone or useless: end of stream, timeout, a failed handshake. `what` for logs.
  void OnLost(std::string_view what);

  // Of the transaction that Begin() opened last. Settled (nobody kPending or kAccepted) with Done
  // and with Failed.
  const TransactionResult& result() const { return result_; }
  const ServerFeatures& features() const { return features_; }
  bool tls() const { return tls_; }
  // What STARTTLS was answered when it was refused and passed over.
  const std::optional<Reply>& start_tls_refusal() const { return start_tls_refusal_; }
  ClientStage stage() const;
  // RFC 5321 §4.5.3.2: how many seconds to wait for the reply that is due here. It is the reply's
  // time, not that of its next octet: it begins when the command was sent, or when the reply before
  // it was complete (replies() has grown).
  int patience() const;
  // Replies that were taken.
  uint64_t replies() const { return replies_; }

 private:
  enum class State { kSetUp, kReady, kEnvelope, kData, kEnd, kQuit, kClosed };
  enum class Command {
    kGreeting,
    kEhlo,
    kHelo,
    kStartTls,
    kAuth,
    kRset,
    kMail,
    kRcpt,
    kData,
    kChunk,
    kMessage,
    kEmptyMessage,
    kQuit,
  };
  struct Expected {
    Command command;
    size_t recipient = 0;
  };

  static ClientStage StageOf(Command command);
  ClientAction Flush();
  bool TakeReply(std::string_view* in);
  void TakeUninvited(const Reply& reply);
  void Handle(const Expected& expected, const Reply& reply, std::string_view rest);
  void OnGreeting(const Reply& reply);
  void OnEhlo(const Reply& reply);
  void OnHelo(const Reply& reply);
  void OnStartTls(const Reply& reply, std::string_view rest);
  void OnAuth(const Reply& reply);
  void OnMail(const Reply& reply);
  void OnRcpt(size_t recipient, const Reply& reply);
  void OnDataReply(const Reply& reply);
  void OnChunk(const Reply& reply);
  void OnMessage(const Reply& reply);

  void Say(Command command, std::string_view line, size_t recipient = 0);
  void SayHello(Command command);
  void AfterHello();
  bool WantsStartTls() const;
  void Authenticate();
  void Continue();
  void FillGroup();
  bool SayNext();
  bool UsesChunks() const { return options_.chunk_size > 0 && features_.chunking; }
  void SayChunk(bool last);
  bool MayGiveMore() const;
  void FinishTransaction();
  // Every recipient that is not settled yet.
  void Settle(const Reply& reply, ClientStage stage, bool ours);
  void RefuseRecipient(size_t recipient, const Reply& reply, ClientStage stage, bool ours);
  bool AnyAccepted() const;
  void Fail(ClientFailure::Kind kind, std::optional<Reply> reply, std::string_view what);
  void Impossible(const Reply& reply);

  ClientOptions options_;
  ReplyParser parser_;
  State state_ = State::kSetUp;
  std::string output_;   // not sent yet
  std::string sending_;  // what the last Send shows
  std::deque<Expected> expected_;
  ClientStage last_stage_ = ClientStage::kGreeting;
  ServerFeatures features_;
  std::optional<Reply> start_tls_refusal_;
  uint64_t replies_ = 0;
  bool tls_ = false;
  bool start_tls_ = false;  // StartTls is owed to the driver
  bool uninvited_ = false;  // bytes came that answer nothing
  bool done_ = false;       // Done is owed
  std::optional<ClientFailure> failure_;

  ClientMessage message_;
  TransactionResult result_;
  DataWriter data_;
  std::string chunk_;           // not said yet
  bool chunk_refused_ = false;  // and with it the message
  size_t next_recipient_ = 0;
  bool mail_said_ = false;
  bool data_said_ = false;
  bool mail_accepted_ = false;
  bool needs_reset_ = false;  // the server has an open transaction
};

}  // namespace godwit::smtp
