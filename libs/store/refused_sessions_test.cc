#include "libs/store/refused_sessions.h"

#include "absl/time/clock.h"
#include "libs/store/shared_limits.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

// The database looks at its own clock, too.
const absl::Time kToday = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));

RefusedSession Session(const std::string& session, int64_t transaction, absl::Time at) {
  RefusedSession refused;
  refused.at = at;
  refused.session = session;
  refused.transaction = transaction;
  refused.client = *base::IpAddress::Parse("192.0.2.7");
  refused.greeting_name = "mx.x.example";
  refused.tls = "TLSv1.3 TLS_AES_128_GCM_SHA256";
  if (transaction > 0) refused.mail_from = "s@x.example";
  refused.recipients = {{"nobody@y.example", "550 5.1.1 No such user here"}, {"a@y.example", ""}};
  refused.recipient_count = 12;
  refused.reply = "550 5.7.1 Message rejected";
  refused.reason = "dmarc-reject";
  refused.verdict = "mx.y.example; dmarc=fail";
  return refused;
}

TEST_CASE_METHOD(StoreFixture, "Refused sessions are found by the id of their reply",
                 "[store][integration]") {
  auto writer = database.Connect("godwit_smtp_ingress");
  auto reader = database.Connect("godwit_reader");
  const auto first = Session("abc", 1, kToday);
  const auto second = Session("abc", 2, kToday + absl::Seconds(1));
  const auto outside = Session("abc", 0, kToday + absl::Seconds(2));
  auto other = Session("xyz", 1, kToday + absl::Seconds(3));
  other.client = *base::IpAddress::Parse("2001:db8::7");
  other.mail_from = "";
  other.recipients.clear();
  MustOk(AddRefusedSessions(*writer, {first, second, outside, other}));
  CHECK(first.id() == "abc.1");
  CHECK(outside.id() == "abc");

  using Sessions = std::vector<RefusedSession>;
  CHECK(Must(FindRefusedSession(*reader, "abc.2")) == Sessions{second});
  CHECK(Must(FindRefusedSession(*reader, "abc")) == Sessions{first, second, outside});
  CHECK(Must(FindRefusedSession(*reader, "xyz.1")) == Sessions{other});
  for (const char* none : {"abd", "abc.3", "abc.x", "abc.", "abc.99999999999999999999", ""}) {
    CAPTURE(none);
    CHECK(Must(FindRefusedSession(*reader, none)).empty());
  }
  CHECK(Must(ListRefusedSessions(*reader, kToday, "", 2)) == Sessions{other, outside});
  CHECK(Must(ListRefusedSessions(*reader, kToday + absl::Seconds(1), "192.0.2.0/24", 9)) ==
        Sessions{outside, second});
  CHECK(Must(ListRefusedSessions(*reader, kToday, "2001:db8::7", 9)) == Sessions{other});
  CHECK(ListRefusedSessions(*reader, kToday, "nonsense", 9).status().code() ==
        absl::StatusCode::kInvalidArgument);

  // Who writes reads nothing, and changes nothing.
  for (const char* sql : {"SELECT * FROM refused_sessions", "DELETE FROM refused_sessions",
                          "INSERT INTO refused_sessions SELECT * FROM refused_sessions"}) {
    CHECK(writer->ExecuteScript(sql).status().code() == absl::StatusCode::kPermissionDenied);
  }
}

TEST_CASE_METHOD(StoreFixture, "No text that a client sends has its batch refused",
                 "[store][integration]") {
  auto writer = database.Connect("godwit_smtp_ingress");
  auto bad = Session("bad", 1, kToday);
  bad.greeting_name = std::string("a\0b\xff\n", 5);
  bad.mail_from = "\xc3";
  bad.recipients = {{"x\ty\nz", std::string(100'000, 'r')}};
  bad.reply = std::string(255, 'r') + "\u00e4";  // cut within a character
  bad.verdict = "a=b;\r\n\tc=d";
  bad.tls = "a\u009bb\u202ec\u00e4d\u2028";  // CSI, and what turns the line round
  MustOk(AddRefusedSessions(*writer, {Session("good", 1, kToday), bad}));
  const auto found = Must(FindRefusedSession(*connection, "bad.1"));
  REQUIRE(found.size() == 1);
  CHECK(found[0].greeting_name == "a?b??");
  CHECK(found[0].mail_from == "?");
  CHECK(found[0].recipients[0].address == "x y?z");
  CHECK(found[0].recipients[0].reply.size() == 256);
  CHECK(found[0].reply == std::string(255, 'r'));
  CHECK(found[0].verdict == "a=b;?? c=d");
  CHECK(found[0].tls == "a?b?c\u00e4d?");
  CHECK(Must(FindRefusedSession(*connection, "good.1")).size() == 1);
}

// A client with the longest of everything could fill the disk that the mail is on.
TEST_CASE("Of a refused session a bounded number of octets is kept", "[store][unit]") {
  RefusedSession large = Session(std::string(9999, 's'), 1, kToday);
  large.greeting_name = large.tls = large.reply = large.reason = std::string(9999, 'x');
  large.mail_from = large.verdict = std::string(9999, 'y');
  large.recipients.assign(100, {std::string(9999, 'a'), std::string(9999, 'b')});
  Trim(&large);
  size_t octets = large.session.size() + large.greeting_name.size() + large.tls.size() +
                  large.mail_from->size() + large.reply.size() + large.reason.size() +
                  large.verdict.size();
  for (const RefusedRecipient& each : large.recipients) {
    octets += each.address.size() + each.reply.size();
  }
  CHECK(octets <= kMaxRefusedOctets);
  CHECK(large.recipients.size() == kMaxKeptRecipients);
}

TEST_CASE_METHOD(StoreFixture, "Days of refused sessions are dropped whole",
                 "[store][integration]") {
  auto writer = database.Connect("godwit_smtp_ingress");
  const auto days = [&] {
    return database.Ask(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = "
        "'refused_sessions'::regclass");
  };
  const absl::Duration day = absl::Hours(24);
  for (int i = 0; i < 5; ++i) {
    MustOk(AddRefusedSessions(*writer, {Session("s" + std::to_string(i), 1, kToday - i * day)}));
  }
  CHECK(days() == "5");
  CHECK(Must(KeepRefusedSessions(*writer, kToday, kToday - 3 * day)) ==
        1);              // a part of the day is young
  CHECK(days() == "5");  // with tomorrow's
  CHECK(Must(FindRefusedSession(*connection, "s3.1")).size() == 1);
  CHECK(Must(FindRefusedSession(*connection, "s4.1")).empty());
  CHECK(Must(KeepRefusedSessions(*writer, kToday, kToday - 3 * day)) == 0);
  // A daemon whose clock is ahead drops nothing of the last two days, nor chokes on what others
  // made.
  MustOk(connection
             ->ExecuteScript("CREATE TABLE refused_sessions_others PARTITION OF refused_sessions "
                             "DEFAULT")
             .status());
  CHECK(Must(KeepRefusedSessions(*writer, kToday + 9 * day, kToday + 6 * day)) == 2);
  CHECK(days() == "4");
  MustOk(AddRefusedSessions(*writer, {Session("ahead", 1, kToday + 400 * day)}));
  CHECK(Must(FindRefusedSession(*connection, "ahead"))[0].at < kToday + 2 * day);
  CHECK(database.Ask("SELECT count(*) FROM pg_tables WHERE tablename ~ '^refused_sessions_\\d' "
                     "AND tableowner <> 'godwit'") == "0");
}

TEST_CASE_METHOD(StoreFixture, "Replicas hear one another, and not themselves",
                 "[store][integration]") {
  auto one = database.Connect("godwit_webmail_api");
  auto two = database.Connect("godwit_imap_gateway");
  const absl::Duration life = absl::Minutes(1);
  using Counts = std::vector<SharedCount>;
  const std::vector<std::string> both = {"failed-logins-day", "failed-logins-minute"};
  const SharedCount day = {"failed-logins-day", "192.0.2.0/26", 12};
  const SharedCount minute = {"failed-logins-minute", "2001:db8::/32", 1 << 30};
  MustOk(TellCounts(*one, 1, {day, minute}));
  CHECK(Must(HearCounts(*one, 1, both, life)).empty());
  auto heard = Must(HearCounts(*two, 2, both, life));
  std::sort(heard.begin(), heard.end(),
            [](const auto& a, const auto& b) { return a.counter < b.counter; });
  CHECK(heard == Counts{day, minute});
  CHECK(Must(HearCounts(*two, 2, {"failed-logins-day"}, life)) == Counts{day});
  CHECK(Must(HearCounts(*two, 2, {}, life)).empty());
  MustOk(TellCounts(*one, 1, {day}));
  MustOk(TellCounts(*one, 3, {day}));
  const SharedCount sum = {"failed-logins-day", "192.0.2.0/26", 24};
  CHECK(Must(HearCounts(*two, 2, both, life)) == Counts{sum});
  CHECK(Must(HearCounts(*two, 2, both, absl::ZeroDuration())).empty());  // too old
  MustOk(TellCounts(*one, 1, {}));
  MustOk(TellCounts(*one, 3, {}));
  CHECK(database.Ask("SELECT count(*) FROM shared_limits") == "0");
  CHECK(database.Ask("SELECT relpersistence FROM pg_class WHERE relname = 'shared_limits'") == "u");
}

// Whoever had one daemon could stop the others with a row that they choke on, or say who logs in.
TEST_CASE_METHOD(StoreFixture, "A daemon tells of its own counters only, and nothing unreadable",
                 "[store][integration]") {
  auto ingress = database.Connect("godwit_smtp_ingress");
  auto submission = database.Connect("godwit_submission");
  const auto tell = [](db::Connection& c, const char* counter) {
    return TellCounts(c, 1, {{counter, "192.0.2.0/26", 1}}).ok();
  };
  CHECK(tell(*ingress, "smtp-connections"));
  CHECK_FALSE(tell(*ingress, "failed-logins-day"));
  CHECK_FALSE(tell(*ingress, "submission-connections"));
  CHECK(tell(*submission, "failed-logins-day"));
  CHECK(tell(*submission, "submission-connections"));
  CHECK_FALSE(tell(*submission, "smtp-connections"));
  const auto set = [&](const std::string& what) {
    return ingress->ExecuteScript("UPDATE shared_limits SET " + what).ok();
  };
  CHECK(set("networks = '{192.0.2.1/32,192.0.2.2/32}', levels = '{1,2}'"));
  CHECK_FALSE(set("levels = '{1}'"));
  CHECK_FALSE(set("networks = '{192.0.2.1/32,NULL}'"));
  CHECK_FALSE(set("levels = '{1,NULL}'"));
  CHECK_FALSE(set("levels = '{1,-5}'"));
  CHECK_FALSE(set("networks = array_fill(''::text, '{1001}'), levels = array_fill(0, '{1001}')"));
  CHECK_FALSE(set("counter = 'failed-logins-day'"));
  CHECK(database.Ask("SELECT count(*) FROM shared_limits WHERE counter LIKE 'failed%'") == "0");
}

}  // namespace
}  // namespace godwit::store
