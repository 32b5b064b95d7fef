#!/usr/bin/python3
"""Receiving mail into mailboxes: messages a second, waits for 250, and CPU milliseconds a message.

Signed mail comes to Godwit and to Postfix + Dovecot in turn, with and without verification. See README.md.
"""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile

import compare
import flat
import load
import own_network
import receivers
from peer import harness

PAIRS = [("godwit-plain", "postfix-plain"), ("godwit", "postfix-milters"), ("godwit", "postfix-rspamd")]
FIGURES = ["p50_ms", "p99_ms", "load_cpu_ms"]


class Cell:
    """One row of the table."""

    def __init__(self, size, sessions, mailboxes):
        self.size = size
        self.sessions = sessions
        self.mailboxes = mailboxes
        self.columns = {"size": size, "sessions": sessions, "mailboxes": mailboxes}

    def messages(self, most):
        """Fewer where they take longer."""
        return max(10, most // (4 if self.sessions == 1 else 1))

    def recipients(self):
        return [receivers.mailbox(number) for number in range(self.mailboxes)]


class Bench:
    """The DNS server, the mail, the servers."""

    def __init__(self, kinds, mailboxes, algorithms):
        self.folder = tempfile.mkdtemp(prefix="godwit-bench-")
        self.servers = []
        self.mail = load.Mail(self.folder, algorithms)
        self.dns = harness.zone.Unbound(harness.ROOT, os.path.join(self.folder, "dns"), 53)
        try:
            self.dns.start([*harness.zone.records([]), *self.mail.records()])
            for kind in kinds:
                self.servers.append(kind("127.0.0.1:53", mailboxes))
        except BaseException:
            self.close()
            raise

    def ready(self, server, cell, count, per_connection):
        made = load.Load(self.mail, cell.recipients(), count, cell.size)
        made.ready(server.address, cell.sessions, per_connection)
        return made

    def send(self, server, cell, count):
        """Messages that are not measured."""
        mark = server.mark()
        self.ready(server, cell, count, 1).go()
        server.delivered(mark, count)

    def run(self, server, cell, count, per_connection):
        """The figures of `count` messages, in a server whose processes for so many sessions are there."""
        self.send(server, cell, 2 * cell.sessions)
        return compare.measure(server, count, self.ready(server, cell, count, per_connection).go,
                               {"(dns)": self.dns.process.pid})

    def require_results(self, server):
        """The results in a message as it lies in a mailbox; exits where they are not what is measured."""
        self.send(server, Cell(2048, 1, 1), 1)
        header = server.newest(0).replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("ascii", "replace")
        fields = re.findall(r"^Authentication-Results:((?:.*\n[ \t])*.*)", header, re.IGNORECASE | re.MULTILINE)
        found = {name: sum(len(re.findall(rf"\b{name}=pass\b", field)) for field in fields)
                 for name in ("spf", "dkim", "dmarc")}
        if all(found.values()) if server.verifies else not any(found.values()):
            return found
        sys.exit(f"{server.name}: not the results that were to come: {found}\n{header}")

    def close(self):
        for server in self.servers:
            server.close()
        self.dns.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def words(choices):
    def parse(text):
        chosen = text.split(",")
        if unknown := [word for word in chosen if word not in choices]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: it is some of {', '.join(choices)}")
        return chosen
    return parse


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=words(receivers.KINDS), default=list(receivers.KINDS), metavar="NAME,...",
                        help=", ".join(receivers.KINDS))
    parser.add_argument("--signatures", type=words(load.ALGORITHMS), default=["rsa"], metavar="ALGORITHM,...",
                        help="of each message: rsa, ed25519 or both")
    parser.add_argument("--sizes", type=compare.numbers, default=[2048, 51200], metavar="BYTES,...")
    parser.add_argument("--sessions", type=compare.numbers, default=[1, 10, 50], metavar="N,...")
    parser.add_argument("--mailboxes", type=compare.numbers, default=[1, 100], metavar="N,...")
    parser.add_argument("--per-connection", type=int, default=1, metavar="N", help="messages of a connection")
    parser.add_argument("--by-process", action="store_true", help="the CPU time of each process of a server, too")
    parser.add_argument("--flat", type=int, metavar="N",
                        help="instead: N messages to one mailbox of Godwit, and the figures of each tenth")
    compare.add_options(parser, 2000)
    return parser.parse_args()


def compare_servers(bench, options):
    results_seen = {server.name: bench.require_results(server) for server in bench.servers}
    cells = [Cell(size, sessions, mailboxes) for size in options.sizes for mailboxes in options.mailboxes
             for sessions in options.sessions]
    for server in bench.servers:
        bench.send(server, Cell(2048, 10, max(options.mailboxes)), min(300, options.messages))
    results = compare.run_all(cells, bench.servers, options.rounds, lambda server, cell: bench.run(
        server, cell, cell.messages(options.messages), options.per_connection))
    found = compare.ratios(results, cells, PAIRS)
    compare.show(results, cells, FIGURES, options.by_process)
    compare.show_ratios(found, cells)
    compare.write(options.json, "receive", results, ratios=found, passes=results_seen)


def fill_one_mailbox(bench, options):
    server = bench.servers[0]
    bench.require_results(server)
    cell = Cell(options.sizes[0], max(options.sessions), 1)
    server.check_at_end = options.flat <= 10_000  # it reads every message
    tenths = flat.run(server, bench, cell, options.flat, options.per_connection)
    compare.write(options.json, "flat", tenths)


def main():
    options = parse()
    own_network.enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and with it all that it started
    names = ["godwit"] if options.flat else options.servers
    bench = Bench([receivers.KINDS[name] for name in names], max(options.mailboxes), options.signatures)
    try:
        if options.flat:
            fill_one_mailbox(bench, options)
        else:
            compare_servers(bench, options)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
