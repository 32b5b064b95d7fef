// Mail that goes on: to the other server of a domain of ours, and with senders that were rewritten.

#include "libs/store/directory.h"
#include "services/delivery-queue/queue_fixture.h"

namespace godwit::delivery_queue {
namespace {

namespace pb = ::godwit::delivery_queue::v1;
namespace tls = ::godwit::tls_policy::v1;

class RelayFixture : public QueueFixture {
 public:
  void MakeRelay(store::DomainKind kind, const std::string& next_hop) {
    MustOk(store::AddDomain(*connection, "r.example", absl::Now()));
    store::Domain domain = Must(store::GetDomain(*connection, "r.example"));
    domain.kind = kind;
    domain.next_hop = next_hop;
    MustOk(store::UpdateDomain(*connection, domain));
  }
  void Send(pb::Origin origin, const std::string& from = "s@x.example",
            const std::string& to = "bob@r.example") {
    const std::string caller = origin == pb::ORIGIN_SUBMISSION ? "submission" : "smtp-ingress";
    Must(Enqueue({.from = from, .to = {to}, .origin = origin}, caller));
  }
};

std::string Hop(const TestMx& mx) { return "127.0.0.1:" + std::to_string(mx.port()); }

// Refusals, senders and listed addresses of a relayed domain held for mail from outside only, and
// bounces to rewritten senders (SRS) there went to a server that had not made them.
TEST_CASE_METHOD(RelayFixture, "smtp-ingress says whose mail goes on, the next hop takes that",
                 "[delivery-queue][integration]") {
  TestMx hop;
  MakeRelay(GENERATE(store::DomainKind::kRelay, store::DomainKind::kLocalThenRelay), Hop(hop));
  Start(1);
  Send(pb::ORIGIN_SUBMISSION, "alice@y.example");
  Send(pb::ORIGIN_FORWARD);
  REQUIRE(internal->WaitFor(2));
  Send(pb::ORIGIN_RELAY);
  REQUIRE(hop.WaitFor(1));
  CHECK(hop.messages().at(0).from == "s@x.example");
  CHECK(hop.messages().at(0).to == std::vector<std::string>{"bob@r.example"});
  CHECK(WaitForMessages(0));
  CHECK(internal->messages().size() == 2);
}

class MxFixture : public RelayFixture {
 public:
  MxFixture() { MakeRelay(store::DomainKind::kRelay, ""); }
  // Each at an address of its own: 127.0.0.1, 127.0.0.2, ...
  void SetMx(const std::vector<std::pair<std::string, uint32_t>>& list) {
    std::vector<std::string> names;
    for (const auto& [name, preference] : list) names.push_back(name);
    tls::ResolveResponse answer = ScriptedPolicy::Hosts(names);
    for (int i = 0; i < answer.hosts_size(); ++i) {
      answer.mutable_hosts(i)->set_preference(list[static_cast<size_t>(i)].second);
    }
    answer.set_valid_seconds(1);
    policy.Answer("r.example", answer);
  }
  bool WaitsWith(const std::string& reply) {
    return WaitFor("SELECT count(*) FROM queue_recipients WHERE last_reply LIKE '" + reply + "%'",
                   "1");
  }

  TestMx mx;
};

TEST_CASE_METHOD(MxFixture, "By MX mail goes to hosts that come before ourselves (RFC 5321 §5.1)",
                 "[delivery-queue][integration]") {
  SECTION("The primary") {
    SetMx({{"primary.example", 5}, {"out.y.example", 10}, {"other.example", 20}});
    Start(mx.port());
    Send(pb::ORIGIN_RELAY);
    REQUIRE(mx.WaitFor(1));
    CHECK(WaitForMessages(0));
  }
  SECTION("The primary only, when it is down") {
    SetMx({{"primary.example", 5}, {"out.y.example", 10}, {"other.example", 20}});
    // 127.0.0.1 has nobody at this port.
    TestMx ourselves({.host = "127.0.0.2"});
    TestMx other({.port = ourselves.port(), .host = "127.0.0.3"});
    Start(ourselves.port());
    Send(pb::ORIGIN_RELAY);
    CHECK(WaitsWith("451 4.4.1"));
    CHECK(ourselves.connections + other.connections == 0);
  }
  SECTION("Our name there is another one") {
    SetMx({{"primary.example", 5}, {"mx.y.example", 10}});
    TestMx ourselves({.host = "127.0.0.2"});
    Start(ourselves.port(), "", ", own_mx_hosts: [MX.y.example]");
    Send(pb::ORIGIN_RELAY);
    CHECK(WaitsWith("451 4.4.1"));
    CHECK(ourselves.connections == 0);
  }
  SECTION("We are not named, as behind a load balancer") {
    SetMx({{"primary.example", 5}});
    Start(mx.port(), "", ", own_mx_hosts: [balancer.y.example]");
    Send(pb::ORIGIN_RELAY);
    REQUIRE(mx.WaitFor(1));
  }
  SECTION("There is none: it waits, for somebody has to configure a next hop") {
    SetMx({{"twin.example", 10}, {"out.y.example", 10}});
    Start(mx.port());
    Send(pb::ORIGIN_RELAY);
    CHECK(WaitsWith("451 4.3.5"));
    CHECK(mx.connections == 0);
  }
}

// The MX records name smtp-ingress, not the queue: while the primary was down, a backup sent to
// itself a hundred times within seconds, and bounced.
TEST_CASE_METHOD(MxFixture, "Who does not know his own name in the MX records waits",
                 "[delivery-queue][integration]") {
  SetMx({{"primary.example", 5}, {"mx.y.example", 10}});
  Start(mx.port());
  Send(pb::ORIGIN_RELAY);
  CHECK(WaitsWith("451 4.3.5"));
  CHECK(mx.connections == 0);
}

TEST_CASE_METHOD(MxFixture, "Behind a smarthost nothing goes to MX hosts",
                 "[delivery-queue][integration]") {
  SetMx({{"primary.example", 5}, {"out.y.example", 10}});
  TestMx smarthost;
  StartSmarthost(smarthost.port());
  Send(pb::ORIGIN_RELAY);
  CHECK(WaitsWith("451 4.3.5"));
  CHECK(smarthost.connections == 0);
}

TEST_CASE_METHOD(RelayFixture, "A sender that was rewritten keeps its length (RFC 5321 §4.5.3.1.1)",
                 "[delivery-queue][integration]") {
  TestMx mx;
  mx.on_rcpt = [](const std::string&) { return smtp::Reply{550, "5.1.1", {"No such user"}}; };
  Start(mx.port());
  const std::string srs =
      "SRS0=ABCDEFGH=AB=" + std::string(60, 'd') + ".example=" + std::string(60, 'l');
  Send(pb::ORIGIN_FORWARD, srs + "@y.example", "gone@x.example");
  // Its bounce goes to smtp-ingress, which knows it.
  REQUIRE(internal->WaitFor(1));
  CHECK(internal->messages().at(0).to == std::vector<std::string>{srs + "@y.example"});
  CHECK(internal->messages().at(0).from.empty());
}

}  // namespace
}  // namespace godwit::delivery_queue
