#include "services/acme/rpc_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "libs/x509/x509.h"
#include "proto/godwit/acme/v1/acme.grpc.pb.h"

namespace godwit::acme {
namespace {

namespace pb = ::godwit::acme::v1;

void Fill(const certificates::Identity& from, pb::Identity* to) {
  to->set_name(from.name);
  to->set_chain_pem(from.chain_pem);
  to->set_key_pem(std::string(from.key_pem.Reveal()));
}

pb::WatchResponse ToProto(const certificates::Bundle& bundle) {
  pb::WatchResponse response;
  Fill(bundle.rpc, response.mutable_rpc());
  response.set_rpc_authorities_pem(bundle.rpc_authorities_pem);
  for (const auto& identity : bundle.public_ones) Fill(identity, response.add_public_());
  return response;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* to) {
  to->set_seconds(absl::ToUnixSeconds(time));
}

void Fill(const store::Certificate& from, const Policy& policy, pb::Certificate* to) {
  const bool is_rpc = from.kind == store::CertificateKind::kRpc;
  to->set_kind(is_rpc ? pb::Certificate::KIND_RPC : pb::Certificate::KIND_PUBLIC);
  to->set_name(from.name);
  to->mutable_names()->Assign(from.names.begin(), from.names.end());
  for (const Wanted& wanted : policy.wanted) {
    if (wanted.kind != from.kind || wanted.name != from.name) continue;
    to->mutable_daemons()->Assign(wanted.daemons.begin(), wanted.daemons.end());
  }
  to->set_serial(from.serial);
  to->set_public_key_sha256(base::HexEncode(from.public_key_sha256));
  SetTime(from.not_before, to->mutable_not_before());
  SetTime(from.not_after, to->mutable_not_after());
  SetTime(from.renew_at, to->mutable_renew_at());
  to->set_last_error(from.last_error);
  if (from.last_error_at) SetTime(*from.last_error_at, to->mutable_last_error_at());
}

void FillAuthority(const std::string& name, const std::string& pem, pb::ListResponse* to) {
  const auto description = x509::Describe(pem);
  if (!description.ok()) return;
  pb::Authority* authority = to->add_authorities();
  authority->set_name(name);
  authority->set_common_name(description->common_name);
  authority->set_serial(description->serial);
  SetTime(description->not_after, authority->mutable_not_after());
  authority->set_certificate_pem(pem);
}

// The same certificates; keys belong to them.
bool Same(const certificates::Bundle& a, const certificates::Bundle& b) {
  const auto same = [](const auto& x, const auto& y) { return x.chain_pem == y.chain_pem; };
  return same(a.rpc, b.rpc) && a.rpc_authorities_pem == b.rpc_authorities_pem &&
         std::equal(a.public_ones.begin(), a.public_ones.end(), b.public_ones.begin(),
                    b.public_ones.end(), same);
}

class RpcService : public pb::Certificates::CallbackService {
 public:
  RpcService(const Policy* policy, Board* board, net::ReactorPool* executors, Metrics* metrics)
      : policy_(policy), board_(board), executors_(executors), metrics_(metrics) {}

  grpc::ServerWriteReactor<pb::WatchResponse>* Watch(grpc::CallbackServerContext* context,
                                                     const pb::WatchRequest*) override {
    return rpc::ServeResponses<pb::WatchResponse>(
        context, executors_->Next(),
        [this, daemon = rpc::CallerOf(*context)](Writer* writer) { return Serve(daemon, writer); });
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const pb::ListRequest*,
                                 pb::ListResponse* out) override {
    const auto snapshot = board_->current();
    for (const auto& each : snapshot->certificates) Fill(each, *policy_, out->add_certificates());
    FillAuthority("public", snapshot->public_authority_pem, out);
    FillAuthority("rpc", snapshot->rpc_authority_pem, out);
    return rpc::Answer(context, absl::OkStatus());
  }

 private:
  using Writer = rpc::ResponseWriter<pb::WatchResponse>;

  base::Task<absl::Status> Serve(std::string daemon, Writer* writer) {
    metrics_->watchers.Add(1);
    absl::Status status = co_await Push(daemon, writer);
    metrics_->watchers.Add(-1);
    co_return status;
  }

  base::Task<absl::Status> Push(std::string daemon, Writer* writer) {
    Board::Watcher watcher(board_);
    writer->OnGone([&watcher] { watcher.Wake(); });
    certificates::Bundle last;
    while (!writer->cancelled() && !board_->stopped()) {
      // The name comes from the caller's certificate: nobody sees another's keys.
      GODWIT_CO_ASSIGN_OR_RETURN(certificates::Bundle bundle,
                                 BundleFor(*board_->current(), *policy_, daemon));
      if (!Same(bundle, last)) {
        absl::Status sent = co_await writer->Write(ToProto(bundle));
        GODWIT_CO_RETURN_IF_ERROR(sent);
        metrics_->pushes.Add();
        obs::Log(obs::Level::kDebug, "certificates pushed", {{"to", daemon}});
        last = std::move(bundle);
      }
      co_await watcher.Wait();
    }
    co_return base::Unavailable("this acme ends");
  }

  const Policy* const policy_;
  Board* const board_;
  net::ReactorPool* const executors_;
  Metrics* const metrics_;
};

}  // namespace

rpc::Callers Callers() {
  return {{"/godwit.acme.v1.Certificates/Watch",
           {"smtp-ingress", "submission", "imap-gateway", "delivery-queue", "auth-verifier",
            "tls-policy", "webmail-api"}},
          {"/godwit.acme.v1.Certificates/List", {"godwitctl", "webmail-api"}}};
}

std::unique_ptr<grpc::Service> NewRpcService(const Policy* policy, Board* board,
                                             net::ReactorPool* executors, Metrics* metrics) {
  return std::make_unique<RpcService>(policy, board, executors, metrics);
}

}  // namespace godwit::acme
