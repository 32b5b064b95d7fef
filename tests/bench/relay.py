#!/usr/bin/python3
"""Sending mail: submission, signature, queue, and out to a sink; rate and CPU milliseconds a message.

A load generator of our own brings the same mail to Godwit and to Postfix + opendkim in turn. See README.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import compare
import relays
from peer import harness

SUBMIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "submit.py")


class Cell:
    """One row of the table."""

    def __init__(self, size, clients, per_connection):
        self.size = size
        self.clients = clients
        self.per_connection = per_connection
        self.columns = {"size": size, "clients": clients, "each": per_connection}

    def messages(self, most):
        return max(10, most // (4 if self.clients == 1 else 1))


def generate(server, cell, count):
    orders = {"address": server.address, "ca_file": server.ca_file, "users": server.users, "clients": cell.clients,
              "messages": count, "per_connection": cell.per_connection, "size": cell.size,
              "recipient": relays.RECIPIENT}
    done = subprocess.run([sys.executable, SUBMIT], input=json.dumps(orders), capture_output=True, text=True,
                          timeout=900)
    if done.returncode != 0:
        sys.exit(f"{server.name}: {done.stderr}")
    told = json.loads(done.stdout)
    return told.pop("begin"), told.pop("end"), told


def measure(server, cell, most):
    count = cell.messages(most)
    return compare.measure(server, count, lambda: generate(server, cell, count))


def require_signed(servers, folder, port):
    """Some messages, which the sink keeps: what is measured is signed, once."""
    sink = relays.Sink(folder, port, dump=True)
    try:
        for server in servers:
            before = len(sink.messages())
            measure(server, Cell(2048, 2, 1), 20)
            got = sink.messages()[before:]
            if got.count(b"\nDKIM-Signature:") != 20 or got.count(b"a=rsa-sha256") != 20:
                sys.exit(f"{server.name} did not sign each of 20 messages once: {got[-3000:]}")
    finally:
        sink.close()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=compare.numbers, default=[2048], metavar="BYTES,...")
    parser.add_argument("--clients", type=compare.numbers, default=[1, 10, 50], metavar="N,...")
    parser.add_argument("--per-connection", type=compare.numbers, default=[1, 20], metavar="N,...",
                        help="messages that a client sends before it logs in again")
    compare.add_options(parser, 2000)
    parser.add_argument("--no-peer", action="store_true", help="Godwit alone")
    return parser.parse_args()


def main():
    options = parse()
    kinds = [relays.Godwit] + ([] if options.no_peer else [relays.PostfixOpendkim])
    cells = [Cell(size, clients, each) for size in options.sizes for each in options.per_connection
             for clients in options.clients]
    folder = tempfile.mkdtemp(prefix="godwit-sink-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    port = harness.free_port()
    servers = []
    sink = None
    try:
        for kind in kinds:
            servers.append(kind(port))
        require_signed(servers, folder, port)
        sink = relays.Sink(folder, port)
        for server in servers:
            measure(server, Cell(2048, 10, 20), min(300, options.messages))  # warm
        results = compare.run_all(cells, servers, options.rounds,
                                  lambda server, cell: measure(server, cell, options.messages))
    finally:
        for closing in [*servers, *([sink] if sink else [])]:
            closing.close()
        shutil.rmtree(folder, ignore_errors=True)
    compare.show(results, cells, ["p50_ms", "p99_ms"])
    compare.write(options.json, "relay", results)


if __name__ == "__main__":
    main()
