"""RFC 8689: a user's mail with REQUIRETLS goes from one suite to another, and to a scripted server, where the way is
proven and the server promises the same; else it comes back, and nothing of it was sent.
"""

import email
import email.policy
import imaplib
import os
import shutil
import smtplib
import ssl
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
for place in ("e2e", "interop", "fault"):
    sys.path.insert(0, os.path.join(ROOT, "tests", place))

import harness  # noqa: E402
import signed_zone  # noqa: E402
import smtp_sink  # noqa: E402
import tls_world  # noqa: E402

# Domain: the address of its server, and whether a TLSA record proves it.
SERVERS = {"godwit": ("127.0.0.1", True), "unproven": ("127.0.0.1", False), "promises": ("127.0.0.2", True),
           "silent": ("127.0.0.3", True)}


class RequireTls(harness.SuiteCase):
    passwords_there = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="godwit-requiretls-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)
        # The next server; its zone says that the users of the first one may write from this machine.
        cls.next = harness.Suite(records=["next.test. 60 IN TXT next"])
        cls.addClassCleanup(cls.next.close)
        for name in ("godwit", "unproven"):
            harness.godwitctl("domain", "add", f"{name}.signed.test", conninfo=cls.next.superuser())
            address = f"ann@{name}.signed.test"
            cls.passwords_there[address] = cls.next.add_account(address)
        port = harness.split(cls.next.told["smtp"])[1]
        certificate = tls_world.Authority(cls.folder, "authority").issue("sink", ["mx.promises.signed.test"])
        cls.start_sinks(certificate, port)
        cls.start_dns(port)
        cls.arguments = ["--dns", cls.dns.address, "--outbound", "direct", "--outbound-port", str(port)]
        super().setUpClass()

    @classmethod
    def start_sinks(cls, certificate, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        features = ["PIPELINING", "8BITMIME", "CHUNKING"]
        cls.sinks = {
            "promises": smtp_sink.Sink([*features, "REQUIRETLS"], (SERVERS["promises"][0], port), context),
            "silent": smtp_sink.Sink(features, (SERVERS["silent"][0], port), context)}
        for sink in cls.sinks.values():
            cls.addClassCleanup(sink.close)

    @classmethod
    def start_dns(cls, port):
        shown = os.path.join(cls.folder, "next.pem")
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client, open(shown, "w", encoding="ascii") as out:
            context = ssl.create_default_context(cafile=cls.next.told["ca_file"])
            context.check_hostname = False
            client.starttls(context=context)
            out.write(ssl.DER_cert_to_PEM_cert(client.sock.getpeercert(binary_form=True)))
        zone = []
        for name, (address, proven) in SERVERS.items():
            zone += [f"{name} MX 10 mx.{name}", f"mx.{name} A {address}"]
            pem = shown if address == "127.0.0.1" else os.path.join(cls.folder, "sink.crt")
            if proven:
                zone.append(f"_{port}._tcp.mx.{name} TLSA 3 1 1 {tls_world.digest(pem, 1)}")
        # The bounces are looked up there, too.
        cls.dns = signed_zone.SignedZone(ROOT, os.path.join(cls.folder, "dns"), "\n".join(zone) + "\n",
                                         {"test": "", "godwit.test": "mx A 127.0.0.1\n"})
        cls.addClassCleanup(cls.dns.stop)
        cls.dns.start()

    def submit(self, name, options=("REQUIRETLS",)):
        to = f"ann@{name}.signed.test"
        text = harness.message(self.alice, to, f"to {name}", "secret text\n")
        with smtplib.SMTP(*harness.split(self.suite.told["submission"]), timeout=30) as client:
            client.starttls(context=self.tls)
            client.login(self.alice, self.passwords[self.alice])
            client.sendmail(self.alice, [to], text.as_bytes(policy=email.policy.SMTP), mail_options=list(options))

    def there(self, address):
        """The messages in a mailbox of the next suite."""
        tls = ssl.create_default_context(cafile=self.next.told["ca_file"])
        with imaplib.IMAP4_SSL(*harness.split(self.next.told["imaps"]), ssl_context=tls, timeout=30) as client:
            client.login(address, self.passwords_there[address])
            if client.select("INBOX", readonly=True)[1] == [b"0"]:
                return []
            found = client.fetch("1:*", "(BODY.PEEK[])")[1]
            return [email.message_from_bytes(part[1]) for part in found if isinstance(part, tuple)]

    def bounce(self, before):
        self.wait_for(lambda: len(self.inbox(self.alice)) > before, 60, "the bounce")
        return email.message_from_bytes(self.inbox(self.alice)[-1], policy=email.policy.default)

    def assert_returned(self, name):
        before = len(self.inbox(self.alice))
        self.submit(name)
        bounce = self.bounce(before)
        status = next(part for part in bounce.walk() if part.get_content_type() == "message/delivery-status")
        (recipient,) = [block for block in status.get_payload() if block["Final-Recipient"]]
        # RFC 8689 §4.2.1: X.7.30, "REQUIRETLS support required"; §5: what comes back is protected in the same way.
        self.assertEqual(recipient["Status"], "5.7.30")
        self.assertIn("(requiretls)", bounce["Received"])

    def test_from_one_suite_to_another(self):
        before = len(self.inbox(self.alice))
        self.submit("godwit")
        address = "ann@godwit.signed.test"
        self.wait_for(lambda: self.there(address), 60, "the message at the next server")
        self.assertIn("(requiretls)", self.there(address)[-1]["Received"])
        self.assertEqual(len(self.inbox(self.alice)), before)

    def test_to_a_server_that_promises(self):
        self.submit("promises")
        sink = self.sinks["promises"]
        self.wait_for(sink.messages, 60, "the message")
        envelope, text = sink.messages()[-1]
        self.assertIn(b"REQUIRETLS", envelope[0].split())
        self.assertIn(b"secret text", text)

    def test_a_server_that_does_not_promise_is_told_nothing(self):
        self.assert_returned("silent")
        self.assertEqual(self.sinks["silent"].messages(), [])
        self.assertNotIn(b"MAIL FROM", b"".join(bytes(session.wire) for session in self.sinks["silent"].sessions))
        # Without the wish it goes there.
        self.submit("silent", ())
        self.wait_for(self.sinks["silent"].messages, 60, "the message")

    def test_a_way_that_proves_nothing_is_none(self):
        self.assert_returned("unproven")
        address = "ann@unproven.signed.test"
        self.assertEqual(self.there(address), [])
        self.submit("unproven", ())
        self.wait_for(lambda: self.there(address), 60, "the message without the wish")
        self.assertNotIn("requiretls", self.there(address)[-1]["Received"])


if __name__ == "__main__":
    harness.main()
