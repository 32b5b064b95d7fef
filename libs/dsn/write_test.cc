// What is written: golden files (testdata/golden/NN-slug.eml; with GODWIT_UPDATE_GOLDEN set to the
// source folder of testdata/golden they are written anew), and that it reads back as it was meant.

#include "libs/dsn/write.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dsn/parse.h"
#include "libs/mime/parser.h"

namespace godwit::dsn {
namespace {

const absl::Time kTime = absl::FromUnixSeconds(1'790'000'000);
constexpr char kHeader[] =
    "Received: from laptop by mail.example.org; Mon, 21 Sep 2026 12:13:20 +0000\r\n"
    "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n"
    "Message-ID: <m1@example.org>\r\n";

Recipient Failed(std::string address = "bob@example.net") {
  Recipient recipient;
  recipient.action = Action::kFailed;
  recipient.final_recipient = MakeAddress(address);
  recipient.status = "5.1.1";
  recipient.remote_mta = "mx.example.net";
  recipient.diagnostic = "550 5.1.1 No such user here";
  recipient.last_attempt = kTime;
  return recipient;
}

Notification Basic() {
  Notification n;
  n.date = kTime;
  n.message_id = "n1@mail.example.org";
  n.boundary = "0123456789abcdefghjk";
  n.from = "postmaster@example.org";
  n.to = "ann@example.org";
  n.original_header = kHeader;
  n.report.reporting_mta = "mail.example.org";
  n.report.arrival = kTime - absl::Minutes(1);
  n.report.recipients = {Failed()};
  return n;
}

std::string Whole(const Notification& n, const std::string& original = "") {
  const auto written = Write(n);
  if (!written.ok()) FAIL(base::ToString(written.status()));
  return written->head + original + written->tail;
}

struct Golden {
  std::string name;
  Notification notification;
  std::string original = {};
};

Golden Mixed() {
  Notification n = Basic();
  n.report.envelope_id = "QQ314159";
  n.report.received_from_mta = "laptop.example.org";
  Recipient list = Failed("list@example.org");
  list.action = Action::kExpanded;
  list.status = "2.0.0";
  list.remote_mta = list.diagnostic = "";
  Recipient relayed = Failed("carol@example.com");
  relayed.action = Action::kRelayed;
  relayed.status = "2.0.0";
  relayed.diagnostic = "250 ok";
  Recipient forwarded = Failed("eve@example.net");
  forwarded.original_recipient = TypedAddress{"rfc822", "eve+list@example.org"};
  forwarded.diagnostic =
      "550 5.7.1 This is a rather long answer of a server that has much to say about why it does "
      "not like what it was given, with a word that is " +
      std::string(90, 'l') + "ong";
  n.report.recipients.push_back(forwarded);
  n.report.recipients.push_back(list);
  n.report.recipients.push_back(relayed);
  return {"03-mixed", n};
}

std::vector<Golden> Goldens() {
  std::vector<Golden> all = {{"01-failed", Basic()}};
  Notification delayed = Basic();
  delayed.report.recipients[0].action = Action::kDelayed;
  delayed.report.recipients[0].status = "4.4.1";
  delayed.report.recipients[0].remote_mta = "";
  delayed.report.recipients[0].diagnostic = "";
  delayed.report.recipients[0].explanation = "No server of example.net could be reached.";
  delayed.report.recipients[0].will_retry_until = kTime + absl::Hours(96);
  all.push_back({"02-delayed", delayed});
  all.push_back(Mixed());

  Notification full = Basic();
  full.returned = Returned::kMessage;
  full.original_body_8bit = true;
  all.push_back({"04-full-8bit", full, std::string(kHeader) + "\r\nGrüße,\r\nAnn\r\n"});

  Notification ascii = Basic();
  ascii.report.recipients[0] = Failed("büb@例え.example");
  ascii.report.recipients[0].original_recipient = TypedAddress{"utf-8", "büb+x@例え.example"};
  ascii.original_header =
      "From: ann@example.org\r\nSubject: Gr\xFC\xDF"
      "e\r\n";
  all.push_back({"05-utf8-in-ascii", ascii});

  Notification global = ascii;
  global.to = "änn@example.org";
  global.smtputf8 = true;
  global.report.recipients[0].diagnostic = "550 5.1.1 Unbekannter Empfänger";
  global.original_header = "From: änn@example.org\r\nSubject: Grüße\r\n";
  all.push_back({"06-global", global});

  Notification delivered = Basic();
  delivered.report.recipients[0].action = Action::kDelivered;
  delivered.report.recipients[0].status = "2.0.0";
  delivered.report.recipients[0].diagnostic = "250 2.0.0 Taken";
  all.push_back({"07-delivered", delivered});
  return all;
}

TEST_CASE("Notifications are written as the golden files have them", "[dsn][unit]") {
  const std::filesystem::path folder = "libs/dsn/testdata/golden";
  const char* update = std::getenv("GODWIT_UPDATE_GOLDEN");
  for (const Golden& golden : Goldens()) {
    CAPTURE(golden.name);
    const std::string text = Whole(golden.notification, golden.original);
    if (update != nullptr) {
      std::ofstream(std::filesystem::path(update) / (golden.name + ".eml"), std::ios::binary)
          << text;
      continue;
    }
    std::ifstream file(folder / (golden.name + ".eml"), std::ios::binary);
    std::ostringstream wanted;
    wanted << file.rdbuf();
    CHECK(text == wanted.str());
  }
}

TEST_CASE("Lines and octets are what the transport is told", "[dsn][unit]") {
  for (const Golden& golden : Goldens()) {
    CAPTURE(golden.name);
    const auto written = Write(golden.notification);
    REQUIRE(written.ok());
    const std::string text = written->head + golden.original + written->tail;
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find("\r\n", at);
      REQUIRE(end != std::string::npos);
      CHECK(end - at <= 998);
      CHECK(text.substr(at, end - at).find_first_of("\r\n") == std::string::npos);
      at = end + 2;
    }
    const mime::Summary summary = mime::ParseMessage(text);
    CHECK(written->needs_8bit == !base::IsAscii(text));
    if (summary.needs_smtputf8) CHECK(written->needs_smtputf8);
    CHECK(written->needs_smtputf8 == golden.notification.smtputf8);
    CHECK((summary.root.kind == mime::Part::Kind::kMultipart && summary.root.children.size() == 3));
    CHECK(summary.root.encoding == (written->needs_8bit ? "8bit" : "7bit"));
  }
}

TEST_CASE("What is written reads back", "[dsn][unit]") {
  for (const Golden& golden : Goldens()) {
    CAPTURE(golden.name);
    const auto parsed = Parse(Whole(golden.notification, golden.original));
    REQUIRE(parsed);
    CHECK(parsed->complete);
    Report wanted = golden.notification.report;
    for (Recipient& recipient : wanted.recipients) recipient.explanation.clear();
    CHECK(parsed->report == wanted);
    CHECK(parsed->original_header == golden.notification.original_header);
    const bool has_id = golden.notification.original_header == kHeader;
    CHECK(parsed->original_message_id == (has_id ? "m1@example.org" : ""));
  }
}

// Texts of any octets, and what they are after they were made fit (clean.h).
class RandomText {
 public:
  explicit RandomText(unsigned seed) : engine_(seed) {}
  size_t Below(size_t bound) { return engine_() % bound; }
  std::string Take() {
    static constexpr std::string_view kPieces[] = {"a",
                                                   "550 5.1.1",
                                                   " ",
                                                   "  ",
                                                   ";",
                                                   ":",
                                                   "(",
                                                   ")",
                                                   "<",
                                                   ">",
                                                   "ü",
                                                   "例",
                                                   "\\",
                                                   "\\x{41}",
                                                   "+2B",
                                                   "=",
                                                   "\"",
                                                   "@",
                                                   ".",
                                                   "@example.org",
                                                   "longlonglonglonglonglonglonglonglonglonglong"};
    std::string text;
    for (size_t i = Below(12); i > 0; --i) text += kPieces[Below(std::size(kPieces))];
    return std::string(base::Trim(text));
  }
  // No white space and nothing that ends a word.
  std::string Word() {
    std::string text;
    for (const char c : Take()) {
      if (static_cast<unsigned char>(c) > 32 && static_cast<unsigned char>(c) < 127 && c != '(' &&
          c != ';')
        text += c;
    }
    return text;
  }

 private:
  std::minstd_rand engine_;
};

Recipient RandomRecipient(RandomText* random) {
  Recipient r;
  r.action = static_cast<Action>(random->Below(5));
  const auto address = [&] {
    const std::string text = "x" + random->Take();
    return TypedAddress{base::IsAscii(text) && random->Below(2) == 0 ? "rfc822" : "utf-8", text};
  };
  r.final_recipient = address();
  if (random->Below(2) == 0) r.original_recipient = address();
  r.status = "5." + std::to_string(random->Below(10)) + "." + std::to_string(random->Below(1000));
  r.remote_mta = random->Word();
  r.diagnostic = random->Take();
  if (random->Below(2) == 0) r.last_attempt = kTime + absl::Seconds(random->Below(1000000));
  if (r.action == Action::kDelayed && random->Below(2) == 0) r.will_retry_until = kTime;
  return r;
}

TEST_CASE("Any report reads back from its notification", "[dsn][unit]") {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    RandomText random(seed);
    Notification n = Basic();
    n.smtputf8 = true;
    n.report.reporting_mta = "m" + random.Word();
    n.report.envelope_id = random.Word();
    n.report.received_from_mta = random.Word();
    n.report.recipients.clear();
    for (size_t i = random.Below(4) + 1; i > 0; --i) {
      n.report.recipients.push_back(RandomRecipient(&random));
    }
    const std::string text = Whole(n);
    CAPTURE(text);
    const auto parsed = Parse(text);
    REQUIRE(parsed);
    CHECK(parsed->report == n.report);
  }
}

TEST_CASE("No text from elsewhere breaks out of its field", "[dsn][unit]") {
  using std::string_literals::operator""s;
  const std::string evil = "x\r\nBcc: eve@example.org\r\n\r\n--0123456789abcdefghjk--\r\n\0\xff"s;
  Notification n = Basic();
  n.report.envelope_id = n.report.received_from_mta = evil;
  Recipient& r = n.report.recipients[0];
  r.final_recipient = {"rfc822", evil};
  r.original_recipient = TypedAddress{evil, evil};
  r.status = r.remote_mta = r.diagnostic = r.explanation = evil;
  n.from_name = evil;
  n.smtputf8 = GENERATE(false, true);
  n.original_header = "Message-ID: <a\r\n b>\r\nX: \rBcc: y\r\n\r\nnot part of it";
  const std::string text = Whole(n);
  CAPTURE(text);
  const mime::Summary summary = mime::ParseMessage(text);
  CHECK(summary.root.children.size() == 3);
  CHECK(summary.envelope.bcc.empty());
  CHECK(text.find("\r\nBcc:") == std::string::npos);
  CHECK(text.find("not part of it") == std::string::npos);
  const auto parsed = Parse(text);
  REQUIRE(parsed);
  REQUIRE(parsed->report.recipients.size() == 1);
  CHECK(parsed->report.recipients[0].status == "5.0.0");
}

// A server's answer without a space made a line that no other server would take.
TEST_CASE("A long word makes no long line", "[dsn][unit]") {
  Notification n = Basic();
  for (int i = 0; i < 3000; ++i) n.report.recipients[0].diagnostic += "ü";
  n.smtputf8 = GENERATE(false, true);
  const std::string text = Whole(n);
  size_t longest = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find("\r\n", at);
    longest = std::max(longest, end - at);
    at = end + 2;
  }
  CHECK(longest <= 998);
  CHECK(base::IsUtf8(text));
}

TEST_CASE("The caller's own mistakes are refused", "[dsn][unit]") {
  const auto refused = [](auto change) {
    Notification n = Basic();
    change(&n);
    return Write(n).status().code() == absl::StatusCode::kInvalidArgument;
  };
  CHECK_FALSE(refused([](Notification*) {}));
  CHECK(refused([](Notification* n) { n->report.recipients.clear(); }));
  CHECK(refused([](Notification* n) { n->report.reporting_mta = " "; }));
  CHECK(refused([](Notification* n) { n->boundary = "short"; }));
  CHECK(refused([](Notification* n) { n->boundary = "0123456789abcdefgh\"k"; }));
  CHECK(refused([](Notification* n) { n->boundary = std::string(71, 'a'); }));
  CHECK(refused([](Notification* n) { n->message_id = "no-domain"; }));
  CHECK(refused([](Notification* n) { n->message_id = "a@b>\r\nX: y"; }));
  CHECK(refused([](Notification* n) { n->to = ""; }));
  CHECK(refused([](Notification* n) { n->to = "a@b, c@d"; }));
  CHECK(refused([](Notification* n) { n->from = "a b@c"; }));
}

}  // namespace
}  // namespace godwit::dsn
