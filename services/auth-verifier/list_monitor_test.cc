#include "services/auth-verifier/list_monitor.h"

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/task.h"
#include "libs/runtime/yaml_config.h"
#include "libs/testing/fake_resolver.h"
#include "services/auth-verifier/list_settings.h"

namespace godwit::auth_verifier {
namespace {

constexpr char kGood[] = "2.0.0.127.bl.example A 127.0.0.2\n";

base::Task<bool> RunCheck(ListMonitor* monitor) {
  co_await monitor->Check();
  co_return true;
}

struct World {
  explicit World(const std::string& zone) : resolver(zone) {
    ListOptions options;
    options.lists.resize(1);
    options.lists[0].zone = "bl.example";
    options.own_addresses = {*base::IpAddress::Parse("192.0.2.1"),
                             *base::IpAddress::Parse("192.0.2.2")};
    monitor = std::make_unique<ListMonitor>(options, &resolver, &metrics);
  }
  void Check() { (void)base::RunBlocking(RunCheck(monitor.get())); }
  bool usable() const { return !monitor->Usable()->empty(); }
  void Set(const std::string& zone) { resolver.Set(testing::FakeZone(zone)); }

  testing::FakeResolver resolver;
  Metrics metrics;
  std::unique_ptr<ListMonitor> monitor;
};

TEST_CASE("RFC 5782 §5: a list is asked while it is in order", "[auth-verifier][unit]") {
  World world(kGood);
  CHECK_FALSE(world.usable());
  world.Check();
  CHECK(world.usable());
  CHECK(world.monitor->pause() == absl::Minutes(10));
  CHECK(world.metrics.lists.At({"in_order"}).value() == 1);
  // Sold, and answering everything.
  world.Set("*.bl.example A 127.0.0.2");
  world.Check();
  CHECK_FALSE(world.usable());
  CHECK(world.monitor->pause() == absl::Minutes(1));
  CHECK(world.metrics.lists.At({"out_of_order"}).value() == 1);
  world.Set(kGood);
  world.Check();
  CHECK(world.usable());
}

TEST_CASE("A list that does not answer is not asked until its next check",
          "[auth-verifier][unit]") {
  World world(kGood);
  world.Check();
  dnsbl::Result silent;
  silent.list = "bl.example";
  silent.outcome = dnsbl::Outcome::kNoAnswer;
  dnsbl::Result good = silent;
  good.outcome = dnsbl::Outcome::kNotListed;
  world.monitor->Observe({silent});
  world.monitor->Observe({silent});
  world.monitor->Observe({silent, good});  // about two subjects
  world.monitor->Observe({silent});
  world.monitor->Observe({silent});
  CHECK(world.usable());
  world.monitor->Observe({silent});
  CHECK_FALSE(world.usable());
  world.Check();
  CHECK(world.usable());
}

TEST_CASE("Our own addresses are watched", "[auth-verifier][unit]") {
  World world(std::string(kGood) + "2.2.0.192.bl.example A 127.0.0.4");
  const auto listed = [&] { return world.metrics.own_addresses_listed.value(); };
  world.Check();
  CHECK(listed() == 1);
  world.Set(kGood);
  world.Check();
  CHECK(listed() == 0);
  // A list out of order lists everybody.
  world.Set("*.bl.example A 127.0.0.2");
  world.Check();
  CHECK(listed() == 0);
}

TEST_CASE("The section dnsbl", "[auth-verifier][unit]") {
  Config file;
  const auto errors = runtime::LoadYaml(R"(
    dnsbl:
      own_addresses: ["2001:db8::1"]
      lists:
        - {zone: BL.example, subjects: [ipv6, domains], codes: ["127.0.0.2=spam:5"]}
        - {zone: wl.example, kind: allow}
  )",
                                        "test", runtime::ProcessEnvironment, &file);
  for (const auto& error : errors) CHECK(error.path.find("dnsbl") == std::string::npos);
  const Dnsbl& config = file.dnsbl();
  const auto options = MakeListOptions(config);
  REQUIRE(options.ok());
  REQUIRE(options->lists.size() == 2);
  const dnsbl::List& first = options->lists[0];
  CHECK(first.zone == "bl.example");
  CHECK((first.ipv6 && first.domains && !first.ipv4));
  CHECK(first.codes.at(0).weight == 5);
  CHECK(options->lists[1].kind == dnsbl::Kind::kAllow);
  CHECK((options->lists[1].ipv4 && !options->lists[1].ipv6));
  CHECK(options->own_addresses.size() == 1);
  CHECK(options->interval == absl::Minutes(10));

  const auto refused = [](Dnsbl bad) { return !MakeListOptions(bad).ok(); };
  Dnsbl bad = config;
  bad.mutable_lists(1)->set_zone("bl.EXAMPLE");
  CHECK(refused(bad));
  bad = config;
  bad.mutable_lists(0)->set_zone("a b");
  CHECK(refused(bad));
  bad = config;
  bad.mutable_lists(0)->add_subjects("ip");
  CHECK(refused(bad));
  bad = config;
  bad.mutable_lists(0)->add_codes("192.0.2.1=x");
  CHECK(refused(bad));
  bad = config;
  bad.mutable_lists(1)->add_subjects("domains");
  CHECK(refused(bad));
  bad = config;
  bad.add_own_addresses("mx.example.org");
  CHECK(refused(bad));
}

}  // namespace
}  // namespace godwit::auth_verifier
