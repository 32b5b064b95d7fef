#include "libs/hint/hint_service.h"

#include "proto/godwit/hint/v1/hint.grpc.pb.h"

namespace godwit::hint {
namespace {

namespace pb = v1;

constexpr int kMaxChanges = 1000;

class HintService : public pb::Hints::CallbackService {
 public:
  HintService(Registry* registry, obs::Counter* changes) : registry_(registry), changes_(changes) {}

  // Waking a session is a Post(), so this answers at once, on gRPC's own thread.
  grpc::ServerUnaryReactor* Hint(grpc::CallbackServerContext* context,
                                 const pb::HintRequest* request,
                                 pb::HintResponse* /*response*/) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (request->changes_size() > kMaxChanges) {
      reactor->Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "too many changes"));
      return reactor;
    }
    for (const pb::AccountChange& change : request->changes()) {
      registry_->Changed(store::AccountId{change.account_id()}, change.modseq());
    }
    changes_->Add(request->changes_size());
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  Registry* const registry_;
  obs::Counter* const changes_;
};

}  // namespace

rpc::Callers HintCallers() {
  return {{"/godwit.hint.v1.Hints/Hint",
           {"smtp-ingress", "submission", "imap-gateway", "webmail-api", "delivery-queue",
            "auth-verifier", "tls-policy", "godwitctl"}}};
}

std::unique_ptr<grpc::Service> NewHintService(Registry* registry, obs::Counter* changes) {
  return std::make_unique<HintService>(registry, changes);
}

}  // namespace godwit::hint
