// JMAP over HTTPS against a real database.

#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "libs/base/status.h"
#include "libs/jmap/id.h"
#include "libs/net/connector.h"
#include "libs/store/entries.h"
#include "libs/store/mailbox.h"
#include "services/webmail-api/webmail_fixture.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

constexpr std::string_view kMixed =
    "From: \"Bob B\" <bob@c.example>\r\nTo: alice@b.example\r\nSubject: "
    "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n"
    "Message-ID: <one@c.example>\r\nDate: Thu, 30 Oct 2014 14:12:00 +0800\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello \xc3\xbc\r\n"
    "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename=\"a b.pdf\"\r\n\r\nAAECAwQF\r\n--b--\r\n";

std::string Plain(std::string_view subject, std::string_view body = "text") {
  return "From: bob@c.example\r\nTo: alice@b.example\r\nSubject: " + std::string(subject) +
         "\r\n\r\n" + std::string(body) + "\r\n";
}

std::vector<std::string> Strings(const json::object& object, std::string_view name) {
  std::vector<std::string> strings;
  for (const json::value& each : jmap::Find(object, name)->get_array()) {
    strings.emplace_back(jmap::View(each.get_string()));
  }
  return strings;
}

std::string Query(WebmailFixture& fixture, const std::string& rest) {
  const json::object answer =
      fixture.CallOne("Email/query", R"({"accountId":"ACCOUNT")" + rest + "}");
  std::string ids;
  for (const std::string& id : Strings(answer, "ids")) ids += (ids.empty() ? "" : " ") + id;
  return ids;
}

json::object GetOne(WebmailFixture& fixture, const std::string& id, const std::string& rest = "") {
  const json::object answer =
      fixture.CallOne("Email/get", R"({"accountId":"ACCOUNT","ids":[")" + id + "\"]" + rest + "}");
  const json::array& list = answer.at("list").get_array();
  REQUIRE(list.size() == 1);
  return list[0].get_object();
}

TEST_CASE("Who can not prove who they are gets 401", "[webmail-api][component]") {
  WebmailFixture fixture;
  CHECK(fixture.FetchBare("GET", "/jmap/session").status == 401);
  CHECK(fixture.Fetch("GET", "/jmap/session", "", {fixture.Basic("alice@b.example", "wrong")})
            .status == 401);
  CHECK(fixture.Fetch("GET", "/jmap/session", "", {fixture.Basic("nobody@b.example")}).status ==
        401);
  CHECK(fixture.Fetch("GET", "/jmap/session", "", {{"Authorization", "Basic ???"}}).status == 401);
  const auto right = fixture.Fetch("GET", "/.well-known/jmap");
  CHECK(right.status == 200);
  CHECK(right.body.find(fixture.AccountId()) != std::string::npos);
  CHECK(right.field("cache-control") == "no-store");
  // Known for a while now; a wrong one still is wrong.
  CHECK(fixture.Fetch("GET", "/jmap/session").status == 200);
  CHECK(fixture.Fetch("GET", "/jmap/session", "", {fixture.Basic("alice@b.example", "wrong")})
            .status == 401);
}

TEST_CASE("One account never sees another's", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("canary"));
  const auto calls = fixture.Call(
      R"([["Email/get",{"accountId":"ACCOUNT","ids":[")" + email + R"("]},"0"]])", "bob@b.example");
  CHECK(jmap::Serialize(calls).find("accountNotFound") != std::string::npos);
  const std::string bobs = fixture.AccountId("bob@b.example");
  const auto own = fixture.Call(
      R"([["Email/get",{"accountId":")" + bobs + R"(","ids":[")" + email + R"("]},"0"]])",
      "bob@b.example");
  CHECK(jmap::Serialize(own).find("canary") == std::string::npos);
  const std::string blob = "B" + email.substr(1);
  CHECK(fixture
            .Fetch("GET", "/jmap/download/" + bobs + "/" + blob + "/x", "",
                   {fixture.Basic("bob@b.example")})
            .status == 404);
  CHECK(fixture
            .Fetch("GET", "/jmap/download/" + fixture.AccountId() + "/" + blob + "/x", "",
                   {fixture.Basic("bob@b.example")})
            .status == 404);
  CHECK(fixture.Fetch("GET", "/jmap/download/" + fixture.AccountId() + "/" + blob + "/x").status ==
        200);
}

TEST_CASE("Requests that are none are told so", "[webmail-api][component]") {
  WebmailFixture fixture;
  const auto post = [&](const std::string& body, const std::string& type = "application/json") {
    return fixture.Fetch("POST", "/jmap/api", body, {{"Content-Type", type}});
  };
  CHECK(post("{").body.find("notJSON") != std::string::npos);
  CHECK(post("{}").body.find("notRequest") != std::string::npos);
  CHECK(post("{}", "text/plain").status == 400);
  CHECK(post("{}").field("content-type") == "application/problem+json");
  CHECK(post(std::string(257 << 10, ' ')).status == 413);
  CHECK(fixture.Fetch("GET", "/jmap/api").status == 405);
  CHECK(fixture.ErrorOf("Nothing/get", "{}") == "unknownMethod");
  CHECK(fixture.ErrorOf("Mailbox/get", "{}") == "invalidArguments");
  CHECK(fixture.ErrorOf("Mailbox/get", R"({"accountId":"a1"})") == "accountNotFound");
  CHECK(fixture.ErrorOf("Mailbox/get", R"({"accountId":"ACCOUNT","x":1})") == "invalidArguments");
  // RFC 8620 §3.3: without the capability there is no such method.
  CHECK(post(R"({"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Mailbox/get",{},"0"]]})")
            .body.find("unknownMethod") != std::string::npos);
  CHECK(jmap::Serialize(fixture.CallOne("Core/echo", R"({"a":[1,null]})")) == R"({"a":[1,null]})");
}

TEST_CASE("Mailboxes are made, renamed, counted and destroyed", "[webmail-api][component]") {
  WebmailFixture fixture;
  fixture.Deliver(Plain("one"));
  const json::object got = fixture.CallOne("Mailbox/get", R"({"accountId":"ACCOUNT"})");
  const std::string state = *jmap::FindString(got, "state");
  CHECK(got.at("list").get_array().size() == 6);
  for (const json::value& each : got.at("list").get_array()) {
    const auto& mailbox = each.get_object();
    if (jmap::FindString(mailbox, "role") != "inbox") continue;
    CHECK(mailbox.at("totalEmails").to_number<int>() == 1);
    CHECK(mailbox.at("unreadEmails").to_number<int>() == 1);
    CHECK(mailbox.at("totalThreads").to_number<int>() == 1);
    CHECK(mailbox.at("unreadThreads").to_number<int>() == 1);
    CHECK_FALSE(mailbox.at("myRights").at("mayDelete").get_bool());
  }
  const json::object made = fixture.CallOne(
      "Mailbox/set",
      R"({"accountId":"ACCOUNT","create":{"b":{"name":"Below","parentId":"#a"},)"
      R"("a":{"name":"Top"},"c":{"name":"x/y"},"d":{"name":"INBOX"},"e":{"name":"z","parentId":"m999"}}})");
  CHECK(made.at("created").get_object().size() == 2);
  CHECK(made.at("notCreated").get_object().size() == 3);
  const std::string top = *jmap::FindString(made.at("created").at("a").get_object(), "id");
  const std::string below = *jmap::FindString(made.at("created").at("b").get_object(), "id");
  const auto changes = [&](const std::string& since) {
    return fixture.CallOne("Mailbox/changes",
                           R"({"accountId":"ACCOUNT","sinceState":")" + since + "\"}");
  };
  CHECK(Strings(changes(state), "created") == std::vector<std::string>{top, below});

  const json::object renamed = fixture.CallOne(
      "Mailbox/set", R"({"accountId":"ACCOUNT","update":{")" + below +
                         R"(":{"name":"Under","parentId":null,"isSubscribed":true},")" +
                         fixture.MailboxOf("inbox") + R"(":{"name":"X"}},"destroy":[")" + top +
                         "\",\"" + fixture.MailboxOf("inbox") + "\"]}");
  CHECK(renamed.at("updated").get_object().contains(below));
  CHECK(renamed.at("notUpdated").get_object().size() == 1);
  CHECK(Strings(renamed, "destroyed") == std::vector<std::string>{top});
  CHECK(renamed.at("notDestroyed").get_object().size() == 1);
  CHECK(Strings(changes(state), "destroyed") == std::vector<std::string>{top});
  CHECK(fixture.ErrorOf("Mailbox/changes", R"({"accountId":"ACCOUNT","sinceState":"999999"})") ==
        "cannotCalculateChanges");
  CHECK(fixture.ErrorOf("Mailbox/set", R"({"accountId":"ACCOUNT","ifInState":"1"})") ==
        "stateMismatch");

  // A change of counts alone says so.
  const std::string before = *jmap::FindString(changes(state), "newState");
  fixture.Deliver(Plain("two"));
  const json::object counted = changes(before);
  CHECK(Strings(counted, "updated") == std::vector<std::string>{fixture.MailboxOf("inbox")});
  CHECK(Strings(counted, "updatedProperties").size() == 4);
}

TEST_CASE("A mailbox with emails goes only when that is said", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  const std::string archive = fixture.MailboxOf("archive");
  fixture.CallOne("Email/set", R"({"accountId":"ACCOUNT","update":{")" + email +
                                   R"(":{"mailboxIds":{")" + archive + R"(":true}}}})");
  const std::string destroy = R"("destroy":[")" + archive + "\"]}";
  const json::object refused =
      fixture.CallOne("Mailbox/set", R"({"accountId":"ACCOUNT",)" + destroy);
  CHECK(jmap::FindString(refused.at("notDestroyed").at(archive).get_object(), "type") ==
        "mailboxHasEmail");
  fixture.CallOne("Mailbox/set",
                  R"({"accountId":"ACCOUNT","onDestroyRemoveEmails":true,)" + destroy);
  CHECK(Query(fixture, "").empty());
}

// Runs `meanwhile` on another connection, in a transaction that is committed when a request of the
// server waits for the account; what `request` says to it.
json::object Race(WebmailFixture& fixture, const std::function<void(db::Connection&)>& meanwhile,
                  const std::function<json::object()>& request) {
  const auto other = fixture.database().Connect();
  REQUIRE(other->Begin().ok());
  meanwhile(*other);
  json::object answer;
  std::thread client([&] { answer = request(); });
  for (int i = 0; i < 500; ++i) {
    if (fixture.database().Ask("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0") break;
    absl::SleepFor(absl::Milliseconds(10));
  }
  const absl::Status committed = other->Commit();
  client.join();
  REQUIRE(committed.ok());
  return answer;
}

store::MailboxId NumberOf(std::string_view mailbox) {
  return store::MailboxId{*jmap::ParseId(jmap::IdType::kMailbox, mailbox)};
}

// It was judged on a list that was read before, and then destroyed whatever lay in it by then.
TEST_CASE("RFC 8621 2.5: an email that comes meanwhile keeps its mailbox",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  const std::string archive = fixture.MailboxOf("archive");
  const std::string inbox = fixture.MailboxOf("inbox");
  const store::AccountId alice = fixture.account("alice@b.example");
  const absl::Time now = absl::FromUnixSeconds(1'790'000'500);
  const json::object answer = Race(
      fixture,
      [&](db::Connection& c) {
        REQUIRE(
            store::MoveEntries(c, alice, NumberOf(inbox), {{1, 1}}, NumberOf(archive), now).ok());
      },
      [&] {
        return fixture.CallOne("Mailbox/set",
                               R"({"accountId":"ACCOUNT","destroy":[")" + archive + "\"]}");
      });
  CHECK(jmap::FindString(answer.at("notDestroyed").at(archive).get_object(), "type") ==
        "mailboxHasEmail");
  CHECK(Query(fixture, "") == email);
}

// It was carried out by path: a mailbox that had got the name meanwhile went, with its mail.
TEST_CASE("A mailbox is destroyed and renamed by its id", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  const std::string archive = fixture.MailboxOf("archive");
  const std::string inbox = fixture.MailboxOf("inbox");
  const store::AccountId alice = fixture.account("alice@b.example");
  const absl::Time now = absl::FromUnixSeconds(1'790'000'500);
  std::string other;
  const auto swap = [&](db::Connection& c) {
    REQUIRE(store::RenameMailbox(c, alice, "Archive", "Old", now).ok());
    const auto made = store::CreateMailbox(c, alice, "Archive", store::Role::kNone, now);
    REQUIRE(made.ok());
    other = jmap::FormatId(jmap::IdType::kMailbox, store::ToInt(made->mailbox));
    REQUIRE(store::MoveEntries(c, alice, NumberOf(inbox), {{1, 1}}, made->mailbox, now).ok());
  };
  const std::string head = R"({"accountId":"ACCOUNT",)";
  SECTION("destroyed") {
    const json::object answer = Race(fixture, swap, [&] {
      return fixture.CallOne(
          "Mailbox/set", head + R"("onDestroyRemoveEmails":true,"destroy":[")" + archive + "\"]}");
    });
    CHECK(Strings(answer, "destroyed") == std::vector<std::string>{archive});
    CHECK(Query(fixture, R"(,"filter":{"inMailbox":")" + other + "\"}") == email);
    // Changes of others in between are not in the state that the client is told.
    const json::object changes =
        fixture.CallOne("Mailbox/changes",
                        head + R"("sinceState":")" + *jmap::FindString(answer, "newState") + "\"}");
    CHECK(Strings(changes, "created") == std::vector<std::string>{other});
  }
  SECTION("renamed") {
    Race(fixture, swap, [&] {
      return fixture.CallOne("Mailbox/set",
                             head + R"("update":{")" + archive + R"(":{"name":"Older"}}})");
    });
    const auto list = store::ListMailboxes(fixture.connection(), alice);
    for (const store::Mailbox& mailbox : list->mailboxes) {
      if (mailbox.id == NumberOf(archive)) CHECK(mailbox.path == "Older");
      if (mailbox.id == NumberOf(other)) CHECK(mailbox.path == "Archive");
    }
  }
}

// Each answer was twice the one before: a request of 2 KB took all memory.
TEST_CASE("The references of a request have a budget, and so have its answers",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  std::string calls = R"([["Core/echo",{"x":")" + std::string(1000, 'x') + R"("},"0"])";
  for (int i = 0; i < 15; ++i) {
    const std::string all =
        R"({"resultOf":")" + std::to_string(i) + R"(","name":"Core/echo","path":""})";
    calls += R"(,["Core/echo",{"#a":)" + all + R"(,"#b":)" + all + "},\"" + std::to_string(i + 1) +
             "\"]";
  }
  const json::array doubled = fixture.Call(calls + "]");
  CHECK(jmap::View(doubled[5].get_array()[0].get_string()) == "Core/echo");
  CHECK(jmap::FindString(doubled[15].get_array()[1].get_object(), "type") ==
        "invalidResultReference");

  const std::string email = fixture.Deliver(Plain("x", std::string(900'000, 'x')));
  calls = "[";
  for (int i = 0; i < 6; ++i) {
    calls += std::string(i == 0 ? "" : ",") + R"(["Email/get",{"accountId":"ACCOUNT","ids":[")" +
             email + R"("],"fetchTextBodyValues":true},"x"])";
  }
  const json::array large = fixture.Call(calls + "]");
  CHECK(jmap::View(large[1].get_array()[0].get_string()) == "Email/get");
  CHECK(jmap::FindString(large[5].get_array()[1].get_object(), "type") == "requestTooLarge");
}

std::string TypeOf(const json::object& answer, const char* list, const std::string& key) {
  return jmap::FindString(answer.at(list).at(key).get_object(), "type").value_or("");
}

// The client corrected the mailboxes, and had it twice.
TEST_CASE("An email is made in all of its mailboxes or not at all", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string boxes =
      R"("mailboxIds":{")" + fixture.MailboxOf("inbox") + R"(":true,"m999":true})";
  const json::object made =
      fixture.CallOne("Email/set", R"({"accountId":"ACCOUNT","create":{"k":{)" + boxes +
                                       R"(,"subject":"x","bodyValues":{"t":{"value":"y"}},)"
                                       R"("textBody":[{"partId":"t","type":"text/plain"}]}}})");
  CHECK(TypeOf(made, "notCreated", "k") == "invalidProperties");
  CHECK(Query(fixture, "").empty());
  const auto put = fixture.Fetch("POST", "/jmap/upload/" + fixture.AccountId() + "/",
                                 "Subject: x\n\nbody\n", {{"Content-Type", "message/rfc822"}});
  const auto blob = jmap::ParseJson(put.body);
  REQUIRE(blob.ok());
  const json::object imported =
      fixture.CallOne("Email/import", R"({"accountId":"ACCOUNT","emails":{"k":{"blobId":")" +
                                          *jmap::FindString(blob->get_object(), "blobId") +
                                          R"(",)" + boxes + "}}}");
  CHECK(TypeOf(imported, "notCreated", "k") == "invalidProperties");
  CHECK(Query(fixture, "").empty());
}

// RFC 8620 §3.6.2: serverUnavailable says that nothing was done, and invites to do it again.
TEST_CASE("What was made is told, whatever fails behind it", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  REQUIRE(fixture.connection()
              .ExecuteScript(
                  "CREATE FUNCTION fail_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
                  "EXCEPTION 'full' USING ERRCODE = '53100'; END $$; "
                  "CREATE TRIGGER fail_now BEFORE UPDATE ON mailbox_entries "
                  "FOR EACH ROW EXECUTE FUNCTION fail_now()")
              .ok());
  const std::string update = R"("update":{")" + email + R"(":{"keywords/blue":true}})";
  CHECK(fixture.ErrorOf("Email/set", R"({"accountId":"ACCOUNT",)" + update + "}") ==
        "serverUnavailable");
  const json::object answer = fixture.CallOne(
      "Email/set", R"({"accountId":"ACCOUNT","create":{"k":{"mailboxIds":{")" +
                       fixture.MailboxOf("inbox") + R"(":true},"subject":"x"}},)" + update + "}");
  CHECK(answer.at("created").get_object().contains("k"));
  CHECK(TypeOf(answer, "notUpdated", email) == "serverFail");
  REQUIRE(fixture.connection()
              .ExecuteScript("DROP TRIGGER fail_now ON mailbox_entries; DROP FUNCTION fail_now()")
              .ok());
}

TEST_CASE("A mailbox that does not exist is no email that does not exist (RFC 8620 5.3)",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  for (const char* patch : {R"({"mailboxIds/m999":true})", R"({"mailboxIds":{"m999":true}})"}) {
    CAPTURE(patch);
    const json::object answer = fixture.CallOne(
        "Email/set", R"({"accountId":"ACCOUNT","update":{")" + email + R"(":)" + patch + "}}");
    CHECK(TypeOf(answer, "notUpdated", email) == "invalidProperties");
  }
}

TEST_CASE("Paths of a patch are JSON pointers (RFC 8620 5.3, RFC 6901 4)",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  const auto patch = [&](const std::string& path, const std::string& value) {
    return fixture.CallOne("Email/set", R"({"accountId":"ACCOUNT","update":{")" + email +
                                            R"(":{")" + path + R"(":)" + value + "}}}");
  };
  const auto keywords = [&] {
    return jmap::Serialize(
        *jmap::Find(GetOne(fixture, email, R"(,"properties":["keywords"])"), "keywords"));
  };
  patch("keywords/a~1b", "true");
  CHECK(keywords() == R"({"a/b":true})");
  patch("keywords/a~1b", "null");
  CHECK(keywords() == "{}");
  CHECK(TypeOf(patch("keywords/a/b", "true"), "notUpdated", email) == "invalidPatch");
}

TEST_CASE("An object is answered once (RFC 8620 5.1)", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string email = fixture.Deliver(Plain("x"));
  const std::string twice = R"({"accountId":"ACCOUNT","ids":[")" + email + R"(",")" + email;
  CHECK(fixture.CallOne("Email/get", twice + "\"]}").at("list").get_array().size() == 1);
  const std::string inbox = fixture.MailboxOf("inbox");
  CHECK(fixture
            .CallOne("Mailbox/get",
                     R"({"accountId":"ACCOUNT","ids":[")" + inbox + R"(",")" + inbox + "\"]}")
            .at("list")
            .get_array()
            .size() == 1);
}

TEST_CASE("An email is read with all its properties", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string id = fixture.Deliver(kMixed);
  const json::object email = GetOne(fixture, id, R"(,"fetchTextBodyValues":true)");
  CHECK(jmap::FindString(email, "subject") ==
        "Gr\xc3\xbc\xc3\x9f"
        "e");
  CHECK(jmap::Serialize(email.at("from")) == R"([{"name":"Bob B","email":"bob@c.example"}])");
  CHECK(jmap::FindString(email, "sentAt") == "2014-10-30T14:12:00+08:00");
  CHECK(jmap::Serialize(email.at("messageId")) == R"(["one@c.example"])");
  CHECK(email.at("hasAttachment").get_bool());
  CHECK(email.at("bodyValues").at("1").at("value") == "Hello \xc3\xbc");
  const json::object& pdf = email.at("attachments").get_array()[0].get_object();
  CHECK(jmap::FindString(pdf, "name") == "a b.pdf");
  CHECK(pdf.at("size").to_number<int>() == 6);

  const auto raw = fixture.Fetch("GET", "/jmap/download/" + fixture.AccountId() + "/" +
                                            *jmap::FindString(pdf, "blobId") +
                                            "/a%20b.pdf?accept=application%2Fpdf");
  CHECK(raw.body == std::string("\0\1\2\3\4\5", 6));
  CHECK(raw.field("content-type") == "application/pdf");
  CHECK(raw.field("content-disposition") == "attachment; filename=\"a b.pdf\"");
  CHECK(raw.field("content-security-policy").find("sandbox") != std::string::npos);
  // Nothing of a user's is a script of ours.
  const auto script =
      fixture.Fetch("GET", "/jmap/download/" + fixture.AccountId() + "/" +
                               *jmap::FindString(pdf, "blobId") + "/a?accept=Text%2FJavaScript");
  CHECK(script.field("content-type") == "application/octet-stream");
  const auto whole = fixture.Fetch("GET", "/jmap/download/" + fixture.AccountId() + "/" +
                                              *jmap::FindString(email, "blobId") + "/m.eml");
  CHECK(whole.body == "Return-Path: <x@c.example>\r\n" + std::string(kMixed));

  const json::object headers =
      GetOne(fixture, id,
             R"(,"properties":["header:Subject:asText","header:Return-Path:all","bodyStructure"],)"
             R"("bodyProperties":["type","header:Content-Disposition"])");
  CHECK(headers.at("header:Return-Path:all").get_array().size() == 1);
  const auto& parts = headers.at("bodyStructure").at("subParts").get_array();
  REQUIRE(parts.size() == 2);
  CHECK(parts[1].at("header:Content-Disposition") == " attachment; filename=\"a b.pdf\"");
  CHECK(fixture.ErrorOf("Email/get", R"({"accountId":"ACCOUNT","ids":[],"properties":["x"]})") ==
        "invalidArguments");
}

TEST_CASE("Emails are found by what the filter says", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string a = fixture.Deliver(Plain("apple", "the needle lies here"));
  const std::string b = fixture.Deliver(Plain("Banana"));
  const std::string c = fixture.Deliver(kMixed);
  fixture.CallOne("Email/set", R"({"accountId":"ACCOUNT","update":{")" + b +
                                   R"(":{"keywords/$seen":true,"keywords/Blue":true}}})");
  const std::string inbox = fixture.MailboxOf("inbox");
  struct Row {
    std::string rest;
    std::string ids;
  };
  const std::vector<Row> rows = {
      {"", c + " " + b + " " + a},
      {R"(,"sort":[{"property":"receivedAt","isAscending":true}])", a + " " + b + " " + c},
      {R"(,"sort":[{"property":"subject"}])", a + " " + b + " " + c},
      {R"(,"filter":{"inMailbox":")" + inbox + "\"}", c + " " + b + " " + a},
      {R"(,"filter":{"inMailbox":"m999"})", ""},
      {R"(,"filter":{"inMailboxOtherThan":[")" + inbox + "\"]}", ""},
      {R"(,"filter":{"text":"NEEDLE"})", a},
      {R"(,"filter":{"body":"needle"})", a},
      {R"(,"filter":{"subject":"banana"})", b},
      {R"(,"filter":{"subject":"gr\u00fcsse"})", c},
      {R"(,"filter":{"from":"bob b"})", c},
      {R"(,"filter":{"hasAttachment":true})", c},
      {R"(,"filter":{"hasKeyword":"$seen"})", b},
      {R"(,"filter":{"hasKeyword":"blue"})", b},
      {R"(,"filter":{"notKeyword":"$seen"})", c + " " + a},
      {R"(,"filter":{"header":["Message-ID"]})", c},
      {R"(,"filter":{"header":["Subject","apple"]})", a},
      {R"(,"filter":{"operator":"NOT","conditions":[{"subject":"apple"},{"hasAttachment":true}]})",
       b},
      {R"(,"filter":{"after":"2100-01-01T00:00:00Z"})", ""},
      {R"(,"position":1,"limit":1)", b},
      {R"(,"position":-1)", a},
      {R"(,"anchor":")" + b + R"(","anchorOffset":-1,"limit":2)", c + " " + b},
      {R"(,"anchor":")" + b + R"(","limit":2)", b + " " + a},
      {R"(,"limit":0)", ""}};
  for (const Row& row : rows) {
    CAPTURE(row.rest);
    CHECK(Query(fixture, row.rest) == row.ids);
  }
  const json::object counted =
      fixture.CallOne("Email/query", R"({"accountId":"ACCOUNT","limit":1,"calculateTotal":true})");
  CHECK(counted.at("total").to_number<int>() == 3);
  CHECK(fixture.ErrorOf("Email/query", R"({"accountId":"ACCOUNT","anchor":"e999"})") ==
        "anchorNotFound");
  CHECK(fixture.ErrorOf("Email/queryChanges", R"({"accountId":"ACCOUNT","sinceQueryState":"1"})") ==
        "cannotCalculateChanges");
}

TEST_CASE("Threads collapse", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string a =
      fixture.Deliver("Message-ID: <1@x>\r\nSubject: t\r\nFrom: a@x.example\r\n\r\nx\r\n");
  fixture.Deliver(Plain("other"));
  const std::string c = fixture.Deliver(
      "Message-ID: <2@x>\r\nReferences: <1@x>\r\nSubject: Re: t\r\nFrom: b@x.example\r\n\r\ny\r\n");
  CHECK(Query(fixture, R"(,"collapseThreads":true,"limit":1)") == c);
  CHECK(Query(fixture, R"(,"collapseThreads":true,"sort":[{"property":"receivedAt"}],"limit":1)") ==
        a);
  const std::string thread = *jmap::FindString(GetOne(fixture, c), "threadId");
  const json::object got = fixture.CallOne(
      "Thread/get", R"({"accountId":"ACCOUNT","ids":[")" + thread + R"(","t999"]})");
  CHECK(Strings(got.at("list").get_array()[0].get_object(), "emailIds") ==
        std::vector<std::string>{a, c});
  CHECK(Strings(got, "notFound") == std::vector<std::string>{"t999"});
}

TEST_CASE("Keywords and mailboxes change, and states tell of it", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string a = fixture.Deliver(Plain("a"));
  const std::string b = fixture.Deliver(Plain("b"));
  const std::string inbox = fixture.MailboxOf("inbox");
  const std::string archive = fixture.MailboxOf("archive");
  const std::string trash = fixture.MailboxOf("trash");
  const json::object got =
      fixture.CallOne("Email/get", R"({"accountId":"ACCOUNT","ids":[],"properties":["id"]})");
  const std::string state = *jmap::FindString(got, "state");
  const auto set = [&](const std::string& update) {
    return fixture.CallOne("Email/set", R"({"accountId":"ACCOUNT","update":)" + update + "}");
  };
  set("{\"" + a + R"(":{"keywords":{"$seen":true,"$FLAGGED":true,"x":true}},")" + b +
      R"(":{"mailboxIds/)" + archive + R"(":true}})");
  CHECK(jmap::Serialize(GetOne(fixture, a).at("keywords")) ==
        R"({"$seen":true,"$flagged":true,"x":true})");
  CHECK(GetOne(fixture, b).at("mailboxIds").get_object().size() == 2);
  set("{\"" + a + R"(":{"keywords/$seen":null,"keywords/x":null,"mailboxIds":{")" + trash +
      R"(":true}},")" + b + R"(":{"mailboxIds/)" + inbox + R"(":null}})");
  CHECK(jmap::Serialize(GetOne(fixture, a).at("keywords")) == R"({"$flagged":true})");
  CHECK(jmap::Serialize(GetOne(fixture, a).at("mailboxIds")) == "{\"" + trash + "\":true}");
  CHECK(jmap::Serialize(GetOne(fixture, b).at("mailboxIds")) == "{\"" + archive + "\":true}");
  const json::object refused =
      set("{\"" + a + R"(":{"mailboxIds":{}},")" + b + R"(":{"mailboxIds/)" + archive +
          R"(":null},"e999":{"keywords/$seen":true},"x":{},"e1x":5})");
  CHECK(refused.at("notUpdated").get_object().size() == 5);
  CHECK(refused.at("updated").is_null());
  CHECK(set("{\"" + a + R"(":{"subject":"x"},")" + b + R"(":{"mailboxIds":{"m999":true}}})")
            .at("notUpdated")
            .get_object()
            .size() == 2);

  fixture.CallOne("Email/set", R"({"accountId":"ACCOUNT","destroy":[")" + b + "\"]}");
  const std::string c = fixture.Deliver(Plain("c"));
  const auto changes = [&](const std::string& rest) {
    return fixture.CallOne("Email/changes",
                           R"({"accountId":"ACCOUNT","sinceState":")" + state + "\"" + rest + "}");
  };
  const json::object all = changes("");
  CHECK(Strings(all, "created") == std::vector<std::string>{c});
  CHECK(Strings(all, "updated") == std::vector<std::string>{a});
  CHECK(Strings(all, "destroyed") == std::vector<std::string>{b});
  CHECK_FALSE(all.at("hasMoreChanges").get_bool());
  // Page by page it comes to the same state.
  std::string at = state;
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    const json::object page = fixture.CallOne(
        "Email/changes", R"({"accountId":"ACCOUNT","maxChanges":2,"sinceState":")" + at + "\"}");
    for (const char* list : {"created", "updated", "destroyed"}) {
      for (const std::string& id : Strings(page, list)) seen.insert(id);
    }
    at = *jmap::FindString(page, "newState");
    if (!page.at("hasMoreChanges").get_bool()) break;
  }
  CHECK(at == *jmap::FindString(all, "newState"));
  CHECK(seen == std::set<std::string>{a, b, c});
}

// An IMAP client that marks a message \Deleted has not removed it; for JMAP it is gone all the
// same.
TEST_CASE("What IMAP marked as deleted is not seen", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string id = fixture.Deliver(Plain("x"));
  const auto account = fixture.account("alice@b.example");
  const auto inbox = store::FindMailbox(fixture.connection(), account, "INBOX");
  REQUIRE(inbox.ok());
  store::FlagsChange flags;
  flags.flags = store::kDeleted;
  REQUIRE(store::StoreFlags(fixture.connection(), account, inbox->id, {store::kAllUids}, flags,
                            absl::Now())
              .ok());
  CHECK(Query(fixture, "").empty());
  const json::object got =
      fixture.CallOne("Email/get", R"({"accountId":"ACCOUNT","ids":[")" + id + "\"]}");
  CHECK(Strings(got, "notFound") == std::vector<std::string>{id});
}

TEST_CASE("A draft is made, with what was uploaded", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string octets(700'000, '\xe4');
  const auto upload = fixture.Fetch("POST", "/jmap/upload/" + fixture.AccountId() + "/", octets,
                                    {{"Content-Type", "application/octet-stream"}});
  REQUIRE(upload.status == 201);
  const auto told = jmap::ParseJson(upload.body);
  REQUIRE(told.ok());
  const std::string blob = *jmap::FindString(told->get_object(), "blobId");
  CHECK(told->get_object().at("size").to_number<int>() == 700'000);
  const std::string path = "/jmap/download/" + fixture.AccountId() + "/" + blob + "/x";
  CHECK(fixture.Fetch("GET", path).body == octets);

  const json::object made = fixture.CallOne(
      "Email/set", R"({"accountId":"ACCOUNT","create":{"k":{"mailboxIds":{")" +
                       fixture.MailboxOf("drafts") + "\":true,\"" + fixture.MailboxOf("sent") +
                       R"(":true},"keywords":{"$draft":true},"subject":"with a file",)"
                       R"("from":[{"email":"alice@b.example"}],)"
                       R"("bodyValues":{"t":{"value":"see there"}},"textBody":[{"partId":"t"}],)"
                       R"("attachments":[{"blobId":")" +
                       blob +
                       R"(","type":"image/png","name":"p.png"}]},)"
                       R"("bad":{"mailboxIds":{"m1":true},"attachments":[{"blobId":"U5",)"
                       R"("type":"a/b"}]}}})");
  CHECK(jmap::FindString(made.at("notCreated").at("bad").get_object(), "type") == "blobNotFound");
  const std::string id = *jmap::FindString(made.at("created").at("k").get_object(), "id");
  const json::object email = GetOne(fixture, id, R"(,"fetchTextBodyValues":true)");
  CHECK(email.at("mailboxIds").get_object().size() == 2);
  CHECK(email.at("bodyValues").at("1").at("value") == "see there");
  const json::object& part = email.at("attachments").get_array()[0].get_object();
  const auto back = fixture.Fetch("GET", "/jmap/download/" + fixture.AccountId() + "/" +
                                             *jmap::FindString(part, "blobId") + "/p.png");
  CHECK(back.body == octets);
}

TEST_CASE("An upload is imported", "[webmail-api][component]") {
  WebmailFixture fixture;
  const auto put = [&](const std::string& octets) {
    const auto upload = fixture.Fetch("POST", "/jmap/upload/" + fixture.AccountId() + "/", octets);
    REQUIRE(upload.status == 201);
    return *jmap::FindString(jmap::ParseJson(upload.body)->get_object(), "blobId");
  };
  const std::string good = put("Subject: imported\nFrom: a@x.example\n\nbody\n");
  const std::string empty = put("");
  const json::object done = fixture.CallOne(
      "Email/import",
      R"({"accountId":"ACCOUNT","emails":{"g":{"blobId":")" + good + R"(","mailboxIds":{")" +
          fixture.MailboxOf("archive") +
          R"(":true},"keywords":{"$seen":true},"receivedAt":"2020-01-02T03:04:05Z"},)"
          R"("e":{"blobId":")" +
          empty + R"(","mailboxIds":{")" + fixture.MailboxOf("archive") + R"(":true}}}})");
  CHECK(jmap::FindString(done.at("notCreated").at("e").get_object(), "type") == "invalidEmail");
  const std::string id = *jmap::FindString(done.at("created").at("g").get_object(), "id");
  const json::object email = GetOne(fixture, id);
  CHECK(jmap::FindString(email, "subject") == "imported");
  CHECK(jmap::FindString(email, "receivedAt") == "2020-01-02T03:04:05Z");
}

TEST_CASE("Uploads have bounds", "[webmail-api][component]") {
  WebmailFixture fixture;
  const std::string path = "/jmap/upload/" + fixture.AccountId() + "/";
  CHECK(fixture.Fetch("POST", path, std::string((4 << 20) + 1, 'x')).status == 413);
  CHECK(fixture.Fetch("POST", path, std::string(4 << 20, 'x')).status == 201);
  const auto refused = fixture.Fetch("POST", path, std::string(4 << 20, 'x'));
  // Not too large: too much together with what is there.
  CHECK(refused.status == 507);
  CHECK(fixture.Fetch("POST", "/jmap/upload/a1/", "x").status == 404);
}

TEST_CASE("Without a signer nothing is sent, and the client may try again",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  const json::object identities = fixture.CallOne("Identity/get", R"({"accountId":"ACCOUNT"})");
  const auto& first = identities.at("list").get_array()[0].get_object();
  CHECK(jmap::FindString(first, "email") == "alice@b.example");
  const std::string identity = *jmap::FindString(first, "id");
  const std::string own =
      fixture.Deliver("From: alice@b.example\r\nTo: bob@c.example\r\nSubject: s\r\n\r\nx\r\n");
  const std::string others = fixture.Deliver(Plain("x"));
  const std::string lonely = fixture.Deliver("From: alice@b.example\r\nSubject: s\r\n\r\nx\r\n");
  const auto submit = [&](const std::string& email, const std::string& who) {
    const auto answers = fixture.Call(
        R"([["EmailSubmission/set",{"accountId":"ACCOUNT","create":{"s":{"identityId":")" + who +
        R"(","emailId":")" + email + R"("}},"onSuccessDestroyEmail":["#s"]},"0"]])");
    CHECK(answers.size() == 1);
    return *jmap::FindString(answers[0].get_array()[1].at("notCreated").at("s").get_object(),
                             "type");
  };
  CHECK(submit(own, identity) == "serverFail");
  CHECK(submit(others, identity) == "forbiddenFrom");
  CHECK(submit(lonely, identity) == "noRecipients");
  CHECK(submit(own, "ix") == "invalidProperties");
  CHECK(submit("e999", identity) == "invalidProperties");
  CHECK(GetOne(fixture, own).contains("id"));
}

// Only From was judged, and nothing was counted: what submission refuses, left by JMAP.
TEST_CASE("Who sends by JMAP is judged and counted as by SMTP", "[webmail-api][component]") {
  WebmailFixture fixture([](Config* config) {
    config->mutable_daily()->set_messages(100);
    config->mutable_daily()->set_recipients(2);
  });
  const json::object identities = fixture.CallOne("Identity/get", R"({"accountId":"ACCOUNT"})");
  const std::string identity =
      *jmap::FindString(identities.at("list").get_array()[0].get_object(), "id");
  const auto submit = [&](const std::string& header, const std::string& mail_from = "") {
    const std::string email = fixture.Deliver(header + "\r\nx\r\n");
    std::string envelope = "null";
    if (!mail_from.empty()) {
      envelope =
          R"({"mailFrom":{"email":")" + mail_from + R"("},"rcptTo":[{"email":"bob@c.example"}]})";
    }
    const json::object done =
        fixture.CallOne("EmailSubmission/set",
                        R"({"accountId":"ACCOUNT","create":{"s":{"identityId":")" + identity +
                            R"(","emailId":")" + email + R"(","envelope":)" + envelope + "}}}");
    return *jmap::FindString(done.at("notCreated").at("s").get_object(), "type");
  };
  const std::string own = "From: alice@b.example\r\nTo: bob@c.example\r\n";
  CHECK(submit(own) == "serverFail");  // nobody there to sign: it was about to be sent
  CHECK(submit(own + "Sender: ceo@b.example\r\n") == "forbiddenFrom");
  CHECK(submit(own + "Sender: alice@b.example\r\n") == "serverFail");
  CHECK(submit(own + "Sender: alice@b.example\r\nSender: ceo@b.example\r\n") == "invalidEmail");
  CHECK(submit(own + "Subject: a\r\nSubject: b\r\n") == "invalidEmail");
  CHECK(submit(own, "alice@b.example") == "serverFail");
  CHECK(submit(own, "ceo@b.example") == "forbiddenMailFrom");
  CHECK(submit(own + "Cc: c@c.example\r\n") == "serverFail");
  CHECK(submit(own + "Cc: c@c.example, d@c.example\r\n") == "rateLimit");
}

TEST_CASE("References lead from one call to the next", "[webmail-api][component]") {
  WebmailFixture fixture;
  fixture.Deliver(Plain("a"));
  fixture.Deliver(Plain("b"));
  const auto answers = fixture.Call(
      R"([["Email/query",{"accountId":"ACCOUNT"},"q"],)"
      R"(["Email/get",{"accountId":"ACCOUNT","#ids":{"resultOf":"q","name":"Email/query",)"
      R"("path":"/ids"},"properties":["threadId"]},"g"],)"
      R"(["Thread/get",{"accountId":"ACCOUNT","#ids":{"resultOf":"g","name":"Email/get",)"
      R"("path":"/list/*/threadId"}},"t"]])");
  CHECK(answers[2].get_array()[1].at("list").get_array().size() == 2);
}

// --- The event stream.

struct Events {
  std::unique_ptr<net::Stream> stream;
  std::string text;
};

base::Task<std::unique_ptr<net::Stream>> OpenEvents(WebmailFixture* fixture, std::string query,
                                                    std::string fields) {
  net::ConnectOptions to;
  to.to = fixture->https();
  auto stream = co_await net::Connect(to);
  absl::Status secured = co_await (*stream)->StartTlsClient(fixture->client_tls(), "mail.b.example",
                                                            absl::Seconds(10));
  // As alice, unless there is a cookie.
  if (fields.find("Cookie") == std::string::npos) {
    fields += "Authorization: " + fixture->Basic("alice@b.example").value + "\r\n";
  }
  const std::string head =
      "GET /jmap/eventsource?" + query + " HTTP/1.1\r\nHost: mail.b.example\r\n" + fields + "\r\n";
  absl::Status sent = co_await (*stream)->Write(head);
  static_cast<void>(secured);
  static_cast<void>(sent);
  co_return *std::move(stream);
}

// Reads until `what` has come, or the end.
base::Task<std::string> ReadUntil(net::Stream* stream, std::string what) {
  std::string text;
  while (text.find(what) == std::string::npos) {
    const net::Input input = co_await stream->Read(absl::Seconds(10));
    if (input.event != net::Ready::kReadable) break;
    text += input.bytes();
  }
  co_return text;
}

TEST_CASE("A delivery is told to the event stream", "[webmail-api][component]") {
  WebmailFixture fixture;
  auto stream =
      fixture.reactor().RunUntilDone(OpenEvents(&fixture, "types=*&closeafter=state&ping=0", ""));
  const std::string head = fixture.reactor().RunUntilDone(ReadUntil(stream.get(), "\r\n:\n\n"));
  CHECK(head.find("200 OK") != std::string::npos);
  CHECK(head.find("text/event-stream") != std::string::npos);
  CHECK(fixture.database().Ask("SELECT count(*) FROM watchers") == "1");
  // Through the door as any daemon does; the hint comes from this one itself.
  const std::string inbox = fixture.MailboxOf("inbox");
  fixture.CallOne("Mailbox/set", R"({"accountId":"ACCOUNT","create":{"k":{"name":"new"}}})");
  const std::string event = fixture.reactor().RunUntilDone(ReadUntil(stream.get(), "0\r\n\r\n"));
  CHECK(event.find("event: state") != std::string::npos);
  CHECK(event.find("\"Mailbox\":") != std::string::npos);
  CHECK(event.find("\"Email\":") == std::string::npos);
  CHECK(event.find("id: Email.") != std::string::npos);

  // Who was away hears at once what it missed.
  const size_t id_at = event.find("id: ") + 4;
  const std::string id = event.substr(id_at, event.find('\n', id_at) - id_at);
  fixture.Deliver(Plain("x"));
  auto again = fixture.reactor().RunUntilDone(
      OpenEvents(&fixture, "types=Email&closeafter=state&ping=0", "Last-Event-ID: " + id + "\r\n"));
  const std::string missed = fixture.reactor().RunUntilDone(ReadUntil(again.get(), "0\r\n\r\n"));
  CHECK(missed.find("\"Email\":") != std::string::npos);
  CHECK(missed.find("\"Thread\":") == std::string::npos);
}

// It went on for up to an hour, with what it knew.
TEST_CASE("An event stream of the page tells nothing after the logout",
          "[webmail-api][component]") {
  WebmailFixture fixture;
  const net::HttpField own = {"Origin", "https://mail.b.example"};
  const auto login = fixture.FetchBare(
      "POST", "/login", R"({"address":"alice@b.example","password":"secret"})", {own});
  REQUIRE(login.status == 204);
  const std::string set(login.field("set-cookie"));
  const std::string cookie = set.substr(0, set.find(';'));
  auto stream = fixture.reactor().RunUntilDone(
      OpenEvents(&fixture, "types=*&closeafter=no&ping=0", "Cookie: " + cookie + "\r\n"));
  const std::string head = fixture.reactor().RunUntilDone(ReadUntil(stream.get(), "\r\n:\n\n"));
  REQUIRE(head.find("200 OK") != std::string::npos);
  REQUIRE(fixture.FetchBare("POST", "/logout", "", {{"Cookie", cookie}, own}).status == 204);
  fixture.CallOne("Mailbox/set", R"({"accountId":"ACCOUNT","create":{"k":{"name":"new"}}})");
  const std::string rest = fixture.reactor().RunUntilDone(ReadUntil(stream.get(), "event: state"));
  CHECK(rest.find("event: state") == std::string::npos);
}

TEST_CASE("Event streams have a bound, and end with their client", "[webmail-api][component]") {
  WebmailFixture fixture;
  const auto open = [&] {
    auto stream =
        fixture.reactor().RunUntilDone(OpenEvents(&fixture, "types=*&closeafter=no&ping=0", ""));
    const std::string head = fixture.reactor().RunUntilDone(ReadUntil(stream.get(), "\r\n\r\n"));
    return std::pair(std::move(stream), head);
  };
  auto one = open();
  auto two = open();
  CHECK(one.second.find(" 200 ") != std::string::npos);
  CHECK(open().second.find(" 503 ") != std::string::npos);
  one.first->Close();
  for (int i = 0; i < 500; ++i) {
    if (open().second.find(" 200 ") != std::string::npos) return;
    absl::SleepFor(absl::Milliseconds(10));
  }
  FAIL("the slot was not given back");
}

}  // namespace
}  // namespace godwit::webmail_api
