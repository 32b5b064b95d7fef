#pragma once

// WebmailFixture: what the tests of webmail-api begin and end with: the whole daemon in this
// process, on port 0 with TLS, over a scratch database with its own role's rights, and accounts
// alice and bob with the password "secret". Nobody signs or queues: those ports are closed. Ends:
// the store check finds nothing.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/random.h"
#include "libs/db/connection.h"
#include "libs/jmap/json.h"
#include "libs/net/http.h"
#include "libs/net/reactor.h"
#include "libs/runtime/service_main.h"
#include "libs/store/ids.h"
#include "libs/testing/certificates.h"
#include "libs/testing/scratch_database.h"
#include "services/webmail-api/server.h"

namespace godwit::webmail_api {

class WebmailFixture {
 public:
  explicit WebmailFixture(const std::function<void(Config*)>& adjust = {});
  ~WebmailFixture();

  // One request over TLS; alice's password, unless `fields` say otherwise.
  net::HttpResponse Fetch(std::string method, std::string path, std::string body = "",
                          std::vector<net::HttpField> fields = {});
  static net::HttpField Basic(std::string_view user, std::string_view password = "secret");
  // Without any proof.
  net::HttpResponse FetchBare(std::string method, std::string path, std::string body = "",
                              std::vector<net::HttpField> fields = {});

  // Method calls as JSON text, "[[name, arguments, id], ...]" with ACCOUNT for alice's; the
  // responses.
  jmap::json::array Call(std::string calls, std::string_view user = "alice@b.example");
  // Of the first response: its arguments. Fails when it is an error.
  jmap::json::object CallOne(std::string_view name, std::string arguments);
  // Of the first response: the type of its error; "" for none.
  std::string ErrorOf(std::string_view name, std::string arguments);

  std::string AccountId(std::string_view user = "alice@b.example");
  store::AccountId account(std::string_view address);
  // "m3", by role.
  std::string MailboxOf(std::string_view role);
  // As smtp-ingress would; "e5".
  std::string Deliver(std::string_view message, std::string_view address = "alice@b.example");

  net::Endpoint https() const { return server_->endpoints().front(); }
  net::Endpoint http() const { return server_->endpoints().back(); }
  net::Reactor& reactor() { return reactor_; }
  std::shared_ptr<net::TlsContext> client_tls() const { return client_tls_; }
  db::Connection& connection() { return *connection_; }
  testing::ScratchDatabase& database() { return database_; }
  Server* server() { return server_.get(); }

 private:
  void AddAccount(const std::string& address);
  Config MakeConfig();

  testing::ScratchDatabase database_;
  std::unique_ptr<db::Connection> connection_;
  testing::CertificateAuthority authority_;
  runtime::Context context_;
  std::unique_ptr<Server> server_;
  net::Reactor reactor_;
  std::shared_ptr<net::TlsContext> client_tls_;
};

}  // namespace godwit::webmail_api
