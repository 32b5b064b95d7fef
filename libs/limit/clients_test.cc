#include "libs/limit/clients.h"

#include <catch2/catch.hpp>

#include "libs/testing/fake_clock.h"

namespace godwit::limit {
namespace {

base::IpAddress Ip(std::string_view text) { return *base::IpAddress::Parse(text); }
base::IpAddress Ip(std::string_view prefix, int last) {
  return Ip(std::string(prefix) + std::to_string(last));
}

class LimitsFixture {
 public:
  LimitsFixture() {
    options.connections = 30;
    options.connections_per_minute = 300;
  }
  std::string_view Ask(const base::IpAddress& address) {
    admissions.push_back(limits->Admit(address));
    return admissions.back().refused_by;
  }
  void Make() {
    admissions.clear();
    limits = std::make_unique<ClientLimits>(options, &clock, base::RandomSource::System());
  }

  ClientLimitOptions options;
  testing::FakeClock clock;
  std::unique_ptr<ClientLimits> limits;
  std::vector<Admission> admissions;  // die before the limits
};

TEST_CASE_METHOD(LimitsFixture, "Connections at the same time: 30 an address, 90 a /26, 270 a /21",
                 "[limit][unit]") {
  Make();
  for (int i = 0; i < 30; ++i) CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "connections");
  for (int i = 0; i < 60; ++i) CHECK(Ask(Ip("192.0.2.", 2 + i % 60)) == "");
  CHECK(Ask(Ip("192.0.2.63")) == "connections");  // the /26
  for (int i = 0; i < 180; ++i) CHECK(Ask(Ip("192.0.3.", i)) == "");
  CHECK(Ask(Ip("192.0.7.1")) == "connections");  // the /21
  CHECK(Ask(Ip("192.0.8.1")) == "");
  // A place that is given back can be had again, and what was refused has none to give back.
  admissions.erase(admissions.begin());
  CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "connections");
  Make();
  for (int i = 0; i < 30; ++i) CHECK(Ask(Ip("2001:db8::", i)) == "");  // one /64
  CHECK(Ask(Ip("2001:db8::ffff:1")) == "connections");
  CHECK(Ask(Ip("2001:db8:0:1::1")) == "");
}

TEST_CASE_METHOD(LimitsFixture, "New connections a minute, whether they stay or not",
                 "[limit][unit]") {
  Make();
  for (int i = 0; i < 300; ++i) CHECK(limits->Admit(Ip("192.0.2.1")).refused_by == "");
  CHECK(limits->Admit(Ip("192.0.2.1")).refused_by == "connection-rate");
  CHECK(limits->Admit(Ip("192.0.2.2")).refused_by == "");
  // What is refused is not counted: the limit's rate gets through however hard one tries.
  int admitted = 0;
  for (int second = 0; second < 600; ++second) {
    clock.Advance(absl::Seconds(1));
    for (int i = 0; i < 20; ++i) admitted += limits->Admit(Ip("192.0.2.1")).refused_by == "";
  }
  CHECK(admitted >= 2900);
  CHECK(admitted <= 3100);
}

TEST_CASE_METHOD(LimitsFixture, "Who is refused too many recipients stays out for a while",
                 "[limit][unit]") {
  Make();
  limits->refused_recipients().Add(Ip("192.0.2.1"), 999);
  CHECK(Ask(Ip("192.0.2.1")) == "");
  limits->refused_recipients().Add(Ip("192.0.2.1"), 1);
  CHECK(Ask(Ip("192.0.2.1")) == "refused-recipients");
  CHECK(Ask(Ip("192.0.2.2")) == "");
  clock.Advance(absl::Minutes(1));
  CHECK(Ask(Ip("192.0.2.1")) == "");
}

// Nine hosts of a hoster that guess recipients turned away all others of their /21.
TEST_CASE_METHOD(LimitsFixture, "Who shares a wide network with those who guess may come",
                 "[limit][unit]") {
  Make();
  for (int i = 1; i <= 9; ++i) limits->refused_recipients().Add(Ip("192.0.2.", i), 1000);
  CHECK(Ask(Ip("192.0.2.1")) == "refused-recipients");
  CHECK(Ask(Ip("192.0.2.10")) == "");
  CHECK(Ask(Ip("192.0.3.1")) == "");
  CHECK(limits->refused_recipients().Over(Ip("192.0.3.1")));  // its first one more ends it
}

// A whole one is never left of it, but for rounding after 37 periods.
TEST_CASE_METHOD(LimitsFixture, "A limit of 1 is given back in about its time", "[limit][unit]") {
  options.connections_per_minute = 1;
  options.networks.factors = {1, 1, 1};
  Make();
  const auto comes = [&] { return limits->Admit(Ip("192.0.2.1")).refused_by.empty(); };
  CHECK(comes());
  CHECK_FALSE(comes());
  clock.Advance(absl::Seconds(30));
  CHECK_FALSE(comes());
  clock.Advance(absl::Seconds(30));
  CHECK(comes());
  int admitted = 0;
  for (int i = 0; i < 600; ++i) {
    clock.Advance(absl::Seconds(1));
    admitted += comes();
  }
  CHECK(admitted >= 8);
  CHECK(admitted <= 10);
}

TEST_CASE_METHOD(LimitsFixture, "Exempt clients, and limits of 0, are never met", "[limit][unit]") {
  options.networks.exempt.push_back(*net::Network::Parse("192.0.2.0/24"));
  Make();
  limits->refused_recipients().Add(Ip("192.0.2.1"), 1e6);
  for (int i = 0; i < 1000; ++i) CHECK(Ask(Ip("192.0.2.1")) == "");
  options = {};
  options.connections = options.connections_per_minute = 0;
  options.refused_recipients_per_hour = 0;
  Make();
  limits->refused_recipients().Add(Ip("192.0.2.1"), 1e6);
  limits->bytes().Add(Ip("192.0.2.1"), 1e12);
  for (int i = 0; i < 1000; ++i) CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK_FALSE(limits->bytes().Over(Ip("192.0.2.1")));
}

TEST_CASE_METHOD(LimitsFixture, "Classes of one prefix length count once, with the lower limit",
                 "[limit][unit]") {
  options.networks.v4_bits = {32, 32, 24};
  options.connections = 2;
  options.connections_per_minute = 4;
  Make();
  CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "connections");
  admissions.clear();
  CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "connections");
  admissions.clear();
  CHECK(Ask(Ip("192.0.2.1")) == "connection-rate");
}

TEST_CASE_METHOD(LimitsFixture, "What other replicas count is added, for a while",
                 "[limit][unit]") {
  Make();
  Counter* connections = limits->counters().at(0);
  REQUIRE(connections->name() == "smtp-connections");
  const auto nearest = *NetworkKey::Parse("192.0.2.1/32");
  connections->SetRemote({{nearest, 20}, {nearest, 5}});
  for (int i = 0; i < 5; ++i) CHECK(Ask(Ip("192.0.2.1")) == "");
  CHECK(Ask(Ip("192.0.2.1")) == "connections");
  clock.Advance(kRemoteLife + absl::Seconds(1));  // nobody says anything: the database is away
  CHECK(Ask(Ip("192.0.2.1")) == "");
  // Told is what has reached an eighth of its limit.
  auto loud = connections->Loud();
  REQUIRE(loud.size() == 1);
  CHECK(loud[0].network == nearest);
  CHECK(loud[0].level == 6);
  Counter* rate = limits->counters().at(1);
  CHECK(rate->Loud().empty());
  rate->SetRemote({{*NetworkKey::Parse("192.0.2.64/26"), 900}});
  CHECK(Ask(Ip("192.0.2.65")) == "connection-rate");
}

TEST_CASE_METHOD(LimitsFixture, "Replies wait for clients that were refused much",
                 "[limit][unit]") {
  Make();
  CHECK(limits->Delay(5, 5) == absl::ZeroDuration());
  CHECK(limits->Delay(6, 1) == absl::Seconds(1));
  CHECK(limits->Delay(6, 6) == absl::Seconds(1));
  CHECK(limits->Delay(20, 3) == absl::Seconds(3));
  CHECK(limits->Delay(20, 0) == absl::ZeroDuration());
  CHECK(limits->Delay(1000, 1000) == absl::Seconds(30));
}

}  // namespace
}  // namespace godwit::limit
