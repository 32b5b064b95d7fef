#include "libs/certificates/keeper.h"

#include <grpcpp/channel.h>
#include <unistd.h>

#include <utility>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/certificates/bundle.h"
#include "libs/net/reactor.h"
#include "libs/obs/log.h"
#include "libs/rpc/client.h"
#include "libs/rpc/subscription.h"
#include "libs/runtime/config_sections.h"
#include "libs/x509/x509.h"
#include "proto/godwit/acme/v1/acme.grpc.pb.h"
#include "proto/godwit/config/v1/common.pb.h"

namespace godwit::certificates {
namespace {

namespace pb = ::godwit::acme::v1;
using Watching = rpc::Subscription<pb::WatchResponse>;

constexpr absl::Duration kLook = absl::Milliseconds(20);

Identity ToIdentity(const pb::Identity& from) {
  return {from.name(), from.chain_pem(), base::Secret(from.key_pem())};
}

Bundle ToBundle(const pb::WatchResponse& from) {
  Bundle bundle;
  bundle.rpc = ToIdentity(from.rpc());
  bundle.rpc_authorities_pem = from.rpc_authorities_pem();
  for (const pb::Identity& each : from.public_()) bundle.public_ones.push_back(ToIdentity(each));
  return bundle;
}

// What does not fit together must not take the place of what does.
absl::Status Check(const Bundle& bundle) {
  GODWIT_RETURN_IF_ERROR(x509::Describe(bundle.rpc_authorities_pem).status());
  GODWIT_RETURN_IF_ERROR(x509::CheckKey(bundle.rpc.chain_pem, bundle.rpc.key_pem.Reveal()));
  for (const Identity& each : bundle.public_ones) {
    GODWIT_RETURN_IF_ERROR(x509::CheckKey(each.chain_pem, each.key_pem.Reveal()));
  }
  return absl::OkStatus();
}

// The first of `files` that is not there; "" when all are.
std::string Missing(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (access(file.c_str(), R_OK) != 0) return file;
  }
  return "";
}

}  // namespace

struct Keeper::State {
  KeeperOptions options;
  std::unique_ptr<pb::Certificates::Stub> stub;
  net::Reactor reactor;
  std::unique_ptr<Watching> watching;

  void Take(const pb::WatchResponse& response) {
    const Bundle bundle = ToBundle(response);
    if (const absl::Status good = Check(bundle); !good.ok()) {
      obs::Log(obs::Level::kError, "certificates refused", {{"status", good}});
      return;
    }
    const absl::StatusOr<bool> changed = WriteBundle(options.folder, bundle);
    if (!changed.ok()) {
      obs::Log(obs::Level::kError, "certificates not kept", {{"status", changed.status()}});
    }
    // Even after an error: some files may have been replaced.
    if (changed.ok() && !*changed) return;
    obs::Log(obs::Level::kInfo, "certificates replaced", {{"folder", options.folder}});
    if (options.changed) options.changed();
  }

  std::unique_ptr<rpc::ResponseStream<pb::WatchResponse>> Open() {
    return rpc::ResponseStream<pb::WatchResponse>::Open(
        stub.get(), &pb::Certificates::StubInterface::async_interface::Watch, pb::WatchRequest(),
        {.deadline = absl::InfiniteDuration()});
  }
};

Keeper::Keeper(std::unique_ptr<State> state) : state_(std::move(state)) {}

Keeper::~Keeper() {
  state_->reactor.RunUntilDone(Watching::End(std::move(state_->watching)));
  state_->reactor.Stop();
  state_->reactor.Join();
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Start(KeeperOptions options) {
  rpc::ChannelOptions channel;
  channel.target = options.target;
  channel.daemon = "acme";
  channel.tls = options.tls;
  GODWIT_ASSIGN_OR_RETURN(const auto connected, rpc::Connect(std::move(channel)));
  auto state = std::make_unique<State>();
  State* const self = state.get();
  self->options = std::move(options);
  self->stub = pb::Certificates::NewStub(connected);
  self->reactor.Start();
  self->watching = std::make_unique<Watching>(
      &self->reactor, rpc::SubscriptionOptions{.name = "certificates"},
      [self] { return self->Open(); },
      [self](const pb::WatchResponse& response) { self->Take(response); });
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(state)));

  const absl::Time end = absl::Now() + self->options.patience;
  for (;;) {
    const std::string missing = Missing(self->options.needed);
    if (missing.empty()) return keeper;
    if (absl::Now() > end) return base::DeadlineExceeded("acme did not send " + missing);
    absl::SleepFor(kLook);
  }
}

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Start(const config::v1::Certificates& section,
                                                      const config::v1::RpcTls& rpc_tls,
                                                      const config::v1::Tls* tls,
                                                      net::CertificateWatch* watch) {
  KeeperOptions options;
  options.target = section.target();
  options.folder = section.folder();
  options.tls = runtime::MakeRpcTls(rpc_tls);
  if (tls != nullptr) {
    for (const config::v1::Certificate& certificate : tls->certificates()) {
      options.needed.push_back(certificate.chain_file());
      options.needed.push_back(certificate.key_file());
    }
  }
  if (watch != nullptr) options.changed = [watch] { watch->Check().IgnoreError(); };
  return Start(std::move(options));
}

}  // namespace godwit::certificates
