#include "libs/store/refused_sessions.h"

#include "libs/store/shared_limits.h"
#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

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
  const auto first = Session("abc", 1, now);
  const auto second = Session("abc", 2, now + absl::Seconds(1));
  const auto outside = Session("abc", 0, now + absl::Seconds(2));
  auto other = Session("xyz", 1, now + absl::Seconds(3));
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
  CHECK(Must(ListRefusedSessions(*reader, now, "", 2)) == Sessions{other, outside});
  CHECK(Must(ListRefusedSessions(*reader, now + absl::Seconds(1), "192.0.2.0/24", 9)) ==
        Sessions{outside, second});
  CHECK(Must(ListRefusedSessions(*reader, now, "2001:db8::7", 9)) == Sessions{other});
  CHECK(ListRefusedSessions(*reader, now, "nonsense", 9).status().code() ==
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
  auto bad = Session("bad", 1, now);
  bad.greeting_name = std::string("a\0b\xff\n", 5);
  bad.mail_from = "\xc3";
  bad.recipients = {{"x\ty\nz", std::string(100'000, 'r')}};
  bad.reply = std::string(511, 'r') + "\u00e4";  // cut within a character
  bad.verdict = "a=b;\r\n\tc=d";
  MustOk(AddRefusedSessions(*writer, {Session("good", 1, now), bad}));
  const auto found = Must(FindRefusedSession(*connection, "bad.1"));
  REQUIRE(found.size() == 1);
  CHECK(found[0].greeting_name == "a?b??");
  CHECK(found[0].mail_from == "?");
  CHECK(found[0].recipients[0].address == "x y?z");
  CHECK(found[0].recipients[0].reply.size() == 512);
  CHECK(found[0].reply == std::string(511, 'r'));
  CHECK(found[0].verdict == "a=b;?? c=d");
  CHECK(Must(FindRefusedSession(*connection, "good.1")).size() == 1);
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
    MustOk(AddRefusedSessions(*writer, {Session("s" + std::to_string(i), 1, now - i * day)}));
  }
  CHECK(days() == "5");
  CHECK(Must(KeepRefusedSessions(*writer, now, now - 3 * day)) == 1);  // a part of the day is young
  CHECK(days() == "5");                                                // with tomorrow's
  CHECK(Must(FindRefusedSession(*connection, "s3.1")).size() == 1);
  CHECK(Must(FindRefusedSession(*connection, "s4.1")).empty());
  CHECK(Must(KeepRefusedSessions(*writer, now, now - 3 * day)) == 0);
  CHECK(Must(KeepRefusedSessions(*writer, now + 9 * day, now + 6 * day)) == 5);
  CHECK(days() == "2");
  CHECK(database.Ask("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'refused_sessions_%' "
                     "AND tableowner <> 'godwit'") == "0");
}

TEST_CASE_METHOD(StoreFixture, "Replicas hear one another, and not themselves",
                 "[store][integration]") {
  auto one = database.Connect("godwit_smtp_ingress");
  auto two = database.Connect("godwit_imap_gateway");
  const absl::Duration life = absl::Minutes(1);
  using Counts = std::vector<SharedCount>;
  const Counts counts = {{"failed-logins", "192.0.2.0/26", 12}, {"x", "2001:db8::/32", 1 << 30}};
  MustOk(TellCounts(*one, 1, counts));
  CHECK(Must(HearCounts(*one, 1, life)).empty());
  CHECK(Must(HearCounts(*two, 2, life)) == counts);
  MustOk(TellCounts(*one, 1, {counts[0]}));
  CHECK(Must(HearCounts(*two, 2, life)) == Counts{counts[0]});
  CHECK(Must(HearCounts(*two, 2, absl::ZeroDuration())).empty());  // too old
  MustOk(TellCounts(*one, 1, {}));
  CHECK(database.Ask("SELECT count(*) FROM shared_limits") == "0");
  CHECK(database.Ask("SELECT relpersistence FROM pg_class WHERE relname = 'shared_limits'") == "u");
}

}  // namespace
}  // namespace godwit::store
