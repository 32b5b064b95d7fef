#!/usr/bin/python3
"""Receiving mail into mailboxes: messages a second, and CPU milliseconds a message of each process.

Postfix's smtp-source brings mail to Godwit and to Postfix + Dovecot in turn. See README.md.
"""

import argparse
import os
import subprocess
import sys

import compare
import receivers

PEERS = os.path.join(receivers.harness.ROOT, "tools", "peers")


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


def generate(address, cell, count):
    """Runs smtp-source; when it began and ended, without the making of its namespace."""
    numbered = "-N" if cell.mailboxes > 1 else ""
    recipient = receivers.MANY if cell.mailboxes > 1 else receivers.ONE
    script = (f"begin=$(date +%s.%N); smtp-source -s {cell.sessions} -m {count} -l {cell.size} {numbered}"
              f" -M client.sender.test -f {receivers.SENDER} -t {recipient} inet:{address};"
              " echo $begin $(date +%s.%N)")
    done = subprocess.run([PEERS, "--run", "postfix", "--", "sh", "-ec", script], capture_output=True, text=True,
                          timeout=900)
    if done.returncode != 0:
        sys.exit(f"smtp-source: {done.stderr}{done.stdout}")
    begin, end = done.stdout.split()
    return float(begin), float(end), {}


def measure(server, cell, most):
    count = cell.messages(most)
    return compare.measure(server, count, lambda: generate(server.address, cell, count))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=compare.numbers, default=[2048, 51200], metavar="BYTES,...")
    parser.add_argument("--sessions", type=compare.numbers, default=[1, 10, 50], metavar="N,...")
    parser.add_argument("--mailboxes", type=compare.numbers, default=[1, 100], metavar="1|100,...")
    compare.add_options(parser, 2000)
    return parser.parse_args()


def main():
    options = parse()
    kinds = [receivers.Godwit] + ([] if options.no_peer else [receivers.PostfixDovecot])
    cells = [Cell(size, sessions, boxes) for size in options.sizes for boxes in options.mailboxes
             for sessions in options.sessions]
    servers = []
    try:
        for kind in kinds:
            servers.append(kind(max(options.messages, 300)))
        for server in servers:
            measure(server, Cell(2048, 10, 100), min(300, options.messages))  # warm
        results = compare.run_all(cells, servers, options.rounds,
                                  lambda server, cell: measure(server, cell, options.messages))
    finally:
        for server in servers:
            server.close()
    compare.show(results, cells)
    compare.write(options.json, "receive", results)


if __name__ == "__main__":
    main()
