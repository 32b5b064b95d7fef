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

TEST_CASE_METHOD(RelayFixture, "Mail of a relayed domain goes to its next hop, from wherever it is",
                 "[delivery-queue][integration]") {
  TestMx hop;
  MakeRelay(store::DomainKind::kRelay, Hop(hop));
  Start(1);
  Send(pb::ORIGIN_RELAY);
  Send(pb::ORIGIN_SUBMISSION, "alice@y.example");
  Send(pb::ORIGIN_FORWARD);
  REQUIRE(hop.WaitFor(3));
  CHECK(hop.messages().at(0).from == "s@x.example");
  CHECK(hop.messages().at(0).to == std::vector<std::string>{"bob@r.example"});
  CHECK(internal->messages().empty());
  CHECK(WaitForMessages(0));
}

TEST_CASE_METHOD(RelayFixture, "In a migration smtp-ingress says who is not here",
                 "[delivery-queue][integration]") {
  TestMx hop;
  MakeRelay(store::DomainKind::kLocalThenRelay, Hop(hop));
  Start(1);
  Send(pb::ORIGIN_SUBMISSION, "alice@y.example");
  Send(pb::ORIGIN_FORWARD);
  REQUIRE(internal->WaitFor(2));
  Send(pb::ORIGIN_RELAY);
  REQUIRE(hop.WaitFor(1));
  CHECK(WaitForMessages(0));
  CHECK(internal->messages().size() == 2);
}

TEST_CASE_METHOD(RelayFixture,
                 "By MX mail goes to hosts that come before ourselves (RFC 5321 §5.1)",
                 "[delivery-queue][integration]") {
  TestMx mx;
  MakeRelay(store::DomainKind::kRelay, "");
  auto hosts = [](std::vector<std::pair<std::string, uint32_t>> list) {
    tls::ResolveResponse answer = ScriptedPolicy::OneHost("none");
    answer.clear_hosts();
    for (const auto& [name, preference] : list) {
      *answer.add_hosts() = ScriptedPolicy::OneHost(name).hosts(0);
      answer.mutable_hosts(answer.hosts_size() - 1)->set_preference(preference);
    }
    answer.set_valid_seconds(1);
    return answer;
  };
  SECTION("The primary") {
    policy.Answer("r.example",
                  hosts({{"primary.example", 5}, {"out.y.example", 10}, {"other.example", 20}}));
    Start(mx.port(), "");
    Send(pb::ORIGIN_RELAY);
    REQUIRE(mx.WaitFor(1));
    CHECK(WaitForMessages(0));
  }
  SECTION("We are not named, as behind a load balancer") {
    policy.Answer("r.example", hosts({{"primary.example", 5}}));
    Start(mx.port());
    Send(pb::ORIGIN_RELAY);
    REQUIRE(mx.WaitFor(1));
  }
  SECTION("There is none: it waits, for somebody has to configure a next hop") {
    policy.Answer("r.example", hosts({{"twin.example", 10}, {"out.y.example", 10}}));
    Start(mx.port());
    Send(pb::ORIGIN_RELAY);
    CHECK(WaitFor("SELECT count(*) FROM queue_recipients WHERE last_reply LIKE '451 4.3.5%'", "1"));
    CHECK(mx.messages().empty());
  }
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
