#!/usr/bin/python3
"""What each daemon takes when nothing happens: memory, and CPU time. See README.md."""

import argparse
import json
import os
import sys
import time

import cpu

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402


def measure(pid, seconds):
    before = cpu.seconds(pid)
    begin = time.monotonic()
    time.sleep(seconds)
    used = (cpu.seconds(pid) - before) * 1000 * 60 / (time.monotonic() - begin)
    memory = cpu.memory(pid)
    return {"rss_mib": memory["rss"] / 2**20, "pss_mib": memory["pss"] / 2**20, "cpu_ms_a_minute": used,
            "threads": len(os.listdir(f"/proc/{pid}/task"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="of each daemon, one after the other")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    suite = harness.Suite()
    try:
        time.sleep(min(5, options.seconds))  # what follows the start
        told = suite.told
        found = {name: measure(pid, options.seconds)
                 for name, pid in sorted({**told["pids"], "postgres": told["postgres_pid"]}.items())}
    finally:
        suite.close()
    print(f"{'daemon':<16} {'RSS MiB':>8} {'PSS MiB':>8} {'threads':>8} {'CPU ms a minute':>16}")
    for name, row in found.items():
        print(f"{name:<16} {row['rss_mib']:>8.1f} {row['pss_mib']:>8.1f} {row['threads']:>8}"
              f" {row['cpu_ms_a_minute']:>16.0f}")
    if options.json:
        with open(options.json, "w", encoding="ascii") as out:
            json.dump({"benchmark": "daemons_idle", "daemons": found}, out, indent=1)


if __name__ == "__main__":
    main()
