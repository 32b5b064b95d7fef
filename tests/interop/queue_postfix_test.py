"""Our queue delivers to a Postfix of Debian: directly and by smarthost, over STARTTLS; what it refuses
comes back as a bounce; what it defers is tried again."""

import email
import email.policy
import os
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402
import postfix_peer  # noqa: E402

FOREIGN = "foreign.test"
SETTINGS = [
    f"virtual_mailbox_domains = {FOREIGN}",
    "virtual_mailbox_maps = inline:{ann@" + FOREIGN + "=ann, ben@" + FOREIGN + "=ben}",
    "virtual_mailbox_base = /var/mail/foreign",
    "virtual_uid_maps = static:65534", "virtual_gid_maps = static:65534",
    "smtpd_tls_security_level = may",
    "smtpd_tls_cert_file = /etc/postfix/tls.pem", "smtpd_tls_key_file = /etc/postfix/tls.pem",
    "smtpd_tls_received_header = yes",
    "smtpd_recipient_restrictions = check_recipient_access inline:{{later@" + FOREIGN + " = 450 4.2.1 busy}}, "
    "reject_unauth_destination",
    "smtputf8_enable = yes",
]


@unittest.skipIf(os.geteuid() != 0 and not os.path.exists("/usr/bin/newuidmap"),
                 "Postfix needs users of its own; the package uidmap is not there")
class QueueDelivers(harness.SuiteCase):
    smarthost = False
    records = [f"{FOREIGN}. 60 IN MX 10 mx.{FOREIGN}.", f"mx.{FOREIGN}. 60 IN A 127.0.0.1",
               f"null.{FOREIGN}. 60 IN MX 0 ."]

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="godwit-postfix-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)  # its users differ
        cls.postfix = postfix_peer.Postfix(harness.ROOT, os.path.join(cls.folder, "state"), SETTINGS)
        cls.postfix.run("mkdir -p /var/mail/foreign && chown 65534:65534 /var/mail/foreign")
        cls.make_certificate()
        cls.addClassCleanup(cls.postfix.stop)
        cls.postfix.start()
        if cls.smarthost:
            cls.arguments = ["--outbound", f"smarthost=127.0.0.1:{cls.postfix.port}"]
        else:
            cls.arguments = ["--outbound", "direct", "--outbound-port", str(cls.postfix.port)]
        super().setUpClass()

    @classmethod
    def make_certificate(cls):
        path = cls.postfix.path("etc/postfix/tls.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", path, "-out", path + ".crt", "-days", "30", "-subj", f"/CN=mx.{FOREIGN}"],
                       check=True, capture_output=True)
        with open(path, "a") as out, open(path + ".crt") as crt:
            out.write(crt.read())

    def submit(self, sender, recipients, content):
        host, port = harness.split(self.suite.told["submission"])
        password = next(a["password"] for a in self.suite.told["accounts"] if a["address"] == sender)
        context = ssl.create_default_context(cafile=self.suite.told["ca_file"])
        with smtplib.SMTP("localhost", port, timeout=30) as client:
            client.starttls(context=context)
            client.login(sender, password)
            return client.sendmail(sender, recipients, content.as_bytes(policy=email.policy.SMTP))

    def delivered(self, user):
        """The messages in a mailbox of Postfix's, as bytes."""
        path = self.postfix.path(f"var/mail/foreign/{user}")
        if not os.path.exists(path):
            return []
        with open(path, "rb") as source:
            return [part for part in (b"\n" + source.read()).split(b"\nFrom ") if part.strip()]

    def test_mail_arrives_signed_and_over_tls(self):
        before = len(self.delivered("ann"))
        content = harness.message(self.alice, f"ann@{FOREIGN}", "to postfix", ".\n..dots\nend\n")
        self.submit(self.alice, [f"ann@{FOREIGN}", f"ben@{FOREIGN}"], content)
        self.wait_for(lambda: len(self.delivered("ann")) > before, 30, self.postfix.log()[-3000:])
        got = self.delivered("ann")[-1].decode()
        self.assertIn("d=godwit.test", got)
        self.assertIn("Subject: to postfix", got)
        self.assertIn("\n.\n..dots\nend\n", got)
        self.assertRegex(got, r"using TLSv1\.3")
        self.wait_for(lambda: self.delivered("ben"), 10, "the second recipient")

    def test_a_large_message_arrives_in_chunks(self):
        before = len(self.delivered("ben"))
        text = "".join(f".{number}\n" + "x" * 70 + "\n.\n" for number in range(4000))
        self.submit(self.alice, [f"ben@{FOREIGN}"], harness.message(self.alice, f"ben@{FOREIGN}", "chunks", text))
        self.wait_for(lambda: len(self.delivered("ben")) > before, 30, self.postfix.log()[-3000:])
        self.assertIn(text, self.delivered("ben")[-1].decode())
        # RFC 3030; it counts the commands of a connection at its end, and we keep those for a while.
        self.wait_for(lambda: re.search(r"disconnect from .* bdat=\d", self.postfix.log()), 60, "BDAT")
        self.assertNotRegex(self.postfix.log(), r"disconnect from .* data=\d")

    def test_an_unknown_user_bounces(self):
        before = len(self.inbox(self.alice))
        content = harness.message(self.alice, f"nobody@{FOREIGN}", "to nobody", "text\n")
        self.submit(self.alice, [f"nobody@{FOREIGN}"], content)
        self.wait_for(lambda: len(self.inbox(self.alice)) > before, 30, self.postfix.log()[-3000:])
        bounce = email.message_from_bytes(self.inbox(self.alice)[-1], policy=email.policy.default)
        self.assertEqual(bounce["Return-Path"], "<>")
        self.assertEqual(bounce.get_content_type(), "multipart/report")
        status = next(part for part in bounce.walk() if part.get_content_type() == "message/delivery-status")
        (recipient,) = [block for block in status.get_payload() if block["Final-Recipient"]]
        self.assertIn(f"nobody@{FOREIGN}", recipient["Final-Recipient"])
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.1.1")
        self.assertIn("550", recipient["Diagnostic-Code"])
        self.assertIn("dkim=pass", str(bounce["Authentication-Results"]))

    def test_a_deferred_recipient_waits_in_the_queue_and_is_dropped(self):
        content = harness.message(self.alice, f"later@{FOREIGN}", "later", "text\n")
        self.submit(self.alice, [f"later@{FOREIGN}"], content)

        def waiting():
            rows = harness.godwitctl("queue", "list", "--recipient", "later@", "--json",
                                     conninfo=self.suite.superuser())
            return rows and rows[0]
        self.wait_for(waiting, 20, "the message in the queue")
        shown = {}

        def deferred():
            shown.update(harness.godwitctl("queue", "show", waiting()["queue_id"], "--json",
                                           conninfo=self.suite.superuser()))
            return shown["recipients"][0]["attempts"] > 0
        self.wait_for(deferred, 20, "the first attempt")
        self.assertIn("450 4.2.1", shown["recipients"][0]["last_reply"])
        harness.godwitctl("queue", "drop", shown["queue_id"], "--json", conninfo=self.suite.superuser())
        self.assertFalse(waiting())

    @classmethod
    def tearDownClass(cls):
        report = harness.godwitctl("queue", "check", "--json", conninfo=cls.suite.superuser(), check=False)
        super().tearDownClass()
        assert report["clean"], report


class QueueDeliversBySmarthost(QueueDelivers):
    smarthost = True


if __name__ == "__main__":
    harness.main()
