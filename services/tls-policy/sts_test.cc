// MTA-STS policies: fetched over real HTTPS on loopback, kept in a real PostgreSQL.

#include <catch2/catch.hpp>

#include "libs/base/status.h"
#include "libs/net/http.h"
#include "libs/net/listener.h"
#include "libs/net/reactor.h"
#include "libs/testing/certificates.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/scratch_database.h"
#include "services/tls-policy/outcomes.h"
#include "services/tls-policy/resolution.h"
#include "services/tls-policy/sts_cache.h"
#include "services/tls-policy/sts_fetch.h"

namespace godwit::tls_policy {
namespace {

constexpr char kPolicy[] =
    "version: STSv1\r\nmode: enforce\r\nmx: *.x.example\r\nmax_age: 604800\r\n";
constexpr char kZone[] = R"(
  _mta-sts.x.example TXT "v=STSv1; id=one;"
  mta-sts.x.example  A   127.0.0.1
  x.example          MX  10 m.x.example
  m.x.example        A   192.0.2.1
)";

// The web server of all domains.
class PolicyHost {
 public:
  PolicyHost(net::Reactor* reactor, const testing::LeafFiles& leaf)
      : handler_([this](const net::HttpRequest& request) { return Handle(request); }) {
    net::TlsServerOptions tls;
    tls.certificates.push_back(
        {.chain_file = leaf.chain_file, .key_file = leaf.key_file, .chain_pem = "", .key_pem = {}});
    context_ = net::TlsContext::NewServer(tls).value();
    net::ListenOptions options;
    options.endpoint = *net::Endpoint::Parse("0.0.0.0:0");
    listener_ = net::Listener::Start(reactor, options, [this](auto stream) {
                  base::Spawn(Serve(std::move(stream), &handler_, context_));
                }).value();
  }

  uint16_t port() const { return listener_->endpoint().port; }

  net::HttpResponse response = net::HttpResponse::Text(200, kPolicy);
  absl::Duration delay;
  int requests = 0;
  std::string last_host;

 private:
  static base::Task<void> Serve(std::unique_ptr<net::Stream> stream,
                                const net::HttpHandler* handler,
                                std::shared_ptr<net::TlsContext> context) {
    const absl::Status secured =
        co_await stream->StartTlsServer(std::move(context), absl::Seconds(5));
    if (secured.ok()) co_await net::ServeHttp(std::move(stream), handler, net::HttpLimits());
  }
  base::Task<net::HttpResponse> Handle(const net::HttpRequest& request) {
    ++requests;
    last_host = std::string(request.field("Host"));
    const bool right = request.target == "/.well-known/mta-sts.txt";
    // Before the pause, behind which we may be gone.
    net::HttpResponse answer = right ? response : net::HttpResponse::Text(404, "no");
    if (delay > absl::ZeroDuration()) co_await net::Reactor::Current()->Sleep(delay);
    co_return answer;
  }

  net::HttpHandler handler_;
  std::shared_ptr<net::TlsContext> context_;
  std::unique_ptr<net::Listener> listener_;
};

struct World {
  explicit World(std::vector<std::string> names = {"mta-sts.x.example"})
      : host(&reactor, authority.Issue({.names = std::move(names)})) {
    fetcher =
        StsFetcher::Create(
            {.port = host.port(), .ca_file = authority.ca_file(), .timeout = absl::Seconds(5)},
            &resolver)
            .value();
    Restart();
  }

  // A fresh process: what was in memory is gone.
  void Restart() {
    cache = std::make_unique<StsCache>(StsCacheOptions{}, fetcher.get(), &pool, &clock, &metrics);
  }
  absl::StatusOr<StsState> Get(const std::string& domain = "x.example", bool fresh = false) {
    return reactor.RunUntilDone(cache->Get(domain, &resolver, fresh));
  }
  // "enforce one", "none", "failed 10"
  std::string Say(bool fresh = false) {
    const auto state = Get("x.example", fresh);
    if (!state.ok()) return base::ToString(state.status()).substr(0, 11);
    if (state->policy) {
      return std::string(mtasts::ModeName(state->policy->policy.mode)) + " " + state->policy->id;
    }
    if (state->failure == TlsResult::kNone) return "none";
    return "failed " + std::to_string(static_cast<int>(state->failure));
  }
  void Record(const std::string& id) {
    testing::FakeZone zone(kZone);
    zone.Remove("_mta-sts.x.example");
    if (!id.empty()) zone.Add("_mta-sts.x.example TXT \"v=STSv1; id=" + id + ";\"");
    resolver.Set(zone);
  }

  testing::ScratchDatabase database;
  db::Pool pool{database.PoolOptions(2, "godwit_tls_policy")};
  net::Reactor reactor{{.sweep_period = absl::Milliseconds(10)}};
  testing::CertificateAuthority authority{testing::MakeScratchFolder()};
  PolicyHost host;
  testing::FakeResolver resolver{kZone};
  testing::FakeClock clock{absl::FromUnixSeconds(1'790'000'000)};
  Metrics metrics;
  std::unique_ptr<StsFetcher> fetcher;
  std::unique_ptr<StsCache> cache;
};

TEST_CASE("A policy is fetched once, kept, and survives a restart", "[tls_policy][integration]") {
  World world;
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.last_host == "mta-sts.x.example:" + std::to_string(world.host.port()));
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.requests == 1);
  world.Restart();
  // The web server is gone, the record too: the policy stays until it expires (RFC 8461 §5.1).
  world.host.response = net::HttpResponse::Text(500, "");
  world.Record("");
  CHECK(world.Say() == "enforce one");
  world.clock.Advance(absl::Hours(24 * 6));
  CHECK(world.Say() == "enforce one");
  world.clock.Advance(absl::Hours(24));
  CHECK(world.Say() == "none");
  CHECK(world.host.requests == 1);
}

TEST_CASE("Another id has the policy fetched again; a failure keeps the old one",
          "[tls_policy][integration]") {
  World world;
  CHECK(world.Say() == "enforce one");
  world.Record("two");
  world.host.response = net::HttpResponse::Text(200, "nonsense");
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.requests == 2);
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.requests == 2);  // not at every message
  world.clock.Advance(mtasts::kRetryFetch);
  world.host.response = net::HttpResponse::Text(
      200, "version: STSv1\nmode: testing\nmx: m.x.example\nmax_age: 86400\n");
  CHECK(world.Say() == "testing two");
  world.Restart();
  CHECK(world.Say() == "testing two");
  CHECK(world.host.requests == 3);
}

TEST_CASE("What is no policy is a failure with a name", "[tls_policy][integration]") {
  World world;
  const auto check = [&](net::HttpResponse response, TlsResult result) {
    world.host.response = std::move(response);
    CHECK(world.Say() == "failed " + std::to_string(static_cast<int>(result)));
    world.clock.Advance(mtasts::kRetryFetch);
  };
  net::HttpResponse moved = net::HttpResponse::Text(301, "");
  moved.fields.push_back({"Location", "https://127.0.0.1/"});
  check(moved, TlsResult::kStsFetchError);
  check(net::HttpResponse::Text(404, kPolicy), TlsResult::kStsFetchError);
  net::HttpResponse html;
  html.body = kPolicy;
  html.fields.push_back({"Content-Type", "text/html"});
  check(html, TlsResult::kStsPolicyInvalid);
  check(net::HttpResponse::Text(200, "mode: enforce\n"), TlsResult::kStsPolicyInvalid);
  check(net::HttpResponse::Text(200, std::string(70000, 'x')), TlsResult::kStsPolicyInvalid);
  world.host.response = net::HttpResponse::Text(200, kPolicy);
  CHECK(world.Say() == "enforce one");
}

TEST_CASE("A certificate for another name is no policy", "[tls_policy][integration]") {
  World world({"x.example", "www.x.example"});
  CHECK(world.Say() == "failed " + std::to_string(static_cast<int>(TlsResult::kStsWebPkiInvalid)));
  CHECK(world.host.requests == 0);
}

TEST_CASE("Nobody there, or no address, is a failure; no record is none",
          "[tls_policy][integration]") {
  World world;
  testing::FakeZone zone(R"(_mta-sts.x.example TXT "v=STSv1; id=one;")");
  world.resolver.Set(zone);
  CHECK(world.Say() == "failed " + std::to_string(static_cast<int>(TlsResult::kStsFetchError)));
  world.Record("");
  CHECK(world.Say() == "none");
}

TEST_CASE("Of one domain one fetch is under way", "[tls_policy][integration]") {
  World world;
  world.host.delay = absl::Milliseconds(50);
  const auto all =
      [](StsCache* cache,
         dns::Resolver* resolver) -> base::Task<std::vector<absl::StatusOr<StsState>>> {
    std::vector<base::Task<absl::StatusOr<StsState>>> tasks;
    for (int i = 0; i < 50; ++i) tasks.push_back(cache->Get("x.example", resolver, false));
    co_return co_await base::WhenAll(std::move(tasks));
  };
  const auto states = world.reactor.RunUntilDone(all(world.cache.get(), &world.resolver));
  for (const auto& state : states) CHECK((state.ok() && state->policy.has_value()));
  CHECK(world.host.requests == 1);
}

base::Task<bool> RefreshDue(StsCache* cache, dns::Resolver* resolver) {
  co_await cache->RefreshDue(resolver);
  co_return true;
}

// Domains without a policy were refused, too.
TEST_CASE("Fetches have a bound that only concerns who needs one", "[tls_policy][integration]") {
  World world;
  world.cache = std::make_unique<StsCache>(StsCacheOptions{.max_fetches = 1}, world.fetcher.get(),
                                           &world.pool, &world.clock, &world.metrics);
  testing::FakeZone zone(kZone);
  zone.Add("_mta-sts.y.example TXT \"v=STSv1; id=two;\"");
  zone.Add("mta-sts.y.example A 127.0.0.1");
  world.resolver.Set(zone);
  world.host.delay = absl::Milliseconds(300);
  std::optional<absl::StatusOr<StsState>> slow;
  const auto get = [&]() -> base::Task<void> {
    slow = co_await world.cache->Get("x.example", &world.resolver, false);
  };
  base::SpawnOn(&world.reactor, get());
  const auto begun = [&]() -> base::Task<bool> {
    while (world.host.requests == 0) co_await world.reactor.Sleep(absl::Milliseconds(5));
    co_return true;
  };
  world.reactor.RunUntilDone(begun());
  CHECK(world.Get("y.example").status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(world.Get("none.example").ok());
  REQUIRE(!slow);
  const auto ended = [&]() -> base::Task<bool> {
    while (!slow) co_await world.reactor.Sleep(absl::Milliseconds(5));
    co_return true;
  };
  world.reactor.RunUntilDone(ended());
  CHECK(((*slow).ok() && (**slow).policy));
}

// Four times the timeout was more than the caller's deadline: mail never went, and bounced.
TEST_CASE("All addresses of a silent server have one timeout together",
          "[tls_policy][integration]") {
  World world;
  testing::FakeZone zone(R"(
    _mta-sts.x.example TXT "v=STSv1; id=one;"
    mta-sts.x.example  A   127.0.0.1
    mta-sts.x.example  A   127.0.0.2
    mta-sts.x.example  A   127.0.0.3
    mta-sts.x.example  A   127.0.0.4
  )");
  world.resolver.Set(zone);
  world.host.delay = absl::Minutes(1);
  world.fetcher = StsFetcher::Create({.port = world.host.port(),
                                      .ca_file = world.authority.ca_file(),
                                      .timeout = absl::Seconds(1)},
                                     &world.resolver)
                      .value();
  world.Restart();
  const absl::Duration begin = base::Clock::System()->Monotonic();
  CHECK(world.Say() == "failed " + std::to_string(static_cast<int>(TlsResult::kStsFetchError)));
  CHECK(base::Clock::System()->Monotonic() - begin < absl::Milliseconds(2500));
  CHECK(world.host.requests == 4);
}

// RFC 8461 §10.2: who can make the record vanish could take the protection away.
TEST_CASE("What another replica fetched is used, though the record is gone",
          "[tls_policy][integration]") {
  World world;
  world.Record("");
  CHECK(world.Say() == "none");
  StsCache other({}, world.fetcher.get(), &world.pool, &world.clock, &world.metrics);
  world.Record("one");
  const auto fetched = world.reactor.RunUntilDone(other.Get("x.example", &world.resolver, false));
  REQUIRE((fetched.ok() && fetched->policy));
  world.Record("");
  CHECK(world.Say() == "none");  // looked a moment ago
  world.clock.Advance(absl::Minutes(1));
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.requests == 1);
}

TEST_CASE("A policy that is over at once is not fetched for every message",
          "[tls_policy][integration]") {
  World world;
  world.host.response =
      net::HttpResponse::Text(200, "version: STSv1\nmode: enforce\nmx: *.x.example\nmax_age: 0\n");
  CHECK(world.Say() == "enforce one");
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.requests == 1);
  world.clock.Advance(mtasts::kShortestLife);
  world.Record("");
  CHECK(world.Say() == "none");
}

TEST_CASE("To renew a policy is no use of it; mail that is answered from memory is",
          "[tls_policy][integration]") {
  World world;
  const auto used = [&] {
    return world.database.Ask("SELECT extract(epoch FROM used_at)::bigint FROM sts_policies");
  };
  CHECK(world.Say() == "enforce one");
  const std::string first = used();
  world.clock.Advance(absl::Hours(25));
  world.reactor.RunUntilDone(RefreshDue(world.cache.get(), &world.resolver));
  CHECK(world.host.requests == 2);
  CHECK(used() == first);
  CHECK(world.Say() == "enforce one");
  const auto pause = [](net::Reactor* reactor) { return reactor->Sleep(absl::Milliseconds(10)); };
  for (int i = 0; i < 500 && used() == first; ++i) {
    world.reactor.RunUntilDone(pause(&world.reactor));
  }
  CHECK(used() == std::to_string(absl::ToUnixSeconds(world.clock.Now())));
}

TEST_CASE("Policies are renewed before they expire, without mail that waits",
          "[tls_policy][integration]") {
  World world;
  CHECK(world.Say() == "enforce one");
  world.reactor.RunUntilDone(RefreshDue(world.cache.get(), &world.resolver));
  CHECK(world.host.requests == 1);
  world.clock.Advance(absl::Hours(25));
  world.reactor.RunUntilDone(RefreshDue(world.cache.get(), &world.resolver));
  CHECK(world.host.requests == 2);
  world.reactor.RunUntilDone(RefreshDue(world.cache.get(), &world.resolver));
  CHECK(world.host.requests == 2);
  // Six days later it would have expired, had it not been renewed.
  world.Record("");
  world.clock.Advance(absl::Hours(24 * 6 + 1));
  world.Restart();
  CHECK(world.Say() == "enforce one");
}

TEST_CASE("Memory is bounded, and what does not fit is read from the database",
          "[tls_policy][integration]") {
  World world;
  world.cache = std::make_unique<StsCache>(StsCacheOptions{.max_domains = 2}, world.fetcher.get(),
                                           &world.pool, &world.clock, &world.metrics);
  CHECK(world.Say() == "enforce one");
  for (const char* other : {"a.example", "b.example", "c.example"}) CHECK(world.Get(other).ok());
  CHECK(world.Say() == "enforce one");
  CHECK(world.host.requests == 1);
}

TEST_CASE("fresh asks again", "[tls_policy][integration]") {
  World world;
  CHECK(world.Say() == "enforce one");
  CHECK(world.Say(true) == "enforce one");
  CHECK(world.host.requests == 2);
}

TEST_CASE("Without the database nothing is answered that may be less than was kept",
          "[tls_policy][integration]") {
  World world;
  CHECK(world.Say() == "enforce one");
  world.Restart();
  testing::ScratchDatabase::StopCluster();
  CHECK(world.Say() == "UNAVAILABLE");
  const auto resolve = [&] {
    return world.reactor.RunUntilDone(Resolve({.cached = &world.resolver,
                                               .uncached = &world.resolver,
                                               .sts = world.cache.get(),
                                               .clock = &world.clock,
                                               .random = base::RandomSource::System()},
                                              {.domain = "x.example"}, false));
  };
  CHECK(!resolve().ok());
  testing::ScratchDatabase::StartCluster();
  for (int i = 0; i < 100 && world.Say() != "enforce one"; ++i) {
    const auto pause = [](net::Reactor* reactor) { return reactor->Sleep(absl::Milliseconds(50)); };
    world.reactor.RunUntilDone(pause(&world.reactor));
  }
  const auto resolution = resolve();
  REQUIRE(resolution.ok());
  CHECK(resolution->hosts.at(0).requirement == Requirement::kMtaSts);
}

// --- Outcomes

store::TlsOutcome Outcome(int result) {
  store::TlsOutcome outcome;
  outcome.at = absl::FromUnixSeconds(1'790'000'000);
  outcome.domain = "x.example";
  outcome.policy_type = 1;
  outcome.result = result;
  outcome.sessions = 1;
  return outcome;
}

TEST_CASE("Outcomes are added up, bounded, and wait for the database",
          "[tls_policy][integration]") {
  World world;
  Outcomes outcomes(&world.pool, &world.metrics, 3);
  const auto flush = [&] { return world.reactor.RunUntilDone(outcomes.Flush()); };
  for (int i = 0; i < 2; ++i) CHECK(outcomes.Add({Outcome(1)}).ok());
  CHECK(outcomes.Add({Outcome(1), Outcome(2)}).ok());
  CHECK(outcomes.pending() == 2);
  CHECK(outcomes.Add({Outcome(3), Outcome(4)}).code() == absl::StatusCode::kResourceExhausted);
  CHECK(flush().ok());
  CHECK(outcomes.pending() == 0);
  CHECK(world.database.Ask("SELECT sum(sessions) || ' ' || count(*) FROM tls_outcomes") == "4 2");

  CHECK(outcomes.Add({Outcome(1)}).ok());
  testing::ScratchDatabase::StopCluster();
  CHECK(!flush().ok());
  CHECK(outcomes.pending() == 1);
  testing::ScratchDatabase::StartCluster();
  for (int i = 0; i < 100 && !flush().ok(); ++i) {
    const auto pause = [](net::Reactor* reactor) { return reactor->Sleep(absl::Milliseconds(50)); };
    world.reactor.RunUntilDone(pause(&world.reactor));
  }
  CHECK(world.database.Ask("SELECT sum(sessions) FROM tls_outcomes") == "5");
}

TEST_CASE("Hosts of one preference come in every order", "[tls_policy][unit]") {
  std::set<std::string> orders;
  for (int i = 0; i < 200; ++i) {
    std::vector<RouteHost> hosts = {{.name = "first", .preference = 1},
                                    {.name = "a", .preference = 5},
                                    {.name = "b", .preference = 5},
                                    {.name = "c", .preference = 5},
                                    {.name = "last", .preference = 9}};
    ShuffleEqual(&hosts, base::RandomSource::System());
    CHECK(hosts.front().name == "first");
    CHECK(hosts.back().name == "last");
    orders.insert(hosts[1].name + hosts[2].name + hosts[3].name);
  }
  CHECK(orders.size() == 6);
}

}  // namespace
}  // namespace godwit::tls_policy
