// The daemon, spoken to over a socket.

#include <catch2/catch.hpp>
#include <string>

#include "libs/base/encoding.h"
#include "services/imap-gateway/gateway_fixture.h"

namespace godwit::imap_gateway {
namespace {

std::string Message(int n) {
  return "From: Bob <bob@c.example>\r\nTo: alice@b.example\r\nSubject: number " +
         std::to_string(n) + "\r\nDate: Mon, 02 Feb 2026 10:00:00 +0100\r\nMessage-ID: <" +
         std::to_string(n) + "@c.example>\r\n\r\nHello " + std::to_string(n) + ".\r\n";
}

TEST_CASE("Sessions begin with a greeting and a login", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient client(gateway.port());
  client.Play(R"(
    S: * OK [CAPABILITY IMAP4rev1 IMAP4rev2 *? AUTH=PLAIN AUTH=SCRAM-SHA-256*?] imap.b.example Godwit ready
    C: a0 SELECT INBOX
    S: a0 BAD Log in first
    C: a1 CAPABILITY
    S: * CAPABILITY *?STARTTLS*?
    S: a1 OK *?
    C: a2 ID ("name" "test")
    S: * ID ("name" "Godwit")
    S: a2 OK *?
    C: a3 LOGIN alice@b.example wrong
    S: a3 NO [AUTHENTICATIONFAILED] Authentication failed
    C: a4 LOGIN nobody@b.example secret
    S: a4 NO [AUTHENTICATIONFAILED] Authentication failed
    C: a5 LOGIN {15}
    S: + OK
    C: alice@b.example "secret"
    S: a5 OK [CAPABILITY *?IDLE*?] Logged in
    C: a6 NAMESPACE
    S: * NAMESPACE (("" "/")) NIL NIL
    S: a6 OK *?
    C: a7 FETCH 1 FLAGS
    S: a7 BAD No mailbox is selected
    C: a8 FOO
    S: a8 BAD unknown command
    C: a9 LOGOUT
    S: * BYE Logging out
    S: a9 OK Logout completed
  )");
  CHECK(client.Read().empty());
}

TEST_CASE("Three failed logins end the session", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient client(gateway.port());
  client.Play(R"(
    S: * OK *?
    C: a LOGIN alice@b.example a
    S: a NO *?
    C: b LOGIN alice@b.example b
    S: b NO *?
    C: c LOGIN alice@b.example c
    S: * BYE Too many failed logins
  )");
}

// Each connection had its three tries, and there was no bound to the connections.
TEST_CASE("Failed logins at the same moment are no more than one by one",
          "[imap-gateway][component]") {
  GatewayFixture gateway([](Config* config) {
    auto* failed = config->mutable_login()->mutable_failed_logins();
    failed->set_per_minute(3);
    failed->mutable_networks()->set_ipv4_nearest(32);
    failed->mutable_networks()->set_wider_factor(3);
    failed->mutable_networks()->set_widest_factor(9);
  });
  std::vector<std::unique_ptr<ImapClient>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<ImapClient>(gateway.port()));
    clients.back()->Read();
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    clients[i]->Send("a LOGIN alice@b.example wrong" + std::to_string(i) + "\r\n");
  }
  int judged = 0;
  for (const auto& client : clients) {
    const std::string answer = client->Read();
    CAPTURE(answer);
    if (answer == "a NO [AUTHENTICATIONFAILED] Authentication failed") {
      ++judged;
      continue;
    }
    CHECK(answer == "* BYE Too many failed logins, try again later");
    CHECK(client->Read().empty());
  }
  CHECK(judged == 3);
}

TEST_CASE("AUTHENTICATE PLAIN, with and without initial response", "[imap-gateway][component]") {
  GatewayFixture gateway;
  const std::string response = base::Base64Encode(std::string("\0alice@b.example\0secret", 23));
  ImapClient first(gateway.port());
  first.Play("S: * OK *?\nC: a AUTHENTICATE PLAIN " + response + "\nS: a OK *?\n");
  ImapClient second(gateway.port());
  second.Play("S: * OK *?\nC: a AUTHENTICATE PLAIN\nS: +*?\nC: " + response + "\nS: a OK *?\n");
  ImapClient third(gateway.port());
  third.Play("S: * OK *?\nC: a AUTHENTICATE PLAIN\nS: +*?\nC: *\nS: a BAD *?\n");
}

TEST_CASE("Every new account has its mailboxes", "[imap-gateway][component]") {
  GatewayFixture gateway;
  gateway.Client()->Play(R"(
    C: a LIST "" *
    S: * LIST (\HasNoChildren) "/" INBOX
    S: * LIST (\HasNoChildren \Archive) "/" Archive
    S: * LIST (\HasNoChildren \Drafts) "/" Drafts
    S: * LIST (\HasNoChildren \Junk) "/" Junk
    S: * LIST (\HasNoChildren \Sent) "/" Sent
    S: * LIST (\HasNoChildren \Trash) "/" Trash
    S: a OK *?
    C: b LIST "" ""
    S: * LIST (\Noselect) "/" ""
    S: b OK *?
    C: c LSUB "" %
    S: ...
    S: * LSUB () "/" Trash
    S: c OK *?
    C: d LIST "" (INBOX Sent) RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT))
    S: * LIST (\HasNoChildren \Subscribed) "/" INBOX
    S: * STATUS INBOX (MESSAGES 0 UIDNEXT 1)
    S: * LIST (\HasNoChildren \Subscribed \Sent) "/" Sent
    S: * STATUS Sent (MESSAGES 0 UIDNEXT 1)
    S: d OK *?
  )");
}

TEST_CASE("Mailboxes are made, renamed, subscribed and deleted", "[imap-gateway][component]") {
  GatewayFixture gateway;
  gateway.Client()->Play(R"(
    C: a CREATE a/b/c
    S: a OK [MAILBOXID (*?)] Create completed
    C: b CREATE a/b/c
    S: b NO [ALREADYEXISTS] *?
    C: c CREATE inbox
    S: c NO [ALREADYEXISTS] *?
    C: d CREATE "x*"
    S: d NO [CANNOT] *?
    C: e LIST "" a*
    S: * LIST (\HasChildren) "/" a
    S: * LIST (\HasChildren) "/" a/b
    S: * LIST (\HasNoChildren) "/" a/b/c
    S: e OK *?
    C: f DELETE a
    S: f NO [HASCHILDREN] *?
    C: g RENAME a "&AOQ-"
    S: g OK *?
    C: h LIST "" "&AOQ-*"
    S: * LIST (\HasChildren) "/" &AOQ-
    S: * LIST (\HasChildren) "/" &AOQ-/b
    S: * LIST (\HasNoChildren) "/" &AOQ-/b/c
    S: h OK *?
    C: i SUBSCRIBE "&AOQ-/b/c"
    S: i OK *?
    C: j LSUB "" "&AOQ-/%"
    S: * LSUB (\Noselect) "/" &AOQ-/b
    S: j OK *?
    C: k DELETE "&AOQ-/b/c"
    S: k OK *?
    C: l LIST (SUBSCRIBED) "" "&AOQ-*"
    S: * LIST (\NonExistent \HasNoChildren \Subscribed) "/" &AOQ-/b/c
    S: l OK *?
    C: m UNSUBSCRIBE "&AOQ-/b/c"
    S: m OK *?
    C: n DELETE nothing
    S: n NO [NONEXISTENT] *?
    C: o DELETE INBOX
    S: o NO [CANNOT] *?
    C: p SELECT nothing
    S: p NO [NONEXISTENT] *?
    C: q STATUS "&AOQ-" (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE)
    S: * STATUS &AOQ- (MESSAGES 0 RECENT 0 UIDNEXT 1 UIDVALIDITY *? UNSEEN 0 DELETED 0 SIZE 0)
    S: q OK *?
    C: r ENABLE IMAP4rev2
    S: * ENABLED IMAP4rev2
    S: r OK *?
    C: s LIST "" "ä"
    S: * LIST (\HasChildren) "/" "ä"
    S: s OK *?
  )");
}

TEST_CASE("Messages are appended and fetched", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  CHECK(client->Append("nothing", "", Message(1)) == "NO [TRYCREATE] No such mailbox");
  CHECK(client->Append("INBOX", "(\\Seen work) \" 1-Feb-2026 01:02:03 +0100\"", Message(1))
            .starts_with("OK [APPENDUID "));
  CHECK(client->Append("INBOX", "", Message(2)).starts_with("OK [APPENDUID "));
  client->Play(R"(
    C: a SELECT INBOX
    S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft work)
    S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft work \*)] *?
    S: * 2 EXISTS
    S: * 0 RECENT
    S: * OK [UIDVALIDITY *?] *?
    S: * OK [UIDNEXT 3] *?
    S: * OK [HIGHESTMODSEQ *?] *?
    S: * OK [MAILBOXID (*?)] *?
    S: a OK [READ-WRITE] Select completed
    C: b FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)
    S: * 1 FETCH (UID 1 FLAGS (\Seen work) INTERNALDATE "01-Feb-2026 00:02:03 +0000" RFC822.SIZE 145)
    S: * 2 FETCH (UID 2 FLAGS () INTERNALDATE "*?" RFC822.SIZE 145)
    S: b OK Fetch completed
    C: c UID FETCH 2 ENVELOPE
    S: * 2 FETCH (UID 2 ENVELOPE ("Mon, 02 Feb 2026 10:00:00 +0100" "number 2" (("Bob" NIL "bob" "c.example")) (("Bob" NIL "bob" "c.example")) (("Bob" NIL "bob" "c.example")) ((NIL NIL "alice" "b.example")) NIL NIL NIL "<2@c.example>"))
    S: c OK *?
    C: d FETCH 2 BODYSTRUCTURE
    S: * 2 FETCH (BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 10 1 NIL NIL NIL NIL))
    S: d OK *?
    C: e FETCH 3 FLAGS
    S: e BAD *?
    C: f UID FETCH 7:9 FLAGS
    S: f OK *?
    C: g FETCH 2 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])
  )");
  CHECK(client->Read() ==
        "* 2 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {21}\r\nSubject: number 2\r\n\r\n)");
  CHECK(client->Read().starts_with("g OK"));
  client->Send("h FETCH 2 BODY[TEXT]<6.100>\r\n");
  CHECK(client->Read() == "* 2 FETCH (BODY[TEXT]<6> {4}\r\n2.\r\n FLAGS (\\Seen))");
  CHECK(client->Read().starts_with("h OK"));
  client->Send("i FETCH 2 RFC822\r\n");
  CHECK(client->Read() == "* 2 FETCH (RFC822 {145}\r\n" + Message(2) + ")");
}

TEST_CASE("A large message is staged and fetched in chunks", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  std::string message = "Subject: large\r\n\r\n";
  for (int i = 0; i < 30000; ++i) message += "line number " + std::to_string(i) + "\r\n";
  CHECK(client->Append("INBOX", "", message).starts_with("OK [APPENDUID "));
  client->Ok("SELECT INBOX");
  const auto whole = client->Ok("FETCH 1 BODY.PEEK[]");
  CHECK(whole.front() ==
        "* 1 FETCH (BODY[] {" + std::to_string(message.size()) + "}\r\n" + message + ")");
  const auto part = client->Ok("FETCH 1 BODY.PEEK[]<400000.12>");
  CHECK(part.front() == "* 1 FETCH (BODY[]<400000> {12}\r\n" + message.substr(400000, 12) + ")");
  CHECK(client->Append("INBOX", "", std::string(9 << 20, 'x')) ==
        "NO [TOOBIG] Message is too large");
  client->Ok("NOOP");
}

TEST_CASE("Bare line feeds of an appended message become CRLF", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  CHECK(client->Append("INBOX", "", "Subject: x\n\nbody\n").starts_with("OK"));
  client->Ok("SELECT INBOX");
  CHECK(client->Ok("FETCH 1 BODY.PEEK[TEXT]").front() == "* 1 FETCH (BODY[TEXT] {6}\r\nbody\r\n)");
}

TEST_CASE("Flags are stored", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  for (int i = 1; i <= 3; ++i) client->Append("INBOX", "", Message(i));
  client->Ok("SELECT INBOX");
  client->Play(R"(
    C: a STORE 1:2 +FLAGS (\Seen $Forwarded)
    S: * 1 FETCH (UID 1 FLAGS (\Seen $Forwarded))
    S: * 2 FETCH (UID 2 FLAGS (\Seen $Forwarded))
    S: a OK *?
    C: b UID STORE 2 -FLAGS.SILENT (\Seen)
    S: b OK *?
    C: c STORE 2 FLAGS (\Flagged work)
    S: * 2 FETCH (UID 2 FLAGS (\Flagged work))
    S: c OK *?
    C: d FETCH 1:3 FLAGS
    S: * 1 FETCH (FLAGS (\Seen $Forwarded))
    S: * 2 FETCH (FLAGS (\Flagged work))
    S: * 3 FETCH (FLAGS ())
    S: d OK *?
    C: e EXAMINE INBOX
    S: ...
    S: e OK [READ-ONLY] *?
    C: f STORE 1 FLAGS ()
    S: f NO [READ-ONLY] *?
    C: g EXPUNGE
    S: g NO [READ-ONLY] *?
  )");
}

TEST_CASE("CONDSTORE refuses to overwrite and tells modseqs", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Append("INBOX", "", Message(1));
  client->Play(R"(
    C: a SELECT INBOX (CONDSTORE)
    S: ...
    S: a OK *?
    C: b STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Seen)
    S: ...
    S: b OK [MODIFIED 1] *?
    C: c STORE 1 +FLAGS.SILENT (\Seen)
    S: * 1 FETCH (UID 1 MODSEQ (*?))
    S: c OK *?
    C: d FETCH 1 (FLAGS) (CHANGEDSINCE 1)
    S: * 1 FETCH (MODSEQ (*?) FLAGS (\Seen))
    S: d OK *?
    C: e FETCH 1 (FLAGS) (CHANGEDSINCE 99999)
    S: e OK *?
    C: f SEARCH MODSEQ 1
    S: * SEARCH 1 (MODSEQ *?)
    S: f OK *?
  )");
}

TEST_CASE("Messages are found", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Append("INBOX", "(\\Seen)", Message(1));
  client->Append("INBOX", "(\\Flagged)", Message(2));
  client->Append("INBOX", "",
                 "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Other: value\r\nContent-Type: "
                 "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                 "R3LDvMOfZSBhdXMgS8O2bG4=\r\n");
  client->Ok("SELECT INBOX");
  client->Play(R"(
    C: a SEARCH ALL
    S: * SEARCH 1 2 3
    S: a OK *?
    C: b SEARCH UNSEEN
    S: * SEARCH 2 3
    S: b OK *?
    C: c UID SEARCH FROM bob SUBJECT "NUMBER 2"
    S: * SEARCH 2
    S: c OK *?
    C: d SEARCH CHARSET UTF-8 SUBJECT "grüsse"
    S: * SEARCH 3
    S: d OK *?
    C: e SEARCH BODY "aus köln"
    S: * SEARCH 3
    S: e OK *?
    C: f SEARCH TEXT "x-other: VALUE"
    S: * SEARCH 3
    S: f OK *?
    C: g SEARCH OR BODY "hello 1" FLAGGED
    S: * SEARCH 1 2
    S: g OK *?
    C: h SEARCH HEADER X-Other "" NOT SENTON 2-Feb-2026
    S: * SEARCH 3
    S: h OK *?
    C: i SEARCH SENTON 2-Feb-2026
    S: * SEARCH 1 2
    S: i OK *?
    C: j SEARCH CHARSET KOI8-R ALL
    S: j NO [BADCHARSET (UTF-8 US-ASCII)] *?
    C: k SEARCH RETURN (MIN COUNT SAVE) UNSEEN
    S: * ESEARCH (TAG "k") MIN 2 COUNT 2
    S: k OK *?
    C: l UID FETCH $ FLAGS
    S: * 2 FETCH (UID 2 FLAGS (\Flagged))
    S: * 3 FETCH (UID 3 FLAGS ())
    S: l OK *?
    C: m SEARCH LARGER 100 SMALLER 170
    S: * SEARCH 1 2*?
    S: m OK *?
    C: n SEARCH NOT 1:2
    S: * SEARCH 3
    S: n OK *?
    C: o SEARCH 4
    S: o BAD *?
    C: p SEARCH KEYWORD nothing
    S: * SEARCH
    S: p OK *?
  )");
}

TEST_CASE("Messages are copied, moved and expunged", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  for (int i = 1; i <= 4; ++i) client->Append("INBOX", "", Message(i));
  client->Ok("SELECT INBOX");
  client->Play(R"(
    C: a COPY 1:2 Archive
    S: a OK [COPYUID *? 1:2 1:2] Copy completed
    C: b COPY 1 nothing
    S: b NO [TRYCREATE] *?
    C: c MOVE 2 Trash
    S: * OK [COPYUID *? 2 1] Moved
    S: * 2 EXPUNGE
    S: c OK Move completed
    C: d UID STORE 1,3 +FLAGS.SILENT (\Deleted)
    S: d OK *?
    C: e UID EXPUNGE 3
    S: * 2 EXPUNGE
    S: e OK *?
    C: f EXPUNGE
    S: * 1 EXPUNGE
    S: f OK *?
    C: g FETCH 1 UID
    S: * 1 FETCH (UID 4)
    S: g OK *?
    C: h STORE 1 +FLAGS (\Deleted)
    S: * 1 FETCH (UID 4 FLAGS (\Deleted))
    S: h OK *?
    C: i CLOSE
    S: i OK *?
    C: j STATUS INBOX (MESSAGES)
    S: * STATUS INBOX (MESSAGES 0)
    S: j OK *?
    C: k STATUS Archive (MESSAGES)
    S: * STATUS Archive (MESSAGES 2)
    S: k OK *?
  )");
}

TEST_CASE("Other sessions' changes are told when sequence numbers may change",
          "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto reader = gateway.Client();
  auto writer = gateway.Client();
  for (int i = 1; i <= 3; ++i) writer->Append("INBOX", "", Message(i));
  reader->Ok("SELECT INBOX");
  writer->Ok("SELECT INBOX");
  writer->Ok("STORE 1 +FLAGS (\\Deleted)");
  reader->Play(R"(
    C: a NOOP
    S: * 1 FETCH (UID 1 FLAGS (\Deleted))
    S: a OK *?
  )");
  writer->Ok("EXPUNGE");
  reader->Play(R"(
    C: b FETCH 2 UID
    S: * 2 FETCH (UID 2)
    S: b OK Fetch completed
    C: c FETCH 1 (FLAGS)
    S: c OK [EXPUNGEISSUED] *?
    C: d UID SEARCH ALL
    S: * SEARCH *?
    S: * 1 EXPUNGE
    S: d OK *?
  )");
}

TEST_CASE("IDLE shows deliveries, flags and expunges of others", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto reader = gateway.Client();
  auto writer = gateway.Client();
  reader->Ok("SELECT INBOX");
  reader->Play("C: i IDLE\nS: + idling\n");
  CHECK(writer->Append("INBOX", "", Message(1)).starts_with("OK"));
  reader->Play("S: * 1 EXISTS\nS: * 0 RECENT\n");
  writer->Ok("SELECT INBOX");
  writer->Ok("STORE 1 +FLAGS (work \\Deleted)");
  reader->Play("S: * 1 FETCH (UID 1 FLAGS (\\Deleted work))\n");
  writer->Ok("EXPUNGE");
  reader->Play("S: * 1 EXPUNGE\nC: DONE\nS: i OK Idle completed\n");
}

TEST_CASE("QRESYNC tells what happened in between", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  for (int i = 1; i <= 3; ++i) client->Append("INBOX", "", Message(i));
  client->Ok("ENABLE QRESYNC");
  const auto selected = client->Ok("SELECT INBOX");
  std::string validity;
  std::string modseq;
  for (const std::string& line : selected) {
    if (line.starts_with("* OK [UIDVALIDITY ")) validity = line.substr(18, line.find(']') - 18);
    if (line.starts_with("* OK [HIGHESTMODSEQ ")) modseq = line.substr(20, line.find(']') - 20);
  }
  client->Ok("STORE 2 +FLAGS (\\Deleted)");
  CHECK(client->Ok("EXPUNGE").front() == "* VANISHED 2");
  client->Ok("STORE 2 +FLAGS (\\Flagged)");
  client->Ok("CLOSE");
  client->Play("C: q SELECT INBOX (QRESYNC (" + validity + " " + modseq +
               "))\nS: ...\nS: * VANISHED (EARLIER) 2\n"
               "S: * 2 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (*?))\nS: q OK *?\n");
}

TEST_CASE("BINARY fetches parts without their transfer encoding", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Append("INBOX", "",
                 "Content-Type: application/x; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                 "AAECAwQ=\r\n");
  client->Ok("SELECT INBOX");
  CHECK(client->Ok("FETCH 1 (BINARY.SIZE[1])").front() == "* 1 FETCH (BINARY.SIZE[1] 5)");
  CHECK(client->Ok("FETCH 1 BINARY.PEEK[1]<1.3>").front() ==
        "* 1 FETCH (BINARY[1]<1> ~{3}\r\n\x01\x02\x03)");
}

TEST_CASE("Renaming INBOX moves its messages", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Append("INBOX", "", Message(1));
  client->Ok("SELECT INBOX");
  client->Play(R"(
    C: a RENAME INBOX old/mail
    S: * 1 EXPUNGE
    S: a OK *?
    C: b STATUS old/mail (MESSAGES)
    S: * STATUS old/mail (MESSAGES 1)
    S: b OK *?
    C: c RENAME old old/mail/deeper
    S: c NO [CANNOT] *?
  )");
}

TEST_CASE("A session whose mailbox is deleted by another one ends", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  auto other = gateway.Client();
  client->Ok("CREATE gone");
  client->Ok("SELECT gone");
  other->Ok("DELETE gone");
  client->Play("C: a NOOP\nS: * BYE The selected mailbox was deleted\n");
  // Its own selected mailbox a session may delete.
  other->Ok("CREATE mine");
  other->Ok("SELECT mine");
  other->Ok("DELETE mine");
  CHECK(other->Run("FETCH 1 FLAGS").back() == "BAD No mailbox is selected");
}

TEST_CASE("IMAP4rev2 changes what is told", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  client->Append("INBOX", "", Message(1));
  client->Play(R"(
    C: a ENABLE IMAP4rev2
    S: * ENABLED IMAP4rev2
    S: a OK *?
    C: b SELECT INBOX
    S: * FLAGS *?
    S: * OK [PERMANENTFLAGS *?
    S: * 1 EXISTS
    S: * OK [UIDVALIDITY *?
    S: * OK [UIDNEXT 2] *?
    S: * OK [HIGHESTMODSEQ *?
    S: * OK [MAILBOXID *?
    S: * LIST () "/" INBOX
    S: b OK *?
    C: c SEARCH ALL
    S: * ESEARCH (TAG "c") ALL 1
    S: c OK *?
    C: d SELECT Sent
    S: * OK [CLOSED] *?
    S: ...
    S: d OK *?
  )");
}

TEST_CASE("Fields that delivery put in front move the body, not its parts",
          "[imap-gateway][component]") {
  GatewayFixture gateway;
  gateway.Deliver("alice@b.example",
                  "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
                  "Content-Type: text/html\r\n\r\n<p>two\r\n--b--\r\n",
                  "Return-Path: <bob@c.example>\r\n");
  auto client = gateway.Client();
  client->Ok("SELECT INBOX");
  CHECK(client->Ok("FETCH 1 BODY.PEEK[2]").front() == "* 1 FETCH (BODY[2] {6}\r\n<p>two)");
  CHECK(client->Ok("FETCH 1 BODY.PEEK[2.MIME]").front() ==
        "* 1 FETCH (BODY[2.MIME] {27}\r\nContent-Type: text/html\r\n\r\n)");
  CHECK(client->Ok("FETCH 1 BODY.PEEK[HEADER]<0.13>").front() ==
        "* 1 FETCH (BODY[HEADER]<0> {13}\r\nReturn-Path: )");
  CHECK(client->Ok("SEARCH BODY two").front() == "* SEARCH 1");
  CHECK(client->Ok("SEARCH HEADER Return-Path c.example").front() == "* SEARCH 1");
}

TEST_CASE("Every octet of a message comes in every partial", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  const std::string message = Message(7);
  client->Append("INBOX", "", message);
  client->Ok("SELECT INBOX");
  for (size_t at = 0; at <= message.size() + 1; at += 12) {
    const std::string want = at < message.size() ? message.substr(at, 12) : "";
    CHECK(client->Ok("FETCH 1 BODY.PEEK[]<" + std::to_string(at) + ".12>").front() ==
          "* 1 FETCH (BODY[]<" + std::to_string(at) + "> {" + std::to_string(want.size()) +
              "}\r\n" + want + ")");
  }
}

TEST_CASE("Pipelined commands are answered in order", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto client = gateway.Client();
  std::string commands;
  for (int i = 0; i < 200; ++i) commands += "p" + std::to_string(i) + " NOOP\r\n";
  client->Send(commands);
  for (int i = 0; i < 200; ++i) {
    REQUIRE(client->Read() == "p" + std::to_string(i) + " OK Done");
  }
}

TEST_CASE("A session that idles says BYE when the daemon drains", "[imap-gateway][component]") {
  GatewayFixture gateway;
  auto idler = gateway.Client();
  idler->Ok("SELECT INBOX");
  idler->Play("C: i IDLE\nS: + idling\n");
  auto waiter = gateway.Client();
  gateway.server()->Drain(absl::Seconds(1));
  CHECK(idler->Read() == "* BYE Server shuts down, please reconnect");
  CHECK(waiter->Read() == "* BYE Server shuts down, please reconnect");
}

TEST_CASE("Commands behind STARTTLS end the session", "[imap-gateway][component]") {
  GatewayFixture gateway;
  ImapClient client(gateway.port());
  client.Read();
  client.Send("a STARTTLS\r\nb LOGIN alice@b.example secret\r\n");
  CHECK(client.Read() == "* BYE Commands behind STARTTLS");
}

}  // namespace
}  // namespace godwit::imap_gateway
