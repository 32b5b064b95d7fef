#include "libs/srs/srs.h"

#include <catch2/catch.hpp>

#include "libs/base/ascii.h"

namespace godwit::srs {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const Mailbox kAlice{"Alice", "x.example"};

Rewriter Make(std::vector<std::string> secrets = {"a secret of some length"}) {
  std::vector<base::Secret> all;
  for (const std::string& secret : secrets) all.emplace_back(secret);
  return Rewriter(std::move(all));
}

Mailbox Back(const Rewriter& rewriter, const std::string& local_part, absl::Time now = kNow) {
  const auto back = rewriter.Reverse(local_part, now);
  CAPTURE(local_part);
  REQUIRE(std::holds_alternative<Mailbox>(back));
  return std::get<Mailbox>(back);
}

std::optional<Refusal> Refused(const Rewriter& rewriter, std::string_view local_part,
                               absl::Time now = kNow) {
  const auto back = rewriter.Reverse(local_part, now);
  if (const auto* refusal = std::get_if<Refusal>(&back)) return *refusal;
  return std::nullopt;
}

TEST_CASE("A sender is rewritten to the known form", "[srs][unit]") {
  const std::string local_part = Make().Rewrite(kAlice, kNow).value();
  // Day 19675 of the epoch is 219 modulo 1024: 6 * 32 + 27.
  CHECK(local_part.substr(0, 5) == "SRS0=");
  CHECK(local_part.substr(13) == "=G3=x.example=Alice");
  CHECK(IsSrs(local_part));
  // A known answer: it must not change, or bounces under way are lost with an upgrade.
  CHECK(local_part == "SRS0=LYGYS2NJ=G3=x.example=Alice");
}

TEST_CASE("What was rewritten comes back, also when a relay changed its case", "[srs][unit]") {
  const auto sender = GENERATE(values<Mailbox>({{"alice", "x.example"},
                                                {"Mixed.Case", "x.example"},
                                                {"a=b=c", "x.example"},
                                                {"with space", "x.example"},
                                                {"j\xC3\xB6rg", "xn--bcher-kva.example"},
                                                {"SRS0", "x.example"},
                                                {"srs0=no=form", "x.example"},
                                                {"SRS1=x", "x.example"},
                                                {std::string(64, 'l'), "under_score.example"}}));
  CAPTURE(sender.local_part);
  const Rewriter rewriter = Make();
  const std::string local_part = rewriter.Rewrite(sender, kNow).value();
  CHECK(Back(rewriter, local_part) == sender);
  CHECK(Back(rewriter, base::Lower(local_part)).domain == sender.domain);
  CHECK(base::EqualsIgnoreCase(Back(rewriter, base::Upper(local_part)).local_part,
                               sender.local_part));
}

TEST_CASE("Any character that is changed is refused", "[srs][unit]") {
  const Rewriter rewriter = Make();
  const Rewriter other = Make({"another forwarder's secret"});
  const std::string first = other.Rewrite(kAlice, kNow).value();
  const std::string local_part =
      GENERATE_COPY(values<std::string>({rewriter.Rewrite(kAlice, kNow).value(),
                                         rewriter.Rewrite({first, "f.example"}, kNow).value()}));
  REQUIRE_FALSE(Refused(rewriter, local_part).has_value());
  for (size_t i = 0; i < local_part.size(); ++i) {
    for (const char c : std::string("aZ07=+-.@ \x7f\xC3")) {
      if (base::ToLower(c) == base::ToLower(local_part[i])) continue;
      std::string changed = local_part;
      changed[i] = c;
      CAPTURE(changed);
      CHECK(Refused(rewriter, changed).has_value());
    }
    CHECK(Refused(rewriter, local_part.substr(0, i)).has_value());
    CHECK(Refused(rewriter, local_part.substr(0, i) + local_part.substr(i + 1)).has_value());
  }
  CHECK(Refused(rewriter, local_part + "x") == Refusal::kForged);
}

TEST_CASE("A signed address is good for its age and no longer", "[srs][unit]") {
  const Rewriter rewriter = Make();
  const std::string local_part = rewriter.Rewrite(kAlice, kNow).value();
  const absl::Duration day = absl::Hours(24);
  CHECK(Back(rewriter, local_part, kNow + 21 * day) == kAlice);
  CHECK(Refused(rewriter, local_part, kNow + 22 * day) == Refusal::kExpired);
  CHECK(Refused(rewriter, local_part, kNow + 500 * day) == Refusal::kExpired);
  // The clock of the forwarder that signed it may be ahead.
  CHECK(Back(rewriter, local_part, kNow - day) == kAlice);
  CHECK(Refused(rewriter, local_part, kNow - 2 * day) == Refusal::kExpired);
  // The day is written modulo 1024: over the end of the count.
  const absl::Time last = absl::UnixEpoch() + 1023 * day;
  const std::string old = rewriter.Rewrite(kAlice, last).value();
  CHECK(old.substr(13, 4) == "=77=");
  CHECK(Back(rewriter, old, last + 3 * day) == kAlice);
}

TEST_CASE("The newest secret signs, older ones still verify", "[srs][unit]") {
  const std::string old = Make({"old"}).Rewrite(kAlice, kNow).value();
  const Rewriter both = Make({"new", "old"});
  CHECK(Back(both, old) == kAlice);
  CHECK(both.Rewrite(kAlice, kNow) == Make({"new"}).Rewrite(kAlice, kNow));
  CHECK(Refused(Make({"new"}), old) == Refusal::kForged);
}

TEST_CASE("A chain of forwarders leads back to the first of them", "[srs][unit]") {
  const Rewriter f = Make({"f"});
  const Rewriter g = Make({"g"});
  const Rewriter h = Make({"h"});
  const std::string at_f = f.Rewrite(kAlice, kNow).value();
  const std::string at_g = g.Rewrite({at_f, "f.example"}, kNow).value();
  CHECK(at_g.starts_with("SRS1="));
  CHECK(at_g.substr(13) == "=f.example=" + at_f.substr(4));
  const std::string at_h = h.Rewrite({at_g, "g.example"}, kNow).value();
  CHECK(at_h.substr(13) == at_g.substr(13));

  const Mailbox first = Back(h, at_h);
  CHECK(first == Mailbox{at_f, "f.example"});
  CHECK(Back(g, at_g) == first);
  CHECK(Back(f, first.local_part) == kAlice);
  CHECK(Refused(h, at_h, kNow + absl::Hours(24 * 30)) == Refusal::kExpired);
}

TEST_CASE("Another forwarder's separator behind the tag is kept", "[srs][unit]") {
  const Rewriter rewriter = Make();
  const std::string local_part =
      rewriter.Rewrite({"srs0+abcd=G3=x.example=alice", "f.example"}, kNow).value();
  CHECK(local_part.substr(13) == "=f.example=+abcd=G3=x.example=alice");
  CHECK(Back(rewriter, local_part) == Mailbox{"SRS0+abcd=G3=x.example=alice", "f.example"});
}

TEST_CASE("What can not be rewritten is said to be so", "[srs][unit]") {
  const Rewriter rewriter = Make();
  CHECK_FALSE(rewriter.Rewrite({"alice", "[192.0.2.1]"}, kNow).has_value());
  CHECK_FALSE(rewriter.Rewrite({"alice", ""}, kNow).has_value());
  CHECK_FALSE(rewriter.Rewrite({"", ""}, kNow).has_value());
  CHECK_FALSE(rewriter.Rewrite({std::string(230, 'l'), "x.example"}, kNow).has_value());
}

TEST_CASE("Other local parts are none", "[srs][unit]") {
  const auto text = GENERATE(values<std::string>(
      {"", "alice", "SRS0", "SRS0+AAAAAAAA=G3=x.example=a", "SRS2=AAAAAAAA=G3=x.example=a"}));
  CHECK_FALSE(IsSrs(text));
  CHECK(Refused(Make(), text) == Refusal::kNotSrs);
}

}  // namespace
}  // namespace godwit::srs
