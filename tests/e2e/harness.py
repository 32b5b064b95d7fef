"""A running suite for the tests of this folder: started by tools/localserve as a user would.

    class MailIn(harness.SuiteCase):
        records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']   # beside godwit.test

        def test_delivery(self):
            self.send("ann@sender.test", [self.alice], message)
            self.assertEqual(len(self.inbox(self.alice)), 1)

The classes of a file that ask for the same records share a suite, which takes some seconds to start;
the end of each class checks the store.
"""

import email.message
import email.utils
import imaplib
import json
import os
import random
import secrets
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# --config=asan: what daemons take of memory says nothing then.
SANITIZED = "ASAN_OPTIONS" in os.environ
sys.path.insert(0, os.path.join(ROOT, "tools", "suite"))

import configs  # noqa: E402
import ports  # noqa: E402
import zone  # noqa: E402
from cluster import Cluster  # noqa: E402


def godwitctl(*argv, text=None, conninfo=None, check=True):
    """Standard output of godwitctl; parsed when --json is asked for."""
    done = subprocess.run([configs.binary(ROOT, "godwitctl"), *argv], input=text, text=not isinstance(text, bytes),
                          capture_output=True, timeout=120,
                          env={**os.environ, "GODWIT_DATABASE": conninfo or ""})
    if check and done.returncode != 0:
        raise AssertionError(f"godwitctl {argv}: {done.returncode}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout) if "--json" in argv else done.stdout


def free_port():
    """Not one of those that localserve or outgoing connections get: they may take it before ours listens."""
    while not ports.is_free(port := random.randrange(10000, 20000)):
        pass
    return port


def split(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def message(sender, to, subject="hello", body="text\n", **headers):
    made = email.message.EmailMessage()
    made["From"] = sender
    made["To"] = to if isinstance(to, str) else ", ".join(to)
    made["Subject"] = subject
    made["Date"] = email.utils.formatdate()
    made["Message-ID"] = email.utils.make_msgid(domain="sender.test")
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(body)
    return made


class Suite:
    """One tools/localserve in a temporary folder."""

    def __init__(self, records=(), arguments=(), settings=None):
        self.dir = tempfile.mkdtemp(prefix="godwit-e2e-")
        self.log = open(os.path.join(self.dir, "localserve.out"), "wb")
        self.unbound = None
        arguments = list(arguments)
        if records:
            port = free_port()
            arguments += ["--dns", f"127.0.0.1:{port}"]
        if settings:
            path = os.path.join(self.dir, "settings.json")
            with open(path, "w", encoding="utf-8") as out:
                json.dump(settings, out)
            arguments += ["--settings", path]
        self.arguments = arguments
        self.process = None
        try:
            self.start()
            if records:
                # Not before: the suite's own keys are made by its first start.
                self.unbound = zone.Unbound(ROOT, os.path.join(self.dir, "test-dns"), port)
                self.unbound.start([*zone.records(self.told["dkim"]), *records])
        except Exception:
            self.close()
            raise

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "tools", "suite", "main.py"), "--dir", self.dir, *self.arguments],
            stdout=self.log, stderr=self.log)
        self.wait_described()

    def wait_described(self):
        path = os.path.join(self.dir, "localserve.json")
        deadline = time.monotonic() + 60
        while not os.path.exists(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.dir, "localserve.out"), errors="replace") as source:
                    raise AssertionError("localserve did not start: " + source.read()[-2000:])
            time.sleep(0.05)

    @property
    def told(self):
        with open(os.path.join(self.dir, "localserve.json")) as source:
            return json.load(source)

    def superuser(self):
        """Connection string of the database's superuser."""
        with open(os.path.join(self.dir, "secrets", "postgres")) as source:
            password = source.read().strip()
        return " ".join("user=postgres" if part.startswith("user=") else
                        f"password={password}" if part.startswith("password=") else part
                        for part in self.told["postgres"].split())

    def add_account(self, address):
        """Its password."""
        password = secrets.token_urlsafe(12)
        godwitctl("account", "add", address, "--password-stdin", text=password + "\n", conninfo=self.superuser())
        return password

    def check_store(self):
        clean = godwitctl("store", "check", "--json", conninfo=self.superuser(), check=False)
        if not clean["clean"]:
            raise AssertionError(f"store check: {clean['findings']}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)

    def close(self):
        cluster = Cluster(self.dir).home
        self.stop()
        if self.unbound is not None:
            self.unbound.stop()
        self.log.close()
        self._keep_logs()
        for folder in (self.dir, cluster):
            shutil.rmtree(folder, ignore_errors=True)

    def _keep_logs(self):
        """Where a failing test's reader finds them."""
        outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
        if outputs:
            shutil.copytree(os.path.join(self.dir, "logs"), os.path.join(outputs, os.path.basename(self.dir)),
                            dirs_exist_ok=True)


_running = {}  # (records, arguments, settings): Suite


def running_suite(records, arguments, settings):
    """A suite that lives until the last test of the file."""
    key = tuple(records), tuple(arguments), json.dumps(settings)
    if key not in _running:
        _running[key] = Suite(records, arguments, settings)
        unittest.addModuleCleanup(_running[key].close)
    return _running[key]


class SuiteCase(unittest.TestCase):
    records = ()
    arguments = ()
    settings = {}  # {daemon: changes to its configuration}

    @classmethod
    def setUpClass(cls):
        cls.suite = running_suite(cls.records, cls.arguments, cls.settings)
        told = cls.suite.told
        cls.alice, cls.bob, cls.postmaster = (row["address"] for row in told["accounts"])
        cls.passwords = {row["address"]: row["password"] for row in told["accounts"]}
        cls.tls = ssl.create_default_context(cafile=told["ca_file"])

    @classmethod
    def tearDownClass(cls):
        cls.suite.check_store()

    @classmethod
    def new_account(cls, user):
        """A further account; its address."""
        address = f"{user}@{cls.suite.told['domain']}"
        cls.passwords[address] = cls.suite.add_account(address)
        return address

    def smtp(self, name="client.sender.test", starttls=True):
        client = smtplib.SMTP(*split(self.suite.told["smtp"]), local_hostname=name, timeout=30)
        if starttls:
            client.starttls(context=self.tls)
        return client

    def send(self, sender, recipients, content, **options):
        """The refused recipients, as smtplib gives them."""
        if not isinstance(content, (str, bytes)):
            content = content.as_bytes(policy=content.policy.clone(linesep="\r\n"))
        with self.smtp(**options) as client:
            return client.sendmail(sender, recipients, content)

    def imap(self, address, tls=True):
        told = self.suite.told
        if tls:
            client = imaplib.IMAP4_SSL(*split(told["imaps"]), ssl_context=self.tls, timeout=30)
        else:
            client = imaplib.IMAP4(*split(told["imap"]), timeout=30)
            client.starttls(self.tls)
        client.login(address, self.passwords[address])
        return client

    def mailbox(self, address, name="INBOX"):
        """All messages of a mailbox, as bytes."""
        with self.imap(address) as client:
            state, data = client.select(name, readonly=True)
            self.assertEqual(state, "OK", data)
            if data[0] == b"0":
                return []
            state, data = client.fetch("1:*", "(BODY.PEEK[])")
            self.assertEqual(state, "OK", data)
            return [part[1] for part in data if isinstance(part, tuple)]

    def inbox(self, address):
        return self.mailbox(address)

    def wait_for(self, condition, seconds=10, what="the condition"):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            result = condition()
            if result:
                return result
            time.sleep(0.05)
        self.fail(f"{what} did not come true within {seconds} s")


def main():
    unittest.main(verbosity=2)
