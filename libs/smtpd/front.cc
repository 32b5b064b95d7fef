#include "libs/smtpd/front.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/smtpd/connection.h"

namespace godwit::smtpd {
namespace {

constexpr absl::Duration kDrainStep = absl::Milliseconds(20);
// The last part of the grace period, at most a quarter: for clients to be told 421 and to take it.
constexpr absl::Duration kCutTime = absl::Seconds(3);

}  // namespace

Front::Front(net::ReactorPool* reactors, FrontOptions options)
    : options_(std::move(options)), reactors_(reactors) {}

absl::Status Front::Listen(net::ListenOptions listen, Profile profile) {
  const Profile* kept =
      profiles_.emplace_back(std::make_unique<const Profile>(std::move(profile))).get();
  auto handler = [this, kept](std::unique_ptr<net::Stream> stream) {
    base::Spawn(Connection::Serve(std::move(stream), this, kept));
  };
  GODWIT_ASSIGN_OR_RETURN(auto listener,
                          net::Listener::Start(reactors_, std::move(listen), std::move(handler)));
  obs::Log(obs::Level::kInfo, "listening",
           {{"endpoint", listener->endpoint().ToString()}, {"implicit_tls", kept->implicit_tls}});
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

std::vector<net::Endpoint> Front::endpoints() const {
  std::vector<net::Endpoint> endpoints;
  for (const auto& listener : listeners_) endpoints.push_back(listener->endpoint());
  return endpoints;
}

bool Front::Enter() {
  options_.sessions->Add(1);
  return ++sessions_ <= options_.max_sessions;
}

void Front::Leave() {
  --sessions_;
  options_.sessions->Add(-1);
}

// Until all have ended, or `patience` has.
void Front::AwaitSessions(absl::Duration patience) const {
  const absl::Duration begin = options_.clock->Monotonic();
  while (sessions_ > 0 && options_.clock->Monotonic() - begin < patience) {
    absl::SleepFor(kDrainStep);
  }
}

void Front::Drain(absl::Duration grace) {
  draining_ = true;
  for (const auto& listener : listeners_) listener->Close();
  reactors_->WakeAll();
  const absl::Duration cut = std::min(kCutTime, grace / 4);
  AwaitSessions(grace - cut);
  cutting_ = true;
  reactors_->WakeAll();
  AwaitSessions(cut);
  if (sessions_ > 0) {
    obs::Log(obs::Level::kWarning, "sessions cut at the end of the grace period",
             {{"sessions", sessions_.load()}});
  }
}

}  // namespace godwit::smtpd
