"""Exim, OpenSMTPD, msmtp and swaks of Debian deliver to us over STARTTLS, with our certificate verified.

What each of them can do is in README.md.
"""

import email
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

SENDER = "ann@sender.test"
PEERS = os.path.join(harness.ROOT, "tools", "peers")

BODIES = {
    "plain": "one line\n",
    "dots": ".\n..\n.beginning\n. \n",
    "long lines": "z" * 980 + "\n" + "y" * 998 + "\n",
    "eight bits": "Grüße äöü€\n",
    "large": "".join(f"{line:07d} {'y' * 70}\n" for line in range(20000)),
    "no end of line": "the last line has no end",
}


def text_of(subject, recipient):
    """With LF, as programs of Unix take it."""
    return (f"From: {SENDER}\nTo: {recipient}\nSubject: {subject}\nMessage-ID: <{subject.replace(' ', '-')}@sender.test>\n"
            "Date: Mon, 2 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
            f"\n{BODIES[subject]}").encode()


class Program:
    """A peer's command line in a private root that lives as long as the tests."""

    def __init__(self, folder, name):
        self.name = name
        self.state = os.path.join(folder, name)
        self.process = None
        self.run("true")  # makes /etc and /var

    def path(self, inside):
        return os.path.join(self.state, inside)

    def write(self, inside, text):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="ascii") as out:
            out.write(text)

    def _command(self, script, binds):
        command = [PEERS, "--state", self.state]
        for bind in binds:
            command += ["--bind", bind]
        return [*command, "--run", self.name, "--", "sh", "-ec", script]

    def run(self, script, binds=()):
        done = subprocess.run(self._command(script, binds), capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            raise AssertionError(f"{script}: {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout + done.stderr

    def logged(self, inside):
        try:
            with open(self.path(inside), errors="replace", encoding="utf-8") as source:
                return source.read()
        except FileNotFoundError:
            return ""


class Senders(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
               "client.sender.test. 60 IN A 127.0.0.1"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="godwit-senders-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)  # the peers' users differ
        cls.mail = os.path.join(cls.folder, "mail")
        os.mkdir(cls.mail)
        cls.ca = cls.suite.told["ca_file"]
        cls.port = harness.split(cls.suite.told["smtp"])[1]

    def put(self, recipient):
        """The messages as files 0, 1, ...; their subjects."""
        subjects = list(BODIES)
        for number, subject in enumerate(subjects):
            with open(os.path.join(self.mail, str(number)), "wb") as out:
                out.write(text_of(subject, recipient))
        return subjects

    def each(self, command):
        """A shell script that runs `command` with every message as its input."""
        return f"for number in $(seq 0 {len(BODIES) - 1}); do {command} < /srv/mail/$number; done"

    @property
    def binds(self):
        return [f"{self.mail}:/srv/mail", f"{self.ca}:/srv/ca.pem"]

    def check_arrived(self, recipient, log, more=b""):
        """`more`: what the sender puts behind each message."""
        deadline = time.monotonic() + 60
        while len(self.inbox(recipient)) < len(BODIES) and time.monotonic() < deadline:
            time.sleep(0.1)
        got = {email.message_from_bytes(raw)["Subject"]: raw for raw in self.inbox(recipient)}
        self.assertEqual(sorted(got), sorted(BODIES), log())
        for subject, body in BODIES.items():
            with self.subTest(subject):
                raw = got[subject]
                want = (body if body.endswith("\n") else body + "\n").encode().replace(b"\n", b"\r\n")
                want += more if body.endswith("\n") else b""
                self.assertEqual(raw.partition(b"\r\n\r\n")[2], want)
                message = email.message_from_bytes(raw)
                self.assertEqual(message["Return-Path"], f"<{SENDER}>")
                self.assertIn("spf=pass", message["Authentication-Results"])
                self.assertRegex(message.get_all("Received")[0], r"with ESMTPS\b[^;]*\(TLSv1\.[23] ")


@unittest.skipIf(os.geteuid() != 0 and not os.path.exists("/usr/bin/newuidmap"),
                 "they need users of their own; the package uidmap is not there")
class SendersDeliver(Senders):
    def test_exim(self):
        recipient = self.new_account("exim")
        self.put(recipient)
        exim = Program(self.folder, "exim4")
        exim.write("etc/exim4/test.conf", f"""
primary_hostname = client.sender.test
exim_user = Debian-exim
exim_group = Debian-exim
log_file_path = /var/log/exim4/%slog
log_selector = +tls_cipher +tls_certificate_verified
begin routers
out:
  driver = manualroute
  route_list = * localhost byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {self.port}
  allow_localhost
  hosts_require_tls = *
  hosts_try_chunking = *
  tls_verify_certificates = /srv/ca.pem
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
begin retry
* * F,1h,1s
""")
        exim.run(self.each(f"exim4 -C /etc/exim4/test.conf -odf -i -f {SENDER} {recipient}"), self.binds)
        log = exim.logged("var/log/exim4/mainlog")
        self.check_arrived(recipient, lambda: log)
        self.assertEqual(log.count(" => "), len(BODIES), log)
        # CV: our certificate was verified. K: the message went by CHUNKING (RFC 3030), with BDAT.
        self.assertEqual(log.count(' CV=yes K C="250 '), len(BODIES), log)

    def test_opensmtpd(self):
        recipient = self.new_account("opensmtpd")
        self.put(recipient)
        smtpd = Program(self.folder, "opensmtpd")
        smtpd.write("etc/test.conf", f"""
action "out" relay host smtp+tls://localhost:{self.port} helo client.sender.test
match from local for any action "out"
""")
        # The anchors it knows are the system's.
        binds = [*self.binds, f"{self.ca}:/etc/ssl/certs/ca-certificates.crt"]
        script = ("smtpd -d -v -f /etc/test.conf > /var/log/smtpd.log 2>&1 & daemon=$!; "
                  "for i in $(seq 100); do [ -S /run/smtpd.sock ] && break; sleep 0.1; done; "
                  + self.each(f"bash -c 'exec -a sendmail smtpctl -i -f {SENDER} {recipient}'")
                  + "; for i in $(seq 300); do"
                  f" [ $(grep -c 'result=\"Ok\"' /var/log/smtpd.log) -ge {len(BODIES)} ] && break; sleep 0.1; done;"
                  " kill $daemon; wait $daemon || true")
        smtpd.run(script, binds)
        log = smtpd.logged("var/log/smtpd.log")
        self.check_arrived(recipient, lambda: log)
        self.assertEqual(log.count('result="Ok"'), len(BODIES), log)

    def test_msmtp(self):
        recipient = self.new_account("msmtp")
        self.put(recipient)
        msmtp = Program(self.folder, "msmtp")
        said = msmtp.run(self.each(f"msmtp --host=localhost --port={self.port} --domain=client.sender.test --tls=on"
                                   f" --tls-starttls=on --tls-trust-file=/srv/ca.pem --from={SENDER} -- {recipient}"),
                         self.binds)
        self.check_arrived(recipient, lambda: said)

    def test_swaks(self):
        recipient = self.new_account("swaks")
        self.put(recipient)
        swaks = Program(self.folder, "swaks")
        said = swaks.run(f"for number in $(seq 0 {len(BODIES) - 1}); do swaks --server localhost --port {self.port}"
                         f" --ehlo client.sender.test --tls --tls-verify --tls-ca-path /srv/ca.pem --pipeline"
                         f" --from {SENDER} --to {recipient} --data @/srv/mail/$number; done", self.binds)
        # It puts <CRLF>.<CRLF> behind the last line's own end.
        self.check_arrived(recipient, lambda: said[-3000:], more=b"\r\n")


if __name__ == "__main__":
    harness.main()
