#pragma once

// Lookups: the DNS answers of one message, asked for while the message still comes.
//
//   auto lookups = std::make_shared<Lookups>(resolver, limits);
//   lookups->Ask(verifier.Questions());       // returns at once
//   ... more bytes, more questions ...
//   co_await lookups->Settle();               // all that was asked is answered
//
// At most `max_questions` are asked; what is above gets a temporary failure, so that an evaluation
// always comes to its end. Belongs to one executor. Questions in flight keep the object alive.

#include <cstddef>
#include <memory>
#include <set>
#include <vector>

#include "libs/base/dns_answer.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"

namespace godwit::auth_verifier {

class Lookups : public std::enable_shared_from_this<Lookups> {
 public:
  Lookups(dns::Resolver* resolver, size_t max_questions)
      : resolver_(resolver), questions_left_(max_questions) {}

  // Asks what was not asked before.
  void Ask(const std::vector<base::DnsQuestion>& questions);
  // From now on every new question is answered with a temporary failure, at once.
  void StopAsking() { questions_left_ = 0; }
  // Resumes when nothing is in flight. One waiter at a time.
  base::Task<void> Settle();

  const base::DnsAnswers& answers() const { return answers_; }
  // Grows with every answer.
  size_t generation() const { return answers_.size(); }
  // Something got a temporary failure from the resolver.
  bool any_failed() const { return any_failed_; }

 private:
  static base::Task<void> Fetch(std::shared_ptr<Lookups> self, base::DnsQuestion question);

  dns::Resolver* resolver_;
  size_t questions_left_;
  base::DnsAnswers answers_;
  std::set<base::DnsQuestion> in_flight_;
  bool any_failed_ = false;
  base::Completion<bool> idle_;
};

}  // namespace godwit::auth_verifier
