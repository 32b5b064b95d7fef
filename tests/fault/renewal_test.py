"""Certificates are renewed under 200 open TLS connections, and none of them notices.

A certificate of this suite is good for half a minute. While 100 clients idle in IMAP and 100 are in the
midst of an SMTP session, every certificate, those that clients see and those of mutual TLS between the
daemons, is renewed twice, mail comes in all the time, and acme is killed once.
"""

import imaplib
import os
import signal
import socket
import ssl
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

CONNECTIONS = 100  # of each protocol
LIFETIME = 30
PATIENCE = 75  # for two renewals of everything


def serial_of(connection):
    """Serial number of the certificate that the server of an ssl.SSLSocket has shown."""
    pem = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        # pylint: disable=protected-access
        return ssl._ssl._test_decode_cert(file.name)["serialNumber"].lower()


class Renewal(harness.SuiteCase):
    arguments = ("--certificate-lifetime", f"{LIFETIME}s")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        told = cls.suite.told
        cls.grpc = told["grpc"]
        cls.addresses = {name: harness.split(told[name]) for name in ("smtp", "imap", "imaps", "submissions", "https")}
        cls.serials = {}  # what answered: every serial number it has shown, in order

    # What is held open

    def idle(self, number):
        """An IMAP client that idles: half of them by STARTTLS."""
        if number % 2:
            client = imaplib.IMAP4_SSL(*self.addresses["imaps"], ssl_context=self.tls, timeout=30)
        else:
            client = imaplib.IMAP4(*self.addresses["imap"], timeout=30)
            client.starttls(self.tls)
        client.login(self.bob, self.passwords[self.bob])
        client.select()
        client.send(b"i1 IDLE\r\n")
        self.assertTrue(client.readline().startswith(b"+"))
        self.addCleanup(client.shutdown)
        return client

    def session(self):
        """An SMTP client in the midst of a transaction."""
        client = self.smtp()
        client.ehlo()
        self.assertEqual(client.mail("ann@sender.test")[0], 250)
        self.addCleanup(client.close)
        return client

    def judge_idle(self, client):
        """It saw what came, and ends its IDLE."""
        client.send(b"DONE\r\n")
        seen = 0
        while True:
            line = client.readline()
            self.assertTrue(line, "an IDLE client was cut")
            if line.startswith(b"i1 "):
                self.assertTrue(line.startswith(b"i1 OK"), line)
                return seen
            seen += b"EXISTS" in line

    def judge_session(self, client):
        """Its transaction goes on."""
        self.assertEqual(client.rcpt(self.alice)[0], 250)
        self.assertEqual(client.rset()[0], 250)
        self.assertEqual(client.noop()[0], 250)

    # What the servers show now

    def public_serials(self):
        for name in ("imaps", "submissions", "https"):
            with socket.create_connection(self.addresses[name], timeout=10) as tcp, \
                    self.tls.wrap_socket(tcp, server_hostname="mx.godwit.test") as tls:
                yield name, serial_of(tls)
        with self.smtp() as client:
            yield "smtp", serial_of(client.sock)

    def rpc_serials(self):
        own = os.path.join(self.suite.dir, "pki", "godwitctl")
        context = ssl.create_default_context(cafile=os.path.join(own, "rpc-ca.pem"))
        context.load_cert_chain(os.path.join(own, "rpc.pem"))
        context.set_alpn_protocols(["h2"])
        for name, address in self.grpc.items():
            try:
                with socket.create_connection(harness.split(address), timeout=10) as tcp, \
                        context.wrap_socket(tcp, server_hostname=name) as tls:
                    yield f"rpc of {name}", serial_of(tls)
            except OSError:
                self.assertEqual(name, "acme", "only acme is killed here")

    def look(self):
        for name, serial in (*self.public_serials(), *self.rpc_serials()):
            shown = self.serials.setdefault(name, [])
            if serial not in shown:
                shown.append(serial)
        return min(len(shown) for shown in self.serials.values())

    def test_renewals_cut_nobody(self):
        idle = [self.idle(number) for number in range(CONNECTIONS)]
        sessions = [self.session() for _ in range(CONNECTIONS)]
        opened = time.monotonic()
        sent, killed, renewed = 0, False, 0
        while renewed < 3:
            self.assertLess(time.monotonic() - opened, PATIENCE, f"not everything was renewed twice: {self.serials}")
            message = harness.message("ann@sender.test", self.bob, subject=f"number {sent}")
            self.assertEqual(self.send("ann@sender.test", [self.bob], message), {})
            sent += 1
            renewed = self.look()
            if renewed == 2 and not killed:
                os.kill(self.suite.told["pids"]["acme"], signal.SIGKILL)
                killed = True
            time.sleep(0.5)
        self.assertTrue(killed)
        # Longer than the certificate lived that these connections began with.
        self.assertGreater(time.monotonic() - opened, LIFETIME)
        for client in idle:
            self.assertGreater(self.judge_idle(client), 0)
        for client in sessions:
            self.judge_session(client)
        self.assertEqual(len(self.inbox(self.bob)), sent)
        self.judge_told()
        told = ", ".join(f"{name} {len(shown)}" for name, shown in sorted(self.serials.items()))
        print(f"{len(idle) + len(sessions)} connections held for {time.monotonic() - opened:.0f} s, {sent} messages; "
              f"certificates shown: {told}", file=sys.stderr)

    def judge_told(self):
        """godwitctl certificates tells what is in force."""
        rows = harness.godwitctl("certificates", "--json", "--config", self.suite.told["godwitctl"])
        self.assertEqual({row["last_error"] for row in rows["certificates"]}, {""})
        names = {(row["kind"], row["name"]) for row in rows["certificates"]}
        self.assertLessEqual({("rpc", name) for name in self.grpc}, names)
        shown = [row for row in rows["certificates"] if row["kind"] == "public"]
        self.assertEqual(len(shown), 1)
        self.wait_for(lambda: dict(self.public_serials())["smtp"] in
                      [row["serial"] for row in
                       harness.godwitctl("certificates", "--json", "--config",
                                         self.suite.told["godwitctl"])["certificates"]],
                      what="the certificate shown is the one that is told")


if __name__ == "__main__":
    harness.main()
