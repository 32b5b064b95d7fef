// dkim rotate against a database, a DNS and a clock of its own.

#include "tools/godwitctl/dkim_rotate.h"

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "libs/base/status.h"
#include "libs/store/admin.h"
#include "libs/store/dkim_keys.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/scratch_database.h"

namespace godwit::ctl {
namespace {

namespace json = boost::json;

struct Fixture {
  Fixture() : connection(database.Connect()) {
    REQUIRE(store::AddDomain(*connection, "b.example", now).ok());
    options.domain = "b.example";
    options.type = dkim::KeyType::kEd25519;
    options.selector = "new";
  }
  json::value Run() {
    const auto report = RotateKey(*connection, &resolver, options, now);
    if (!report.ok()) FAIL(base::ToString(report.status()));
    INFO(report->text());
    return json::parse(report->Json());
  }
  // Of what a run said.
  static std::string Text(const json::value& report, const char* key) {
    return std::string(report.at(key).as_string());
  }
  std::string State() { return std::string(Run().at("state").as_string()); }
  void Publish(const std::string& selector, absl::Duration ttl) {
    for (const store::DkimKey& key : AllKeys()) {
      if (key.selector != selector) continue;
      base::DnsAnswer answer;
      answer.outcome = base::DnsOutcome::kOk;
      answer.texts = {dkim::FormatKeyRecord(dkim::KeyType::kEd25519, key.public_key)};
      answer.ttl = ttl;
      Answer(selector, answer);
    }
  }
  void Answer(const std::string& selector, const base::DnsAnswer& answer) {
    resolver.zone().Override({selector + "._domainkey.b.example", base::DnsType::kTxt}, answer);
  }
  std::vector<store::DkimKey> AllKeys() { return store::ListDkimKeys(*connection).value(); }
  std::string Keys() {
    std::string text;
    for (const store::DkimKey& key : AllKeys()) {
      text += key.selector + ":" + std::string(store::DkimKeyStateName(key.state)) + " ";
    }
    return text;
  }
  void AddActive(const std::string& selector) {
    const auto made = dkim::PrivateKey::Generate(dkim::KeyType::kEd25519).value();
    store::DkimKey key;
    key.domain = "b.example";
    key.selector = selector;
    key.algorithm = "ed25519-sha256";
    key.public_key = made.PublicBytes();
    REQUIRE(store::AddDkimKey(*connection, key, made.Pkcs8(), now).ok());
    REQUIRE(store::ActivateDkimKey(*connection, "b.example", selector, now).ok());
  }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection;
  testing::FakeResolver resolver;
  RotateOptions options;
  absl::Time now = absl::FromUnixSeconds(1'790'000'000);
};

TEST_CASE_METHOD(Fixture, "Publish, wait, switch, retire", "[godwitctl][integration]") {
  AddActive("old");
  json::value report = Run();
  CHECK(Text(report, "state") == "publish");
  CHECK(Text(report.at("record"), "name") == "new._domainkey.b.example");
  CHECK(Keys() == "new:pending old:active ");
  // Again and again: nothing changes.
  CHECK(State() == "publish");
  CHECK(Keys() == "new:pending old:active ");

  Publish("new", absl::Hours(2));
  now += absl::Minutes(5);
  report = Run();
  CHECK(Text(report, "state") == "wait");
  CHECK(Text(report, "due") ==
        absl::FormatTime(absl::RFC3339_full, now + absl::Hours(2), absl::UTCTimeZone()));
  // The TTL counts, not only --wait, and less of it is left in a cache later.
  Publish("new", absl::Minutes(10));
  now += absl::Minutes(119);
  CHECK(State() == "wait");
  CHECK(Keys() == "new:pending old:active ");
  now += absl::Minutes(1);
  report = Run();
  CHECK(Text(report, "state") == "retire");
  CHECK(Keys() == "new:active old:retired ");
  // What the DNS says is of no matter any more.
  Answer("new", testing::TempFail("timeout"));
  now += absl::Hours(167);
  CHECK(State() == "retire");
  now += absl::Hours(1);
  report = Run();
  CHECK(Text(report, "state") == "done");
  CHECK(report.at("old_selectors").at(0).as_string() == "old");
  CHECK(Keys() == "new:active ");
  CHECK(State() == "done");
  options.again = true;
  options.selector = "next";
  CHECK(State() == "publish");
  CHECK(Keys() == "new:active next:pending ");
}

TEST_CASE_METHOD(Fixture, "A record that goes away begins the wait anew",
                 "[godwitctl][integration]") {
  CHECK(State() == "publish");
  Publish("new", absl::Minutes(1));
  CHECK(State() == "wait");
  now += absl::Minutes(59);
  base::DnsAnswer gone;
  gone.outcome = base::DnsOutcome::kNoDomain;
  Answer("new", gone);
  CHECK(State() == "publish");
  Publish("new", absl::Minutes(1));
  now += absl::Minutes(5);
  CHECK(State() == "wait");
  now += absl::Minutes(59);
  CHECK(State() == "wait");
  // No answer is no sign of anything.
  Answer("new", testing::TempFail("timeout"));
  now += absl::Hours(1);
  CHECK(State() == "wait");
  Publish("new", absl::Minutes(1));
  CHECK(State() == "done");  // nothing signed before
  CHECK(Keys() == "new:active ");
}

TEST_CASE_METHOD(Fixture, "Another key's record is not ours", "[godwitctl][integration]") {
  CHECK(State() == "publish");
  base::DnsAnswer other;
  other.outcome = base::DnsOutcome::kOk;
  other.texts = {dkim::FormatKeyRecord(dkim::KeyType::kEd25519, std::string(32, 'x')),
                 "v=DKIM1; p=", "nonsense"};
  Answer("new", other);
  CHECK(State() == "publish");
}

TEST_CASE_METHOD(Fixture, "For cron: a rotation begins when the key is old enough",
                 "[godwitctl][integration]") {
  AddActive("old");
  options.selector = "";
  options.older_than = absl::Hours(24 * 90);
  CHECK(Run().at("state").is_null());
  CHECK(Keys() == "old:active ");
  now += absl::Hours(24 * 90);
  CHECK(State() == "publish");
  CHECK(AllKeys().size() == 2);
  CHECK(State() == "publish");
  CHECK(AllKeys().size() == 2);
}

TEST_CASE_METHOD(Fixture, "Two rotations on one day have two selectors",
                 "[godwitctl][integration]") {
  options.selector = "";
  options.wait = absl::ZeroDuration();
  const std::string first(Run().at("selector").as_string());
  Publish(first, absl::ZeroDuration());
  CHECK(State() == "done");
  options.again = true;
  CHECK(Text(Run(), "selector") == first + "-2");
}

TEST_CASE_METHOD(Fixture, "Without the domain nothing begins", "[godwitctl][integration]") {
  options.domain = "other.example";
  CHECK_FALSE(RotateKey(*connection, &resolver, options, now).ok());
}

}  // namespace
}  // namespace godwit::ctl
