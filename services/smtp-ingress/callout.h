#pragma once

// Callout: asks the other server of a domain whether it would take mail for an address, so that
// mail for nobody is refused here and now, and not bounced to whoever is named as the sender.
//
//   C: EHLO mx.example   C: MAIL FROM:<>   C: RCPT TO:<address>   C: QUIT
//
// Nothing is delivered. It asks in the clear, unless the server will not hear it without TLS (530),
// and sends no mail: what it learns is what everybody can learn there. Answers are remembered by
// each replica.
//
// Equal questions at the same time are asked once. A server that does not come to answer for a
// recipient rests for a while; none has more than its share of the questions in flight.
//
// From every reactor's thread.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/net/endpoint.h"
#include "libs/net/tls_context.h"
#include "libs/smtp/path.h"

namespace godwit::smtp_ingress {

enum class Known {
  kYes,
  kNo,
  kNoUtf8,  // an address beyond ASCII, and a server that can have none (RFC 6531)
  kNotNow,  // the server can't be asked, or says neither
};

struct CalloutOptions {
  std::string hostname;  // of EHLO
  // For one question, connecting to all addresses included.
  absl::Duration timeout = absl::Seconds(10);
  // How long an answer holds.
  absl::Duration yes_valid = absl::Hours(2);
  absl::Duration no_valid = absl::Minutes(10);
  size_t max_answers = 20000;
  // At the same time, in all and to one next hop; beyond that it is kNotNow.
  int max_questions = 50;
  int max_questions_per_hop = 10;
  // How long a next hop is not asked that could not be.
  absl::Duration rest = absl::Seconds(5);
};

class Callout {
 public:
  // Without a resolver (null) only next hops that are addresses can be asked.
  Callout(CalloutOptions options, const base::Clock* clock, dns::Resolver* resolver);

  // `next_hop` is HOST:PORT; the address's domain is in A-labels. `null_sender`: for a message with
  // the reverse-path <>, which may be a question itself, even our own that has come back (two
  // servers that take one another for the next hop): it does not wait for an equal one.
  base::Task<Known> Ask(std::string next_hop, smtp::Address address, bool null_sender);

 private:
  struct Answer {
    Known known = Known::kNotNow;
    absl::Duration until;
  };
  struct Hop {
    int questions = 0;  // in flight
    absl::Duration rests_until;
  };
  struct Heard {
    Known known = Known::kNotNow;
    bool reached = false;  // a server listens; what it says is of the address
  };
  class Dialogue;

  // What is known; else the flight of an equal question; else nothing: the caller asks.
  using Start = std::variant<std::monostate, Known, base::Completion<Known>>;
  Start Begin(const std::string& next_hop, const std::string& key, bool null_sender);
  void End(const std::string& next_hop, const std::string& key, Heard heard);
  void KeepLocked(const std::string& key, Known known);

  base::Task<Heard> AskNow(std::string next_hop, smtp::Address address);
  base::Task<Heard> AskAt(net::Endpoint endpoint, absl::Duration connect_timeout,
                          absl::Duration deadline, smtp::Address address);
  base::Task<Heard> Converse(Dialogue* server, smtp::Address address);
  base::Task<Known> AskRecipient(Dialogue* server, smtp::Address address);
  // Where it can be reached; empty when that can't be found out.
  base::Task<std::vector<net::Endpoint>> Find(std::string next_hop) const;

  const CalloutOptions options_;
  const base::Clock* const clock_;
  dns::Resolver* const resolver_;
  std::shared_ptr<net::TlsContext> tls_;
  std::mutex mutex_;
  // Guarded by mutex_. Next hops are as many as administrators have named.
  int questions_ = 0;
  std::map<std::string, Hop> hops_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, std::vector<base::Completion<Known>>> flights_;
};

}  // namespace godwit::smtp_ingress
