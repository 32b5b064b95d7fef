"""Good mail, slow clients, broken ones, and connections that come and go, for minutes: no daemon takes more and
more memory or descriptors.

Mail of 2 KB to 1 MB comes in, is submitted, is forwarded, is read and deleted, while attacks.py is at work in its
share of the CPU. Every good message is taken. Of each daemon the median of the last third must not be above
that of the middle third by more than a tenth or, where that is less, a fixed amount; so for the least number of
descriptors (attacks come in waves; what is lost stays). The first third is for warming up. Reports come, but not to
an address for them: what unpacking takes comes and goes, and has its bound in hostile_clients_test.

    soak_test.py [--minutes N]        or SOAK_MINUTES in the environment; 10 when neither says
"""

import argparse
import glob
import os
import random
import smtplib
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import hostile  # noqa: E402
import watching  # noqa: E402
from hostile import MIB, harness  # noqa: E402

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
EVERY = 3
MAY_GROW = 4 * MIB
MAY_OPEN = 16
FORWARDED = "forwarded@godwit.test"
# Attack, clients. Each comes for a while, again and again.
ATTACKS = [("slow_commands", 300), ("slow_messages", 100), ("churn", 2), ("gone", 2), ("nonsense", 1),
           ("endless_header", 1), ("endless_line", 1), ("endless_command", 1), ("recipients", 1), ("guesses", 1),
           ("nested", 1), ("signatures", 1), ("spf", 1), ("reports", 1)]
WHILE = 12


class Repeated(threading.Thread):
    """Does one thing over and over until told to end; what goes wrong is kept."""

    def __init__(self, name, what, over, pause):
        super().__init__(daemon=True, name=name)
        self.what = what
        self.over = over
        self.pause = pause
        self.rounds = 0
        self.error = None
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                self.what()
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
                return
            self.rounds += 1
            self.over.wait(self.pause)


class Soak(hostile.HostileCase):
    # Nobody's latency is judged here: the rest of the machine gets its due.
    shares = {"server": 1024, "others": 512, "attacker": 128}
    records = hostile.HostileCase.records + ['foreign.test. 60 IN TXT "v=spf1 -all"']
    # Full, and no larger from then on, before the first third is over.
    settings = {**hostile.HostileCase.settings, "auth-verifier": {"dns": {"cache_entries": 1000}}}

    def setUp(self):
        harness.godwitctl("alias", "add", FORWARDED, self.bob, "x@foreign.test", conninfo=self.suite.superuser())
        self.groups.bound("attacker", 0.2)
        self.random = random.Random(20261122)
        self.sent = 0

    def letter_of(self, octets):
        line = b"x" * 70 + b"\r\n"
        return hostile.bombs.FROM + b"Subject: good\r\n\r\n" + line * (octets // len(line))

    def size(self):
        """As many small ones as large ones, by their logarithm."""
        return int(2000 * 500 ** self.random.random())

    def bring(self):
        """Some messages over one connection."""
        with self.smtp(starttls=self.random.random() < 0.5) as client:
            for to in ([self.alice], [self.bob], [self.alice, self.bob], [FORWARDED]):
                self.assertEqual(client.sendmail("good@sender.test", to, self.letter_of(self.size())), {})
                self.sent += 1

    def submit(self):
        with smtplib.SMTP(*harness.split(self.suite.told["submission"]), timeout=30) as client:
            client.starttls(context=self.tls)
            client.login(self.alice, self.passwords[self.alice])
            text = self.letter_of(self.size()).replace(b"s@sender.test", self.alice.encode())
            self.assertEqual(client.sendmail(self.alice, ["x@foreign.test", self.bob], text), {})
        self.sent += 1

    def read(self):
        """And delete: the store is to be as large in the end as in the middle."""
        for address in (self.alice, self.bob, self.target):
            with self.imap(address) as client:
                count = int(client.select("INBOX")[1][0])
                if count > 0:
                    client.fetch(f"1:{min(count, 20)}", "(ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
                    client.store("1:*", "+FLAGS.SILENT", "\\Deleted")
                    client.expunge()
        for path in sorted(glob.glob(os.path.join(self.suite.dir, "capture", "*.*")))[:-10]:
            os.remove(path)

    def come(self, name, clients):
        with hostile.Attack(self, name, clients, WHILE):
            pass

    def hours(self):
        """All that goes on, for MINUTES; gives what was watched."""
        over = threading.Event()
        good = [Repeated("bring", self.bring, over, 1), Repeated("bring", self.bring, over, 1),
                Repeated("submit", self.submit, over, 2), Repeated("read", self.read, over, 5)]
        bad = [Repeated(name, lambda name=name, clients=clients: self.come(name, clients), over, 1)
               for name, clients in ATTACKS]
        with watching.Watch(self.suite.told["pids"], EVERY) as watch:
            end = time.monotonic() + MINUTES * 60
            while time.monotonic() < end and not any(each.error for each in good):
                time.sleep(1)
        over.set()
        for each in good + bad:
            each.join(WHILE + 60)
            self.assertFalse(each.is_alive(), each.name)
        for each in good + bad:
            self.assertIsNone(each.error, each.name)
        print(f"\n  {self.sent} good messages; " + ", ".join(f"{each.rounds} x {each.name}" for each in good + bad),
              file=sys.stderr)
        return watch

    @staticmethod
    def thirds(of, samples):
        """For the middle and for the last."""
        third = len(samples) // 3
        return of(samples[third:2 * third]), of(samples[2 * third:])

    def test_nothing_grows(self):
        pids = self.suite.told["pids"]
        watch = self.hours()
        self.assertEqual(self.suite.told["pids"], pids)
        self.assertEqual(watch.ended, set())
        grown = {}
        for name, samples in watch.samples.items():
            middle, last = self.thirds(statistics.median, [memory for memory, _ in samples])
            open_middle, open_last = self.thirds(min, [descriptors for _, descriptors in samples])
            print(f"  {name}: {watch.first(name) / MIB:.1f} MiB at first, {middle / MIB:.1f} in the middle, "
                  f"{last / MIB:.1f} at last, {watch.most(name) / MIB:.1f} at most; descriptors {open_middle:.0f}, "
                  f"{open_last:.0f}", file=sys.stderr)
            if last - middle > max(middle / 10, MAY_GROW):
                grown[name] = (middle, last)
            if open_last - open_middle > max(open_middle / 10, MAY_OPEN):
                grown[name + "'s descriptors"] = (open_middle, open_last)
        self.assertEqual(grown, {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    options, rest = parser.parse_known_args()
    MINUTES = options.minutes
    sys.argv[1:] = rest
    harness.main()
