#!/usr/bin/python3
"""Receiving mail into mailboxes: messages a second, and CPU milliseconds a message of each process.

Postfix's smtp-source brings mail to Godwit and to Postfix + Dovecot in turn. See README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import cpu
import receivers

PEERS = os.path.join(receivers.harness.ROOT, "tools", "peers")


class Cell:
    """One row of the table."""

    def __init__(self, size, sessions, mailboxes):
        self.size = size
        self.sessions = sessions
        self.mailboxes = mailboxes

    def __str__(self):
        return f"{self.size // 1024} KB, {self.sessions} sessions, {self.mailboxes} mailboxes"

    def messages(self, most):
        """Fewer where they take longer."""
        return max(10, most // (4 if self.sessions == 1 else 1))


def generate(address, cell, count):
    """Runs smtp-source; (start, end) by the clock, without the making of its namespace."""
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
    return float(begin), float(end)


def measure(server, cell, count):
    pids = server.processes()
    before = {name: cpu.seconds(pid) for name, pid in pids.items()}
    mark = server.mark()
    begin, accepted = generate(server.address, cell, count)
    server.delivered(mark, count)
    end = accepted if mark is None else max(accepted, time.time())
    time.sleep(0.3)  # what is written behind
    spent = {name: (cpu.seconds(pid) - before[name]) * 1000 / count for name, pid in pids.items()}
    # Names in brackets are shown and not counted: the site's resolver.
    spent["total"] = sum(ms for name, ms in spent.items() if not name.startswith("("))
    return {"per_second": count / (end - begin), "cpu_ms": spent}


def median_of(runs):
    names = runs[0]["cpu_ms"]
    return {"per_second": statistics.median(run["per_second"] for run in runs),
            "cpu_ms": {name: statistics.median(run["cpu_ms"][name] for run in runs) for name in names},
            "runs": runs}


def show(results):
    for server in sorted({row["server"] for row in results}):
        rows = [row for row in results if row["server"] == server]
        names = list(rows[0]["cpu_ms"])
        print(f"\n{server}: median of {len(rows[0]['runs'])}\n")
        print(f"{'KB':>4} {'sessions':>8} {'mailboxes':>9} {'msg/s':>8}  CPU ms a message: " + "  ".join(names))
        for row in rows:
            columns = "  ".join(f"{row['cpu_ms'][name]:>{len(name)}.2f}" for name in names)
            print(f"{row['size'] // 1024:>4} {row['sessions']:>8} {row['mailboxes']:>9} {row['per_second']:>8.0f}"
                  f"                    {columns}")


def numbers(text):
    return [int(part) for part in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default=[2048, 51200], metavar="BYTES,...")
    parser.add_argument("--sessions", type=numbers, default=[1, 10, 50], metavar="N,...")
    parser.add_argument("--mailboxes", type=numbers, default=[1, 100], metavar="1|100,...")
    parser.add_argument("--messages", type=int, default=2000, help="a run; a quarter with one session")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="Godwit alone")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser.parse_args()


def run_all(options, servers):
    """{(server, cell): runs}; each cell's runs alternate between the servers, so that a drift hits both."""
    cells = [Cell(size, sessions, boxes) for size in options.sizes for boxes in options.mailboxes
             for sessions in options.sessions]
    for server in servers:
        measure(server, Cell(2048, 10, 100), min(300, options.messages))  # warm
    runs = {}
    for number in range(options.rounds):
        for cell in cells:
            for server in servers:
                run = measure(server, cell, cell.messages(options.messages))
                runs.setdefault((server.name, cell), []).append(run)
                print(f"round {number + 1}: {server.name}: {cell}: {run['per_second']:.0f}/s,"
                      f" {run['cpu_ms']['total']:.2f} ms", file=sys.stderr)
    return runs


def main():
    options = parse()
    kinds = [receivers.Godwit] + ([] if options.no_peer else [receivers.PostfixDovecot])
    servers = []
    try:
        for kind in kinds:
            servers.append(kind(max(options.messages, 300)))
        runs = run_all(options, servers)
    finally:
        for server in servers:
            server.close()
    results = [{"server": name, "size": cell.size, "sessions": cell.sessions, "mailboxes": cell.mailboxes,
                **median_of(of_cell)} for (name, cell), of_cell in runs.items()]
    show(results)
    if options.json:
        with open(options.json, "w", encoding="ascii") as out:
            json.dump({"benchmark": "receive", "results": results}, out, indent=1)


if __name__ == "__main__":
    main()
