#include "services/smtp-ingress/callout.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "libs/net/connector.h"
#include "libs/net/stream.h"
#include "libs/obs/log.h"
#include "libs/runtime/units.h"
#include "libs/smtp/client_features.h"
#include "libs/smtp/reply_parser.h"

namespace godwit::smtp_ingress {
namespace {

// That are tried, of each family.
constexpr size_t kMaxAddresses = 4;

bool Positive(const std::optional<smtp::Reply>& reply) { return reply && reply->positive(); }

// RFC 3463 §3.2: X.1.x is of an address, X.1.7 to X.1.9 of the sender's or of a relay. 5.4.1 is
// what Exchange says of one that its directory does not have.
bool SaysNobody(const smtp::Reply& reply) {
  const std::string& code = reply.enhanced;
  if (!reply.permanent()) return false;
  if (code == "5.1.7" || code == "5.1.8" || code == "5.1.9") return false;
  return code.starts_with("5.1.") || code == "5.4.1";
}

// RFC 5321 §4.2.3: 550, 551 and 553 may be of the mailbox, or of us ("Relaying denied").
bool MaySayNobody(const smtp::Reply& reply) {
  return reply.enhanced.empty() && (reply.code == 550 || reply.code == 551 || reply.code == 553);
}

}  // namespace

// The client's side, a command at a time, until the deadline.
class Callout::Dialogue {
 public:
  Dialogue(std::unique_ptr<net::Stream> stream, const base::Clock* clock, absl::Duration deadline)
      : stream_(std::move(stream)), clock_(clock), deadline_(deadline) {}

  // Sends the line ("" nothing: the greeting) and gives the reply; nullopt when there is none.
  base::Task<std::optional<smtp::Reply>> Say(std::string line) {
    if (!line.empty()) {
      // What came uninvited would be taken for the answer.
      if (!in_.empty()) co_return std::nullopt;
      line += "\r\n";
      const absl::Status written = co_await stream_->Write(line);
      if (!written.ok()) co_return std::nullopt;
    }
    for (;;) {
      smtp::ReplyParser::Result result = parser_.Next(&in_);
      if (auto* reply = std::get_if<smtp::Reply>(&result)) co_return std::move(*reply);
      if (std::holds_alternative<smtp::MalformedReply>(result)) co_return std::nullopt;
      const absl::Duration left = deadline_ - clock_->Monotonic();
      if (left <= absl::ZeroDuration()) co_return std::nullopt;
      input_ = net::Input();
      input_ = co_await stream_->Read(left);
      if (input_.event != net::Ready::kReadable) co_return std::nullopt;
      in_ = input_.bytes();
    }
  }

  // What the server offers; nullopt when it does not let us in.
  base::Task<std::optional<smtp::ServerFeatures>> Hello(std::string hostname) {
    std::optional<smtp::Reply> reply = co_await Say("EHLO " + hostname);
    if (Positive(reply)) co_return smtp::ReadFeatures(*reply);
    if (reply && reply->permanent()) reply = co_await Say("HELO " + hostname);
    if (!Positive(reply)) co_return std::nullopt;
    co_return smtp::ServerFeatures();
  }

  // Whoever the server is: nothing is told that is a secret.
  base::Task<bool> StartTls(std::shared_ptr<net::TlsContext> context) {
    const std::optional<smtp::Reply> reply = co_await Say("STARTTLS");
    // RFC 3207 §4.2: what came before TLS is nothing of the server's behind it.
    if (!Positive(reply) || !in_.empty() || context == nullptr) co_return false;
    input_ = net::Input();
    const absl::Duration left = deadline_ - clock_->Monotonic();
    const absl::Status done = co_await stream_->StartTlsClient(std::move(context), "", left);
    co_return done.ok();
  }

 private:
  std::unique_ptr<net::Stream> stream_;
  const base::Clock* const clock_;
  const absl::Duration deadline_;
  smtp::ReplyParser parser_;
  net::Input input_;
  std::string_view in_;
};

Callout::Callout(CalloutOptions options, const base::Clock* clock, dns::Resolver* resolver)
    : options_(std::move(options)), clock_(clock), resolver_(resolver) {
  net::TlsClientOptions tls;
  tls.verification = net::ServerVerification::kNone;
  auto context = net::TlsContext::NewClient(std::move(tls));
  if (context.ok()) tls_ = *std::move(context);
}

base::Task<Known> Callout::Ask(std::string next_hop, smtp::Address address, bool null_sender) {
  const std::string key = next_hop + " " + address.ToPath();
  Start start = Begin(next_hop, key, null_sender);
  if (const auto* known = std::get_if<Known>(&start)) co_return *known;
  if (const auto* flight = std::get_if<base::Completion<Known>>(&start)) {
    const Known known = co_await *flight;
    co_return known;
  }
  const Heard heard = co_await AskNow(next_hop, std::move(address));
  End(next_hop, key, heard);
  co_return heard.known;
}

Callout::Start Callout::Begin(const std::string& next_hop, const std::string& key,
                              bool null_sender) {
  const absl::Duration now = clock_->Monotonic();
  std::lock_guard lock(mutex_);
  const auto answer = answers_.find(key);
  if (answer != answers_.end() && answer->second.until >= now) return answer->second.known;
  if (const auto flight = flights_.find(key); flight != flights_.end()) {
    if (null_sender) return Known::kNotNow;
    return flight->second.emplace_back();
  }
  Hop& hop = hops_[next_hop];
  const bool full =
      questions_ >= options_.max_questions || hop.questions >= options_.max_questions_per_hop;
  if (full || hop.rests_until > now) return Known::kNotNow;
  ++questions_;
  ++hop.questions;
  flights_.try_emplace(key);
  return std::monostate();
}

void Callout::End(const std::string& next_hop, const std::string& key, Heard heard) {
  std::vector<base::Completion<Known>> waiting;
  {
    std::lock_guard lock(mutex_);
    Hop& hop = hops_[next_hop];
    --questions_;
    --hop.questions;
    if (!heard.reached) hop.rests_until = clock_->Monotonic() + options_.rest;
    if (heard.known != Known::kNotNow) KeepLocked(key, heard.known);
    waiting = std::move(flights_.extract(key).mapped());
  }
  for (const auto& flight : waiting) flight.Set(heard.known);
}

void Callout::KeepLocked(const std::string& key, Known known) {
  const absl::Duration valid = known == Known::kYes ? options_.yes_valid : options_.no_valid;
  // Forgetting all of them now and then is as good as forgetting one by one.
  if (answers_.size() >= options_.max_answers) answers_.clear();
  answers_[key] = {known, clock_->Monotonic() + valid};
}

// One address after the other, until a server listens: what it says counts.
base::Task<Callout::Heard> Callout::AskNow(std::string next_hop, smtp::Address address) {
  const absl::Duration deadline = clock_->Monotonic() + options_.timeout;
  const std::vector<net::Endpoint> endpoints = co_await Find(next_hop);
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const absl::Duration left = deadline - clock_->Monotonic();
    if (left <= absl::ZeroDuration()) break;
    // One that does not answer leaves time for those behind it.
    const absl::Duration connect = left / static_cast<double>(endpoints.size() - i);
    const Heard heard = co_await AskAt(endpoints[i], connect, deadline, address);
    if (heard.reached) co_return heard;
  }
  obs::Log(obs::Level::kWarning, "no callout",
           {{"next_hop", next_hop}, {"addresses", endpoints.size()}});
  co_return Heard{};
}

base::Task<Callout::Heard> Callout::AskAt(net::Endpoint endpoint, absl::Duration connect_timeout,
                                          absl::Duration deadline, smtp::Address address) {
  net::ConnectOptions connect;
  connect.to = endpoint;
  connect.timeout = connect_timeout;
  absl::StatusOr<std::unique_ptr<net::Stream>> stream = co_await net::Connect(std::move(connect));
  if (!stream.ok()) co_return Heard{};
  (*stream)->set_write_timeout(options_.timeout);
  Dialogue server(*std::move(stream), clock_, deadline);
  const std::optional<smtp::Reply> greeting = co_await server.Say("");
  if (!Positive(greeting)) co_return Heard{};
  const Heard heard = co_await Converse(&server, std::move(address));
  if (heard.reached) (void)co_await server.Say("QUIT");
  co_return heard;
}

// In the clear first. RFC 3207 §4: 530 wants STARTTLS before anything; and some offer more behind
// it.
base::Task<Callout::Heard> Callout::Converse(Dialogue* server, smtp::Address address) {
  const bool utf8 = !address.is_ascii();
  std::optional<smtp::Reply> reply;
  for (bool tls = false; !Positive(reply); tls = true) {
    if (tls) {
      const bool started = co_await server->StartTls(tls_);
      if (!started) co_return Heard{};
    }
    const std::optional<smtp::ServerFeatures> features = co_await server->Hello(options_.hostname);
    if (!features) co_return Heard{};
    const bool may_start_tls = features->start_tls && !tls;
    if (utf8 && !features->smtputf8) {
      if (may_start_tls) continue;
      co_return Heard{Known::kNoUtf8, true};
    }
    // RFC 5321 §6.1: nobody is told of what becomes of this. RFC 6531 §3.4: SMTPUTF8 is asked for.
    reply = co_await server->Say(utf8 ? "MAIL FROM:<> SMTPUTF8" : "MAIL FROM:<>");
    const bool wants_tls = reply && reply->code == 530 && may_start_tls;
    if (!Positive(reply) && !wants_tls) co_return Heard{};
  }
  const Known known = co_await AskRecipient(server, std::move(address));
  co_return Heard{known, true};
}

base::Task<Known> Callout::AskRecipient(Dialogue* server, smtp::Address address) {
  const std::optional<smtp::Reply> reply = co_await server->Say("RCPT TO:" + address.ToPath());
  if (!reply) co_return Known::kNotNow;
  if (reply->positive()) co_return Known::kYes;
  if (SaysNobody(*reply)) co_return Known::kNo;
  if (!MaySayNobody(*reply)) co_return Known::kNotNow;
  // RFC 5321 §4.5.1: every domain has a postmaster. If that is refused too, it is not for the name.
  const std::string postmaster = "RCPT TO:<postmaster@" + address.domain + ">";
  const std::optional<smtp::Reply> control = co_await server->Say(postmaster);
  co_return Positive(control) ? Known::kNo : Known::kNotNow;
}

base::Task<std::vector<net::Endpoint>> Callout::Find(std::string next_hop) const {
  std::vector<net::Endpoint> endpoints;
  const auto hop = runtime::ParseEndpoint(next_hop);
  if (!hop) co_return endpoints;
  if (const auto address = base::IpAddress::Parse(hop->host)) {
    endpoints.push_back({*address, hop->port});
    co_return endpoints;
  }
  if (resolver_ == nullptr) co_return endpoints;
  for (base::DnsType type : {base::DnsType::kAaaa, base::DnsType::kA}) {
    const base::DnsAnswer found = co_await resolver_->Resolve({hop->host, type});
    const size_t count = std::min(found.addresses.size(), kMaxAddresses);
    for (size_t i = 0; i < count; ++i) endpoints.push_back({found.addresses[i], hop->port});
  }
  co_return endpoints;
}

}  // namespace godwit::smtp_ingress
