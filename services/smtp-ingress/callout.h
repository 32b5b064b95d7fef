#pragma once

// Callout: asks the other server of a domain whether it would take mail for an address, so that
// mail for nobody is refused here and now, and not bounced to whoever is named as the sender.
//
//   C: EHLO mx.example   C: MAIL FROM:<>   C: RCPT TO:<address>   C: QUIT
//
// Nothing is delivered. It asks in the clear and sends no mail: what it learns is what everybody
// can learn there. Answers are remembered by each replica.
//
// From every reactor's thread.

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/net/endpoint.h"
#include "libs/smtp/path.h"

namespace godwit::smtp_ingress {

enum class Known {
  kYes,
  kNo,
  kNotNow,  // the server can't be asked, or says neither
};

struct CalloutOptions {
  std::string hostname;  // of EHLO
  // For one question, connecting included.
  absl::Duration timeout = absl::Seconds(10);
  // How long an answer holds.
  absl::Duration yes_valid = absl::Hours(2);
  absl::Duration no_valid = absl::Minutes(10);
  size_t max_answers = 20000;
  // At the same time; beyond that it is kNotNow.
  int max_questions = 50;
};

class Callout {
 public:
  // Without a resolver (null) only next hops that are addresses can be asked.
  Callout(CalloutOptions options, const base::Clock* clock, dns::Resolver* resolver)
      : options_(std::move(options)), clock_(clock), resolver_(resolver) {}

  // `next_hop` is HOST:PORT.
  base::Task<Known> Ask(std::string next_hop, smtp::Address address);

 private:
  struct Answer {
    bool exists = false;
    absl::Duration until;
  };

  Known Look(const std::string& key);
  void Keep(const std::string& key, bool exists);
  base::Task<Known> AskNow(std::string next_hop, std::string path);
  base::Task<absl::StatusOr<net::Endpoint>> Find(std::string next_hop) const;

  const CalloutOptions options_;
  const base::Clock* const clock_;
  dns::Resolver* const resolver_;
  std::atomic<int> questions_{0};
  std::mutex mutex_;
  std::map<std::string, Answer> answers_;  // guarded by mutex_
};

}  // namespace godwit::smtp_ingress
