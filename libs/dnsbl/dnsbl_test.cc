#include <catch2/catch.hpp>
#include <string>

#include "libs/base/ascii.h"
#include "libs/dnsbl/list.h"
#include "libs/dnsbl/lookup.h"
#include "libs/testing/fake_zone.h"

namespace godwit::dnsbl {
namespace {

List BlockList() {
  List list;
  list.zone = "bl.example";
  list.ipv6 = true;
  list.domains = true;
  return list;
}

List WithCodes(const std::vector<std::string>& rules) {
  List list = BlockList();
  for (const std::string& rule : rules) list.codes.push_back(ParseCodeRule(rule).value());
  return list;
}

std::vector<Result> Ask(const std::vector<List>& lists, const std::string& zone,
                        const std::string& client, const std::vector<std::string>& domains = {}) {
  Subjects subjects{base::IpAddress::Parse(client), domains};
  return testing::Evaluate(testing::FakeZone(zone),
                           [&](const auto& answers) { return Evaluate(lists, subjects, answers); });
}

Result AskOne(const List& list, const std::string& zone, const std::string& client) {
  const auto results = Ask({list}, zone, client);
  REQUIRE(results.size() == 1);
  return results[0];
}

TEST_CASE("RFC 5782 §2.1: an address is asked with its octets reversed", "[dnsbl][unit]") {
  const Result result = AskOne(BlockList(), R"(
    99.2.0.192.bl.example A   127.0.0.2
    99.2.0.192.bl.example TXT "Listed, see https://bl.example/?192.0.2.99"
  )",
                               "192.0.2.99");
  CHECK(result.outcome == Outcome::kListed);
  CHECK(result.list == "bl.example");
  CHECK(result.subject == "192.0.2.99");
  CHECK(result.codes == std::vector<std::string>{"127.0.0.2"});
  CHECK(result.categories == std::vector<std::string>{"listed"});
  CHECK(result.weight == 1);
  CHECK(result.text == "Listed, see https://bl.example/?192.0.2.99");
  CHECK(AskOne(BlockList(), "", "192.0.2.1").outcome == Outcome::kNotListed);
  // The same client over an IPv6 socket.
  CHECK(AskOne(BlockList(), "99.2.0.192.bl.example A 127.0.0.2", "::ffff:192.0.2.99").outcome ==
        Outcome::kListed);
}

TEST_CASE("RFC 5782 §2.4: an IPv6 address is asked with its nibbles reversed", "[dnsbl][unit]") {
  const std::string name =
      "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example";
  CHECK(AskOne(BlockList(), name + " A 127.0.0.2", "2001:db8:1:2:3:4:567:89ab").outcome ==
        Outcome::kListed);
  List v4 = BlockList();
  v4.ipv6 = false;
  CHECK(Ask({v4}, name + " A 127.0.0.2", "2001:db8:1:2:3:4:567:89ab").empty());
}

TEST_CASE("RFC 5782 §3: names are asked as they are", "[dnsbl][unit]") {
  const auto results = Ask({BlockList()}, "spam.example.bl.example A 127.0.0.4", "192.0.2.1",
                           {"good.example", "spam.example", std::string(250, 'a')});
  REQUIRE(results.size() == 3);
  CHECK(results[1].outcome == Outcome::kNotListed);
  CHECK(results[2].subject == "spam.example");
  CHECK(results[2].outcome == Outcome::kListed);
  List addresses = BlockList();
  addresses.domains = false;
  CHECK(Ask({addresses}, "", "192.0.2.1", {"spam.example"}).size() == 1);
}

TEST_CASE("RFC 5782 §2.3: rules say what codes mean", "[dnsbl][unit]") {
  const List list = WithCodes({"127.0.0.2=spam:5", "127.0.0.4-127.0.0.7=exploit:9",
                               "127.0.1.0/24=policy:0", "127.0.0.10=spam"});
  const auto ask = [&](const std::string& answers) {
    std::string zone;
    for (const std::string_view code : base::Split(answers, ' ')) {
      zone += "1.2.0.192.bl.example A " + std::string(code) + "\n";
    }
    return AskOne(list, zone, "192.0.2.1");
  };
  const Result two = ask("127.0.0.2 127.0.0.5 127.0.0.10");
  CHECK(two.weight == 9);
  CHECK(two.categories == std::vector<std::string>{"spam", "exploit"});
  CHECK(ask("127.0.1.77").outcome == Outcome::kListed);
  CHECK(ask("127.0.1.77").weight == 0);
  CHECK(ask("127.0.1.200").outcome == Outcome::kListed);
  // A code that no rule knows is not what the operator asked for.
  CHECK(ask("127.0.0.3").outcome == Outcome::kNotListed);
  CHECK(ask("127.0.0.8").codes == std::vector<std::string>{"127.0.0.8"});
}

// A list that was shut down answered every question with a web server's address, and a resolver
// that is shared by too many gets error codes: both once stopped all mail of those who took any
// answer for a listing.
TEST_CASE("RFC 5782 §2.1, §5: answers that are no listings are errors of the list",
          "[dnsbl][unit]") {
  const std::string code = GENERATE("203.0.113.9", "127.255.255.252", "127.255.255.254",
                                    "127.255.255.255", "127.0.0.1", "10.0.0.2");
  CAPTURE(code);
  for (const List& list : {BlockList(), WithCodes({"127.0.0.0/8=any:7"})}) {
    Result result = AskOne(list, "1.2.0.192.bl.example A " + code, "192.0.2.1");
    CHECK(result.outcome == Outcome::kError);
    CHECK(result.weight == 0);
    CHECK(result.categories.empty());
    CHECK_FALSE(result.problem.empty());
    // Beside a listing, too.
    result = AskOne(list, "1.2.0.192.bl.example A 127.0.0.2\n1.2.0.192.bl.example A " + code,
                    "192.0.2.1");
    CHECK(result.outcome == Outcome::kError);
  }
}

TEST_CASE("A list that does not answer lists nothing", "[dnsbl][unit]") {
  const Result result = AskOne(BlockList(), "1.2.0.192.bl.example TEMPFAIL", "192.0.2.1");
  CHECK(result.outcome == Outcome::kNoAnswer);
  CHECK(result.weight == 0);
}

TEST_CASE("RFC 5782 §2.1: the reason can't carry control characters, and may be missing",
          "[dnsbl][unit]") {
  testing::FakeZone zone("1.2.0.192.bl.example A 127.0.0.2");
  const auto text = [&](base::DnsAnswer reason) {
    zone.Override({"1.2.0.192.bl.example", base::DnsType::kTxt}, std::move(reason));
    return testing::Evaluate(
               zone,
               [&](const auto& answers) {
                 return Evaluate({BlockList()}, {base::IpAddress::Parse("192.0.2.1"), {}}, answers);
               })
        .at(0)
        .text;
  };
  base::DnsAnswer reason;
  CHECK(text(reason) == "");  // TempFail
  reason.outcome = base::DnsOutcome::kOk;
  reason.texts = {"a\r\n250 ok\x80"};
  CHECK(text(reason) == "a??250 ok?");
  reason.texts = {std::string(3000, 'x')};
  CHECK(text(reason).size() == 200);
}

TEST_CASE("All lists are asked in the first round, reasons in the second", "[dnsbl][unit]") {
  List other = BlockList();
  other.zone = "wl.example";
  other.kind = Kind::kAllow;
  const Subjects subjects{base::IpAddress::Parse("192.0.2.1"), {"a.example"}};
  base::DnsAnswers answers;
  const testing::FakeZone zone("1.2.0.192.wl.example A 127.0.5.3");
  auto step = Evaluate({BlockList(), other}, subjects, answers);
  REQUIRE(std::get<1>(step).size() == 4);
  for (const auto& question : std::get<1>(step)) answers[question] = zone.Lookup(question);
  step = Evaluate({BlockList(), other}, subjects, answers);
  REQUIRE(std::get<1>(step).size() == 1);
  CHECK(std::get<1>(step)[0].type == base::DnsType::kTxt);
}

TEST_CASE("RFC 5782 §5: a list is healthy by its test entries", "[dnsbl][unit]") {
  const std::string good = R"(
    2.0.0.127.bl.example A 127.0.0.2
    2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example A 127.0.0.2
    test.bl.example      A 127.0.0.2
  )";
  const auto problem = [](const List& list, const std::string& zone) {
    const Health health = testing::Evaluate(
        testing::FakeZone(zone), [&](const auto& answers) { return CheckHealth(list, answers); });
    CHECK(health.healthy == health.problem.empty());
    return health.problem;
  };
  CHECK(problem(BlockList(), good) == "");
  // What its codes mean is of no matter here.
  CHECK(problem(WithCodes({"127.0.0.9=x"}), good) == "");
  CHECK(problem(BlockList(), "") == "127.0.0.2: is not listed");
  CHECK(problem(BlockList(), "*.bl.example A 127.0.0.2") == "127.0.0.1: is listed");
  CHECK(problem(BlockList(), "*.bl.example A 203.0.113.1") ==
        "127.0.0.2: answers outside 127.0.0.0/8");
  CHECK(problem(BlockList(), good + "invalid.bl.example A 127.0.0.2") == "invalid: is listed");
  CHECK(problem(BlockList(), good + "1.0.0.127.bl.example TEMPFAIL") ==
        "127.0.0.1: does not answer");
  List v4 = BlockList();
  v4.ipv6 = false;
  v4.domains = false;
  CHECK(problem(v4, "2.0.0.127.bl.example A 127.0.0.2") == "");
}

TEST_CASE("Rules that make no sense are refused", "[dnsbl][unit]") {
  CHECK(ParseCodeRule(" 127.0.0.2 = spam:10 ").ok());
  const std::string text =
      GENERATE("", "127.0.0.2", "127.0.0.2=", "127.0.0.2=a b", "127.0.0.2=a:", "127.0.0.2=a:1001",
               "127.0.0.2=a:-1", "192.0.2.1=a", "127.0.0.9-127.0.0.2=a", "127.0.0.2-128.0.0.1=a",
               "127.0.0.0/7=a", "127.0.0.0/33=a", "127.0.0.0/=a", "::1=a", "127.0.0.2-::1=a");
  CAPTURE(text);
  CHECK_FALSE(ParseCodeRule(text).ok());
}

}  // namespace
}  // namespace godwit::dnsbl
