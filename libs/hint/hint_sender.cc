#include "libs/hint/hint_sender.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/call.h"
#include "libs/rpc/client.h"
#include "proto/godwit/hint/v1/hint.grpc.pb.h"

namespace godwit::hint {

namespace pb = ::godwit::hint::v1;

namespace {

// Of what is logged about one gateway. Gateways come and go with their addresses: the oldest are
// forgotten above a number that no installation reaches.
constexpr absl::Duration kComplaintInterval = absl::Minutes(1);
constexpr size_t kMaxComplaints = 1000;

// A gateway that nothing was sent to for this long is forgotten: one that went in good order would
// be dialled for ever.
constexpr absl::Duration kIdle = absl::Minutes(10);

// Between two calls to a gateway.
constexpr absl::Duration kPause = absl::Milliseconds(20);

}  // namespace

// Lives on the reactor's thread; coroutines hold it, so that it outlives the sender.
class HintSender::Core : public std::enable_shared_from_this<HintSender::Core> {
 public:
  explicit Core(HintSenderOptions options) : options_(std::move(options)) {}

  void Add(int64_t account, int64_t modseq, const std::vector<std::string>& watchers);
  base::Task<void> Finish();
  HintStats stats() const { return {sent_.load(), dropped_.load(), known_.load()}; }

 private:
  struct Gateway {
    std::map<int64_t, int64_t> waiting;  // account -> highest modseq
    std::unique_ptr<pb::Hints::Stub> stub;
    bool sending = false;
    absl::Duration used;  // on the monotonic clock
  };

  // What went wrong with a gateway since it was last told.
  struct Complaint {
    absl::Duration told = -absl::InfiniteDuration();
    int64_t calls = 0;
    int64_t hints = 0;
  };

  static base::Task<void> Run(std::shared_ptr<Core> core, std::string address);
  base::Task<void> Drain(std::string address);
  bool Connect(const std::string& address, Gateway* gateway);
  pb::HintRequest TakeBatch(Gateway* gateway) const;
  void GiveUp(const std::string& address, int64_t under_way, const absl::Status& status);
  void Complain(const std::string& address, int64_t hints, const absl::Status& status);
  void ForgetIdle();
  void CountSent(int64_t hints);
  void CountDropped(int64_t hints);

  HintSenderOptions options_;
  std::unordered_map<std::string, Gateway> gateways_;
  std::unordered_map<std::string, Complaint> complaints_;
  absl::Duration looked_;  // for idle gateways
  int running_ = 0;
  bool finishing_ = false;
  base::Completion<bool> finished_;
  std::atomic<int64_t> sent_{0};
  std::atomic<int64_t> dropped_{0};
  std::atomic<int64_t> known_{0};
};

void HintSender::Core::Add(int64_t account, int64_t modseq,
                           const std::vector<std::string>& watchers) {
  if (finishing_) {
    CountDropped(static_cast<int64_t>(watchers.size()));
    return;
  }
  ForgetIdle();
  for (const std::string& address : watchers) {
    Gateway& gateway = gateways_[address];
    gateway.used = looked_;
    auto found = gateway.waiting.find(account);
    if (found != gateway.waiting.end()) {
      found->second = std::max(found->second, modseq);
    } else if (gateway.waiting.size() < options_.max_waiting) {
      gateway.waiting.emplace(account, modseq);
    } else {
      CountDropped(1);
    }
    known_ = static_cast<int64_t>(gateways_.size());
    if (!std::exchange(gateway.sending, true)) base::Spawn(Run(shared_from_this(), address));
  }
}

// Once a minute, so `used` may be a minute old.
void HintSender::Core::ForgetIdle() {
  const absl::Duration now = options_.clock->Monotonic();
  if (now - looked_ < absl::Minutes(1)) return;
  looked_ = now;
  std::erase_if(gateways_, [now](const auto& entry) {
    return !entry.second.sending && now - entry.second.used > kIdle;
  });
}

bool HintSender::Core::Connect(const std::string& address, Gateway* gateway) {
  if (gateway->stub != nullptr) return true;
  const size_t at = address.find('@');
  rpc::ChannelOptions options;
  options.target = at == std::string::npos ? address : address.substr(at + 1);
  options.daemon = at == std::string::npos ? options_.daemon : address.substr(0, at);
  options.tls = options_.tls;
  auto channel = rpc::Connect(std::move(options));
  if (!channel.ok()) {
    GiveUp(address, 0, channel.status());
    return false;
  }
  gateway->stub = pb::Hints::NewStub(*channel);
  return true;
}

pb::HintRequest HintSender::Core::TakeBatch(Gateway* gateway) const {
  pb::HintRequest request;
  auto end = gateway->waiting.begin();
  for (size_t i = 0; i < options_.max_batch && end != gateway->waiting.end(); ++i, ++end) {
    pb::AccountChange* change = request.add_changes();
    change->set_account_id(end->first);
    change->set_modseq(end->second);
  }
  gateway->waiting.erase(gateway->waiting.begin(), end);
  return request;
}

void HintSender::Core::CountSent(int64_t hints) {
  sent_ += hints;
  if (options_.sent) options_.sent->Add(static_cast<double>(hints));
}

void HintSender::Core::CountDropped(int64_t hints) {
  dropped_ += hints;
  if (options_.dropped) options_.dropped->Add(static_cast<double>(hints));
}

// The gateway and what waits for it are forgotten; the next hint tries anew.
void HintSender::Core::GiveUp(const std::string& address, int64_t under_way,
                              const absl::Status& status) {
  const int64_t hints = under_way + static_cast<int64_t>(gateways_[address].waiting.size());
  CountDropped(hints);
  Complain(address, hints, status);
  gateways_.erase(address);
  known_ = static_cast<int64_t>(gateways_.size());
}

// A gateway that is away fails with each message that comes in: that is no reason for a line each.
void HintSender::Core::Complain(const std::string& address, int64_t hints,
                                const absl::Status& status) {
  if (complaints_.size() >= kMaxComplaints) complaints_.clear();
  Complaint& complaint = complaints_[address];
  ++complaint.calls;
  complaint.hints += hints;
  const absl::Duration now = options_.clock->Monotonic();
  if (now - complaint.told < kComplaintInterval) return;
  obs::Log(obs::Level::kWarning, "hints not sent",
           {{"gateway", address},
            {"calls", complaint.calls},
            {"hints", complaint.hints},
            {"status", status}});
  complaint = {now, 0, 0};
}

base::Task<void> HintSender::Core::Run(std::shared_ptr<Core> core, std::string address) {
  ++core->running_;
  co_await core->Drain(std::move(address));
  if (--core->running_ == 0 && core->finishing_) core->finished_.Set(true);
}

base::Task<void> HintSender::Core::Drain(std::string address) {
  for (;;) {
    Gateway& gateway = gateways_[address];
    if (gateway.waiting.empty()) {
      gateway.sending = false;
      co_return;
    }
    if (!Connect(address, &gateway)) co_return;
    pb::HintRequest request = TakeBatch(&gateway);
    const int64_t count = request.changes_size();
    rpc::CallOptions options;
    options.deadline = options_.deadline;
    // Nobody but this coroutine erases the gateway while `sending` is set.
    absl::StatusOr<pb::HintResponse> response =
        co_await rpc::Call(gateway.stub.get(), &pb::Hints::StubInterface::async_interface::Hint,
                           std::move(request), std::move(options));
    if (!response.ok()) {
      GiveUp(address, count, response.status());
      co_return;
    }
    CountSent(count);
    if (!finishing_) co_await net::Reactor::Current()->Sleep(kPause);
  }
}

base::Task<void> HintSender::Core::Finish() {
  finishing_ = true;
  if (running_ > 0) co_await finished_;
}

HintSender::HintSender(HintSenderOptions options, net::Reactor* reactor)
    : core_(std::make_shared<Core>(std::move(options))), reactor_(reactor) {}

HintSender::~HintSender() = default;

void HintSender::Send(int64_t account, int64_t modseq, const std::vector<std::string>& watchers) {
  if (modseq == 0 || watchers.empty()) return;
  reactor_->Post(
      [core = core_, account, modseq, watchers] { core->Add(account, modseq, watchers); });
}

base::Task<void> HintSender::Finish() { return core_->Finish(); }

HintStats HintSender::Stats() const { return core_->stats(); }

}  // namespace godwit::hint
