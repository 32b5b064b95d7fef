#pragma once

// OnwardFixture: an IngressFixture with a queue, aliases with members elsewhere, and relayed
// domains.

#include <string>
#include <string_view>
#include <vector>

#include "libs/store/directory.h"
#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {

class OnwardFixture : public IngressFixture {
 public:
  void StartWithQueue(const std::string& more = "") { Start(StartQueue() + more); }
  void AddAlias(const std::string& address, std::vector<std::string> members) {
    MustOk(store::AddAlias(*connection, {address, true, std::move(members)}, absl::Now()));
  }
  void MakeRelay(const std::string& name, store::DomainKind kind, bool listed_only = false) {
    if (name != "y.example") MustOk(store::AddDomain(*connection, name, absl::Now()));
    store::Domain domain = Must(store::GetDomain(*connection, name));
    domain.kind = kind;
    domain.next_hop = "192.0.2.1:25";
    domain.listed_only = listed_only;
    MustOk(store::UpdateDomain(*connection, domain));
  }
  // Of the only message that was queued.
  std::vector<std::string> QueuedTo(size_t at = 0) {
    REQUIRE(queue.taken.size() > at);
    std::vector<std::string> to;
    for (const auto& r : queue.taken[at].submission.recipients()) to.push_back(r.address());
    return to;
  }
};

inline bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace godwit::smtp_ingress
