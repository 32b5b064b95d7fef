"""Clients that mean harm come to smtp-ingress for minutes, one after the other and all at once, while mail
comes in: its memory grows to what they may take and stays there, and every message is taken.

SOAK_MINUTES in the environment says how long (5).
"""

import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

MINUTES = float(os.environ.get("SOAK_MINUTES", "5"))
# What the last half of the time may add to the highest of the first half.
MAY_GROW = 8 << 20
SLOW = 300
BEGIN = b"EHLO hostile.test\r\nMAIL FROM:<s@sender.test>\r\n"


def resident(pid):
    with open(f"/proc/{pid}/statm") as source:
        return int(source.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Attacker(threading.Thread):
    """Does one thing over and over."""

    def __init__(self, name, address, attack, over):
        super().__init__(daemon=True, name=name)
        self.address = address
        self.attack = attack
        self.over = over
        self.rounds = 0

    def run(self):
        while not self.over.is_set():
            try:
                with socket.create_connection(self.address, timeout=10) as client:
                    self.attack(client)
            except OSError:
                pass  # cut, as it should be
            self.rounds += 1


def drain(client):
    """Reads beside what is written, so that the server never waits for us."""
    client.setblocking(False)
    try:
        client.recv(1 << 16)
    except BlockingIOError:
        pass
    client.setblocking(True)


def flood(client, piece, times):
    for _ in range(times):
        client.sendall(piece)
        drain(client)


def endless_header(client, to):
    client.sendall(BEGIN + f"RCPT TO:<{to}>\r\nDATA\r\n".encode())
    flood(client, (b"X-Endless: " + b"x" * 60 + b"\r\n") * 1000, 2000)


def endless_line(client, to):
    client.sendall(BEGIN + f"RCPT TO:<{to}>\r\nDATA\r\n".encode())
    flood(client, b"x" * 65536, 2000)


def endless_command(client, _):
    flood(client, b"x" * 65536, 100)


def recipients(client, to):
    client.sendall(BEGIN)
    flood(client, b"".join(b"RCPT TO:<%d.%s>\r\n" % (number, to.encode()) for number in range(1000)), 20)


def nonsense(client, _):
    flood(client, os.urandom(4096).replace(b"\n", b"\r\n"), 20)


def gone(client, to):
    """In the midst of a message."""
    client.sendall(BEGIN + f"RCPT TO:<{to}>\r\nDATA\r\n".encode() + b"A: b\r\n" * 5000)


class HostileClients(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']

    def deliver(self, number):
        content = harness.message("s@sender.test", self.alice, subject=f"soak {number}")
        self.assertEqual(self.send("s@sender.test", [self.alice], content), {})

    def test_memory_stays_flat_and_mail_is_taken(self):
        pid, over = self.suite.told["pids"]["smtp-ingress"], threading.Event()
        address = harness.split(self.suite.told["smtp"])
        slow = [socket.create_connection(address) for _ in range(SLOW)]
        attackers = [Attacker(attack.__name__, address, lambda client, attack=attack: attack(client, self.alice),
                              over)
                     for attack in (endless_header, endless_line, endless_command, recipients, nonsense, gone)]
        for attacker in attackers:
            attacker.start()
        samples, delivered, slowest = [], 0, 0.0
        begin = time.monotonic()
        while time.monotonic() - begin < MINUTES * 60:
            for client in slow:
                try:
                    client.send(b"N")
                except OSError:
                    pass
            sent = time.monotonic()
            self.deliver(delivered)
            slowest = max(slowest, time.monotonic() - sent)
            delivered += 1
            samples.append(resident(pid))
            time.sleep(0.5)
        over.set()
        for attacker in attackers:
            attacker.join(60)
        for client in slow:
            client.close()
        half = len(samples) // 2
        first, last = max(samples[:half]), max(samples[half:])
        rounds = ", ".join(f"{attacker.rounds} x {attacker.name}" for attacker in attackers)
        print(f"{delivered} messages, slowest {slowest:.1f} s; memory at most {first >> 20} MiB in the first half,"
              f" {last >> 20} MiB in the second; {rounds}", file=sys.stderr)
        self.assertLess(last - first, MAY_GROW)
        self.wait_for(lambda: len(self.inbox(self.alice)) == delivered, 30, "all mail")


if __name__ == "__main__":
    harness.main()
