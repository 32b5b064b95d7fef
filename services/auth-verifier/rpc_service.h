#pragma once

// The gRPC face of auth-verifier: turns requests into a MessageCheck, a MessageSigning, a
// MessageSealing or counted messages, and their results into responses. Messages of the protocol
// stop here.

#include <memory>

#include "libs/base/clock.h"
#include "libs/mailauth/message_verifier.h"
#include "libs/net/reactor.h"
#include "libs/rpc/server.h"
#include "services/auth-verifier/evaluation_counter.h"
#include "services/auth-verifier/list_monitor.h"
#include "services/auth-verifier/message_check.h"
#include "services/auth-verifier/message_signing.h"
#include "services/auth-verifier/metrics.h"
#include "services/auth-verifier/report_intake.h"
#include "services/auth-verifier/signing_keys.h"

namespace godwit::auth_verifier {

struct RpcOptions {
  size_t concurrent_messages = 2000;  // verified, and again so many signed
  CheckLimits check;
  mailauth::Options verify;  // authserv_id, receiver, now and lists are set for each message
  SigningOptions sign;
};

// What the service works with; all outlive it.
struct Environment {
  CheckResolvers resolvers;
  ListMonitor* lists = nullptr;  // nullptr: none
  const base::Clock* clock = nullptr;
  net::ReactorPool* executors = nullptr;  // where messages are hashed and signed
  SigningKeys* keys = nullptr;
  EvaluationCounter* counter = nullptr;  // null: no reports are made
  ReportIntake* intake = nullptr;        // null: none are kept
  Metrics* metrics = nullptr;
};

// Who may call what.
rpc::Callers Callers();

std::unique_ptr<grpc::Service> NewRpcService(RpcOptions options, Environment environment);

}  // namespace godwit::auth_verifier
