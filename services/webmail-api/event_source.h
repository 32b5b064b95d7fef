#pragma once

// The event stream of one client (RFC 8620 §7.3): states of types as they change, and pings.
//
// It holds its account in the registry of gateways, as an IDLE session of imap-gateway does: a hint
// wakes it, it reads the states from the store and tells those that differ from what it told last.
// An event's id is all of them, so that a client that comes back with Last-Event-ID hears at once
// what it missed. It ends when the client goes, the account is locked, the login of the page is
// over, the process drains, or after the configured time; the client then begins another.

#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "libs/hint/registry.h"
#include "libs/jmap/session.h"
#include "libs/net/http.h"
#include "libs/net/reactor.h"
#include "libs/store/ids.h"
#include "libs/store/jmap_email.h"
#include "services/webmail-api/auth.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

class EventStream : public net::BodySource, public hint::Wakeable {
 public:
  // On the reactor that it lives on. `last_event_id` is "" for a new client.
  EventStream(Environment* environment, const User& user, jmap::EventRequest request,
              std::string last_event_id);
  ~EventStream() override;

  base::Task<absl::StatusOr<std::string>> Next() override;
  void OnPeerGone() override { End(); }

  void OnChange() override;
  void OnDrain() override { End(); }
  void OnLockedOut() override { End(); }

 private:
  void End();
  base::Task<absl::Status> Begin();
  // Whether the login is one that ended before we joined the registry (hint::Presence).
  base::Task<absl::StatusOr<bool>> EndedMeanwhile();
  // The states now. NotFound when the login of the page has ended.
  base::Task<absl::StatusOr<store::JmapStates>> ReadStates();
  // The event for what has changed; "" when nothing has that was asked for.
  base::Task<absl::StatusOr<std::string>> Collect();

  Environment* const env_;
  const User user_;
  const std::string account_id_;
  const jmap::EventRequest request_;
  const std::string last_event_id_;
  std::shared_ptr<hint::SessionHandle> handle_;
  std::shared_ptr<hint::Account> account_;
  net::Timer timer_;
  jmap::TypeStates told_;
  absl::Duration until_;
  bool begun_ = false;
  bool changed_ = false;
  bool ended_ = false;
};

}  // namespace godwit::webmail_api
