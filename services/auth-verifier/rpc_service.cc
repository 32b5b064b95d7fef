#include "services/auth-verifier/rpc_service.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/idna/domain.h"
#include "libs/obs/log.h"
#include "libs/rpc/serve.h"
#include "proto/godwit/auth_verifier/v1/auth_verifier.grpc.pb.h"
#include "services/auth-verifier/message_sealing.h"

namespace godwit::auth_verifier {
namespace {

namespace pb = ::godwit::auth_verifier::v1;

constexpr int kMostRecorded = 1000;
// A policy record that is kept for its report; nobody has a longer one.
constexpr size_t kMostRecord = 2048;

// The daemon that writes in the name of the suite itself.
constexpr const char* kSuite = "delivery-queue";

// The label of godwit_auth_verifier_signings_total, and of sealings.
std::string_view OutcomeOf(const absl::Status& status, std::string_view done) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return done;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange: return "invalid";
    case absl::StatusCode::kPermissionDenied: return "refused";
    case absl::StatusCode::kFailedPrecondition: return "no_key";
    case absl::StatusCode::kCancelled: return "cancelled";
    default: return "unavailable";
  }
}

pb::Result ToProto(spf::ResultCode code) {
  switch (code) {
    case spf::ResultCode::kNone: return pb::RESULT_NONE;
    case spf::ResultCode::kNeutral: return pb::RESULT_NEUTRAL;
    case spf::ResultCode::kPass: return pb::RESULT_PASS;
    case spf::ResultCode::kFail: return pb::RESULT_FAIL;
    case spf::ResultCode::kSoftFail: return pb::RESULT_SOFTFAIL;
    case spf::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
    case spf::ResultCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(dkim::ResultCode code) {
  switch (code) {
    case dkim::ResultCode::kNone: return pb::RESULT_NONE;
    case dkim::ResultCode::kPass: return pb::RESULT_PASS;
    case dkim::ResultCode::kFail: return pb::RESULT_FAIL;
    case dkim::ResultCode::kPolicy: return pb::RESULT_POLICY;
    case dkim::ResultCode::kNeutral: return pb::RESULT_NEUTRAL;
    case dkim::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
    case dkim::ResultCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(dmarc::ResultCode code) {
  switch (code) {
    case dmarc::ResultCode::kNone: return pb::RESULT_NONE;
    case dmarc::ResultCode::kPass: return pb::RESULT_PASS;
    case dmarc::ResultCode::kFail: return pb::RESULT_FAIL;
    case dmarc::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
    case dmarc::ResultCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(arc::ResultCode code) {
  switch (code) {
    case arc::ResultCode::kNone: return pb::RESULT_NONE;
    case arc::ResultCode::kPass: return pb::RESULT_PASS;
    case arc::ResultCode::kFail: return pb::RESULT_FAIL;
    case arc::ResultCode::kTempError: return pb::RESULT_TEMPERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

pb::Result ToProto(mailauth::IprevCode code) {
  switch (code) {
    case mailauth::IprevCode::kPass: return pb::RESULT_PASS;
    case mailauth::IprevCode::kFail: return pb::RESULT_FAIL;
    case mailauth::IprevCode::kTempError: return pb::RESULT_TEMPERROR;
    case mailauth::IprevCode::kPermError: return pb::RESULT_PERMERROR;
  }
  return pb::RESULT_UNSPECIFIED;
}

arc::ResultCode FromProto(pb::Result result) {
  switch (result) {
    case pb::RESULT_UNSPECIFIED:
    case pb::RESULT_NONE: return arc::ResultCode::kNone;
    case pb::RESULT_PASS: return arc::ResultCode::kPass;
    case pb::RESULT_TEMPERROR: return arc::ResultCode::kTempError;
    default: return arc::ResultCode::kFail;
  }
}

pb::DmarcResult::Disposition ToProto(dmarc::Policy policy) {
  switch (policy) {
    case dmarc::Policy::kNone: return pb::DmarcResult::DISPOSITION_NONE;
    case dmarc::Policy::kQuarantine: return pb::DmarcResult::DISPOSITION_QUARANTINE;
    case dmarc::Policy::kReject: return pb::DmarcResult::DISPOSITION_REJECT;
  }
  return pb::DmarcResult::DISPOSITION_UNSPECIFIED;
}

void Fill(const spf::Result& from, pb::SpfResult* to) {
  to->set_result(ToProto(from.code));
  to->set_domain(from.domain);
  to->set_mechanism(from.mechanism);
  to->set_explanation(from.explanation);
  to->set_lookups(from.lookups);
  to->set_problem(from.problem);
}

void Fill(const dkim::SignatureResult& from, pb::DkimResult* to) {
  to->set_result(ToProto(from.code));
  to->set_domain(from.domain);
  to->set_selector(from.selector);
  to->set_identity(from.identity);
  to->set_algorithm(from.algorithm);
  to->set_key_bits(from.key_bits);
  to->set_reason(from.reason);
  to->set_testing(from.testing);
}

void Fill(const mailauth::Verdict& verdict, pb::DmarcResult* to) {
  const dmarc::Result& from = verdict.dmarc;
  to->set_result(ToProto(from.code));
  to->set_from_domain(verdict.author_domain);
  to->set_author_unusable(verdict.author_unusable);
  to->set_policy_domain(from.policy_domain);
  to->set_disposition(ToProto(from.disposition));
  to->set_spf_aligned(from.spf_aligned);
  to->set_dkim_aligned(from.dkim_aligned);
  to->set_reason(from.reason);
  to->set_worst_disposition(ToProto(from.worst));
  to->set_override_type(verdict.policy_override.type);
  to->set_override_comment(verdict.policy_override.comment);
}

pb::DnsblResult::Outcome ToProto(dnsbl::Outcome outcome) {
  switch (outcome) {
    case dnsbl::Outcome::kNotListed: return pb::DnsblResult::OUTCOME_NOT_LISTED;
    case dnsbl::Outcome::kListed: return pb::DnsblResult::OUTCOME_LISTED;
    case dnsbl::Outcome::kError: return pb::DnsblResult::OUTCOME_ERROR;
    case dnsbl::Outcome::kNoAnswer: return pb::DnsblResult::OUTCOME_NO_ANSWER;
  }
  return pb::DnsblResult::OUTCOME_UNSPECIFIED;
}

void Fill(const dnsbl::Result& from, pb::DnsblResult* to) {
  to->set_list(from.list);
  to->set_allow(from.kind == dnsbl::Kind::kAllow);
  to->set_subject(from.subject);
  to->set_outcome(ToProto(from.outcome));
  for (const std::string& code : from.codes) to->add_codes(code);
  for (const std::string& category : from.categories) to->add_categories(category);
  to->set_weight(from.weight);
  to->set_text(from.text);
  to->set_problem(from.problem);
}

// The text of a record as ASCII: all that counts in it is.
std::string Ascii(std::string_view text) {
  std::string ascii(text);
  for (char& c : ascii) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  return ascii;
}

std::string Problem(const absl::Status& status) {
  return Ascii(base::Message(status).substr(0, 200));
}

ReportIntake::Proof ProofIn(const mailauth::Verdict& verdict) {
  ReportIntake::Proof proof;
  if (verdict.dmarc.code == dmarc::ResultCode::kPass) proof.author = verdict.author_domain;
  for (const dkim::SignatureResult& signature : verdict.dkim) {
    if (signature.for_tls_report) proof.tls_signers.push_back(signature.domain);
  }
  return proof;
}

// True when the domain wants to know how its mail fares, and we can say it.
bool IsReported(const mailauth::Verdict& verdict) {
  const dmarc::Result& dmarc = verdict.dmarc;
  const bool judged =
      dmarc.code == dmarc::ResultCode::kPass || dmarc.code == dmarc::ResultCode::kFail;
  return judged && verdict.connection_checked && dmarc.record.size() <= kMostRecord &&
         (!dmarc.parsed.rua.empty() || !dmarc.parsed.ruf.empty());
}

void Fill(const mailauth::Verdict& from, const base::IpAddress& source, pb::DmarcEvaluation* to) {
  to->set_source_ip(std::string(source.bytes()));
  to->set_policy_domain(from.dmarc.policy_domain);
  to->set_record(Ascii(from.dmarc.record));
  to->set_header_from(from.author_domain);
  to->set_envelope_from(Ascii(from.mail_from_spf.domain));
  to->set_result(ToProto(from.dmarc.code));
  to->set_dkim_aligned(from.dmarc.dkim_aligned);
  to->set_spf_aligned(from.dmarc.spf_aligned);
  for (const dkim::SignatureResult& signature : from.dkim) {
    pb::DmarcEvaluation::Dkim* dkim = to->add_dkim();
    dkim->set_domain(Ascii(signature.domain));
    dkim->set_selector(Ascii(signature.selector));
    dkim->set_result(ToProto(signature.code));
  }
  to->set_spf_domain(Ascii(from.mail_from_spf.domain));
  to->set_spf_result(ToProto(from.mail_from_spf.code));
  to->set_policy(ToProto(from.dmarc.policy));
  to->set_requested(ToProto(from.dmarc.disposition));
}

// The words of RFC 8601 §2.7.
std::string_view ResultWord(pb::Result result) {
  switch (result) {
    case pb::RESULT_NONE: return "none";
    case pb::RESULT_PASS: return "pass";
    case pb::RESULT_FAIL: return "fail";
    case pb::RESULT_SOFTFAIL: return "softfail";
    case pb::RESULT_NEUTRAL: return "neutral";
    case pb::RESULT_POLICY: return "policy";
    case pb::RESULT_TEMPERROR: return "temperror";
    case pb::RESULT_PERMERROR: return "permerror";
    default: return "none";
  }
}

dmarc::Policy FromProto(pb::DmarcResult::Disposition disposition) {
  switch (disposition) {
    case pb::DmarcResult::DISPOSITION_QUARANTINE: return dmarc::Policy::kQuarantine;
    case pb::DmarcResult::DISPOSITION_REJECT: return dmarc::Policy::kReject;
    default: return dmarc::Policy::kNone;
  }
}

Override FromProto(pb::RecordedMessage::Override override) {
  switch (override) {
    case pb::RecordedMessage::OVERRIDE_LOCAL_POLICY: return Override::kLocalPolicy;
    case pb::RecordedMessage::OVERRIDE_TRUSTED_FORWARDER: return Override::kTrustedForwarder;
    case pb::RecordedMessage::OVERRIDE_MAILING_LIST: return Override::kMailingList;
    case pb::RecordedMessage::OVERRIDE_OTHER: return Override::kOther;
    default: return Override::kNone;
  }
}

std::optional<ReportedMessage> FromProto(const pb::RecordedMessage& from) {
  const pb::DmarcEvaluation& evaluation = from.evaluation();
  const auto source = base::IpAddress::FromBytes(evaluation.source_ip());
  if (!source || evaluation.policy_domain().empty()) return std::nullopt;
  ReportedMessage message;
  message.source = *source;
  message.policy_domain = evaluation.policy_domain();
  message.record = evaluation.record();
  message.header_from = evaluation.header_from();
  message.envelope_from = evaluation.envelope_from();
  message.envelope_to = from.envelope_to();
  message.result =
      evaluation.result() == pb::RESULT_PASS ? dmarc::ResultCode::kPass : dmarc::ResultCode::kFail;
  message.dkim_aligned = evaluation.dkim_aligned();
  message.spf_aligned = evaluation.spf_aligned();
  for (const pb::DmarcEvaluation::Dkim& dkim : evaluation.dkim()) {
    message.dkim.push_back(
        {dkim.domain(), dkim.selector(), std::string(ResultWord(dkim.result()))});
  }
  message.spf_domain = evaluation.spf_domain();
  message.spf_result = ResultWord(evaluation.spf_result());
  message.policy = FromProto(evaluation.policy());
  message.requested = FromProto(evaluation.requested());
  message.disposition = FromProto(from.disposition());
  message.override = FromProto(from.override());
  message.comment = from.comment();
  message.to_report_address = from.to_report_address();
  return message;
}

void Fill(const mailauth::Verdict& from, pb::VerifyResponse* to) {
  Fill(from.mail_from_spf, to->mutable_spf_mail_from());
  Fill(from.helo_spf, to->mutable_spf_helo());
  for (const dkim::SignatureResult& signature : from.dkim) Fill(signature, to->add_dkim());
  Fill(from, to->mutable_dmarc());
  to->mutable_arc()->set_result(ToProto(from.arc.code));
  to->mutable_arc()->set_instances(from.arc.instances);
  if (!from.arc.sealers.empty()) to->mutable_arc()->set_sealer(from.arc.sealers.back());
  to->mutable_arc()->set_reason(from.arc.reason);
  to->mutable_arc()->set_trusted(from.arc_trusted);
  to->mutable_iprev()->set_result(ToProto(from.iprev.code));
  to->mutable_iprev()->set_name(from.iprev.name);
  to->set_authentication_results(from.authentication_results);
  to->set_received_spf(from.received_spf);
  for (const dnsbl::Result& list : from.lists) Fill(list, to->add_dnsbl());
}

absl::StatusOr<SealFacts> ReadFacts(const pb::SealContext& context) {
  const auto domain = idna::ToAscii(context.domain());
  if (!domain || !idna::IsDnsName(*domain)) return base::InvalidArgument("domain is none");
  SealFacts facts;
  facts.domain = *domain;
  facts.authserv_id = context.authserv_id();
  facts.authentication_results = context.authentication_results();
  facts.arc = FromProto(context.arc().result());
  facts.arc_instances = context.arc().instances();
  GODWIT_RETURN_IF_ERROR(CheckFacts(facts));
  return facts;
}

class RpcService : public pb::AuthVerifier::CallbackService {
 public:
  RpcService(RpcOptions options, Environment environment)
      : options_(std::move(options)), env_(environment) {}

  grpc::ServerReadReactor<pb::VerifyRequest>* Verify(grpc::CallbackServerContext* context,
                                                     pb::VerifyResponse* response) override {
    return rpc::ServeStream<pb::VerifyRequest>(
        context, env_.executors->Next(),
        [this, response, trace = rpc::TraceOf(*context)](VerifyReader* reader) {
          return Admit(VerifyMessage(reader, response, trace), &verifying_,
                       &env_.metrics->messages);
        });
  }

  grpc::ServerUnaryReactor* VerifyWhole(grpc::CallbackServerContext* context,
                                        const pb::VerifyRequest* request,
                                        pb::VerifyResponse* response) override {
    return rpc::ServeUnary(
        context, env_.executors->Next(),
        Admit(VerifyAll(context, request, response), &verifying_, &env_.metrics->messages));
  }

  grpc::ServerReadReactor<pb::SignRequest>* Sign(grpc::CallbackServerContext* context,
                                                 pb::SignResponse* response) override {
    const Origin origin{rpc::CallerOf(*context), rpc::TraceOf(*context)};
    return rpc::ServeStream<pb::SignRequest>(
        context, env_.executors->Next(), [this, response, origin](SignReader* reader) {
          return Admit(CountSigning(SignMessage(reader, response, origin), origin), &signing_,
                       &env_.metrics->signings);
        });
  }

  grpc::ServerReadReactor<pb::SealRequest>* Seal(grpc::CallbackServerContext* context,
                                                 pb::SealResponse* response) override {
    const Origin origin{rpc::CallerOf(*context), rpc::TraceOf(*context)};
    return rpc::ServeStream<pb::SealRequest>(
        context, env_.executors->Next(), [this, response, origin](SealReader* reader) {
          return Admit(CountSealing(SealMessage(reader, response), response, origin), &signing_,
                       &env_.metrics->sealings);
        });
  }

  grpc::ServerUnaryReactor* Record(grpc::CallbackServerContext* context,
                                   const pb::RecordRequest* request,
                                   pb::RecordResponse* response) override {
    return rpc::ServeUnary(context, env_.executors->Next(), RecordMessages(request, response));
  }

 private:
  using VerifyReader = rpc::RequestReader<pb::VerifyRequest>;
  using SignReader = rpc::RequestReader<pb::SignRequest>;
  using SealReader = rpc::RequestReader<pb::SealRequest>;
  struct Origin {
    std::string caller;
    std::string trace;
  };

  // Bounds the messages in work. A message is verified for as long as some client on the Internet
  // takes to send it, and signed in a moment: one must not use up the other's room.
  base::Task<absl::Status> Admit(base::Task<absl::Status> work, std::atomic<size_t>* in_progress,
                                 obs::CounterFamily* outcomes) {
    if (in_progress->fetch_add(1) >= options_.concurrent_messages) {
      in_progress->fetch_sub(1);
      outcomes->At({"overload"}).Add();
      co_return base::ResourceExhausted("too many messages at once");
    }
    env_.metrics->messages_in_progress.Add(1);
    absl::Status status = co_await work;
    env_.metrics->messages_in_progress.Add(-1);
    in_progress->fetch_sub(1);
    co_return status;
  }

  // A message in work.
  struct Verification {
    Verification(const RpcService& service, const pb::Envelope& envelope, base::IpAddress client)
        : ip(client),
          report_address(envelope.report_address() && service.env_.intake != nullptr),
          check(service.env_.resolvers, service.env_.clock, service.options_.check,
                service.OptionsFor(envelope),
                {.ip = client, .helo = envelope.helo(), .mail_from = envelope.mail_from()}),
          report(report_address ? service.env_.intake : nullptr) {}
    void Feed(std::string_view bytes) {
      check.Feed(bytes);
      report.Append(bytes);
    }

    const base::IpAddress ip;
    const bool report_address;
    MessageCheck check;
    ReportIntake::Collector report;
  };

  absl::StatusOr<std::unique_ptr<Verification>> BeginVerification(
      const pb::VerifyRequest& first) const {
    if (!first.has_envelope()) return base::InvalidArgument("no envelope");
    const auto ip = base::IpAddress::FromBytes(first.envelope().client_ip());
    if (!ip) return base::InvalidArgument("client_ip is no address");
    auto verification = std::make_unique<Verification>(*this, first.envelope(), *ip);
    verification->Feed(first.data());
    return verification;
  }

  base::Task<absl::Status> VerifyMessage(VerifyReader* reader, pb::VerifyResponse* response,
                                         std::string trace) {
    std::optional<pb::VerifyRequest> first = co_await reader->Next();
    if (!first) co_return base::InvalidArgument("no envelope");
    GODWIT_CO_ASSIGN_OR_RETURN(auto verification, BeginVerification(*first));
    first.reset();
    while (true) {
      std::optional<pb::VerifyRequest> request = co_await reader->Next();
      if (!request) break;
      if (request->has_envelope()) {
        co_await verification->check.Abandon();
        co_return base::InvalidArgument("a second envelope");
      }
      verification->Feed(request->data());
    }
    if (reader->cancelled()) {
      co_await verification->check.Abandon();
      env_.metrics->messages.At({"cancelled"}).Add();
      co_return base::Cancelled("the caller is gone");
    }
    absl::Status judged = co_await Judge(verification.get(), response, std::move(trace));
    co_return judged;
  }

  base::Task<absl::Status> VerifyAll(const grpc::CallbackServerContext* context,
                                     const pb::VerifyRequest* request,
                                     pb::VerifyResponse* response) {
    if (context->IsCancelled()) {
      env_.metrics->messages.At({"cancelled"}).Add();
      co_return base::Cancelled("the caller is gone");
    }
    GODWIT_CO_ASSIGN_OR_RETURN(auto verification, BeginVerification(*request));
    absl::Status judged = co_await Judge(verification.get(), response, rpc::TraceOf(*context));
    co_return judged;
  }

  // After the last byte.
  base::Task<absl::Status> Judge(Verification* verification, pb::VerifyResponse* response,
                                 std::string trace) {
    const absl::Duration began = env_.clock->Monotonic();
    absl::StatusOr<mailauth::Verdict> verdict = co_await verification->check.Finish();
    env_.metrics->seconds.Observe(absl::ToDoubleSeconds(env_.clock->Monotonic() - began));
    if (!verdict.ok()) {
      env_.metrics->messages.At({"unavailable"}).Add();
      obs::Log(obs::Level::kError, "no verdict", {{"trace", trace}, {"error", verdict.status()}});
      co_return verdict.status();
    }
    Count(*verdict);
    Fill(*verdict, response);
    if (env_.counter != nullptr && IsReported(*verdict)) {
      Fill(*verdict, verification->ip, response->mutable_evaluation());
    }
    if (verification->report_address) {
      const absl::Status stored =
          co_await env_.intake->Store(&verification->report, ProofIn(*verdict), trace);
      CountReport(stored, trace);
      response->mutable_report()->set_stored(stored.ok());
      response->mutable_report()->set_problem(Problem(stored));
    }
    obs::Log(obs::Level::kDebug, "verdict",
             {{"trace", trace}, {"results", verdict->authentication_results}});
    co_return absl::OkStatus();
  }

  mailauth::Options OptionsFor(const pb::Envelope& envelope) const {
    mailauth::Options options = options_.verify;
    options.authserv_id = envelope.authserv_id();
    options.now = env_.clock->Now();
    if (env_.lists != nullptr) options.lists = *env_.lists->Usable();
    options.check_connection = !envelope.internal_hop();
    // RFC 7489 §6.6.4: pct= picks messages at random.
    options.dmarc.sample = static_cast<int>(base::RandomSource::System()->Id63() % 100);
    return options;
  }

  base::Task<absl::Status> SignMessage(SignReader* reader, pb::SignResponse* response,
                                       Origin origin) {
    std::optional<pb::SignRequest> first = co_await reader->Next();
    if (!first || !first->has_context()) co_return base::InvalidArgument("no context");
    GODWIT_CO_ASSIGN_OR_RETURN(const std::string domain,
                               AddressDomain(first->context().from_address()));
    const store::AccountId account{first->context().account_id()};
    // Only its own notifications and reports leave the suite in nobody's name.
    if (account == store::AccountId::kNone && origin.caller != kSuite) {
      co_return base::PermissionDenied("only " + std::string(kSuite) + " signs for the suite");
    }
    auto keys = co_await env_.keys->For(account, domain);
    GODWIT_CO_RETURN_IF_ERROR(keys.status());

    const pb::SignContext& context = first->context();
    const absl::Time leaves = context.has_hold_until()
                                  ? absl::FromUnixSeconds(context.hold_until().seconds())
                                  : absl::InfinitePast();
    MessageSigning signing(options_.sign, env_.clock, domain, leaves);
    signing.Feed(first->data());
    first.reset();
    while (true) {
      std::optional<pb::SignRequest> request = co_await reader->Next();
      if (!request) break;
      if (request->has_context()) co_return base::InvalidArgument("a second context");
      signing.Feed(request->data());
    }
    if (reader->cancelled()) co_return base::Cancelled("the caller is gone");
    const absl::Duration began = env_.clock->Monotonic();
    absl::StatusOr<std::string> fields = signing.Finish(**keys);
    env_.metrics->sign_seconds.Observe(absl::ToDoubleSeconds(env_.clock->Monotonic() - began));
    GODWIT_CO_RETURN_IF_ERROR(fields.status());
    for (const dkim::SigningKey& key : **keys) {
      env_.metrics->signatures.At({dkim::AlgorithmName(key.key.type())}).Add();
    }
    response->set_header_fields(*std::move(fields));
    co_return absl::OkStatus();
  }

  base::Task<absl::Status> RecordMessages(const pb::RecordRequest* request,
                                          pb::RecordResponse* response) {
    if (request->messages_size() > kMostRecorded) co_return base::InvalidArgument("too many");
    if (env_.counter == nullptr || request->messages_size() == 0) co_return absl::OkStatus();
    std::vector<ReportedMessage> messages;
    for (const pb::RecordedMessage& each : request->messages()) {
      std::optional<ReportedMessage> message = FromProto(each);
      if (!message) co_return base::InvalidArgument("an evaluation that is none of ours");
      messages.push_back(*std::move(message));
    }
    const auto given = static_cast<double>(messages.size());
    absl::StatusOr<int64_t> dropped = co_await env_.counter->Add(std::move(messages));
    if (!dropped.ok()) {
      env_.metrics->evaluations.At({"failed"}).Add(given);
      co_return dropped.status();
    }
    env_.metrics->evaluations.At({"dropped"}).Add(static_cast<double>(*dropped));
    env_.metrics->evaluations.At({"counted"}).Add(given - static_cast<double>(*dropped));
    response->set_dropped(*dropped);
    co_return absl::OkStatus();
  }

  base::Task<absl::Status> CountSigning(base::Task<absl::Status> work, Origin origin) {
    absl::Status status = co_await work;
    env_.metrics->signings.At({OutcomeOf(status, "signed")}).Add();
    env_.metrics->signing_domains.Set(static_cast<double>(env_.keys->size()));
    if (!status.ok()) LogFailure("not signed", status, origin);
    co_return status;
  }

  base::Task<absl::Status> SealMessage(SealReader* reader, pb::SealResponse* response) {
    std::optional<pb::SealRequest> first = co_await reader->Next();
    if (!first || !first->has_context()) co_return base::InvalidArgument("no context");
    GODWIT_CO_ASSIGN_OR_RETURN(SealFacts facts, ReadFacts(first->context()));
    auto keys = co_await env_.keys->For(store::AccountId::kNone, facts.domain);
    GODWIT_CO_RETURN_IF_ERROR(keys.status());
    GODWIT_CO_ASSIGN_OR_RETURN(const dkim::SigningKey key, SealingKey(**keys));

    MessageSealing sealing(std::move(facts), key, options_.sign.header_bytes, env_.clock->Now());
    sealing.Feed(first->data());
    first.reset();
    while (true) {
      std::optional<pb::SealRequest> request = co_await reader->Next();
      if (!request) break;
      if (request->has_context()) co_return base::InvalidArgument("a second context");
      sealing.Feed(request->data());
    }
    if (reader->cancelled()) co_return base::Cancelled("the caller is gone");
    GODWIT_CO_ASSIGN_OR_RETURN(Sealed sealed, sealing.Finish());
    response->set_header_fields(std::move(sealed.header_fields));
    response->set_not_sealed(std::move(sealed.not_sealed));
    co_return absl::OkStatus();
  }

  base::Task<absl::Status> CountSealing(base::Task<absl::Status> work,
                                        const pb::SealResponse* response, Origin origin) {
    absl::Status status = co_await work;
    const bool sealed = !response->header_fields().empty();
    env_.metrics->sealings.At({OutcomeOf(status, sealed ? "sealed" : "not_sealed")}).Add();
    env_.metrics->signing_domains.Set(static_cast<double>(env_.keys->size()));
    if (!status.ok()) LogFailure("not sealed", status, origin);
    co_return status;
  }

  static void LogFailure(std::string_view what, const absl::Status& status, const Origin& origin) {
    const bool ours = absl::IsUnavailable(status) || absl::IsInternal(status);
    obs::Log(ours ? obs::Level::kError : obs::Level::kInfo, what,
             {{"trace", origin.trace}, {"caller", origin.caller}, {"reason", status}});
  }

  void CountReport(const absl::Status& stored, const std::string& trace) {
    env_.metrics->received.At({stored.ok() ? "stored" : "refused"}).Add();
    if (stored.ok()) return;
    obs::Log(obs::Level::kInfo, "report not stored", {{"trace", trace}, {"reason", stored}});
  }

  void Count(const mailauth::Verdict& verdict) {
    env_.metrics->messages.At({"verdict"}).Add();
    env_.metrics->spf.At({spf::ResultName(verdict.mail_from_spf.code)}).Add();
    for (const auto& signature : verdict.dkim) {
      env_.metrics->dkim.At({dkim::ResultName(signature.code)}).Add();
    }
    env_.metrics->dmarc.At({dmarc::ResultName(verdict.dmarc.code)}).Add();
    env_.metrics->arc.At({arc::ResultName(verdict.arc.code)}).Add();
    if (!verdict.policy_override.type.empty()) {
      env_.metrics->overrides.At({verdict.policy_override.type}).Add();
    }
    if (env_.lists != nullptr) env_.lists->Observe(verdict.lists);
  }

  const RpcOptions options_;
  const Environment env_;
  std::atomic<size_t> verifying_{0};
  std::atomic<size_t> signing_{0};
};

}  // namespace

rpc::Callers Callers() {
  return {{"/godwit.auth_verifier.v1.AuthVerifier/Verify", {"smtp-ingress", "webmail-api"}},
          {"/godwit.auth_verifier.v1.AuthVerifier/VerifyWhole", {"smtp-ingress", "webmail-api"}},
          {"/godwit.auth_verifier.v1.AuthVerifier/Sign", {"submission", "webmail-api", kSuite}},
          {"/godwit.auth_verifier.v1.AuthVerifier/Seal", {"smtp-ingress", "delivery-queue"}},
          {"/godwit.auth_verifier.v1.AuthVerifier/Record", {"smtp-ingress"}}};
}

std::unique_ptr<grpc::Service> NewRpcService(RpcOptions options, Environment environment) {
  return std::make_unique<RpcService>(std::move(options), environment);
}

}  // namespace godwit::auth_verifier
