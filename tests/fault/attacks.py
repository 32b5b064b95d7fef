"""Clients that mean harm, as a program of its own: a test can bound its CPU, and nothing of it slows the test.

    attacks.py NAME --smtp HOST:PORT --to ADDRESS [--clients N] [--seconds N] [--from-network A.B.C.0/24]

Prints "ready", waits for a line on its standard input, prints "begun" when all of its clients are at work,
and in the end one line of JSON: how often each reply came ("552 5.3.4"), the connections, the octets sent,
and how long the longest conversation took. Each client does the same over and over until the time is over;
one that is cut comes again.
"""

import argparse
import collections
import ipaddress
import itertools
import json
import os
import re
import select
import socket
import sys
import threading
import time

import bombs

REPLY = re.compile(rb"^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3})\b)?(?!-)", re.MULTILINE)
# No conversation of ours may stand still for so long.
SILENCE = 30


class Tally:
    """What all clients saw."""

    def __init__(self):
        self.lock = threading.Lock()
        self.replies = collections.Counter()
        self.connections = 0
        self.octets = 0
        self.longest = 0.0

    def add(self, said, octets, seconds):
        with self.lock:
            self.connections += 1
            self.octets += octets
            self.longest = max(self.longest, seconds)
            for code, enhanced in REPLY.findall(said):
                self.replies[(code + b" " + enhanced).decode().strip()] += 1

    def __str__(self):
        return json.dumps({"replies": self.replies, "connections": self.connections, "octets": self.octets,
                           "longest": round(self.longest, 3)})


def connect(options):
    """With --from-network as its next address, told by the PROXY protocol."""
    client = socket.create_connection(options.smtp, timeout=SILENCE)
    if options.from_network:
        address = options.from_network[next(options.turn) % options.from_network.num_addresses]
        client.sendall(f"PROXY TCP4 {address} 192.0.2.1 1234 25\r\n".encode())
    return client


class Wire:
    """One conversation. It reads beside what it writes, so that nobody waits for the other."""

    def __init__(self, options, tally):
        self.tally = tally
        self.began = time.monotonic()
        self.said = bytearray()
        self.sent = 0
        self.closed = False
        self.socket = connect(options)
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.tally.add(bytes(self.said), self.sent, time.monotonic() - self.began)

    def _wait(self, writing):
        poll = select.poll()
        poll.register(self.socket, select.POLLIN | (select.POLLOUT if writing else 0))
        ready = poll.poll(SILENCE * 1000)
        if not ready:
            self.said += b"\n999 0.0.0 silent\r\n"  # no reply of a server: the test fails on it
            self.closed = True
        return ready[0][1] if ready else 0

    def _read(self):
        try:
            got = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        self.closed = self.closed or not got
        self.said += got

    def send(self, octets):
        """False when the server has closed."""
        rest = memoryview(octets)
        while rest and not self.closed:
            events = self._wait(writing=True)
            if events & ~select.POLLOUT:
                self._read()
            if events & select.POLLOUT and not self.closed:
                rest = rest[self._write(rest):]
        return not self.closed

    def _write(self, rest):
        try:
            count = self.socket.send(rest[:1 << 18])
        except OSError:
            self._read()
            return 0
        self.sent += count
        return count

    def replies(self):
        return len(REPLY.findall(bytes(self.said)))

    def say(self, line, count=1):
        """Sends; waits for so many replies. False when the server has closed."""
        wanted = self.replies() + count
        return self.send(line) and self.wait_replies(wanted)

    def wait_replies(self, wanted):
        while self.replies() < wanted and not self.closed:
            self._wait(writing=False)
            self._read()
        return not self.closed

    def read_to_end(self):
        while not self.closed:
            self._wait(writing=False)
            self._read()

    def begin(self, options, sender=b"s@sender.test"):
        """Up to the 354."""
        to = options.to.encode()
        lines = (b"EHLO hostile.test\r\n", b"MAIL FROM:<" + sender + b">\r\n", b"RCPT TO:<" + to + b">\r\n", b"DATA\r\n")
        return self.wait_replies(1) and all(self.say(line) for line in lines)


def endless(piece):
    """The attack that sends `piece` as text of a message until it is cut."""
    def attack(wire, options, _over):
        if wire.begin(options):
            while wire.send(piece):
                pass
    return attack


def endless_command(wire, _options, _over):
    while wire.send(b"x" * 65536):
        pass


def recipients(make):
    """The attack of 100,000 recipients in one transaction, as fast as they are taken."""
    def attack(wire, options, _over):
        wire.send(b"EHLO hostile.test\r\nMAIL FROM:<s@sender.test>\r\n")
        for first in range(0, 100_000, 1000):
            if not wire.send(b"".join(b"RCPT TO:<" + make(options.to, first + number).encode() + b">\r\n"
                                      for number in range(1000))):
                break
        wire.say(b"QUIT\r\n")
        wire.read_to_end()
    return attack


def tagged(to, number):
    user, domain = to.split("@")
    return f"{user}+{number}@{domain}"


def nonsense(wire, _options, over):
    while not over() and wire.send(os.urandom(4096).replace(b"\n", b"\r\n")):
        pass


def gone(wire, options, _over):
    """In the midst of a message."""
    if wire.begin(options):
        wire.send(b"A: b\r\n" * 20_000)


def churn(wire, _options, _over):
    wire.wait_replies(1)


def messages(make):
    """Makes the attack that sends messages, (reverse-path, text) of make() in turn, each over its connection."""
    made = make()
    turns = itertools.count()

    def attack(wire, options, _over):
        sender, text = made[next(turns) % len(made)]
        if wire.begin(options, sender):
            wire.say(text + b"\r\n.\r\n")
            wire.say(b"QUIT\r\n")
    return attack


def crowd(begin, octet):
    """The attack of many connections that say next to nothing; one thread holds them all."""
    def attack(options, tally, begun, over):
        sockets = [connect(options) for _ in range(options.clients)]
        for each in sockets:
            say(each, begin(options))
        begun()
        began = time.monotonic()
        while not over():
            for each in sockets:
                say(each, octet)
            time.sleep(0.5)
        for each in sockets:
            tally.add(all_that_came(each), 0, time.monotonic() - began)
            each.close()
    return attack


def say(client, octets):
    try:
        client.send(octets)
    except OSError:
        pass  # cut, as it should be


def all_that_came(client):
    said = b""
    client.setblocking(False)
    try:
        while got := client.recv(1 << 16):
            said += got
    except OSError:
        pass
    return said


def transaction(options):
    return f"EHLO slow.test\r\nMAIL FROM:<s@sender.test>\r\nRCPT TO:<{options.to}>\r\nDATA\r\n".encode()


CROWDS = {
    "slow_commands": crowd(lambda _: b"EHLO slow", b"."),
    "slow_messages": crowd(transaction, b"x"),
}
ATTACKS = {
    "endless_header": endless((b"X-Endless: " + b"x" * 60 + b"\r\n") * 1000),
    "endless_line": endless(b"x" * 65536),
    "endless_body": endless(b"\r\n" + b"text of no end\r\n" * 4000),
    "endless_command": endless_command,
    "recipients": recipients(tagged),
    "guesses": recipients(lambda to, number: f"{number}.{to}"),
    "nonsense": nonsense,
    "gone": gone,
    "churn": churn,
}
LETTERS = {"nested": bombs.nested, "signatures": bombs.signed, "spf": bombs.spf, "reports": bombs.reports}


def repeat(attack, options, tally, over):
    while not over():
        try:
            with Wire(options, tally) as wire:
                attack(wire, options, over)
        except OSError as error:
            print(f"{options.name}: {error}", file=sys.stderr)
            time.sleep(0.1)


def each_in_a_thread(attack):
    def begin(options, tally, begun, over):
        clients = [threading.Thread(target=repeat, daemon=True, args=(attack, options, tally, over))
                   for _ in range(options.clients)]
        for client in clients:
            client.start()
        begun()
        for client in clients:
            client.join()
    return begin


def run(options):
    attack = CROWDS.get(options.name) or each_in_a_thread(
        messages(LETTERS[options.name]) if options.name in LETTERS else ATTACKS[options.name])
    print("ready", flush=True)
    sys.stdin.readline()
    tally = Tally()
    end = time.monotonic() + options.seconds
    attack(options, tally, lambda: print("begun", flush=True), lambda: time.monotonic() > end)
    print(tally, flush=True)


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("name", choices=sorted([*ATTACKS, *CROWDS, *LETTERS]))
    parser.add_argument("--smtp", type=address, required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--from-network", type=ipaddress.ip_network)
    parser.set_defaults(turn=itertools.count())
    run(parser.parse_args())


if __name__ == "__main__":
    main()
