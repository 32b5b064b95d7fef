#include "services/acme/issuer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "libs/base/status.h"
#include "libs/runtime/yaml_config.h"
#include "libs/testing/certificates.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/scratch_database.h"
#include "libs/x509/x509.h"
#include "services/acme/bootstrap.h"

namespace godwit::acme {
namespace {

using store::Certificate;
using store::CertificateKind;

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) FAIL(base::ToString(result.status()));
  return *std::move(result);
}

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

Policy TestPolicy() {
  Policy policy;
  policy.wanted = {
      {CertificateKind::kRpc, "smtp-ingress", {"smtp-ingress"}, {"smtp-ingress"}},
      {CertificateKind::kRpc, "imap-gateway", {"imap-gateway"}, {"imap-gateway"}},
      {CertificateKind::kPublic, "mx.test", {"mx.test", "127.0.0.1"}, {"smtp-ingress"}}};
  return policy;
}

struct Fixture {
  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection = database.Connect("godwit_acme");
  Policy policy = TestPolicy();
  std::shared_ptr<const Snapshot> known;

  Outcome Look(absl::Time now) {
    Outcome outcome = Must(Refresh(*connection, policy, known, now, base::RandomSource::System()));
    known = outcome.snapshot;
    return outcome;
  }
  const Certificate& Get(const std::string& name) const {
    const auto& all = known->certificates;
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == name; });
    REQUIRE(found != all.end());
    return *found;
  }
};

TEST_CASE_METHOD(Fixture, "What is wanted is made once, each kind by its own authority",
                 "[acme][integration]") {
  CHECK(Look(kNow).issued.size() == 3);
  CHECK(Look(kNow).issued.empty());
  CHECK(Look(kNow + absl::Hours(1)).issued.empty());
  const Certificate& rpc = Get("smtp-ingress");
  const Certificate& shown = Get("mx.test");
  CHECK(x509::CheckIssuer(rpc.chain_pem, known->rpc_authority_pem).ok());
  CHECK(x509::CheckIssuer(shown.chain_pem, known->public_authority_pem).ok());
  // A certificate that any client sees must never open an RPC.
  CHECK_FALSE(x509::CheckIssuer(shown.chain_pem, known->rpc_authority_pem).ok());
  CHECK(x509::Describe(shown.chain_pem)->names == std::vector<std::string>{"mx.test", "127.0.0.1"});
  CHECK(x509::Describe(rpc.chain_pem)->names == std::vector<std::string>{"smtp-ingress"});
  CHECK(x509::CheckKey(rpc.chain_pem, rpc.key_pem.Reveal()).ok());
  // A replica that starts later finds them.
  known.reset();
  CHECK(Look(kNow).issued.empty());
}

TEST_CASE_METHOD(Fixture, "Two thirds of its lifetime on a certificate is renewed",
                 "[acme][integration]") {
  Look(kNow);
  const Certificate before_rpc = Get("smtp-ingress");
  const Certificate before_shown = Get("mx.test");
  const double share = absl::FDivDuration(before_rpc.renew_at - kNow, policy.rpc_lifetime);
  CHECK(share > 0.55);
  CHECK(share <= 0.66);
  CHECK(before_rpc.not_after == kNow + policy.rpc_lifetime);
  CHECK(before_rpc.not_before < kNow);

  CHECK(Look(before_rpc.renew_at - absl::Seconds(1)).issued.size() <= 1);  // the other, at most
  const absl::Time later = kNow + absl::Hours(24 * 60);
  Look(later);
  CHECK(Get("smtp-ingress").serial != before_rpc.serial);
  CHECK(Get("smtp-ingress").not_after == later + policy.rpc_lifetime);
  CHECK_FALSE(Get("smtp-ingress").key_pem == before_rpc.key_pem);
  // TLSA records "3 1 1" must stay right.
  CHECK(Get("mx.test").serial != before_shown.serial);
  CHECK(Get("mx.test").key_pem == before_shown.key_pem);
  CHECK(Get("mx.test").public_key_sha256 == before_shown.public_key_sha256);
}

// godwitctl has no Watch: with the lifetime of a daemon's it would be locked out every month.
TEST_CASE_METHOD(Fixture, "The operator's certificate lives longer than the daemons'",
                 "[acme][integration]") {
  policy.wanted.push_back({CertificateKind::kRpc, "godwitctl", {"godwitctl"}, {"godwitctl"}});
  Look(kNow);
  CHECK(Get("godwitctl").not_after == kNow + policy.operator_lifetime);
  CHECK(Get("godwitctl").not_after > Get("smtp-ingress").not_after + absl::Hours(24 * 300));
}

TEST_CASE_METHOD(Fixture, "Not all certificates are renewed at the same moment",
                 "[acme][integration]") {
  for (int i = 0; i < 20; ++i) {
    const std::string name = "d" + std::to_string(i);
    policy.wanted.push_back({CertificateKind::kRpc, name, {name}, {name}});
  }
  Look(kNow);
  std::set<absl::Time> moments;
  for (const Certificate& each : known->certificates) moments.insert(each.renew_at);
  CHECK(moments.size() > 15);
}

TEST_CASE_METHOD(Fixture, "Other names make another certificate", "[acme][integration]") {
  Look(kNow);
  const std::string before = Get("mx.test").serial;
  policy.wanted.back().names.push_back("mail.test");
  const absl::Time later = kNow + absl::Minutes(11);
  CHECK(Look(later).issued.size() == 1);
  CHECK(Get("mx.test").serial != before);
  CHECK(x509::Describe(Get("mx.test").chain_pem)->names.size() == 3);
  // Another replica still has the configuration before: it does not make the old one again.
  policy.wanted.back().names.pop_back();
  CHECK(Look(later).issued.empty());
  CHECK(Look(later + absl::Minutes(4)).issued.empty());
  CHECK(Look(later + absl::Minutes(11)).issued.size() == 1);
}

TEST_CASE_METHOD(Fixture, "What fails keeps its predecessor, says why, and is tried again later",
                 "[acme][integration]") {
  Look(kNow);
  const std::string before = Get("mx.test").serial;
  policy.wanted.back().names.push_back("not a name");
  const absl::Time then = kNow + absl::Minutes(11);
  const Outcome outcome = Look(then);
  CHECK(outcome.issued.empty());
  CHECK(outcome.failed.size() == 1);
  CHECK(Get("mx.test").serial == before);
  CHECK(Get("mx.test").last_error.find("not a name") != std::string::npos);
  CHECK(Look(then + absl::Seconds(30)).failed.empty());
  CHECK(Look(then + absl::Seconds(61)).failed.size() == 1);
  policy.wanted.back().names.pop_back();
  CHECK(Look(then + absl::Seconds(200)).issued.empty());  // the predecessor is good again
}

TEST_CASE_METHOD(Fixture, "What nobody wants any more goes when it has ended",
                 "[acme][integration]") {
  Look(kNow);
  policy.wanted.pop_back();
  Look(kNow);
  CHECK(known->certificates.size() == 3);
  Look(kNow + policy.public_lifetime);
  CHECK(known->certificates.size() == 2);
}

TEST_CASE_METHOD(Fixture, "Of several replicas that look at the same moment one issues",
                 "[acme][integration]") {
  std::vector<std::thread> replicas;
  std::vector<size_t> issued(4);
  for (size_t i = 0; i < issued.size(); ++i) {
    replicas.emplace_back([&, i] {
      auto own = database.Connect("godwit_acme");
      auto outcome = Refresh(*own, policy, nullptr, kNow, base::RandomSource::System());
      issued[i] = outcome.ok() ? outcome->issued.size() : 1000;
    });
  }
  for (auto& replica : replicas) replica.join();
  std::sort(issued.begin(), issued.end());
  CHECK(issued == std::vector<size_t>{0, 0, 0, 3});
}

TEST_CASE_METHOD(Fixture, "A daemon gets its own and nothing else", "[acme][integration]") {
  Look(kNow);
  const auto smtp = Must(BundleFor(*known, policy, "smtp-ingress"));
  CHECK(smtp.rpc.chain_pem == Get("smtp-ingress").chain_pem);
  REQUIRE(smtp.public_ones.size() == 1);
  CHECK(smtp.public_ones[0].name == "mx.test");
  const auto imap = Must(BundleFor(*known, policy, "imap-gateway"));
  CHECK(imap.rpc.chain_pem == Get("imap-gateway").chain_pem);
  CHECK(imap.public_ones.empty());
  for (const char* stranger : {"mx.test", "webmail-api", ""}) {
    CHECK(BundleFor(*known, policy, stranger).status().code() == absl::StatusCode::kNotFound);
  }
}

// --- Bootstrap

Config TestConfig(const testing::ScratchDatabase& database) {
  Config config;
  const auto errors = runtime::LoadYaml(
      "rpc: {listen: '127.0.0.1:0'}\n"
      "rpc_tls: {ca_file: x, certificate_file: x, key_file: x}\n"
      "folder: x\n"
      "database: {conninfo: '" +
          database.ConnInfo("godwit_acme") +
          "'}\n"
          "daemons: [smtp-ingress, godwitctl]\n"
          "certificates: [{name: mx.test, daemons: [smtp-ingress]}]\n",
      "test.yaml", [](const std::string&) { return std::nullopt; }, &config);
  for (const auto& error : errors) FAIL(error.ToString());
  return config;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_CASE_METHOD(Fixture, "Bootstrap writes each daemon's files, and the second time changes none",
                 "[acme][integration]") {
  testing::FakeClock clock;
  const std::string folder = testing::MakeScratchFolder() + "/pki";
  const Config config = TestConfig(database);
  REQUIRE(base::ToString(Bootstrap(config, folder, &clock)) == "OK");
  const std::string own = Read(folder + "/smtp-ingress/rpc.pem");
  CHECK(x509::CheckIssuer(own, Read(folder + "/smtp-ingress/rpc-ca.pem")).ok());
  CHECK(x509::CheckKey(own, own).ok());
  const std::string shown = Read(folder + "/smtp-ingress/mx.test.pem");
  CHECK(x509::CheckIssuer(shown, Read(folder + "/public/ca.pem")).ok());
  CHECK(x509::Describe(Read(folder + "/godwitctl/rpc.pem"))->names.at(0) == "godwitctl");
  CHECK(access((folder + "/godwitctl/mx.test.pem").c_str(), F_OK) != 0);
  REQUIRE(Bootstrap(config, folder, &clock).ok());
  CHECK(Read(folder + "/smtp-ingress/rpc.pem") == own);
}

TEST_CASE_METHOD(Fixture, "Bootstrap takes over the authorities of an older folder, once",
                 "[acme][integration]") {
  testing::FakeClock clock;
  const std::string folder = testing::MakeScratchFolder();
  const auto old = Must(x509::NewAuthority({"Godwit localserve", "Godwit local public CA",
                                            clock.Now(), clock.Now() + absl::Hours(99999)},
                                           base::RandomSource::System()));
  REQUIRE(mkdir((folder + "/public").c_str(), 0700) == 0);
  std::ofstream(folder + "/public/ca.pem") << old.certificate_pem;
  std::ofstream(folder + "/public/ca.key") << old.key_pem.Reveal();
  const Config config = TestConfig(database);
  REQUIRE(base::ToString(Bootstrap(config, folder, &clock)) == "OK");
  // Clients that trust it go on doing so, and its key is in the database only.
  CHECK(Read(folder + "/public/ca.pem") == old.certificate_pem);
  CHECK(access((folder + "/public/ca.key").c_str(), F_OK) != 0);
  CHECK(x509::CheckIssuer(Read(folder + "/smtp-ingress/mx.test.pem"), old.certificate_pem).ok());
  REQUIRE(Bootstrap(config, folder, &clock).ok());

  SECTION("and never puts another one into its place") {
    std::ofstream(folder + "/public/ca.key") << Must(x509::NewKey()).Reveal();
    CHECK(Bootstrap(config, folder, &clock).ok());
    CHECK(Must(store::FindAuthority(*connection, "public"))->certificate_pem ==
          old.certificate_pem);
  }
}

}  // namespace
}  // namespace godwit::acme
