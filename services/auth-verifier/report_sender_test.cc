// Reports from the evaluation to the queue, with a real PostgreSQL and auth-verifier's own role;
// the queue is the test.

#include "services/auth-verifier/report_sender.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libs/base/encoding.h"
#include "libs/base/random.h"
#include "libs/dkim/verify.h"
#include "libs/dmarc_report/parse.h"
#include "libs/report_file/unpack.h"
#include "libs/store/admin.h"
#include "libs/store/report_sending.h"
#include "libs/testing/fake_clock.h"
#include "libs/testing/fake_resolver.h"
#include "libs/testing/must.h"
#include "libs/testing/scratch_database.h"
#include "services/auth-verifier/evaluation_counter.h"

namespace godwit::auth_verifier {
namespace {

using testing::Must;
using testing::MustOk;

const absl::Time kNoon = absl::FromUnixSeconds(1'790'000'000 / 86400 * 86400 + 43200);

// Takes messages as delivery-queue does: a key is known for ever.
class TestQueue : public outgoing::Sender {
 public:
  struct Taken {
    std::string to;
    std::string from;
    std::string text;
  };

  base::Task<absl::StatusOr<std::string>> Sign(const outgoing::Message*, outgoing::BodyFactory,
                                               std::string) override {
    co_return base::FailedPrecondition("reports are signed in place");
  }
  base::Task<absl::StatusOr<std::string>> Seal(const outgoing::Message*, outgoing::SealFacts,
                                               outgoing::BodyFactory, std::string) override {
    co_return base::FailedPrecondition("reports are not sealed");
  }
  base::Task<absl::StatusOr<int64_t>> Enqueue(const outgoing::Message* message,
                                              outgoing::BodyFactory body, std::string) override {
    ++calls;
    if (!failure.ok()) co_return failure;
    CHECK(message->origin == outgoing::Origin::kReport);
    CHECK((message->recipients.size() == 1 && message->recipients[0].never));
    CHECK((message->idempotency_key.size() >= 8 && message->idempotency_key.size() <= 64));
    Taken taken{message->recipients[0].address, message->reverse_path, message->header};
    const auto stream = body();
    for (;;) {
      const std::string piece = (co_await stream->Next()).value();
      if (piece.empty()) break;
      taken.text += piece;
    }
    // delivery-queue refuses another size than was announced.
    CHECK(message->body_size + message->header.size() == taken.text.size());
    by_key.try_emplace(message->idempotency_key, std::move(taken));
    if (!after.ok()) co_return after;
    co_return 1;
  }

  // The only report to `address`.
  Taken To(const std::string& address) const {
    std::vector<Taken> found;
    for (const auto& [key, taken] : by_key) {
      if (taken.to == address) found.push_back(taken);
    }
    REQUIRE(found.size() == 1);
    return found[0];
  }

  int calls = 0;
  absl::Status failure;  // nothing is taken
  absl::Status after;    // it is taken, but the answer gets lost
  std::map<std::string, Taken> by_key;
};

class World {
 public:
  World() {
    MustOk(store::AddDomain(*connection, "b.example", kNoon - absl::Hours(100)));
    AddKey();
    resolver.zone().Add("_dmarc.a.example TXT \"v=DMARC1; p=reject; rua=mailto:r@a.example\"");
  }
  ~World() { reactor.Stop(); }

  void AddKey() {
    const auto made = Must(dkim::PrivateKey::Generate(dkim::KeyType::kEd25519));
    store::DkimKey key;
    key.domain = "b.example";
    key.selector = "s1";
    key.algorithm = dkim::AlgorithmName(dkim::KeyType::kEd25519);
    key.public_key = made.PublicBytes();
    MustOk(store::AddDkimKey(*connection, key, made.Pkcs8(), kNoon));
    MustOk(store::ActivateDkimKey(*connection, "b.example", "s1", kNoon));
  }

  void Count(const std::string& rua = "mailto:r@a.example", const std::string& ip = "192.0.2.1",
             bool to_report_address = false) {
    ReportedMessage message;
    message.source = *base::IpAddress::Parse(ip);
    message.policy_domain = "a.example";
    message.record = "v=DMARC1; p=reject; rua=" + rua;
    message.header_from = "a.example";
    message.envelope_from = "x.example";
    message.result = dmarc::ResultCode::kFail;
    message.policy = message.requested = message.disposition = dmarc::Policy::kReject;
    message.spf_domain = "x.example";
    message.spf_result = "pass";
    message.to_report_address = to_report_address;
    CHECK(Must(reactor.RunUntilDone(counter.Add({message}))) == 0);
  }
  void SendDue() { reactor.RunUntilDone(sender->SendDue()); }
  // Behind the end of the day and the spread.
  void NextDay() { clock.Advance(absl::Hours(18)); }
  std::string Outcome() {
    const auto periods = Must(store::ListDmarcPeriods(*connection, "", 10));
    REQUIRE(periods.size() == 1);
    return periods[0].outcome;
  }
  void UseMode(dmarc::Mode mode) {
    ReportSender::Options options;
    options.mode = mode;
    sender = std::make_unique<ReportSender>(options, Parts(), "one");
  }
  ReportSender::Parts Parts() {
    return {.pool = &pool,
            .resolver = &resolver,
            .clock = &clock,
            .keys = &keys,
            .queue = &queue,
            .metrics = &metrics};
  }

  testing::ScratchDatabase database;
  std::unique_ptr<db::Connection> connection = database.Connect();
  testing::FakeClock clock{kNoon};
  testing::FakeResolver resolver;
  net::Reactor reactor;
  db::Pool pool{database.PoolOptions(2, "godwit_auth_verifier")};
  SigningKeys keys{&pool};
  Metrics metrics;
  TestQueue queue;
  EvaluationCounter counter{{}, &pool, &clock};
  std::unique_ptr<ReportSender> sender =
      std::make_unique<ReportSender>(ReportSender::Options(), Parts(), "one");
};

// The report in the one attachment of a message.
dmarc_report::Report ReportIn(const std::string& text) {
  const size_t begin = text.find("\r\n\r\n", text.find("Content-Type: application/gzip")) + 4;
  std::string encoded = text.substr(begin, text.find("\r\n--", begin) - begin);
  std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
  const std::string xml = Must(report_file::Unpack(Must(base::Base64Decode(encoded))));
  return Must(dmarc_report::ParseXml(xml));
}

TEST_CASE("A day's report goes once, signed, after the day", "[auth-verifier][integration]") {
  World world;
  world.Count();
  world.Count();
  world.Count("mailto:r@a.example", "192.0.2.2");
  world.SendDue();
  CHECK(world.queue.calls == 0);
  world.NextDay();
  world.SendDue();
  world.SendDue();
  CHECK(world.queue.calls == 1);
  CHECK(world.Outcome() == "r@a.example: sent; ");
  const TestQueue::Taken taken = world.queue.To("r@a.example");
  CHECK(taken.from == "postmaster@b.example");
  CHECK(taken.text.starts_with("DKIM-Signature: v=1;"));
  CHECK(taken.text.find("\r\nSubject: Report Domain: a.example\r\n Submitter: b.example\r\n") !=
        std::string::npos);
  const dmarc_report::Report report = ReportIn(taken.text);
  CHECK(report.schema == dmarc_report::Schema::kRfc9990);
  CHECK(report.begin == absl::ToUnixSeconds(kNoon) - 43200);
  CHECK(report.end == report.begin + 86399);
  CHECK(report.policy.domain == "a.example");
  REQUIRE(report.records.size() == 2);
  CHECK((report.records[0].count == 2 && report.records[0].disposition == "reject"));
  // What comes now is of another day.
  world.Count();
  world.NextDay();
  world.SendDue();
  world.NextDay();
  world.SendDue();
  CHECK(world.queue.by_key.size() == 2);
}

TEST_CASE("RFC 7489: by configuration, its schema and its size limits",
          "[auth-verifier][integration]") {
  World world;
  world.UseMode(dmarc::Mode::kPublicSuffixList);
  world.Count("mailto:r@a.example!1k,mailto:s@a.example!1m");
  world.NextDay();
  world.SendDue();
  CHECK(world.Outcome() == "r@a.example: too_large; s@a.example: sent; ");
  CHECK(ReportIn(world.queue.To("s@a.example").text).schema == dmarc_report::Schema::kRfc7489);
}

TEST_CASE("RFC 9990 §4: nobody gets what he did not ask for", "[auth-verifier][integration]") {
  World world;
  world.resolver.zone().Add("a.example._report._dmarc.agent.example TXT \"v=DMARC1\"");
  world.Count("mailto:r@victim.example,mailto:r@agent.example,https://a.example/");
  world.NextDay();
  world.SendDue();
  CHECK(world.queue.by_key.size() == 1);
  world.queue.To("r@agent.example");
  CHECK(world.Outcome() ==
        "mailto:r@victim.example: no record a.example._report._dmarc.victim.example; "
        "https://a.example/: not a mail address; r@agent.example: sent; ");
}

TEST_CASE("What can not be done now is done later, and only that", "[auth-verifier][integration]") {
  World world;
  world.resolver.zone().Add("a.example._report._dmarc.slow.example TEMPFAIL");
  world.Count("mailto:r@a.example,mailto:r@slow.example");
  world.NextDay();
  world.SendDue();
  CHECK(world.queue.calls == 1);
  CHECK(world.Outcome().empty());
  world.SendDue();  // it waits
  world.clock.Advance(absl::Minutes(16));
  world.resolver.zone().Remove("a.example._report._dmarc.slow.example");
  world.resolver.zone().Add("a.example._report._dmarc.slow.example TXT \"v=DMARC1\"");
  world.SendDue();
  CHECK(world.queue.calls == 2);
  CHECK(world.queue.by_key.size() == 2);
  CHECK(world.Outcome() == "r@slow.example: sent; ");
}

TEST_CASE("A queue that is away gets the report later, and never twice",
          "[auth-verifier][integration]") {
  World world;
  world.Count();
  world.NextDay();
  world.queue.failure = base::Unavailable("away");
  world.SendDue();
  world.queue.failure = absl::OkStatus();
  world.clock.Advance(absl::Minutes(16));
  // Taken, and we do not learn it: as if killed between the answer and the mark.
  world.queue.after = base::Unavailable("lost");
  world.SendDue();
  CHECK(world.Outcome().empty());
  world.queue.after = absl::OkStatus();
  world.clock.Advance(absl::Minutes(16));
  world.SendDue();
  CHECK(world.queue.calls == 3);
  CHECK(world.queue.by_key.size() == 1);
  CHECK(world.Outcome() == "r@a.example: sent; ");
}

TEST_CASE("After two days a report is given up", "[auth-verifier][integration]") {
  World world;
  world.Count();
  world.queue.failure = base::Unavailable("away");
  for (int i = 0; i < 5; ++i) {
    world.NextDay();
    world.SendDue();
  }
  CHECK(world.Outcome() == "given up");
}

TEST_CASE("Two replicas do not work at the same time; the second takes over",
          "[auth-verifier][integration]") {
  World world;
  world.Count();
  world.NextDay();
  const absl::Time now = world.clock.Now();
  CHECK(Must(
      store::TakeReportLease(*world.connection, "dmarc", "two", now, now + absl::Minutes(10))));
  world.SendDue();
  CHECK(world.queue.calls == 0);
  world.clock.Advance(absl::Minutes(11));
  world.SendDue();
  CHECK(world.queue.calls == 1);
}

TEST_CASE("Suppressed addresses get nothing", "[auth-verifier][integration]") {
  World world;
  MustOk(store::PutReportSuppression(*world.connection,
                                     {"@a.example", std::nullopt, "bounces", kNoon}));
  world.Count();
  world.NextDay();
  world.SendDue();
  CHECK(world.queue.calls == 0);
  CHECK(world.Outcome() == "r@a.example: suppressed; ");
}

TEST_CASE("Mail to report addresses alone makes no report", "[auth-verifier][integration]") {
  World world;
  world.Count("mailto:r@a.example", "192.0.2.1", /*to_report_address=*/true);
  world.NextDay();
  world.SendDue();
  CHECK(world.queue.calls == 0);
  CHECK(world.Outcome() == "no report is asked for");
}

TEST_CASE("Nothing leaves unsigned", "[auth-verifier][integration]") {
  World world;
  MustOk(store::RetireDkimKey(*world.connection, "b.example", "s1", kNoon));
  world.Count();
  world.NextDay();
  world.SendDue();
  CHECK(world.queue.calls == 0);
  CHECK(world.Outcome().empty());
  MustOk(store::ActivateDkimKey(*world.connection, "b.example", "s1", kNoon));
  world.clock.Advance(absl::Minutes(16));
  world.SendDue();
  CHECK(world.queue.calls == 1);
}

TEST_CASE("A flood of kinds of mail is numbered, not kept", "[auth-verifier][integration]") {
  World world;
  EvaluationCounter::Options options;
  options.room = {.rows_of_period = 3, .rows = 100, .periods = 1};
  EvaluationCounter counter(options, &world.pool, &world.clock);
  std::vector<ReportedMessage> messages;
  for (int i = 0; i < 10; ++i) {
    ReportedMessage& message = messages.emplace_back();
    message.source = *base::IpAddress::Parse("192.0.2." + std::to_string(i));
    message.policy_domain = "a.example";
    message.record = "v=DMARC1; rua=mailto:r@a.example";
  }
  CHECK(Must(world.reactor.RunUntilDone(counter.Add(messages))) == 7);
  world.NextDay();
  world.SendDue();
  const dmarc_report::Report report = ReportIn(world.queue.To("r@a.example").text);
  CHECK(report.records.size() == 3);
  REQUIRE(report.errors.size() == 1);
  CHECK(report.errors[0].starts_with("7 more messages"));
}

}  // namespace
}  // namespace godwit::auth_verifier
