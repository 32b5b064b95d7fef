#pragma once

// Everything on ports 80 and 443, by path:
//
//   /, /app.js, ...           the web page (assets.h)
//   /login, /logout           its sessions (auth.h)
//   /.well-known/jmap, /jmap/ JMAP: session, api, upload, download, eventsource (RFC 8620)
//
// Port 80 only sends to 443. One object serves all connections, on all reactors.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "libs/net/http.h"
#include "services/webmail-api/auth.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

class Web : public net::HttpService {
 public:
  explicit Web(Environment* environment) : env_(environment), auth_(environment) {}

  uint64_t BodyLimit(const net::HttpRequest& head) override;
  base::Task<net::HttpResponse> Handle(const net::HttpRequest& request,
                                       net::HttpBody* body) override;

 private:
  using Response = net::HttpResponse;
  enum class Use { kRequest, kUpload, kDownload, kEventStream };
  class Slot;

  base::Task<Response> Route(const net::HttpRequest* request, net::HttpBody* body,
                             std::string_view* resource);
  base::Task<Response> LogIn(const net::HttpRequest* request, net::HttpBody* body);
  base::Task<Response> LogOut(const net::HttpRequest* request);
  base::Task<Response> ServeJmap(const net::HttpRequest* request, net::HttpBody* body,
                                 std::string_view* resource);
  Response Session(const net::HttpRequest& request, const User& user) const;
  base::Task<Response> Api(const net::HttpRequest* request, net::HttpBody* body, User user);
  base::Task<Response> UploadBlob(const net::HttpRequest* request, net::HttpBody* body, User user);
  base::Task<Response> Download(const net::HttpRequest* request, User user);
  Response Events(const net::HttpRequest& request, const User& user);
  Response Redirect(const net::HttpRequest& request) const;
  std::string BaseUrl(const net::HttpRequest& request) const;

  Environment* const env_;
  Authenticator auth_;
  std::mutex mutex_;
  std::map<std::pair<store::AccountId, Use>, uint32_t> in_use_;  // guarded by mutex_
};

}  // namespace godwit::webmail_api
