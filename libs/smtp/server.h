#pragma once

// ServerSession: the server's side of one SMTP connection without the connection (RFC 5321): bytes
// in, actions out. It knows the commands, their order, pipelining, limits and every reply that does
// not depend on the surroundings; it asks the driver for the rest. It has no socket, no clock and
// no log.
//
//   smtp::ServerSession session(options);             // owes the greeting
//   std::string_view in;
//   for (;;) {
//     smtp::Action action = session.Next(&in);
//     if (std::get_if<smtp::NeedInput>(&action)) in = co_await Read();
//     else if (auto* send = std::get_if<smtp::Send>(&action)) co_await Write(send->bytes);
//     else if (auto* rcpt = std::get_if<smtp::CheckRcpt>(&action)) session.OnReply(Look(*rcpt));
//     ...
//   }
//
// Contract: after CheckMailFrom, CheckRcpt, BeginData and EndData the driver calls OnReply once
// before the next Next; after StartTls it calls OnTlsStarted (or gives up the connection); after
// Close it closes; after AbandonData it just goes on. Views in actions are valid until the next
// call. Replies are collected and come as one Send before the session waits (RFC 2920 §3.2).
//
// After CheckAuth and AuthResponse it calls OnAuthAnswer instead, once.
//
// States (the transaction's; TLS and EHLO reset to the first two):
//
//   kConnected --EHLO/HELO--> kGreeted --MAIL ok--> kMail --RCPT ok--> kRcpt --DATA 354--> kData
//       ^                       ^  ^                 |                  |                    |
//       '-------STARTTLS--------'  '---RSET, EHLO----'------------------'    <CRLF>.<CRLF>   |
//                                  '---------------------------------------------------------'
//
// BDAT (RFC 3030): kRcpt --BDAT ok--> kChunks, where more of them come; the last one, a chunk that
// makes the message bad, or RSET lead back to kGreeted. After each BDAT command exactly its octets
// are taken, whatever the answer is, so that they never become commands; the answer comes when they
// are there. A BDAT whose size can't be read ends the session.
//
// AUTH (RFC 4954) comes in kGreeted: a challenge (334) makes the next line an answer and no
// command, up to 235 or a refusal; "*" cancels. Once authenticated a session stays so; TLS forgets
// it.
//
// "The same actions for every split of the same bytes" holds with two exceptions that look at what
// arrived together, on purpose: bytes behind STARTTLS, and bytes behind a DATA that is refused.
// Both end the session, so that no injected text and no message text becomes a command.
//
// One thread. Memory: a line of at most 2 KiB (12 KiB in AUTH), and replies of at most 4 KiB and
// one more.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libs/base/secret.h"
#include "libs/smtp/action.h"
#include "libs/smtp/command_parser.h"
#include "libs/smtp/data_reader.h"
#include "libs/smtp/extension.h"
#include "libs/smtp/parameter.h"
#include "libs/smtp/path.h"
#include "libs/smtp/reply.h"

namespace godwit::smtp {

struct ServerOptions {
  std::string hostname;  // of the greeting and of EHLO's answer
  std::string greeting = "ESMTP Godwit";
  // Stands in brackets at the end of every refusal (4xx, 5xx) that does not have it or a longer id
  // that begins with it, so that it can be quoted to the operator. "": nothing.
  std::string id;
  ExtensionSet extensions = {
      Extension::kPipelining, Extension::kSize,     Extension::kEnhancedStatusCodes,
      Extension::k8BitMime,   Extension::kSmtpUtf8, Extension::kChunking,
      Extension::kBinaryMime, Extension::kLimits};
  // RFC 7504 §3: 521 instead of the greeting, and the end.
  bool no_mail = false;
  // TLS is on from the first byte; STARTTLS is not offered then.
  bool tls = false;
  // RFC 3207 §4: 530 to everything but EHLO, NOOP, QUIT and STARTTLS while TLS is off.
  bool require_tls = false;
  // Names of the SASL mechanisms that EHLO lists when kAuth is among the extensions. AUTH is
  // offered and taken inside TLS only (RFC 4954 §4, §9).
  std::vector<std::string> auth_mechanisms;
  // For tests on one machine: AUTH without TLS, too.
  bool auth_without_tls = false;
  // 530 to MAIL, RCPT, DATA and VRFY before AUTH has succeeded.
  bool require_auth = false;
  // RFC 4865 §3: what EHLO says behind FUTURERELEASE, an interval and a date-time.
  std::string future_release;
  CommandParser::Limits command;
  // RFC 4954 §4: 12288 octets are enough for every mechanism there is; CRLF included.
  size_t auth_line = 12288;
  DataReader::Limits data;
  // RFC 5321 §4.5.3.1.8 wants room for 100 at least. Counts those accepted in one transaction;
  // LIMITS says it (RFC 9422 §4.2).
  int max_recipients = 1000;
  // RCPTs refused in one session, those over max_recipients included; then 421.
  int max_refused_recipients = 1000;
  // MAIL commands in one session; then 421. LIMITS says it (RFC 9422 §4.1).
  int max_transactions = 1000;
  // Commands with a 5xx answer that is the client's fault; then 421.
  int max_errors = 10;
  // NOOP, RSET, VRFY, HELP, EHLO and BDAT 0 since the last message; then 421.
  int max_idle_commands = 100;
  PathLimits reverse_path = kWidePath;
  PathLimits forward_path;
};

// NeedInput, Send, StartTls (the 220 is sent, the input thrown away), Close: action.h
// The client wants to authenticate by one of ServerOptions::auth_mechanisms, in the spelling of
// there. Answer with a challenge, or with 235 or a refusal. An exchange before that had no end was
// given up.
struct CheckAuth {
  std::string mechanism;
  std::optional<base::Secret> initial_response;  // decoded
};
// What the client says to the challenge. The same.
struct AuthResponse {
  base::Secret bytes;  // decoded
};
struct AuthChallenge {
  std::string data;  // not encoded
};
using AuthAnswer = std::variant<AuthChallenge, Reply>;

// A new transaction; one not ended by EndData was given up by the client. Answer 250 or refuse.
struct CheckMailFrom {
  Address reverse_path;
  MailParameters parameters;
};
struct CheckRcpt {
  Address forward_path;
  RcptParameters parameters;
};
// Answer with kStartMailInput to have the data, or refuse (the transaction is over then). Of BDAT
// the client hears nothing of the first answer.
struct BeginData {};
// The client gives up (RSET, EHLO) a message of which chunks may have come. No answer.
struct AbandonData {};
// DataChunk: data_reader.h
// The data is complete. `refused`: the message is bad, and this is the reply to give (an id may be
// added to its text); else answer 250 only when every recipient's copy is durable.
struct EndData {
  uint64_t size = 0;
  std::optional<Reply> refused;
};

using Action = std::variant<NeedInput, Send, StartTls, CheckAuth, AuthResponse, CheckMailFrom,
                            CheckRcpt, BeginData, DataChunk, EndData, AbandonData, Close>;

class ServerSession {
 public:
  explicit ServerSession(ServerOptions options);

  // See the contract above. Takes what it used from the front of `*in`.
  Action Next(std::string_view* in);

  // The answer to a check. A 421 ends the session after it is sent.
  void OnReply(const Reply& reply);
  // The answer to CheckAuth and AuthResponse.
  void OnAuthAnswer(const AuthAnswer& answer);
  void OnTlsStarted();
  // Says `reply` (421) and closes: for timeouts and drain. Not between a check and its OnReply.
  // `why` is a literal, see cut(). No refusal(): the driver knows of it.
  void End(const Reply& reply, std::string_view why);

  // Before the first Next: says `reply` (421, 554) instead of the greeting, and closes.
  void Refuse(const Reply& reply);

  // No transaction is open and no command has begun: a good moment to End().
  bool idle() const;
  // MAIL was accepted and not ended.
  bool in_transaction() const { return state_ >= State::kMail; }
  // The next octets are no command: a message's, or those of a chunk.
  bool in_data() const { return state_ == State::kData || chunk_.has_value(); }
  // The data of a message has begun and not ended.
  bool in_message() const { return state_ >= State::kData; }

  const std::string& greeting_name() const { return greeting_name_; }  // of EHLO or HELO
  bool esmtp() const { return esmtp_; }                                // EHLO was used
  bool tls() const { return tls_; }
  bool authenticated() const { return authenticated_; }
  bool smtputf8() const { return smtputf8_; }  // of the current transaction
  int accepted_recipients() const { return recipients_; }
  // Commands and recipients that were the client's fault, in all of the session.
  int faults() const { return faults_; }
  // The last refusal that was the session's own, not an answer of the driver's.
  const std::optional<Reply>& refusal() const { return refusal_; }
  // Why we ended the session: "errors", "refused-recipients", "transactions", "idle-commands",
  // "protocol" or what End() was given; "" when we did not.
  std::string_view cut() const { return cut_; }

 private:
  enum class State { kConnected, kGreeted, kMail, kRcpt, kData, kChunks };
  enum class Awaiting { kNothing, kAuth, kMail, kRcpt, kData, kEnd, kTls };
  using Step = std::optional<Action>;  // nullopt: go on with the next command

  // A BDAT command whose octets come.
  struct Chunk {
    uint64_t size = 0;
    uint64_t left = 0;
    bool last = false;
    std::optional<Reply> refused;  // thrown away; what is said then
    bool own = true;               // which is the session's, not the driver's
    bool error = false;            // that it is refused is the client's fault
  };

  struct VerbRow;
  static const VerbRow kVerbRows[];

  Action Flush(Action when_empty);
  Step NextCommand(std::string_view* in);
  Step NextData(std::string_view* in);
  Step NextAuthLine(std::string_view* in);
  Step Handle(const Command& command, std::string_view* in);
  Step HandleHelo(const Command& command);
  Step HandleEhlo(const Command& command);
  Step HandleMail(const Command& command);
  Step HandleRcpt(const Command& command);
  Step HandleData(const Command& command);
  Step HandleBdat(const Command& command);
  Step HandleRset(const Command& command);
  Step HandleNoop(const Command& command);
  Step HandleVrfy(const Command& command);
  Step HandleHelp(const Command& command);
  Step HandleQuit(const Command& command);
  Step HandleStartTls(const Command& command);
  Step HandleHttp(const Command& command);
  Step HandleAuth(const Command& command);

  // Chunks (server_chunks.cc).
  static std::optional<Chunk> ParseChunk(std::string_view argument);
  void JudgeChunk(Chunk* chunk) const;
  Step NextChunk(std::string_view* in);
  Step EndChunk();
  void BeginChunks(const Reply& reply);

  // While TLS or authentication is required and missing.
  std::optional<Reply> CheckLogin() const;
  // Octets of one message, or of refused chunks, after which a session is given up.
  uint64_t give_up() const { return 2 * options_.data.size + (1 << 20); }
  DataFraming Framing() const;
  Step EndOfData();
  bool Greet(const Command& command);
  // Why AUTH is not possible now.
  std::optional<Reply> CheckAuthPossible() const;
  const std::string* FindMechanism(std::string_view name) const;
  std::optional<Reply> CheckSender(const Address& address, const MailParameters& parameters) const;
  // Puts it into the output.
  void Say(const Reply& reply);
  // The same for what the session itself says.
  void SayOwn(const Reply& reply);
  // A reason of cut(): what it says can't be SMTP, or not be followed any more.
  static constexpr std::string_view kProtocol = "protocol";
  // Ends the session when what it said is out.
  void Cut(const Reply& reply, std::string_view why);
  // The client's fault: counted.
  Step Error(const Reply& reply);
  Step Idle(const Reply& reply);
  // True when there were too many: the session ends.
  bool CountRefusedRecipient(const Reply& reply);
  Step RefuseRecipient(const Reply& reply);
  void ResetTransaction();
  bool Offers(Extension extension) const;
  ExtensionSet Offered() const;

  ServerOptions options_;
  CommandParser parser_;
  std::optional<DataReader> data_;  // kData, kChunks
  std::optional<Chunk> chunk_;
  State state_ = State::kConnected;
  Awaiting awaiting_ = Awaiting::kNothing;
  std::string output_;   // replies not sent yet
  std::string sending_;  // what the last Send shows
  std::string greeting_name_;
  bool esmtp_ = false;
  bool tls_ = false;
  bool smtputf8_ = false;
  BodyType body_ = BodyType::k7Bit;
  bool abandoned_ = false;  // chunks came, and the client gave the message up
  bool closing_ = false;
  bool start_tls_ = false;
  bool first_octet_seen_ = false;
  bool authenticating_ = false;  // the next line is an answer to our challenge
  bool authenticated_ = false;
  bool data_refused_ = false;  // the last command was a DATA, refused
  uint64_t discarded_ = 0;     // octets of refused chunks since the last message
  int recipients_ = 0;
  int refused_recipients_ = 0;
  int transactions_ = 0;
  int errors_ = 0;
  int idle_commands_ = 0;
  int faults_ = 0;
  std::optional<Reply> refusal_;
  std::string_view cut_;
};

}  // namespace godwit::smtp
