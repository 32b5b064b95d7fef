#include "services/smtp-ingress/callout.h"

#include <optional>
#include <utility>
#include <variant>

#include "libs/base/status.h"
#include "libs/net/connector.h"
#include "libs/obs/log.h"
#include "libs/runtime/units.h"
#include "libs/smtp/reply_parser.h"

namespace godwit::smtp_ingress {
namespace {

// The client's side, a command at a time, until the deadline.
class Dialogue {
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

 private:
  std::unique_ptr<net::Stream> stream_;
  const base::Clock* const clock_;
  const absl::Duration deadline_;
  smtp::ReplyParser parser_;
  net::Input input_;
  std::string_view in_;
};

bool Positive(const std::optional<smtp::Reply>& reply) { return reply && reply->positive(); }

// RFC 5321 §4.2.2, §4.2.3: 550, 551 and 553 are of the mailbox; with X.7 (RFC 3463 §3.8) it is we
// who are not wanted, which says nothing of the address.
Known Read(const std::optional<smtp::Reply>& reply) {
  if (!reply) return Known::kNotNow;
  if (reply->positive()) return Known::kYes;
  const bool mailbox = reply->code == 550 || reply->code == 551 || reply->code == 553;
  return mailbox && !reply->enhanced.starts_with("5.7.") ? Known::kNo : Known::kNotNow;
}

base::Task<Known> Converse(Dialogue* server, std::string hostname, std::string path) {
  std::optional<smtp::Reply> reply = co_await server->Say("");
  if (!Positive(reply)) co_return Known::kNotNow;
  reply = co_await server->Say("EHLO " + hostname);
  if (reply && reply->permanent()) reply = co_await server->Say("HELO " + hostname);
  if (!Positive(reply)) co_return Known::kNotNow;
  // RFC 5321 §6.1: nobody is told of what becomes of this.
  reply = co_await server->Say("MAIL FROM:<>");
  if (!Positive(reply)) co_return Known::kNotNow;
  reply = co_await server->Say("RCPT TO:" + path);
  const Known known = Read(reply);
  if (reply) (void)co_await server->Say("QUIT");
  co_return known;
}

}  // namespace

Known Callout::Look(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto known = answers_.find(key);
  if (known == answers_.end() || known->second.until < clock_->Monotonic()) return Known::kNotNow;
  return known->second.exists ? Known::kYes : Known::kNo;
}

void Callout::Keep(const std::string& key, bool exists) {
  const absl::Duration valid = exists ? options_.yes_valid : options_.no_valid;
  std::lock_guard lock(mutex_);
  // Forgetting all of them now and then is as good as forgetting one by one.
  if (answers_.size() >= options_.max_answers) answers_.clear();
  answers_[key] = {exists, clock_->Monotonic() + valid};
}

base::Task<Known> Callout::Ask(std::string next_hop, smtp::Address address) {
  std::string path = address.ToPath();
  // SMTPUTF8 (RFC 6531) would have to be asked for first.
  if (!address.is_ascii()) co_return Known::kYes;
  const std::string key = next_hop + " " + path;
  const Known before = Look(key);
  if (before != Known::kNotNow) co_return before;
  if (questions_.fetch_add(1) >= options_.max_questions) {
    questions_.fetch_sub(1);
    co_return Known::kNotNow;
  }
  const Known known = co_await AskNow(std::move(next_hop), std::move(path));
  questions_.fetch_sub(1);
  if (known != Known::kNotNow) Keep(key, known == Known::kYes);
  co_return known;
}

base::Task<Known> Callout::AskNow(std::string next_hop, std::string path) {
  const absl::Duration deadline = clock_->Monotonic() + options_.timeout;
  absl::StatusOr<net::Endpoint> endpoint = co_await Find(next_hop);
  absl::Status problem = endpoint.status();
  if (endpoint.ok()) {
    net::ConnectOptions connect;
    connect.to = *endpoint;
    connect.timeout = options_.timeout;
    absl::StatusOr<std::unique_ptr<net::Stream>> stream = co_await net::Connect(std::move(connect));
    problem = stream.status();
    if (stream.ok()) {
      (*stream)->set_write_timeout(options_.timeout);
      Dialogue server(*std::move(stream), clock_, deadline);
      const Known known = co_await Converse(&server, options_.hostname, std::move(path));
      co_return known;
    }
  }
  obs::Log(obs::Level::kWarning, "no callout", {{"next_hop", next_hop}, {"status", problem}});
  co_return Known::kNotNow;
}

base::Task<absl::StatusOr<net::Endpoint>> Callout::Find(std::string next_hop) const {
  const auto hop = runtime::ParseEndpoint(next_hop);
  if (!hop) co_return base::InvalidArgument("the next hop can not be read");
  net::Endpoint endpoint;
  endpoint.port = hop->port;
  std::optional<base::IpAddress> address = base::IpAddress::Parse(hop->host);
  for (base::DnsType type : {base::DnsType::kAaaa, base::DnsType::kA}) {
    if (address || resolver_ == nullptr) break;
    const base::DnsAnswer found = co_await resolver_->Resolve({hop->host, type});
    if (!found.addresses.empty()) address = found.addresses.front();
  }
  if (!address) co_return base::Unavailable("the next hop has no address that can be found");
  endpoint.address = *address;
  co_return endpoint;
}

}  // namespace godwit::smtp_ingress
