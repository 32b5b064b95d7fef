"""Mail comes in over SMTP, is verified, stored, and read over IMAP."""

import email
import email.policy
import glob
import os
import smtplib
import socket
import threading

import harness

DKIM_FREE_SENDERS = [
    'sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
    "sender.test. 60 IN MX 10 mx.sender.test.",
    "mx.sender.test. 60 IN A 127.0.0.1",
    'elsewhere.test. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"',
    'soft.test. 60 IN TXT "v=spf1 ip4:192.0.2.1 ~all"',
    'strict.test. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"',
    '_dmarc.strict.test. 60 IN TXT "v=DMARC1; p=reject"',
    'careful.test. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"',
    '_dmarc.careful.test. 60 IN TXT "v=DMARC1; p=quarantine"',
]


class MailIn(harness.SuiteCase):
    records = DKIM_FREE_SENDERS

    def newest(self, address, name="INBOX"):
        return email.message_from_bytes(self.mailbox(address, name)[-1])

    def send_from(self, domain, **headers):
        sender = f"ann@{domain}"
        return self.send(sender, [self.alice], harness.message(sender, self.alice, **headers))

    def test_a_message_is_read_as_it_was_sent(self):
        sent = harness.message("ann@sender.test", self.alice, subject="Grüße", body="Zeile eins\n.\n..zwei\n")
        raw = sent.as_bytes(policy=sent.policy.clone(linesep="\r\n"))
        self.send("ann@sender.test", [self.alice], raw)
        stored = self.inbox(self.alice)[-1]
        self.assertTrue(stored.endswith(raw), stored)
        got = email.message_from_bytes(stored)
        self.assertEqual(got["Return-Path"], "<ann@sender.test>")
        self.assertEqual(got["Delivered-To"], self.alice)
        self.assertIn("with ESMTPS", got["Received"])
        self.assertIn("spf=pass", got["Authentication-Results"])

    def test_postmaster_without_a_domain_is_taken(self):
        before = len(self.inbox(self.postmaster))
        self.send("ann@sender.test", ["postmaster"], harness.message("ann@sender.test", "postmaster@godwit.test"))
        self.assertEqual(len(self.inbox(self.postmaster)), before + 1)

    def test_two_recipients_get_a_copy_each(self):
        before = len(self.inbox(self.alice)), len(self.inbox(self.bob))
        sent = harness.message("ann@sender.test", [self.alice, self.bob])
        self.assertEqual(self.send("ann@sender.test", [self.alice, self.bob], sent), {})
        self.assertEqual((len(self.inbox(self.alice)), len(self.inbox(self.bob))), (before[0] + 1, before[1] + 1))

    def test_spf_results_stand_in_the_header(self):
        for domain, result in (("sender.test", "pass"), ("elsewhere.test", "fail"), ("soft.test", "softfail")):
            with self.subTest(domain):
                self.send_from(domain)
                self.assertIn(f"spf={result}", self.newest(self.alice)["Authentication-Results"])

    def test_dmarc_reject_is_honoured(self):
        before = len(self.inbox(self.alice))
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            self.send_from("strict.test")
        self.assertEqual(refused.exception.smtp_code, 550)
        self.assertIn(b"5.7.", refused.exception.smtp_error)
        self.assertEqual(len(self.inbox(self.alice)), before)

    def test_the_id_of_a_refusal_leads_to_its_reason(self):
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            self.send_from("strict.test")
        name = refused.exception.smtp_error.decode().rsplit("[", 1)[1].rstrip("]")

        def known():
            try:
                return harness.godwitctl("session", name, "--json", conninfo=self.suite.told["postgres"])
            except AssertionError:
                return None  # written within a second or so

        row = self.wait_for(known)[0]
        self.assertEqual((row["id"], row["client"], row["reason"]), (name, "127.0.0.1", "dmarc-reject"))
        self.assertEqual([each["address"] for each in row["recipients"]], [self.alice])
        self.assertIn("dmarc=fail", row["verdict"])
        listed = harness.godwitctl("sessions", "--since", "5m", "--client", "127.0.0.0/8", "--json",
                                   conninfo=self.suite.told["postgres"])
        self.assertIn(name, [each["id"] for each in listed])

    def test_a_malformed_from_does_not_go_past_dmarc(self):
        forged, own = "ann@strict.test", "ann@sender.test"
        cases = {
            "two fields": f"From: {forged}\r\nFrom: {own}\r\n",
            "two fields, the other way round": f"From: {own}\r\nFrom: {forged}\r\n",
            "no field": "X-From: nobody\r\n",
            "behind an empty line": f"\r\nFrom: {forged}\r\n",
            "two domains": f"From: {forged}, {own}\r\n",
            "a dot behind the domain": f"From: {forged}.\r\n",
            "text behind the address": f"From: <{forged}> junk\r\n",
            "two brackets": f"From: <<{forged}>>\r\n",
        }
        before = len(self.inbox(self.alice))
        for name, field in cases.items():
            with self.subTest(name), self.assertRaises(smtplib.SMTPDataError) as refused:
                self.send(own, [self.alice], f"{field}To: {self.alice}\r\nSubject: forged\r\n\r\ntext\r\n".encode())
            self.assertEqual(refused.exception.smtp_code, 550)
            self.assertRegex(refused.exception.smtp_error, rb"^5\.7\.(1|26) ")
        self.assertEqual(len(self.inbox(self.alice)), before)

    def test_dmarc_quarantine_goes_to_junk(self):
        self.send_from("careful.test", subject="suspicious")
        self.assertEqual(self.newest(self.alice, "Junk")["Subject"], "suspicious")

    def test_forged_results_in_our_name_are_removed(self):
        self.send_from("sender.test", Authentication_Results="mx.godwit.test; dkim=pass header.d=bank.test")
        results = self.newest(self.alice).get_all("Authentication-Results")
        self.assertEqual(len(results), 1)
        self.assertNotIn("bank.test", results[0])

    def test_unknown_users_and_domains_are_refused(self):
        for recipient, code in (("nobody@godwit.test", 550), ("someone@elsewhere.test", 550)):
            with self.subTest(recipient), self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                self.send("ann@sender.test", [recipient], harness.message("ann@sender.test", recipient))
            self.assertEqual(refused.exception.recipients[recipient][0], code)

    def test_tags_and_aliases(self):
        harness.godwitctl("alias", "add", "team@godwit.test", self.alice, self.bob, conninfo=self.suite.superuser())
        before = len(self.inbox(self.alice)), len(self.inbox(self.bob))
        self.send("ann@sender.test", ["team@godwit.test"], harness.message("ann@sender.test", "team@godwit.test"))
        self.send("ann@sender.test", ["alice+lists@godwit.test"], harness.message("ann@sender.test", "alice+lists@x"))
        self.assertEqual((len(self.inbox(self.alice)), len(self.inbox(self.bob))), (before[0] + 2, before[1] + 1))

    def notices(self):
        """{text} of the notifications that were captured on their way to another domain."""
        found = set()
        for path in glob.glob(os.path.join(self.suite.dir, "capture", "*.eml")):
            with open(path, "rb") as source:
                text = source.read()
            if b"multipart/report" in text:
                found.add(text)
        return found

    def test_a_sender_who_asks_hears_of_the_delivery(self):
        """RFC 3461: NOTIFY=SUCCESS, ENVID and ORCPT; signed, and only to whom SPF confirms."""
        before = self.notices()
        for sender in ("ann@elsewhere.test", "ann@sender.test"):
            sent = harness.message(sender, self.alice, subject="notify")
            content = sent.as_bytes(policy=sent.policy.clone(linesep="\r\n"))
            with self.smtp() as client:
                client.ehlo()
                self.assertTrue(client.has_extn("dsn"))
                client.sendmail(sender, [self.alice], content, mail_options=["ENVID=one+2Btwo", "RET=HDRS"],
                                rcpt_options=["NOTIFY=SUCCESS", f"ORCPT=rfc822;{self.alice}"])
        self.wait_for(lambda: len(self.notices() - before) == 1, 20, "one notification")
        text = (self.notices() - before).pop()
        notice = email.message_from_bytes(text, policy=email.policy.default)
        self.assertEqual(notice["To"], "ann@sender.test")
        self.assertIn("d=godwit.test", notice["DKIM-Signature"])
        report = text.decode().replace("\r\n", "\n")
        for line in ("Original-Envelope-Id: one+two", f"Original-Recipient: rfc822;{self.alice}",
                     f"Final-Recipient: rfc822;{self.alice}", "Action: delivered", "Status: 2.0.0"):
            self.assertIn("\n" + line + "\n", report.replace("; ", ";"))

    def test_a_large_message_arrives_whole(self):
        body = "".join(f"line {i:06d} {'x' * 60}\n" for i in range(30000))  # 2.2 MB
        sent = harness.message("ann@sender.test", self.bob, body=body)
        raw = sent.as_bytes(policy=sent.policy.clone(linesep="\r\n"))
        self.send("ann@sender.test", [self.bob], raw)
        self.assertTrue(self.inbox(self.bob)[-1].endswith(raw))

    def test_idle_sees_a_delivery(self):
        with self.imap(self.postmaster) as client:
            client.select()
            client.send(b"i1 IDLE\r\n")
            self.assertTrue(client.readline().startswith(b"+"))
            sender = threading.Timer(0.2, lambda: self.send(
                "ann@sender.test", [self.postmaster], harness.message("ann@sender.test", self.postmaster)))
            sender.start()
            line = client.readline()
            while b"EXISTS" not in line:
                self.assertTrue(line, "the connection ended")
                line = client.readline()
            sender.join()
            client.send(b"DONE\r\n")
            while not line.startswith(b"i1 OK"):
                line = client.readline()


class MailStays(harness.SuiteCase):
    def test_a_second_start_finds_all_mail_again(self):
        self.send("ann@godwit.test", [self.alice], harness.message("ann@other.test", self.alice, subject="stays"))
        self.suite.stop()
        self.suite.start()
        self.assertEqual([email.message_from_bytes(raw)["Subject"] for raw in self.inbox(self.alice)], ["stays"])



class SilentDns(harness.SuiteCase):
    """The name servers of silent.test never answer."""

    records = [
        "far.test. 60 IN MX 10 mx.far.test.",
        'far.test. 60 IN TXT "v=spf1 include:silent.test -all"',
        "strict-far.test. 60 IN MX 10 mx.far.test.",
        'strict-far.test. 60 IN TXT "v=spf1 include:silent.test -all"',
        '_dmarc.strict-far.test. 60 IN TXT "v=DMARC1; p=reject"',
        "near.test. 60 IN MX 10 mx.far.test.",
        'near.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
    ]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        cls.addClassCleanup(silent.close)
        silent.bind(("127.0.0.1", 0))
        unbound = cls.suite.unbound
        unbound.stop()
        with open(os.path.join(unbound.folder, "unbound.conf"), "a", encoding="ascii") as out:
            out.write('server:\n  local-zone: "silent.test." transparent\n'
                      f'stub-zone:\n  name: "silent.test."\n  stub-addr: 127.0.0.1@{silent.getsockname()[1]}\n')
        unbound.restart()

    def send_from(self, domain, subject="hello"):
        """The code that it is answered with."""
        try:
            self.send(f"ann@{domain}", [self.alice], harness.message(f"ann@{domain}", self.alice, subject))
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
            return refused.smtp_code
        return 250

    def test_nobody_waits_for_another_domains_servers(self):
        codes = {}
        slow = [threading.Thread(target=lambda name=name: codes.update({name: self.send_from(name, name)}))
                for name in ("far.test", "strict-far.test", "silent.test")]
        for thread in slow:
            thread.start()
        for _ in range(5):
            self.assertEqual(self.send_from("near.test"), 250)
        self.assertEqual(codes, {}, "the silent servers were not waited for")
        for thread in slow:
            thread.join(60)
        # Whether there is such a sender; whether SPF passes, where nothing depends on it and where a
        # rejection does: what RFC 7208 calls temperror is a reason to come again only then.
        self.assertEqual(codes, {"silent.test": 451, "far.test": 250, "strict-far.test": 451})
        found = [mail for mail in map(email.message_from_bytes, self.inbox(self.alice)) if mail["Subject"] == "far.test"]
        self.assertIn("spf=temperror", found[0]["Authentication-Results"])


if __name__ == "__main__":
    harness.main()
