"""Mail from our users: submitted, signed, queued, and delivered to our own domain or captured.

Other domains' mail lies in the folder `capture`, as tools/localserve has it without --outbound.
"""

import email
import email.policy
import glob
import json
import os
import smtplib
import subprocess
import unittest

import harness
from scram import Scram

FOREIGN = "friend@foreign.test"


class MailOut(harness.SuiteCase):
    def submission(self, user=None, implicit=False, login=True):
        user = user or self.alice
        address = harness.split(self.suite.told["submissions" if implicit else "submission"])
        if implicit:
            client = smtplib.SMTP_SSL(*address, local_hostname="client.home.test", context=self.tls, timeout=30)
        else:
            client = smtplib.SMTP(*address, local_hostname="client.home.test", timeout=30)
            client.starttls(context=self.tls)
        self.addCleanup(client.close)
        if login:
            client.login(user, self.passwords[user])
        return client

    def submit(self, sender, recipients, content, **options):
        if not isinstance(content, (str, bytes)):
            content = content.as_bytes(policy=content.policy.clone(linesep="\r\n"))
        return self.submission(**options).sendmail(sender, recipients, content)

    def arrived(self, address, subject):
        """The message of this subject in the address's INBOX, as soon as it is there."""
        def look():
            found = [text for text in self.inbox(address) if self.parse(text)["Subject"] == subject]
            self.assertLessEqual(len(found), 1)
            return found[0] if found else None
        return self.wait_for(look, 20, f"{subject} in {address}")

    def captured(self, subject):
        """(text, envelope) of the captured message of this subject."""
        def look():
            for path in glob.glob(os.path.join(self.suite.dir, "capture", "*.eml")):
                with open(path, "rb") as source:
                    text = source.read()
                if self.parse(text)["Subject"] == subject:
                    with open(path[:-len("eml")] + "json", encoding="utf-8") as source:
                        return text, json.load(source)
            return None
        return self.wait_for(look, 20, f"{subject} in the capture folder")

    @staticmethod
    def parse(text):
        return email.message_from_bytes(text, policy=email.policy.default)

    def verify_dkim(self, text):
        """By python3-dkim, with the keys that the suite's own zone publishes."""
        zone = {}
        for domain, selector in ((part["d"], part["s"]) for part in self.signatures(text)):
            name = f"{selector}._domainkey.{domain}"
            server = harness.split(self.suite.told["dns"])
            done = subprocess.run(["dig", "+short", f"@{server[0]}", "-p", str(server[1]), "TXT", name],
                                  capture_output=True, text=True, check=True, timeout=20)
            zone[name + "."] = "".join(done.stdout.strip().split('"')[1::2]).encode()
        self.assertTrue(zone, "no signature")
        script = ("import dkim, sys\n"
                  "text = sys.stdin.buffer.read()\n"
                  f"zone = {zone!r}\n"
                  "for index in range(int(sys.argv[1])):\n"
                  "    print(dkim.DKIM(text).verify(index, dnsfunc=lambda name, **_: zone.get(name.decode())))\n")
        done = subprocess.run(["/usr/bin/python3", "-c", script, str(len(self.signatures(text)))], input=text,
                              capture_output=True, check=True, timeout=20)
        self.assertEqual(set(done.stdout.split()), {b"True"}, done.stderr)

    def signatures(self, text):
        """The tags of each DKIM-Signature."""
        return [dict((part.split("=", 1)[0].strip(), part.split("=", 1)[1].strip())
                     for part in str(value).split(";") if "=" in part)
                for value in self.parse(text).get_all("DKIM-Signature", [])]

    def test_alice_writes_to_bob(self):
        self.submit(self.alice, [self.bob], harness.message(self.alice, self.bob, subject="to bob"))
        text = self.arrived(self.bob, "to bob")
        self.verify_dkim(text)
        self.assertEqual({signature["d"] for signature in self.signatures(text)}, {"godwit.test"})
        results = self.parse(text)["Authentication-Results"]
        self.assertIn("dkim=pass", results)
        self.assertIn("dmarc=pass", results)

    def test_implicit_tls_and_scram_do_as_well(self):
        client = self.submission(implicit=True, login=False)
        client.ehlo()
        scram = Scram(self.alice, self.passwords[self.alice])
        self.assertEqual(client.auth("SCRAM-SHA-256", scram.answer)[0], 235)
        self.assertTrue(scram.server_is_true)
        content = harness.message(self.alice, self.bob, subject="by scram")
        client.sendmail(self.alice, [self.bob], content.as_bytes(policy=content.policy.clone(linesep="\r\n")))
        self.arrived(self.bob, "by scram")

    def test_mail_for_another_domain_is_signed_and_captured(self):
        self.submit(self.alice, [FOREIGN], harness.message(self.alice, FOREIGN, subject="far away"))
        text, envelope = self.captured("far away")
        self.verify_dkim(text)
        self.assertEqual((envelope["mail_from"], envelope["rcpt_to"]), (self.alice, [FOREIGN]))
        self.assertNotIn(b"\n", text.replace(b"\r\n", b""))
        self.assertNotIn(b"\r", text.replace(b"\r\n", b""))

    def test_what_a_client_left_out_is_added_and_bcc_is_taken_out(self):
        self.submit(self.alice, [self.bob, FOREIGN],
                    f"From: {self.alice}\r\nTo: {FOREIGN}\r\nBcc: {self.bob}\r\nSubject: bare\r\n\r\ntext\r\n")
        message = self.parse(self.arrived(self.bob, "bare"))
        self.assertIsNone(message["Bcc"])
        self.assertTrue(message["Date"])
        self.assertTrue(message["Message-ID"].strip("<>").endswith("@godwit.test"), message["Message-ID"])
        self.assertTrue(message["Received"])
        self.assertEqual(self.captured("bare")[1]["rcpt_to"], [FOREIGN])

    def test_nobody_sends_as_somebody_else(self):
        for envelope, header in ((self.bob, self.alice), (self.alice, self.bob), ("x@foreign.test", self.alice)):
            with self.subTest(envelope=envelope, header=header):
                with self.assertRaises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as refused:
                    self.submit(envelope, [FOREIGN], harness.message(header, FOREIGN))
                self.assertIn(refused.exception.smtp_code, (550, 553))

    def test_nobody_sends_without_login(self):
        client = self.submission(login=False)
        client.ehlo()
        self.assertEqual(client.mail(self.alice)[0], 530)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
            client.login(self.alice, "wrong")
        self.assertEqual(refused.exception.smtp_code, 535)

    def test_no_password_is_taken_before_starttls(self):
        client = smtplib.SMTP(*harness.split(self.suite.told["submission"]), timeout=30)
        self.addCleanup(client.close)
        client.ehlo()
        self.assertFalse(client.has_extn("auth"))
        self.assertIn(client.docmd("AUTH", "PLAIN AGFsaWNlAHNlY3JldA==")[0], (530, 538))

    def test_an_unknown_user_of_ours_is_told_at_once(self):
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
            self.submit(self.alice, ["nobody@godwit.test"], harness.message(self.alice, "nobody@godwit.test"))
        self.assertEqual(refused.exception.recipients["nobody@godwit.test"][0], 550)

    def test_what_our_own_domain_does_not_take_bounces(self):
        closed = "closed@godwit.test"  # alice is no member
        harness.godwitctl("alias", "add", closed, self.bob, "--members-only", conninfo=self.suite.superuser())
        self.submit(self.alice, [closed], harness.message(self.alice, closed, subject="to the closed list"))

        def look():
            for text in self.inbox(self.alice):
                message = self.parse(text)
                if message.get_content_type() == "multipart/report" and "to the closed list" in text.decode():
                    return message
            return None
        bounce = self.wait_for(look, 20, "a bounce")
        self.assertEqual(bounce.get_param("report-type"), "delivery-status")
        status = bounce.get_payload()[1].get_payload()
        self.assertEqual(status[1]["Action"], "failed")
        self.assertEqual(status[1]["Final-Recipient"], "rfc822; closed@godwit.test")
        self.assertEqual(status[1]["Status"], "5.7.2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
