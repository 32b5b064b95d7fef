#include "services/webmail-api/event_source.h"

#include <algorithm>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/jmap/id.h"
#include "libs/obs/log.h"
#include "libs/store/credentials.h"
#include "libs/store/web_session.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

// A silent stream says something this often, so that a dead connection is found.
constexpr absl::Duration kSilence = absl::Minutes(5);

jmap::TypeStates StatesOf(const store::JmapStates& states) {
  return {{"Mailbox", jmap::FormatState(states.mailbox)},
          {"Email", jmap::FormatState(states.email)},
          {"Thread", jmap::FormatState(states.thread)},
          {"EmailSubmission", jmap::FormatState(states.submission)}};
}

// "Email.5-Mailbox.7"
std::string EventId(const jmap::TypeStates& states) {
  std::string id;
  for (const auto& [type, state] : states) id += (id.empty() ? "" : "-") + type + "." + state;
  return id;
}

jmap::TypeStates ParseEventId(std::string_view id) {
  jmap::TypeStates states;
  if (id.size() > 500) return states;
  for (const std::string_view pair : base::Split(id, '-')) {
    const size_t dot = pair.find('.');
    if (dot == std::string_view::npos) continue;
    states[std::string(pair.substr(0, dot))] = pair.substr(dot + 1);
  }
  return states;
}

}  // namespace

EventStream::EventStream(Environment* environment, const User& user, jmap::EventRequest request,
                         std::string last_event_id)
    : env_(environment),
      user_(user),
      account_id_(jmap::FormatId(jmap::IdType::kAccount, store::ToInt(user.account))),
      request_(std::move(request)),
      last_event_id_(std::move(last_event_id)),
      handle_(std::make_shared<hint::SessionHandle>(net::Reactor::Current(), this)),
      timer_(net::Reactor::Current()),
      until_(environment->clock->Monotonic() + environment->settings.event_stream_lifetime) {
  env_->registry->Add(handle_);
  account_ = env_->registry->Join(user.account, handle_, user.credential);
  env_->metrics->event_streams.Add(1);
}

EventStream::~EventStream() {
  handle_->session = nullptr;
  env_->registry->Leave(account_, handle_, env_->clock->Monotonic());
  env_->registry->Remove(handle_);
  env_->metrics->event_streams.Add(-1);
}

void EventStream::End() {
  ended_ = true;
  timer_.Cancel();
}

void EventStream::OnChange() {
  changed_ = true;
  timer_.Cancel();
}

base::Task<absl::Status> EventStream::Begin() {
  begun_ = true;
  // Watched first and read after that: nothing falls in between.
  absl::Status watched = co_await env_->presence->Watch(account_);
  if (!watched.ok()) {
    // The slow poll tells, later.
    obs::Log(obs::Level::kWarning, "account not watched", {{"error", watched}});
  }
  auto ended = co_await EndedMeanwhile();
  if (!ended.ok()) co_return ended.status();
  if (*ended) {
    End();
    co_return absl::OkStatus();
  }
  if (!last_event_id_.empty()) {
    told_ = ParseEventId(last_event_id_);
    changed_ = true;
    co_return absl::OkStatus();
  }
  auto states = co_await ReadStates();
  if (!states.ok()) co_return states.status();
  told_ = StatesOf(*states);
  co_return absl::OkStatus();
}

base::Task<absl::StatusOr<bool>> EventStream::EndedMeanwhile() {
  if (env_->presence->directory_seen() == user_.directory_seen) co_return false;
  const store::LoginRef login{user_.account, user_.credential};
  absl::StatusOr<std::vector<store::LoginRef>> ended = co_await env_->database->Run(
      [login](db::Connection& c) { return store::EndedLogins(c, {login}); });
  if (!ended.ok()) co_return ended.status();
  co_return !ended->empty();
}

base::Task<absl::StatusOr<store::JmapStates>> EventStream::ReadStates() {
  absl::StatusOr<store::JmapStates> states =
      co_await env_->database->Run([user = user_, now = env_->clock->Now()](
                                       db::Connection& c) -> absl::StatusOr<store::JmapStates> {
        // Logging out tells nobody: a stream of the page looks whether it is still logged in.
        if (!user.token_hash.empty()) {
          GODWIT_ASSIGN_OR_RETURN(auto session,
                                  store::FindWebSession(c, user.account, user.token_hash, now));
          if (!session) return base::NotFound("logged out");
        }
        return store::GetJmapStates(c, user.account);
      });
  co_return states;
}

base::Task<absl::StatusOr<std::string>> EventStream::Collect() {
  auto states = co_await ReadStates();
  if (!states.ok()) co_return states.status();
  const jmap::TypeStates now = StatesOf(*states);
  jmap::TypeStates changed;
  for (const auto& [type, state] : now) {
    const bool wanted = request_.all_types || request_.types.contains(type);
    if (wanted && told_[type] != state) changed[type] = state;
  }
  told_ = now;
  if (changed.empty()) co_return std::string();
  if (request_.close_after_state) ended_ = true;
  co_return jmap::FormatEvent("state", EventId(now), jmap::StateChangeToJson(account_id_, changed));
}

base::Task<absl::StatusOr<std::string>> EventStream::Next() {
  if (!begun_) {
    absl::Status begun = co_await Begin();
    if (!begun.ok()) co_return begun;
    // Sends the head on its way: the client's stream is open.
    co_return std::string(":\n\n");
  }
  const absl::Duration interval =
      request_.ping_seconds > 0 ? absl::Seconds(request_.ping_seconds) : kSilence;
  while (!ended_) {
    if (std::exchange(changed_, false)) {
      auto event = co_await Collect();
      if (!event.ok()) co_return event.status();
      if (!event->empty()) co_return event;
      continue;
    }
    const absl::Duration left = until_ - env_->clock->Monotonic();
    if (left <= absl::ZeroDuration()) break;
    const bool silent = co_await timer_.Wait(std::min(interval, left));
    if (!silent || ended_ || changed_) {
      if (net::Reactor::Current()->stopping()) break;
      continue;
    }
    if (request_.ping_seconds == 0) co_return std::string(":\n\n");
    co_return jmap::FormatEvent("ping", "", {{"interval", request_.ping_seconds}});
  }
  co_return std::string();
}

}  // namespace godwit::webmail_api
