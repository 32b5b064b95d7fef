#pragma once

// GatewayFixture: what the tests of the gateway begin and end with: the whole daemon in this
// process, on port 0, over a scratch database with its own role's rights, and accounts alice and
// bob with the password "secret". Ends: the store check finds nothing.
//
// ImapClient is a plain blocking socket: what it sees is what came over the wire.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/random.h"
#include "libs/db/connection.h"
#include "libs/runtime/service_main.h"
#include "libs/store/ids.h"
#include "libs/testing/certificates.h"
#include "libs/testing/scratch_database.h"
#include "services/imap-gateway/server.h"

namespace godwit::imap_gateway {

class ImapClient {
 public:
  explicit ImapClient(uint16_t port);
  ~ImapClient();
  ImapClient(const ImapClient&) = delete;
  ImapClient& operator=(const ImapClient&) = delete;

  void Send(std::string_view bytes);
  // One response with its literals, without the last CRLF; "" when the connection ended. Fails the
  // test when nothing comes for ten seconds.
  std::string Read();
  // Sends "tag command" and reads up to the tagged response; all responses, one a line.
  std::vector<std::string> Run(std::string_view command);
  // The same; fails unless the tagged response is OK.
  std::vector<std::string> Ok(std::string_view command);
  // "+ ..." is read, then `bytes` sent.
  void Continue(std::string_view bytes);
  void Login(std::string_view user, std::string_view password = "secret");
  // An APPEND with a literal; the tagged response.
  std::string Append(std::string_view mailbox, std::string_view options, std::string_view message);

  // Plays a dialogue: lines "C: ..." are sent, lines "S: ..." have to come, in this order. In S:
  // lines "*?" stands for any text (RFC dialogues are full of "*"); "S: ..." skips responses up to
  // one that matches the next line.
  void Play(std::string_view dialogue);

 private:
  std::string ReadBytes(size_t size);
  std::string ReadLine();

  int fd_ = -1;
  int tags_ = 0;
  std::string buffer_;
};

class GatewayFixture {
 public:
  // `adjust` changes the configuration of the tests.
  explicit GatewayFixture(const std::function<void(Config*)>& adjust = {});
  ~GatewayFixture();

  // Of the listener without TLS.
  uint16_t port() const { return server_->endpoints().front().port; }
  uint16_t tls_port() const { return server_->endpoints().back().port; }
  testing::CertificateAuthority& authority() { return authority_; }
  // What the listeners show; its files may be replaced.
  const testing::LeafFiles& public_leaf() const { return public_leaf_; }
  Server* server() { return server_.get(); }
  db::Connection& connection() { return *connection_; }
  testing::ScratchDatabase& database() { return database_; }
  // Logged in.
  std::unique_ptr<ImapClient> Client(std::string_view user = "alice@b.example");
  store::AccountId account(std::string_view address);
  // Makes the credential, or replaces the one of this name ("password").
  void SetPassword(std::string_view address, std::string_view name, std::string_view password);
  // As smtp-ingress would: delivered into INBOX, with fields of its own in front.
  void Deliver(std::string_view address, std::string_view message, std::string_view prefix);

 private:
  void AddAccount(const std::string& address);
  Config MakeConfig();

  testing::ScratchDatabase database_;
  std::unique_ptr<db::Connection> connection_;
  testing::CertificateAuthority authority_;
  testing::LeafFiles public_leaf_;
  runtime::Context context_;
  std::unique_ptr<Server> server_;
};

}  // namespace godwit::imap_gateway
