"""Attackers beside others who mean well: what the tests of hostile clients share.

A test is one attack of attacks.py, with the replies that it has to get:

    class Sessions(hostile.HostileCase):
        def test_endless_line(self):
            self.attack("endless_line", {"550 5.6.0"})

For each of them:

    replies     those that are meant for it, and none that is not
    memory      of every daemon: bounded while it goes on
    others      a client that means well gets its 250, over a connection of its own each time; where time is
                judged (Pace), within twice the median of the quiet times

The attacker is stopped and goes on in turns of a quarter of a second, so that whatever else the machine does
is in both medians; a pair that fails is measured anew, up to three times. Server, attacker and the others
have shares of CPU of their own (cpu_groups.py). Without control groups nobody's latency is judged.
"""

import contextlib
import email
import json
import os
import signal
import smtplib
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402
import bombs  # noqa: E402
import cpu_groups  # noqa: E402
import watching  # noqa: E402

ATTACKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attacks.py")
GOOD = {"220", "250", "250 2.1.0", "250 2.1.5", "250 2.0.0", "354", "221 2.0.0"}
SHARES = {"server": 8192, "others": 4096, "attacker": 1024}
# The most that attackers get, in CPUs: of those who ...
CHEAP = 0.25  # ... the server has to hear
DEAR = 0.05  # ... that cost it tenfold what they cost themselves, and more
MIB = 1 << 20
PROXY_LISTENER = f"127.0.0.1:{harness.free_port()}"


class Pace:
    """How long it all takes."""
    judged = False  # whether others may not wait twice as long: only where nothing else runs
    turns = 4
    turn = 0.25
    clients = 4
    slow = 2000
    may_take = 64 * MIB  # what a daemon may grow by in one attack


class Attack:
    """One run of attacks.py; used as a context it is at work inside."""

    def __init__(self, case, name, clients, seconds, network=None):
        """`network`: where the attackers come from, as a load balancer tells it; without, from this machine."""
        where = ["--smtp", PROXY_LISTENER, "--from-network", network] if network else [
            "--smtp", case.suite.told["smtp"]]
        self.process = subprocess.Popen(
            [sys.executable, ATTACKS, name, *where, "--to", case.target, "--clients", str(clients),
             "--seconds", str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.expect("ready")
        case.groups.move("attacker", [self.process.pid])

    def expect(self, word):
        assert self.process.stdout.readline() == word + "\n", "the attack did not begin"

    def __enter__(self):
        self.process.stdin.write("go\n")
        self.expect("begun")
        return self

    @contextlib.contextmanager
    def stopped(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        time.sleep(0.02)  # what it has sent is still to be read
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def __exit__(self, *_):
        self.report = json.loads(self.process.communicate(timeout=150)[0] or "{}")


class HostileCase(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"', '_dmarc.sender.test. 60 IN TXT "v=DMARC1; p=none"',
               *bombs.spf_records()]
    # Short enough for a test to see their ends.
    settings = {"smtp-ingress": {
        "timeouts": {"command": "4s", "data_total": "5s"},
        "limits": {"message_size": "16MiB"},
        "listeners": [{"listen": PROXY_LISTENER, "proxy_protocol": True, "proxy_sources": ["127.0.0.1"]}],
    }}
    pace = Pace
    shares = SHARES
    target = None  # whom the attackers write to
    for_reports = False  # and whether that is where DMARC reports are expected
    more = {}  # {address: password} of the accounts that are made here

    @classmethod
    def setUpClass(cls):
        cls.groups = cpu_groups.make(cls.shares)
        unittest.addModuleCleanup(cls.groups.close)
        super().setUpClass()
        cls.groups.move("others", [os.getpid()])
        cls.groups.move("server", cpu_groups.family(cls.suite.process.pid))
        if cls.suite.unbound:
            cls.groups.move("server", cpu_groups.family(cls.suite.unbound.process.pid))
        cls.target = cls.account("reports" if cls.for_reports else "victim")
        if cls.for_reports:
            harness.godwitctl("dmarc", "address", cls.target, conninfo=cls.suite.superuser())
        print(f"shares of CPU by {cls.groups.how}", file=sys.stderr)
        cls.deliveries(1)

    @classmethod
    def account(cls, user):
        """As new_account, but only once in a file."""
        address = f"{user}@{cls.suite.told['domain']}"
        if address not in cls.more:
            cls.new_account(user)
            cls.more[address] = cls.passwords[address]
        cls.passwords[address] = cls.more[address]
        return address

    @classmethod
    def deliver(cls):
        """Seconds from the connection to the 250."""
        begun = time.monotonic()
        with smtplib.SMTP(*harness.split(cls.suite.told["smtp"]), local_hostname="good.test", timeout=30) as client:
            refused = client.sendmail("good@sender.test", [cls.alice], cls.letter)
            took = time.monotonic() - begun
        assert not refused
        return took

    letter = bombs.FROM + b"Subject: good\r\n\r\n" + b"A line of a message that means well.\r\n" * 50

    @classmethod
    def deliveries(cls, seconds):
        """What each delivery took, one after the other."""
        took, end = [], time.monotonic() + seconds
        while time.monotonic() < end or len(took) < 10:
            took.append(cls.deliver())
        return took

    def endure(self, name, clients=None, seconds=None, network=None):
        """(quiet, attacked): seconds of deliveries; what the attackers saw is added to self.reports."""
        pace, quiet, attacked = self.pace, [], []
        if seconds:
            return self.endure_crowd(Attack(self, name, clients, seconds, network))
        with Attack(self, name, clients or pace.clients, 2 * pace.turns * pace.turn, network) as attack:
            for _ in range(pace.turns):
                attacked += self.deliveries(pace.turn)
                with attack.stopped():
                    quiet += self.deliveries(pace.turn)
        self.reports.append(attack.report)
        return quiet, attacked

    def endure_crowd(self, crowd):
        """The same for connections that weigh by being there, stopped or not."""
        seconds = self.pace.turns * self.pace.turn
        quiet = self.deliveries(seconds)
        with crowd:
            attacked = self.deliveries(seconds)
        self.reports.append(crowd.report)
        return quiet, attacked

    def attack(self, name, codes, also=(), share=CHEAP, may_take=None, **how):
        """`codes`: replies that have to come, `also`: that may."""
        self.groups.bound("attacker", share)
        self.reports = []
        pids = self.suite.told["pids"]
        with watching.Watch(pids, 0.1) as watch:
            for _ in range(3):
                quiet, attacked = (statistics.median(took) for took in self.endure(name, **how))
                if attacked <= 2 * quiet or not self.pace.judged:
                    break
        self.tell(name, quiet, attacked, watch)
        if self.groups.fixed and self.pace.judged:
            self.assertLessEqual(attacked, 2 * quiet, "others waited")
        self.assertEqual(self.suite.told["pids"], pids)
        self.assertEqual(watch.ended, set())
        for daemon in () if harness.SANITIZED else pids:
            self.assertLess(watch.most(daemon) - watch.first(daemon), may_take or self.pace.may_take, daemon)
        seen = {code for report in self.reports for code in report["replies"]}
        self.assertEqual(seen - GOOD - set(also), set(codes) - GOOD)
        self.assertLessEqual(set(codes), seen)

    def taken(self):
        """{subject: header} of what the attackers sent. (Python's parser does not survive the bodies.)"""
        with self.imap(self.target) as reader:
            reader.select("INBOX", readonly=True)
            _, data = reader.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT X-GODWIT-REPORT AUTHENTICATION-RESULTS)])")
        headers = [email.message_from_bytes(part[1]) for part in data if isinstance(part, tuple)]
        return {header["Subject"]: header for header in headers}

    def expects_reports(self):
        """True when smtp-ingress knows of it; it looks once a minute, and when it starts."""
        try:
            self.send(bombs.SENDER.decode(), [self.target], bombs.report("first.zip", b"PK"))
            return bool(self.taken()["Report Domain: godwit.test (first.zip)"]["X-Godwit-Report"])
        except OSError:
            return False

    def tell(self, name, quiet, attacked, watch):
        replies = {}
        for report in self.reports:
            for code, count in report["replies"].items():
                replies[code] = replies.get(code, 0) + count
        grown = ", ".join(f"{daemon} {watch.first(daemon) / MIB:.0f}/{watch.most(daemon) / MIB:.0f}/"
                          f"{watch.last(daemon) / MIB:.0f}" for daemon in ("smtp-ingress", "auth-verifier"))
        print(f"\n  {name}: 250 after {quiet * 1000:.1f} ms when it is quiet, {attacked * 1000:.1f} ms meanwhile; "
              f"{sum(report['connections'] for report in self.reports)} connections, "
              f"{sum(report['octets'] for report in self.reports) / 1e6:.0f} MB, the longest "
              f"{max(report['longest'] for report in self.reports):.1f} s; MiB before/most/after: {grown}; "
              f"{dict(sorted(replies.items()))}", file=sys.stderr)
