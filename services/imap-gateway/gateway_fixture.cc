#include "services/imap-gateway/gateway_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/ingest/incoming_message.h"
#include "libs/obs/log.h"
#include "libs/sasl/scram_verifier.h"
#include "libs/store/admin.h"
#include "libs/store/check.h"
#include "libs/store/credentials.h"
#include "libs/store/delivery.h"
#include "libs/store/directory.h"

namespace godwit::imap_gateway {
namespace {

constexpr std::string_view kPassword = "secret";
constexpr int kPatienceMs = 10'000;
const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}

void MustOk(const absl::Status& status) {
  if (!status.ok()) FAIL(base::ToString(status));
}

// `pattern` with "*?" for any text.
bool Matches(std::string_view pattern, std::string_view text) {
  const size_t any = pattern.find("*?");
  if (any == std::string_view::npos) return pattern == text;
  if (text.substr(0, any) != pattern.substr(0, any)) return false;
  const std::string_view rest = pattern.substr(any + 2);
  for (size_t i = any; i <= text.size(); ++i) {
    if (Matches(rest, text.substr(i))) return true;
  }
  return false;
}

}  // namespace

ImapClient::ImapClient(uint16_t port) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
}

ImapClient::~ImapClient() { close(fd_); }

void ImapClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    REQUIRE(sent > 0);
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

std::string ImapClient::ReadBytes(size_t size) {
  while (buffer_.size() < size) {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, kPatienceMs) != 1) FAIL("nothing came; so far: " << buffer_);
    char bytes[16384];
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) break;
    buffer_.append(bytes, static_cast<size_t>(got));
  }
  std::string taken = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return taken;
}

std::string ImapClient::ReadLine() {
  std::string line;
  while (!line.ends_with("\r\n")) {
    const size_t end = buffer_.find('\n');
    const std::string more = ReadBytes(end == std::string::npos ? buffer_.size() + 1 : end + 1);
    if (more.empty()) return line;
    line += more;
  }
  return line;
}

std::string ImapClient::Read() {
  std::string response;
  while (true) {
    std::string line = ReadLine();
    if (line.empty()) return response;
    line.resize(line.size() - 2);
    response += line;
    const size_t open = line.ends_with('}') ? line.rfind('{') : std::string::npos;
    if (open == std::string::npos) return response;
    const auto size = base::ParseDecimal(line.substr(open + 1, line.size() - open - 2));
    if (!size) return response;
    response += "\r\n" + ReadBytes(*size);
  }
}

std::vector<std::string> ImapClient::Run(std::string_view command) {
  const std::string tag = "t" + std::to_string(++tags_);
  Send(tag + " " + std::string(command) + "\r\n");
  std::vector<std::string> responses;
  do {
    responses.push_back(Read());
    if (responses.back().empty()) FAIL("connection ended in " << command);
  } while (!responses.back().starts_with(tag + " "));
  responses.back().erase(0, tag.size() + 1);
  return responses;
}

std::vector<std::string> ImapClient::Ok(std::string_view command) {
  auto responses = Run(command);
  INFO(command);
  REQUIRE(responses.back().substr(0, 3) == "OK ");
  return responses;
}

void ImapClient::Continue(std::string_view bytes) {
  REQUIRE(Read().substr(0, 2) == "+ ");
  Send(bytes);
}

void ImapClient::Login(std::string_view user, std::string_view password) {
  REQUIRE(Read().starts_with("* OK "));
  Ok("LOGIN " + std::string(user) + " " + std::string(password));
}

std::string ImapClient::Append(std::string_view mailbox, std::string_view options,
                               std::string_view message) {
  const std::string tag = "t" + std::to_string(++tags_);
  std::string command = tag + " APPEND " + std::string(mailbox) + " " + std::string(options);
  if (!options.empty()) command += " ";
  Send(command + "{" + std::to_string(message.size()) + "}\r\n");
  std::string answer = Read();
  if (answer.starts_with("+ ")) {
    Send(message);
    Send("\r\n");
    do answer = Read();
    while (!answer.empty() && !answer.starts_with(tag));
  }
  return answer.substr(std::min(answer.size(), tag.size() + 1));
}

void ImapClient::Play(std::string_view dialogue) {
  bool skipping = false;
  for (std::string_view line : base::Split(dialogue, '\n')) {
    line = base::Trim(line);
    if (line.empty()) continue;
    if (line == "S: ...") {
      skipping = true;
      continue;
    }
    const std::string_view text = line.substr(3);
    if (line.starts_with("C: ")) {
      Send(std::string(text) + "\r\n");
      continue;
    }
    std::string response = Read();
    while (skipping && !response.empty() && !Matches(text, response)) response = Read();
    skipping = false;
    INFO("expected " << text << "\n     got " << response);
    REQUIRE(Matches(text, response));
  }
}

GatewayFixture::GatewayFixture(const std::function<void(Config*)>& adjust)
    : connection_(database_.Connect()), authority_(testing::MakeScratchFolder()) {
  MustOk(store::AddDomain(*connection_, "b.example", kNow));
  AddAccount("alice@b.example");
  AddAccount("bob@b.example");
  context_.name = "imap-gateway";
  obs::SetLevel(obs::Level::kWarning);
  Config config = MakeConfig();
  if (adjust) adjust(&config);
  server_ = std::make_unique<Server>(std::move(config), &context_);
  MustOk(server_->Start());
}

GatewayFixture::~GatewayFixture() {
  server_.reset();
  auto findings = store::CheckStore(*connection_);
  CHECK(findings.ok());
  if (!findings.ok()) return;
  for (const store::Finding& finding : *findings) {
    INFO(finding.check << ": " << finding.detail);
    CHECK(finding.check.empty());
  }
}

Config GatewayFixture::MakeConfig() {
  // What the loader of a file would set by default and the tests need.
  Config config;
  config.set_hostname("imap.b.example");
  config.add_listeners()->set_listen("127.0.0.1:0");
  config::v1::Listener* tls = config.add_listeners();
  tls->set_listen("127.0.0.1:0");
  tls->set_implicit_tls(true);
  public_leaf_ = authority_.Issue({.names = {"imap.b.example"}});
  config::v1::Certificate* certificate = config.mutable_tls()->add_certificates();
  certificate->set_chain_file(public_leaf_.chain_file);
  certificate->set_key_file(public_leaf_.key_file);
  config.mutable_tls()->mutable_reload_interval()->set_nanos(100'000'000);
  const testing::LeafFiles daemon = authority_.Issue({.names = {"imap-gateway"}});
  config.mutable_rpc_tls()->set_ca_file(authority_.ca_file());
  config.mutable_rpc_tls()->set_certificate_file(daemon.chain_file);
  config.mutable_rpc_tls()->set_key_file(daemon.key_file);
  config.mutable_rpc()->set_listen("127.0.0.1:0");
  config.mutable_database()->set_conninfo(database_.ConnInfo("godwit_imap_gateway"));
  config.mutable_database()->set_threads(4);
  config.mutable_database()->mutable_queue_timeout()->set_seconds(10);
  config.mutable_database()->mutable_statement_timeout()->set_seconds(15);
  config.mutable_limits()->set_message_size(8 << 20);
  config.mutable_limits()->set_command_size(64 << 10);
  config.mutable_limits()->set_command_size_before_login(8 << 10);
  config.mutable_limits()->set_connections(1000);
  config.mutable_limits()->set_errors(20);
  config.mutable_limits()->set_threads(2);
  config.mutable_timeouts()->mutable_idle()->set_seconds(60);
  config.mutable_timeouts()->mutable_before_login()->set_seconds(60);
  config.mutable_timeouts()->mutable_literal()->set_seconds(60);
  config.mutable_timeouts()->mutable_handshake()->set_seconds(30);
  config.mutable_timeouts()->mutable_write()->set_seconds(60);
  config.mutable_login()->set_allow_plaintext(true);
  config.mutable_login()->mutable_failure_delay()->set_nanos(10'000'000);
  config.mutable_login()->set_failures(3);
  return config;
}

void GatewayFixture::AddAccount(const std::string& address) {
  Must(store::AddAccount(*connection_, address, base::RandomSource::System(), kNow));
  SetPassword(address, "password", kPassword);
}

void GatewayFixture::SetPassword(std::string_view address, std::string_view name,
                                 std::string_view password) {
  auto* random = base::RandomSource::System();
  const store::AccountId id = account(address);
  const auto scram = Must(store::GetOrMakeScramParameters(*connection_, id, random));
  const auto keys = Must(sasl::MakeScramKeys(sasl::ScramHash::kSha256, password, scram.sha256.salt,
                                             static_cast<uint32_t>(scram.sha256.iterations)));
  store::NewCredential credential;
  credential.name = name;
  credential.sha256 = {base::Secret(keys.stored_key), base::Secret(keys.server_key)};
  Must(store::SetCredential(*connection_, id, credential, kNow));
}

store::AccountId GatewayFixture::account(std::string_view address) {
  return Must(store::FindAccount(*connection_, address));
}

std::unique_ptr<ImapClient> GatewayFixture::Client(std::string_view user) {
  auto client = std::make_unique<ImapClient>(port());
  client->Login(user);
  return client;
}

void GatewayFixture::Deliver(std::string_view address, std::string_view message,
                             std::string_view prefix) {
  ingest::IncomingMessage incoming;
  incoming.Feed(message);
  store::Delivery delivery = incoming.Finish(incoming.header());
  delivery.received = kNow;
  store::DeliveryTarget target;
  target.account = account(address);
  target.header_prefix = prefix;
  delivery.targets.push_back(std::move(target));
  Must(store::Deliver(*connection_, delivery));
}

}  // namespace godwit::imap_gateway
