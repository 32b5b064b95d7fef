#include "services/webmail-api/web.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/jmap/id.h"
#include "libs/jmap/request.h"
#include "libs/jmap/session.h"
#include "libs/mime/parameter.h"
#include "libs/obs/log.h"
#include "services/webmail-api/assets.h"
#include "services/webmail-api/blobs.h"
#include "services/webmail-api/calls.h"
#include "services/webmail-api/event_source.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

// A login form, and whatever else is small.
constexpr uint64_t kSmallBody = 16 * 1024;
// A download that has to be decoded is one piece up to this, and the connection stays.
constexpr int64_t kWholeDownload = 1024 * 1024;
constexpr size_t kTraceSize = 16;
constexpr std::array<std::string_view, 4> kScriptTypes = {"javascript", "ecmascript", "jscript",
                                                          "livescript"};

// The page takes everything from here and nothing from elsewhere; it frames its own frame only.
constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'";
// Where the HTML of messages is shown: no script, no request to anywhere, whatever it holds.
constexpr std::string_view kFramePath = "/frame.html";
constexpr std::string_view kFramePolicy =
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups "
    "allow-popups-to-escape-sandbox";
// What a user was sent is never a page of ours.
constexpr std::string_view kBlobPolicy = "default-src 'none'; sandbox; frame-ancestors 'none'";

net::HttpResponse JsonResponse(int status, const json::object& value) {
  net::HttpResponse response;
  response.status = status;
  response.fields = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body = jmap::Serialize(value);
  return response;
}

net::HttpResponse ProblemResponse(const jmap::Problem& problem) {
  net::HttpResponse response = JsonResponse(problem.status, jmap::ToJson(problem));
  response.fields[0].value = "application/problem+json";
  return response;
}

net::HttpResponse Plain(int status, std::string_view text) {
  net::HttpResponse response = net::HttpResponse::Text(status, text);
  response.fields.push_back({"Cache-Control", "no-store"});
  return response;
}

net::HttpResponse ComeAgain() {
  net::HttpResponse response = Plain(503, "try again later\n");
  response.fields.push_back({"Retry-After", "5"});
  return response;
}

// Nobody could tell whether the proof is right, or (RFC 6585 §4) too many were wrong.
net::HttpResponse NotJudged(const absl::Status& why) {
  if (!absl::IsResourceExhausted(why)) return ComeAgain();
  net::HttpResponse response = Plain(429, "too many failed logins\n");
  response.fields.push_back({"Retry-After", "60"});
  return response;
}

// RFC 7617 §2. A browser's own dialog would get in the way of our page.
net::HttpResponse Unauthorized(const net::HttpRequest& request) {
  net::HttpResponse response = Plain(401, "log in\n");
  if (request.field("sec-fetch-site").empty()) {
    response.fields.push_back({"WWW-Authenticate", "Basic realm=\"Godwit\", charset=\"UTF-8\""});
  }
  return response;
}

net::HttpResponse NotAllowed(std::string_view allowed) {
  net::HttpResponse response = Plain(405, "not that method\n");
  response.fields.push_back({"Allow", std::string(allowed)});
  return response;
}

void AddSecurityFields(const net::HttpRequest& request, net::HttpResponse* response) {
  auto& fields = response->fields;
  fields.push_back({"X-Content-Type-Options", "nosniff"});
  fields.push_back({"Referrer-Policy", "no-referrer"});
  fields.push_back({"Cross-Origin-Opener-Policy", "same-origin"});
  fields.push_back({"Cross-Origin-Resource-Policy", "same-origin"});
  if (request.tls) {
    // RFC 6797 §6.1.
    fields.push_back({"Strict-Transport-Security", "max-age=31536000"});
  }
  if (response->field("content-security-policy").empty()) {
    fields.push_back({"Content-Security-Policy", std::string(kBlobPolicy)});
  }
}

// The Host of a request as it may stand in a URL of ours.
bool IsCleanHost(std::string_view host) {
  return !host.empty() && host.size() <= 260 && std::all_of(host.begin(), host.end(), [](char c) {
    return base::IsAlnum(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
  });
}

std::string WithoutPort(std::string_view host) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  const bool port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return std::string(host.substr(0, port ? colon : host.size()));
}

net::HttpResponse ServeAsset(const net::HttpRequest& request) {
  const Asset* asset = FindAsset(request.path());
  if (asset == nullptr) return Plain(404, "not found\n");
  if (request.method != "GET" && request.method != "HEAD") return NotAllowed("GET, HEAD");
  net::HttpResponse response;
  // RFC 9110 §13.1.2; the page asks each time, and is told when nothing changed.
  const auto tags = base::Split(request.field("if-none-match"), ',');
  const bool same = std::any_of(tags.begin(), tags.end(), [&](std::string_view tag) {
    tag = base::Trim(tag);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    return tag == asset->etag || tag == "*";
  });
  response.status = same ? 304 : 200;
  response.fields = {{"ETag", asset->etag}, {"Cache-Control", "no-cache"}};
  const bool frame = asset->path == kFramePath;
  response.fields.push_back(
      {"Content-Security-Policy", std::string(frame ? kFramePolicy : kPagePolicy)});
  response.fields.push_back({"X-Frame-Options", frame ? "SAMEORIGIN" : "DENY"});
  if (same) return response;
  response.fields.push_back({"Content-Type", std::string(asset->content_type)});
  response.body = asset->octets;
  return response;
}

std::string_view QueryOf(const net::HttpRequest& request) {
  const size_t mark = request.target.find('?');
  return mark == std::string::npos ? std::string_view()
                                   : std::string_view(request.target).substr(mark + 1);
}

// What a browser would run for our page, which takes scripts from here.
bool IsScript(std::string_view type) {
  const std::string lower = base::Lower(type);
  return std::any_of(kScriptTypes.begin(), kScriptTypes.end(),
                     [&](std::string_view name) { return lower.find(name) != std::string::npos; });
}

// A media type that may stand in a field.
std::string SafeType(const std::optional<std::string>& asked, const std::string& known) {
  const std::string& type = asked && !asked->empty() ? *asked : known;
  const auto parsed = mime::ParseMediaType(type);
  const bool safe = parsed && base::IsAscii(type) && type.size() <= 200 && !IsScript(type);
  return safe ? type : "application/octet-stream";
}

// RFC 6266: always a file to be kept, under a name that brings no path.
std::string Disposition(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '\\'; }, '_');
  std::string value = "attachment";
  mime::AppendParameter(&value, "filename", name);
  return value;
}

base::Task<absl::StatusOr<std::string>> ReadWhole(net::BodySource* source) {
  std::string all;
  while (true) {
    auto piece = co_await source->Next();
    if (!piece.ok() || piece->empty()) {
      if (!piece.ok()) co_return piece.status();
      co_return all;
    }
    all += *piece;
  }
}

// A body that is there already.
class OnePiece : public net::BodySource {
 public:
  explicit OnePiece(std::string octets) : octets_(std::move(octets)) {}
  base::Task<absl::StatusOr<std::string>> Next() override { co_return std::exchange(octets_, {}); }

 private:
  std::string octets_;
};

// Gives its slot back with the source: when all is sent, or the client is gone.
template <typename SlotType>
class Counted : public net::BodySource {
 public:
  Counted(std::unique_ptr<SlotType> slot, std::unique_ptr<net::BodySource> source)
      : slot_(std::move(slot)), source_(std::move(source)) {}
  base::Task<absl::StatusOr<std::string>> Next() override { return source_->Next(); }
  void OnPeerGone() override { source_->OnPeerGone(); }

 private:
  std::unique_ptr<SlotType> slot_;
  std::unique_ptr<net::BodySource> source_;
};

}  // namespace

// A bound on what one account does at the same time.
class Web::Slot {
 public:
  Slot(Web* web, store::AccountId account, Use use, uint32_t max) : web_(web), key_(account, use) {
    std::lock_guard lock(web_->mutex_);
    uint32_t& used = web_->in_use_[key_];
    taken_ = used < max;
    if (taken_) ++used;
  }
  ~Slot() {
    if (!taken_) return;
    std::lock_guard lock(web_->mutex_);
    const auto used = web_->in_use_.find(key_);
    if (--used->second == 0) web_->in_use_.erase(used);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  bool taken() const { return taken_; }

 private:
  Web* web_;
  const std::pair<store::AccountId, Use> key_;
  bool taken_ = false;
};

uint64_t Web::BodyLimit(const net::HttpRequest& head) {
  if (!head.tls) return 0;
  if (head.path() == jmap::kApiPath) return env_->settings.jmap.max_size_request;
  if (head.path().starts_with(jmap::kUploadPath)) return env_->settings.jmap.max_size_upload;
  return kSmallBody;
}

base::Task<net::HttpResponse> Web::Handle(const net::HttpRequest& request, net::HttpBody* body) {
  std::string_view resource = "page";
  net::HttpResponse response = co_await Route(&request, body, &resource);
  AddSecurityFields(request, &response);
  const std::string digit = std::to_string(response.status / 100);
  env_->metrics->requests.At({resource, digit}).Add();
  co_return response;
}

base::Task<net::HttpResponse> Web::Route(const net::HttpRequest* request, net::HttpBody* body,
                                         std::string_view* resource) {
  const std::string_view path = request->path();
  if (!request->tls) {
    *resource = "redirect";
    co_return Redirect(*request);
  }
  if (path == "/login") {
    *resource = "login";
    net::HttpResponse response = co_await LogIn(request, body);
    co_return response;
  }
  if (path == "/logout") {
    *resource = "login";
    net::HttpResponse response = co_await LogOut(request);
    co_return response;
  }
  if (path == "/.well-known/jmap" || path.starts_with("/jmap/")) {
    net::HttpResponse response = co_await ServeJmap(request, body, resource);
    co_return response;
  }
  co_return ServeAsset(*request);
}

net::HttpResponse Web::Redirect(const net::HttpRequest& request) const {
  const bool safe = request.method == "GET" || request.method == "HEAD";
  if (!safe || env_->settings.https_port == 0) return Plain(403, "only over TLS\n");
  std::string base = env_->settings.public_url;
  if (base.empty()) {
    const std::string_view host = request.field("host");
    base = "https://" + (IsCleanHost(host) ? WithoutPort(host) : env_->settings.hostname);
    if (env_->settings.https_port != 443) base += ":" + std::to_string(env_->settings.https_port);
  }
  net::HttpResponse response = Plain(301, "use https\n");
  const bool path = request.target.starts_with('/');
  response.fields.push_back({"Location", base + (path ? request.target : "/")});
  return response;
}

std::string Web::BaseUrl(const net::HttpRequest& request) const {
  if (!env_->settings.public_url.empty()) return env_->settings.public_url;
  const std::string_view host = request.field("host");
  return "https://" + (IsCleanHost(host) ? std::string(host) : env_->settings.hostname);
}

base::Task<net::HttpResponse> Web::LogIn(const net::HttpRequest* request, net::HttpBody* body) {
  if (request->method != "POST") co_return NotAllowed("POST");
  // Somebody else's page must not log a victim in as somebody else.
  if (IsForeignRequest(*request)) co_return Plain(403, "not from here\n");
  auto text = co_await net::ReadBody(body);
  if (!text.ok()) co_return net::BadBody(text.status());
  const auto value = jmap::ParseJson(*text);
  const json::object* object = value.ok() ? value->if_object() : nullptr;
  if (object == nullptr) co_return Plain(400, "not an object\n");
  const auto address = jmap::FindString(*object, "address");
  const auto password = jmap::FindString(*object, "password");
  if (!address || !password) co_return Plain(400, "address and password, please\n");
  auto cookie = co_await auth_.LogIn(request->peer.address, *address, base::Secret(*password));
  if (!cookie.ok()) co_return NotJudged(cookie.status());
  if (!*cookie) co_return Plain(401, "wrong address or password\n");
  net::HttpResponse response;
  response.status = 204;
  response.fields = {{"Set-Cookie", **cookie}, {"Cache-Control", "no-store"}};
  co_return response;
}

base::Task<net::HttpResponse> Web::LogOut(const net::HttpRequest* request) {
  if (request->method != "POST") co_return NotAllowed("POST");
  if (IsForeignRequest(*request)) co_return Plain(403, "not from here\n");
  absl::Status removed = co_await auth_.LogOut(request);
  net::HttpResponse response;
  response.status = 204;
  response.fields = {{"Cache-Control", "no-store"}};
  // The session goes on, but not in this browser.
  if (!removed.ok()) response = ComeAgain();
  // What the browser keeps of the mail goes, too (Clear-Site-Data).
  response.fields.push_back({"Set-Cookie", Authenticator::ExpiredCookie()});
  response.fields.push_back({"Clear-Site-Data", "\"cache\", \"storage\""});
  co_return response;
}

base::Task<net::HttpResponse> Web::ServeJmap(const net::HttpRequest* request, net::HttpBody* body,
                                             std::string_view* resource) {
  const std::string_view path = request->path();
  *resource = "session";
  if (path == jmap::kApiPath) *resource = "api";
  if (path.starts_with(jmap::kUploadPath)) *resource = "upload";
  if (path.starts_with(jmap::kDownloadPath)) *resource = "download";
  if (path == jmap::kEventPath) *resource = "events";
  const bool posts = *resource == "api" || *resource == "upload";
  if (posts != (request->method == "POST")) co_return NotAllowed(posts ? "POST" : "GET");
  if (!posts && request->method != "GET") co_return NotAllowed("GET");
  auto user = co_await auth_.Authenticate(request);
  if (!user.ok()) co_return NotJudged(user.status());
  if (!*user) co_return Unauthorized(*request);
  if (*resource == "events") co_return Events(*request, **user);
  net::HttpResponse response;
  if (*resource == "api") {
    response = co_await Api(request, body, **user);
  } else if (*resource == "upload") {
    response = co_await UploadBlob(request, body, **user);
  } else if (*resource == "download") {
    response = co_await Download(request, **user);
  } else if (path == jmap::kSessionPath || path == "/.well-known/jmap") {
    response = Session(*request, **user);
  } else {
    response = Plain(404, "not found\n");
  }
  co_return response;
}

net::HttpResponse Web::Session(const net::HttpRequest& request, const User& user) const {
  jmap::SessionInfo info;
  info.username = user.address;
  info.account_id = jmap::FormatId(jmap::IdType::kAccount, store::ToInt(user.account));
  info.base_url = BaseUrl(request);
  info.limits = env_->settings.jmap;
  return JsonResponse(200, jmap::SessionToJson(info));
}

base::Task<net::HttpResponse> Web::Api(const net::HttpRequest* request, net::HttpBody* body,
                                       User user) {
  const jmap::Limits& limits = env_->settings.jmap;
  Slot slot(this, user.account, Use::kRequest, limits.max_concurrent_requests);
  if (!slot.taken()) co_return ProblemResponse(jmap::LimitProblem("maxConcurrentRequests"));
  auto text = co_await net::ReadBody(body);
  if (absl::IsResourceExhausted(text.status())) {
    co_return ProblemResponse(jmap::LimitProblem("maxSizeRequest"));
  }
  if (!text.ok()) co_return net::BadBody(text.status());
  auto parsed = jmap::ParseRequest(request->field("content-type"), *text, limits);
  if (auto* problem = std::get_if<jmap::Problem>(&parsed)) co_return ProblemResponse(*problem);
  auto& calls = std::get<jmap::Request>(parsed);
  const bool tells_created = calls.created_ids.has_value();
  text->clear();
  CallContext context;
  context.env = env_;
  context.account_id = jmap::FormatId(jmap::IdType::kAccount, store::ToInt(user.account));
  context.user = std::move(user);
  context.client_address = request->peer.address.ToString();
  context.trace = env_->random->Token(kTraceSize);
  co_await RunCalls(&context, std::move(calls));
  json::array responses;
  for (jmap::Invocation& each : context.responses) {
    responses.push_back(jmap::ToJson(std::move(each)));
  }
  json::object answer = {{"methodResponses", std::move(responses)}, {"sessionState", "1"}};
  if (tells_created) {
    json::object created;
    for (const auto& [key, id] : context.created) created[key] = id;
    answer["createdIds"] = std::move(created);
  }
  co_return JsonResponse(200, answer);
}

base::Task<net::HttpResponse> Web::UploadBlob(const net::HttpRequest* request, net::HttpBody* body,
                                              User user) {
  const std::string account_id = jmap::FormatId(jmap::IdType::kAccount, store::ToInt(user.account));
  if (request->path() != std::string(jmap::kUploadPath) + account_id + "/") {
    co_return Plain(404, "no such account\n");
  }
  Slot slot(this, user.account, Use::kUpload, env_->settings.jmap.max_concurrent_upload);
  if (!slot.taken()) co_return ProblemResponse(jmap::LimitProblem("maxConcurrentUpload"));
  const std::string type = SafeType(std::string(request->field("content-type")), "");
  auto stored = co_await StoreUpload(env_, user.account, body);
  if (const auto* unread = std::get_if<UnreadBody>(&stored)) {
    const bool large = absl::IsResourceExhausted(unread->why);
    co_return large ? ProblemResponse(jmap::LimitProblem("maxSizeUpload"))
                    : net::BadBody(unread->why);
  }
  if (const auto* failed = std::get_if<absl::Status>(&stored)) {
    // RFC 4918 §11.5: until something refers to them, or they expire.
    if (absl::IsResourceExhausted(*failed)) co_return Plain(507, "too many unused uploads\n");
    obs::Log(obs::Level::kWarning, "upload failed", {{"error", *failed}});
    co_return ComeAgain();
  }
  const auto& upload = std::get<Upload>(stored);
  co_return JsonResponse(201,
                         json::object{{"accountId", account_id},
                                      {"blobId", jmap::FormatBlob({jmap::BlobName::Kind::kUpload,
                                                                   store::ToInt(upload.blob), ""})},
                                      {"type", type},
                                      {"size", upload.size}});
}

base::Task<net::HttpResponse> Web::Download(const net::HttpRequest* request, User user) {
  const auto parts = base::Split(request->path().substr(jmap::kDownloadPath.size()), '/');
  const std::string account_id = jmap::FormatId(jmap::IdType::kAccount, store::ToInt(user.account));
  const auto blob = parts.size() == 3 ? jmap::ParseBlob(parts[1]) : std::nullopt;
  const auto name = parts.size() == 3 ? jmap::PercentDecode(parts[2]) : std::nullopt;
  if (!blob || !name || parts[0] != account_id) co_return Plain(404, "not found\n");
  auto slot = std::make_unique<Slot>(this, user.account, Use::kDownload, env_->settings.downloads);
  if (!slot->taken()) co_return ComeAgain();
  absl::StatusOr<BlobSpan> span = co_await env_->database->Run(
      [account = user.account, blob = *blob, now = env_->clock->Now()](db::Connection& c) {
        return FindBlob(c, account, blob, now);
      });
  if (absl::IsNotFound(span.status())) co_return Plain(404, "not found\n");
  if (!span.ok()) co_return ComeAgain();
  net::HttpResponse response;
  response.fields = {
      {"Content-Type", SafeType(jmap::QueryParameter(QueryOf(*request), "accept"), span->type)},
      {"Content-Disposition", Disposition(*name)},
      // RFC 8620 §6.2: a blob never changes.
      {"Cache-Control", "private, immutable, max-age=31536000"}};
  auto reader = std::make_unique<BlobReader>(env_, user.account, *span);
  std::unique_ptr<net::BodySource> source;
  if (span->encoding == mime::TransferEncoding::kIdentity) {
    response.source_size = static_cast<uint64_t>(span->size);
    source = std::move(reader);
  } else if (span->size <= kWholeDownload) {
    // How long it is decoded is known at its end.
    auto octets = co_await ReadWhole(reader.get());
    if (!octets.ok()) co_return ComeAgain();
    response.source_size = octets->size();
    source = std::make_unique<OnePiece>(*std::move(octets));
  } else {
    source = std::move(reader);
  }
  response.source = std::make_shared<Counted<Slot>>(std::move(slot), std::move(source));
  co_return response;
}

net::HttpResponse Web::Events(const net::HttpRequest& request, const User& user) {
  const auto wanted = jmap::ParseEventQuery(QueryOf(request));
  if (!wanted) return Plain(400, "types, closeafter and ping, please\n");
  auto slot =
      std::make_unique<Slot>(this, user.account, Use::kEventStream, env_->settings.event_streams);
  if (!slot->taken()) return ComeAgain();
  auto stream = std::make_unique<EventStream>(env_, user, *wanted,
                                              std::string(request.field("last-event-id")));
  net::HttpResponse response;
  response.fields = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}};
  response.source = std::make_shared<Counted<Slot>>(std::move(slot), std::move(stream));
  return response;
}

}  // namespace godwit::webmail_api
