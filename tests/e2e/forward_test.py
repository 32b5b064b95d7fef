"""Mail that goes on: forwarded by an alias, its bounce back to the sender, and relayed domains.

Mail for other servers lies in the folder `capture`, as tools/localserve has it without --outbound.
"""

import email
import email.policy
import glob
import json
import os
import smtplib
import unittest

import harness

OUT = "out@godwit.test"
ELSEWHERE = "member@elsewhere.test"
SENDER = "Ann@sender.test"


class Forward(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"', 'elsewhere.test. 60 IN TXT "v=spf1 -all"']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ctl("alias", "add", OUT, ELSEWHERE, cls.bob)
        cls.ctl("domain", "add", "relayed.test")
        cls.ctl("domain", "set", "relayed.test", "--kind", "relay", "--next-hop", "192.0.2.1:25")

    @classmethod
    def ctl(cls, *words):
        return harness.godwitctl(*words, conninfo=cls.suite.superuser())

    def captured(self, subject, recipient):
        """(text, envelope) of the captured message of this subject for this recipient."""
        def look():
            for path in glob.glob(os.path.join(self.suite.dir, "capture", "*.eml")):
                with open(path, "rb") as source:
                    text = source.read()
                with open(path[:-len("eml")] + "json", encoding="utf-8") as source:
                    envelope = json.load(source)
                if subject in text.decode() and recipient in envelope["rcpt_to"]:
                    return text, envelope
            return None
        return self.wait_for(look, 20, f"{subject} for {recipient} in the capture folder")

    @staticmethod
    def parse(text):
        return email.message_from_bytes(text, policy=email.policy.default)

    def test_a_forwarded_message_and_its_bounce(self):
        self.send(SENDER, [OUT], harness.message(SENDER, OUT, subject="to be forwarded"))
        text, envelope = self.captured("to be forwarded", ELSEWHERE)
        sender = envelope["mail_from"]
        self.assertRegex(sender, r"^SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=sender\.test=Ann@godwit\.test$")
        self.assertEqual(envelope["rcpt_to"], [ELSEWHERE])
        message = self.parse(text)
        self.assertIsNone(message["Return-Path"])
        self.assertEqual(message["Delivered-To"], OUT)  # it forwards, and would know it again
        self.assertTrue(message["Received"])
        self.assertTrue(message["Authentication-Results"])
        # RFC 8617: sealed by the domain it came to.
        self.assertIn("d=godwit.test;", "".join(message["ARC-Seal"].split()))
        self.assertTrue(message["ARC-Authentication-Results"])
        self.assertNotIn(b"\n", text.replace(b"\r\n", b""))
        self.assertNotIn(b"\r", text.replace(b"\r\n", b""))
        # The member who is here has it as every other message.
        here = [self.parse(found) for found in self.inbox(self.bob)]
        self.assertIn("<Ann@sender.test>", [found["Return-Path"] for found in here])

        # The next server does not want it, and says so to the sender that it was told.
        bounce = harness.message("mailer-daemon@elsewhere.test", sender, subject="bounce of it")
        self.send("", [sender], bounce)
        text, envelope = self.captured("bounce of it", SENDER)
        self.assertEqual((envelope["mail_from"], envelope["rcpt_to"]), ("", [SENDER]))

        # Nobody sends anything else through it, and nobody makes one up.
        forged = "SRS0=AAAAAAAA=" + sender[len("SRS0=AAAAAAAA="):]
        for mail_from, to, code in (("spam@sender.test", sender, 550), ("", forged, 550)):
            with self.subTest(mail_from=mail_from, to=to):
                with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                    self.send(mail_from, [to], bounce)
                self.assertEqual(refused.exception.recipients[to][0], code)

    def test_a_relayed_domain_gets_its_mail_as_it_is(self):
        to = "Somebody+tag@relayed.test"
        self.send(SENDER, [to], harness.message(SENDER, to, subject="to be relayed"))
        envelope = self.captured("to be relayed", to)[1]
        self.assertEqual((envelope["mail_from"], envelope["rcpt_to"]), (SENDER, [to]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
