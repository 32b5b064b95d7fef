// BDAT, BINARYMIME, smuggling and strangers, over real sockets against the whole daemon.

#include "services/smtp-ingress/ingress_fixture.h"

namespace godwit::smtp_ingress {
namespace {

const std::string kAccepted = "250 2.0.0 Message accepted";

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// EHLO, MAIL, RCPT.
void Begin(SmtpClient* client, const std::string& mail_parameters = "") {
  client->Say("EHLO client.test");
  REQUIRE(client->Say("MAIL FROM:<s@x.example>" + mail_parameters).substr(0, 3) == "250");
  REQUIRE(client->Say("RCPT TO:<alice@y.example>").substr(0, 3) == "250");
}

std::string Bdat(std::string_view text, bool last) {
  return "BDAT " + std::to_string(text.size()) + (last ? " LAST\r\n" : "\r\n") + std::string(text);
}

TEST_CASE_METHOD(IngressFixture, "A message in chunks is delivered, pipelined or not (RFC 3030)",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK(Contains(client.Say("EHLO c"),
                 "SMTPUTF8|CHUNKING|BINARYMIME|LIMITS MAILMAX=1000 RCPTMAX=1000"));
  Begin(&client);
  client.Send(Bdat("Subject: chunks\r\n\r\n.\r\nQU", false));
  CHECK(client.Reply() == "250 2.0.0 24 octets received");
  client.Send(Bdat("IT\r\n", false) + Bdat("", true));
  CHECK(client.Reply() == "250 2.0.0 4 octets received");
  CHECK(client.Reply() == kAccepted);
  CHECK(Contains(OnlyMessage(alice), "Subject: chunks\r\n\r\n.\r\nQUIT\r\n"));
  CHECK(verifier.data == "Subject: chunks\r\n\r\n.\r\nQUIT\r\n");

  client.Send("MAIL FROM:<s@x.example>\r\nRCPT TO:<bob@y.example>\r\n" +
              Bdat("Subject: one\r\n\r\n", true) +
              "MAIL FROM:<s@x.example>\r\nRCPT TO:<nobody@y.example>\r\n" +
              Bdat("MAIL FROM:<evil@x.example>\r\n", true) + "RSET\r\nQUIT\r\n");
  for (const std::string& want :
       {std::string("250 2.1.0 Sender OK"), std::string("250 2.1.5 Recipient OK"), kAccepted,
        std::string("250 2.1.0 Sender OK"), std::string("550 5.1.1 No such user here"),
        std::string("554 5.5.1 No valid recipients"), std::string("250 2.0.0 OK"),
        std::string("221 2.0.0 Goodbye"), std::string("(closed)")}) {
    CHECK(client.Reply() == want);
  }
  CHECK(CountEmails() == "2");
  CheckStore();
}

// 1.2 MB of every octet in parts of 20 KB, so that all stages of the way are used several times.
TEST_CASE_METHOD(IngressFixture,
                 "A binary message is verified as it came and stored in base64 (RFC 3030 §3)",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  std::string octets;
  for (int64_t i = 0; octets.size() < 1'200'000; ++i) octets += static_cast<char>(i * i / 7);
  const std::string front =
      "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
      "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n"
      "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n";
  const std::string message = front + octets + "\r\n--b--\r\n";
  Begin(&client, " BODY=BINARYMIME");
  for (size_t at = 0; at < message.size(); at += 20'000) {
    client.Send(Bdat(message.substr(at, 20'000), false));
    CHECK(client.Reply().substr(0, 3) == "250");
  }
  client.Send("BDAT 0 LAST\r\n");
  CHECK(client.Reply() == kAccepted);
  CHECK(verifier.data == message);
  const std::string stored = OnlyMessage(alice);
  CHECK(Contains(stored,
                 "Content-Type: multipart/mixed; boundary=b\r\n"
                 "Content-Transfer-Encoding: 8bit\r\n\r\n--b\r\n"));
  CHECK(Contains(stored, "Content-Transfer-Encoding: base64\r\n\r\n"));
  CHECK_FALSE(Contains(stored, "binary"));
  CHECK(stored.find('\0') == std::string::npos);
  CHECK(stored.size() > octets.size() * 4 / 3);
  CHECK(stored.ends_with("\r\n--b--\r\n"));
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "Binary mail that can not become lines is refused",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  const auto send = [&](const std::string& text) {
    Begin(&client, " BODY=BINARYMIME");
    client.Send(Bdat(text, true));
    return client.Reply();
  };
  CHECK(send("Subject: a\r\n\r\na\nb\r\n") == "550 5.6.11 Bare CR or bare LF in the message");
  CHECK(send("Subject: a\nTo: b\r\n\r\n") == "550 5.6.11 Bare CR or bare LF in the message");
  CHECK(send("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n"
             "Content-Transfer-Encoding: binary\r\n\r\nx\r\n--b--\r\n") ==
        "554 5.6.2 Binary parts can not be encoded, a signature covers them");
  CHECK(CountEmails() == "0");
  CHECK(database.Ask("SELECT count(*) FROM staged_blobs") == "0");
  // No line end at all: text that is nothing but a header.
  CHECK(send("Subject: a") == kAccepted);
  CHECK(OnlyMessage(alice).ends_with("\r\nSubject: a\r\n\r\n"));
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "Chunks over the size limit, given up, or cut off leave nothing",
                 "[smtp-ingress][component]") {
  Start("limits: {message_size: 1MiB}\n");
  SmtpClient client = Connect();
  client.Reply();
  std::string line = std::string(998, 'x') + "\r\n";
  std::string half = "Subject: a\r\n\r\n";
  while (half.size() < 600'000) half += line;
  Begin(&client);
  client.Send(Bdat(half, false) + Bdat(half, false) + Bdat(half, true) + "NOOP\r\n");
  CHECK(client.Reply().substr(0, 3) == "250");
  CHECK(client.Reply() == "552 5.3.4 Message size exceeds the limit");
  CHECK(client.Reply() == "503 5.5.1 Send MAIL first");
  CHECK(client.Reply() == "250 2.0.0 OK");
  Begin(&client);
  client.Send(Bdat(half, false) + "RSET\r\n");
  CHECK(client.Reply().substr(0, 3) == "250");
  CHECK(client.Reply() == "250 2.0.0 OK");
  CHECK(client.Say("NOOP") == "250 2.0.0 OK");  // what was staged is dropped before this is read
  CHECK(database.Ask("SELECT count(*) FROM staged_blobs") == "0");
  Begin(&client);
  client.Send(Bdat(half, false) + "QUIT\r\n");
  CHECK(client.Reply().substr(0, 3) == "250");
  CHECK(client.Reply() == "221 2.0.0 Goodbye");
  CHECK(client.Reply() == "(closed)");
  CHECK(CountEmails() == "0");
  CheckStore();
}

std::vector<std::string> LineEnds() {
  return {"\r\n",
          "\n",
          "\r",
          "\r\r\n",
          "\n\r",
          std::string("\r\0\n", 3),
          std::string("\0\r\n", 3),
          std::string("\n\0", 2),
          " \r\n",
          ""};
}

// One connection a variant; behind each false end a whole second message.
TEST_CASE_METHOD(IngressFixture, "No end of data but CRLF.CRLF lets a second message in",
                 "[smtp-ingress][component]") {
  Start();
  const bool pipelined = GENERATE(false, true);
  const bool chunked = GENERATE(false, true);
  const std::string evil =
      "MAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@y.example>\r\nDATA\r\nSubject: evil\r\n\r\n.\r\n";
  for (const std::string& before : LineEnds()) {
    for (const std::string& after : LineEnds()) {
      if (before.ends_with("\r\n") && after.starts_with("\r\n") && !chunked) continue;
      const std::string text = "Subject: a\r\n\r\ntext" + before + "." + after + evil;
      CAPTURE(pipelined, chunked, text);
      SmtpClient client = Connect();
      client.Reply();
      const std::string data = chunked ? Bdat(text, true) : text;
      if (pipelined) {
        // As one segment: commands, message, and the commands in it.
        client.Say("EHLO c");
        client.Send("MAIL FROM:<s@x.example>\r\nRCPT TO:<alice@y.example>\r\n" +
                    std::string(chunked ? "" : "DATA\r\n") + data + "NOOP\r\n");
        client.Reply();
        client.Reply();
        if (!chunked) CHECK(client.Reply().substr(0, 3) == "354");
      } else {
        Begin(&client);
        if (!chunked) CHECK(client.Say("DATA").substr(0, 3) == "354");
        client.Send(data + "NOOP\r\n");
      }
      const std::string end = client.Reply();
      CHECK((end == kAccepted || end == "550 5.6.11 Bare CR or bare LF in the message"));
      CHECK(client.Reply() == "250 2.0.0 OK");
      CHECK(client.Say("QUIT") == "221 2.0.0 Goodbye");
    }
  }
  // Whoever got one, got the outer one, and bob none.
  CHECK(database.Ask("SELECT count(*) FROM mailbox_entries WHERE account_id = " +
                     std::to_string(store::ToInt(bob))) == "0");
  CheckStore();
}

TEST_CASE_METHOD(IngressFixture, "Strangers on the port get a clear end",
                 "[smtp-ingress][component]") {
  Start();
  const std::string evil = "EHLO c\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@y.example>\r\n";
  for (const std::string& first :
       {std::string("GET / HTTP/1.1\r\nHost: mx\r\n\r\n"), std::string("PRI * HTTP/2.0\r\n\r\n"),
        std::string("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}) {
    CAPTURE(first);
    SmtpClient client = Connect();
    client.Reply();
    client.Send(first + evil);
    CHECK(client.Reply().substr(0, 9) == "554 5.5.1");
    CHECK(client.Reply() == "(closed)");
  }
  SmtpClient client = Connect();
  client.Reply();
  client.Say("EHLO c");
  client.Send("STARTTLS\r\n" + evil);
  CHECK(client.Reply() == "503 5.5.1 Pipelining not allowed here, closing");
  CHECK(client.Reply() == "(closed)");
}

TEST_CASE_METHOD(IngressFixture, "REQUIRETLS is offered on TLS, and told in Received (RFC 8689 §2)",
                 "[smtp-ingress][component]") {
  Start();
  SmtpClient client = Connect();
  client.Reply();
  CHECK_FALSE(Contains(client.Say("EHLO c"), "REQUIRETLS"));
  CHECK(client.Say("MAIL FROM:<s@x.example> REQUIRETLS") == "555 5.5.4 Parameter not recognized");
  client.Say("STARTTLS");
  REQUIRE(client.StartTls(ClientTls(), "mx.y.example"));
  CHECK(Contains(client.Say("EHLO c"), "REQUIRETLS"));
  CHECK(client.SendMessage("s@x.example", {"alice@y.example"}, "Subject: a\r\n\r\n",
                           " REQUIRETLS") == kAccepted);
  CHECK(Contains(OnlyMessage(alice), "by mx.y.example with ESMTPS (requiretls) id "));
}

TEST_CASE_METHOD(IngressFixture, "A host that takes no mail says 521 (RFC 7504 §3)",
                 "[smtp-ingress][component]") {
  Start("no_mail: true\n");
  SmtpClient client = Connect();
  CHECK(client.Reply() == "521 5.3.2 This host does not accept mail");
  CHECK(client.Reply() == "(closed)");
  SmtpClient internal(internal_endpoint());
  REQUIRE(internal.StartTls(ClientTls("delivery-queue"), "smtp-ingress"));
  CHECK(internal.Reply() == "220 mx.y.example ESMTP Godwit");
}

}  // namespace
}  // namespace godwit::smtp_ingress
