#include "services/webmail-api/webmail_fixture.h"

#include <catch2/catch.hpp>
#include <utility>

#include "libs/base/encoding.h"
#include "libs/base/status.h"
#include "libs/ingest/incoming_message.h"
#include "libs/jmap/id.h"
#include "libs/obs/log.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/admin.h"
#include "libs/store/check.h"
#include "libs/store/credentials.h"
#include "libs/store/delivery.h"
#include "libs/store/directory.h"
#include "libs/store/mailbox.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}

void MustOk(const absl::Status& status) {
  if (!status.ok()) FAIL(base::ToString(status));
}

void SetSeconds(google::protobuf::Duration* duration, int64_t seconds) {
  duration->set_seconds(seconds);
}

}  // namespace

WebmailFixture::WebmailFixture(const std::function<void(Config*)>& adjust)
    : connection_(database_.Connect()), authority_(testing::MakeScratchFolder()) {
  MustOk(store::AddDomain(*connection_, "b.example", kNow));
  AddAccount("alice@b.example");
  AddAccount("bob@b.example");
  context_.name = "webmail-api";
  obs::SetLevel(obs::Level::kError);
  Config config = MakeConfig();
  if (adjust) adjust(&config);
  server_ = std::make_unique<Server>(std::move(config), &context_);
  MustOk(server_->Start());
  net::TlsClientOptions options;
  options.ca_file = authority_.ca_file();
  client_tls_ = Must(net::TlsContext::NewClient(options));
}

WebmailFixture::~WebmailFixture() {
  server_.reset();
  // A test may have ended the cluster.
  if (!connection_->Healthy()) connection_ = database_.Connect();
  auto findings = store::CheckStore(*connection_);
  CHECK(findings.ok());
  if (!findings.ok()) return;
  for (const store::Finding& finding : *findings) {
    INFO(finding.check << ": " << finding.detail);
    CHECK(finding.check.empty());
  }
}

Config WebmailFixture::MakeConfig() {
  // What the loader of a file would set by default and the tests need.
  Config config;
  config.set_hostname("mail.b.example");
  config.add_listeners()->set_listen("127.0.0.1:0");
  config::v1::Listener* tls = config.add_listeners();
  tls->set_listen("127.0.0.1:0");
  tls->set_implicit_tls(true);
  const testing::LeafFiles leaf = authority_.Issue({.names = {"mail.b.example"}});
  config::v1::Certificate* certificate = config.mutable_tls()->add_certificates();
  certificate->set_chain_file(leaf.chain_file);
  certificate->set_key_file(leaf.key_file);
  SetSeconds(config.mutable_tls()->mutable_reload_interval(), 10);
  const testing::LeafFiles daemon = authority_.Issue({.names = {"webmail-api"}});
  config.mutable_rpc_tls()->set_ca_file(authority_.ca_file());
  config.mutable_rpc_tls()->set_certificate_file(daemon.chain_file);
  config.mutable_rpc_tls()->set_key_file(daemon.key_file);
  config.mutable_rpc()->set_listen("127.0.0.1:0");
  config.mutable_auth_verifier()->set_target("127.0.0.1:1");
  SetSeconds(config.mutable_auth_verifier()->mutable_deadline(), 2);
  config.mutable_delivery_queue()->set_target("127.0.0.1:1");
  SetSeconds(config.mutable_delivery_queue()->mutable_deadline(), 2);
  config.mutable_database()->set_conninfo(database_.ConnInfo("godwit_webmail_api"));
  config.mutable_database()->set_threads(4);
  SetSeconds(config.mutable_database()->mutable_queue_timeout(), 10);
  SetSeconds(config.mutable_database()->mutable_statement_timeout(), 15);
  auto* limits = config.mutable_limits();
  limits->set_message_size(8 << 20);
  limits->set_upload_size(4 << 20);
  limits->set_uploads_size(6 << 20);
  limits->set_request_size(256 << 10);
  limits->set_calls(16);
  limits->set_objects_in_get(50);
  limits->set_objects_in_set(50);
  limits->set_concurrent_requests(4);
  limits->set_concurrent_uploads(4);
  limits->set_event_streams(2);
  limits->set_downloads(4);
  limits->set_recipients(5);
  limits->set_connections(1000);
  limits->set_threads(2);
  auto* timeouts = config.mutable_timeouts();
  SetSeconds(timeouts->mutable_idle(), 60);
  SetSeconds(timeouts->mutable_request(), 30);
  SetSeconds(timeouts->mutable_handshake(), 30);
  SetSeconds(timeouts->mutable_write(), 60);
  SetSeconds(timeouts->mutable_upload(), 3600);
  SetSeconds(timeouts->mutable_event_stream(), 3600);
  config.mutable_login()->mutable_failure_delay()->set_nanos(10'000'000);
  SetSeconds(config.mutable_login()->mutable_session(), 3600);
  config.mutable_login()->set_concurrent_checks(8);
  return config;
}

void WebmailFixture::AddAccount(const std::string& address) {
  auto* random = base::RandomSource::System();
  const auto id = Must(store::AddAccount(*connection_, address, random, kNow));
  const auto scram = Must(store::GetOrMakeScramParameters(*connection_, id, random));
  const auto keys = Must(sasl::MakeScramKeys(sasl::ScramHash::kSha256, "secret", scram.sha256.salt,
                                             static_cast<uint32_t>(scram.sha256.iterations)));
  store::NewCredential credential;
  credential.name = "password";
  credential.sha256 = {base::Secret(keys.stored_key), base::Secret(keys.server_key)};
  Must(store::SetCredential(*connection_, id, credential, kNow));
}

net::HttpField WebmailFixture::Basic(std::string_view user, std::string_view password) {
  const std::string proof = std::string(user) + ":" + std::string(password);
  return {"Authorization", "Basic " + base::Base64Encode(proof)};
}

net::HttpResponse WebmailFixture::FetchBare(std::string method, std::string path, std::string body,
                                            std::vector<net::HttpField> fields) {
  net::FetchOptions options;
  options.url = "https://mail.b.example" + path;
  options.to = https();
  options.method = std::move(method);
  options.body = std::move(body);
  options.fields = std::move(fields);
  options.tls = client_tls_;
  options.limits.body_bytes = 32 << 20;
  return Must(reactor_.RunUntilDone(net::Fetch(std::move(options))));
}

net::HttpResponse WebmailFixture::Fetch(std::string method, std::string path, std::string body,
                                        std::vector<net::HttpField> fields) {
  if (net::FindField(fields, "authorization").empty()) fields.push_back(Basic("alice@b.example"));
  return FetchBare(std::move(method), std::move(path), std::move(body), std::move(fields));
}

std::string WebmailFixture::AccountId(std::string_view user) {
  return jmap::FormatId(jmap::IdType::kAccount, store::ToInt(account(user)));
}

store::AccountId WebmailFixture::account(std::string_view address) {
  return Must(store::FindAccount(*connection_, address));
}

json::array WebmailFixture::Call(std::string calls, std::string_view user) {
  const std::string id = AccountId();
  for (size_t at = calls.find("ACCOUNT"); at != std::string::npos; at = calls.find("ACCOUNT")) {
    calls.replace(at, 7, id);
  }
  const std::string body = R"({"using":["urn:ietf:params:jmap:core","urn:ietf:params:jmap:mail",)"
                           R"("urn:ietf:params:jmap:submission"],"methodCalls":)" +
                           calls + "}";
  const auto response =
      Fetch("POST", "/jmap/api", body, {{"Content-Type", "application/json"}, Basic(user)});
  INFO(calls << "\n" << response.body);
  REQUIRE(response.status == 200);
  const json::value answer = Must(jmap::ParseJson(response.body));
  return jmap::Find(answer.get_object(), "methodResponses")->get_array();
}

json::object WebmailFixture::CallOne(std::string_view name, std::string arguments) {
  const std::string call = "[[\"" + std::string(name) + "\"," + arguments + ",\"0\"]]";
  const json::array first = Call(call)[0].get_array();
  INFO(call << "\n" << jmap::Serialize(first));
  REQUIRE(jmap::View(first[0].get_string()) == name);
  return first[1].get_object();
}

std::string WebmailFixture::ErrorOf(std::string_view name, std::string arguments) {
  const json::array first =
      Call("[[\"" + std::string(name) + "\"," + arguments + ",\"0\"]]")[0].get_array();
  if (jmap::View(first[0].get_string()) != "error") return "";
  return jmap::FindString(first[1].get_object(), "type").value_or("?");
}

std::string WebmailFixture::MailboxOf(std::string_view role) {
  const auto list = Must(store::ListMailboxes(*connection_, account("alice@b.example")));
  for (const store::Mailbox& mailbox : list.mailboxes) {
    if (store::RoleName(mailbox.role) == role) {
      return jmap::FormatId(jmap::IdType::kMailbox, store::ToInt(mailbox.id));
    }
  }
  FAIL("no mailbox with the role " << role);
  return "";
}

std::string WebmailFixture::Deliver(std::string_view message, std::string_view address) {
  ingest::IncomingMessage incoming;
  incoming.Feed(message);
  store::Delivery delivery = incoming.Finish(incoming.header());
  // Each a second after the one before, so that their order is known.
  static int64_t deliveries = 0;
  delivery.received = kNow + absl::Seconds(++deliveries);
  store::DeliveryTarget target;
  target.account = account(address);
  target.header_prefix = "Return-Path: <x@c.example>\r\n";
  delivery.targets.push_back(std::move(target));
  const auto done = Must(store::Deliver(*connection_, delivery)).at(0);
  return jmap::FormatId(jmap::IdType::kEmail, store::ToInt(done.email));
}

}  // namespace godwit::webmail_api
