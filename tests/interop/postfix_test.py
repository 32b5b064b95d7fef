"""A Postfix of Debian delivers to us over STARTTLS, with our certificate verified."""

import email
import email.policy
import os
import shutil
import smtplib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402
import postfix_peer  # noqa: E402

SENDER = "ann@sender.test"
MESSAGES = 50


def body_of(number):
    """Most are small; some have eight bits, dots at the start of lines, long lines, or many."""
    if number == 7:
        return "".join(f"{line:07d} {'y' * 70}\n" for line in range(20000))
    if number % 5 == 0:
        return f"Grüße Nummer {number}: äöü€\n.\n..\n.beginning\n"
    if number % 5 == 1:
        return "z" * 980 + "\n" + "no more\n"
    return f"message {number}\n"


def text_of(number, sender, recipient):
    """As sendmail(1) takes it: lines end with LF."""
    return (f"From: {sender}\nTo: {recipient}\nSubject: message {number}\nMessage-ID: <{number}@sender.test>\n"
            "Date: Mon, 2 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
            f"\n{body_of(number)}").encode()


@unittest.skipIf(os.geteuid() != 0 and not os.path.exists("/usr/bin/newuidmap"),
                 "Postfix needs users of its own; the package uidmap is not there")
class PostfixDelivers(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
               'postfix.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
               "postfix.test. 60 IN A 127.0.0.1"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="godwit-postfix-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)  # its users differ
        os.mkdir(os.path.join(cls.folder, "mail"))
        port = harness.split(cls.suite.told["smtp"])[1]
        cls.postfix = postfix_peer.Postfix(harness.ROOT, os.path.join(cls.folder, "state"), [
            f"relayhost = [localhost]:{port}",
            "smtp_tls_security_level = verify",
            "smtp_tls_verify_cert_match = hostname",
            "smtp_tls_CAfile = /etc/postfix/godwit-ca.pem",
            "smtp_tls_loglevel = 1",
            # At once, so that the test need not wait.
            "minimal_backoff_time = 1s", "maximal_backoff_time = 2s", "queue_run_delay = 1s",
            "smtputf8_enable = no"])
        shutil.copy(cls.suite.told["ca_file"], cls.postfix.path("etc/postfix/godwit-ca.pem"))
        cls.addClassCleanup(cls.postfix.stop)
        cls.postfix.start()

    def submit(self, sender, recipient, texts):
        """By sendmail(1), one message after the other."""
        folder = os.path.join(self.folder, "mail")
        for number, text in enumerate(texts):
            with open(os.path.join(folder, str(number)), "wb") as out:
                out.write(text)
        self.postfix.run(f"for number in $(seq 0 {len(texts) - 1}); do"
                         f" sendmail -i -f {sender} {recipient} < /srv/mail/$number; done",
                         binds=[f"{folder}:/srv/mail"])

    def wait_delivered(self, address, count):
        self.wait_for(lambda: self.count(address) >= count, 60, f"{count} messages: {self.postfix.log()[-3000:]}")
        self.assertEqual(self.count(address), count)

    def count(self, address):
        with self.imap(address) as client:
            return int(client.select(readonly=True)[1][0])

    def read(self, address):
        """{subject: message as bytes}"""
        return {email.message_from_bytes(raw)["Subject"]: raw for raw in self.inbox(address)}

    def test_fifty_messages_of_every_kind_arrive_as_they_were(self):
        fifty = self.new_account("fifty")
        sent = [text_of(number, SENDER, fifty) for number in range(MESSAGES)]
        self.submit(SENDER, fifty, sent)
        self.wait_delivered(fifty, MESSAGES)
        got = self.read(fifty)
        self.assertEqual(len(got), MESSAGES)
        for number, text in enumerate(sent):
            with self.subTest(number):
                raw = got[f"message {number}"]
                body = text.partition(b"\n\n")[2].replace(b"\n", b"\r\n")
                self.assertEqual(raw.partition(b"\r\n\r\n")[2], body)
                message = email.message_from_bytes(raw)
                self.assertEqual((message["Return-Path"], message["Delivered-To"]), (f"<{SENDER}>", fifty))
                self.assertIn("spf=pass", message["Authentication-Results"])
                received = message.get_all("Received")[0]
                self.assertRegex(received, r"with ESMTPS\b")
                self.assertRegex(received, r"\(TLSv1\.3 TLS_\w+ ")
        self.assertEqual(self.postfix.queued(), 0)
        self.assertIn("Verified TLS connection established to localhost", self.postfix.log())
        self.assertNotIn("status=deferred", self.postfix.log())

    def test_a_refused_recipient_comes_back_as_a_bounce_that_names_our_reply(self):
        before = self.count(self.bob)
        self.submit(self.bob, "nobody@godwit.test", [text_of(1, self.bob, "nobody@godwit.test")])
        self.wait_delivered(self.bob, before + 1)
        bounce = email.message_from_bytes(self.inbox(self.bob)[-1], policy=email.policy.default)
        self.assertEqual(bounce["Return-Path"], "<>")
        self.assertEqual(bounce.get_content_type(), "multipart/report")
        status = next(part for part in bounce.walk() if part.get_content_type() == "message/delivery-status")
        (recipient,) = [block for block in status.get_payload() if block["Final-Recipient"]]
        self.assertIn("nobody@godwit.test", recipient["Final-Recipient"])
        self.assertEqual((recipient["Action"], recipient["Status"]), ("failed", "5.1.1"))
        self.assertIn("550", recipient["Diagnostic-Code"])
        self.assertIn("status=bounced", self.postfix.log())

    def test_refused_and_known_recipients_of_one_message_are_told_apart(self):
        before = self.count(self.bob), self.count(self.postmaster)
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30) as client:
            client.sendmail(self.bob, [self.postmaster, "nobody@godwit.test"], text_of(2, self.bob, self.postmaster))
        self.wait_delivered(self.postmaster, before[1] + 1)
        self.wait_delivered(self.bob, before[0] + 1)

    def test_what_we_defer_is_brought_again_when_we_are_back(self):
        before = self.count(self.alice)
        self.suite.stop()
        try:
            self.submit(SENDER, self.alice, [text_of(number, SENDER, self.alice) for number in (2, 3)])
            self.wait_for(lambda: self.postfix.log().count("status=deferred") >= 2, 30, "deferral")
        finally:
            self.suite.start()
        self.wait_delivered(self.alice, before + 2)


if __name__ == "__main__":
    harness.main()
