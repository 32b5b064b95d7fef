#!/usr/bin/python3
"""Memory of an idle IMAP connection over TLS: logged in, INBOX selected, in IDLE. See README.md."""

import argparse
import asyncio
import json
import os
import ssl
import sys
import time

import cpu

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

AT_ONCE = 20  # connections that log in at the same time


class Connection:
    """One client that does what a mail program does when it waits for mail."""

    def __init__(self, address, tls, user, password):
        self.address = address
        self.tls = tls
        self.login = f'"{user}" "{password}"'

    async def open(self):
        host, port = harness.split(self.address)
        self.reader, self.writer = await asyncio.open_connection(host, port, ssl=self.tls, limit=8192)
        await self.reader.readline()  # the greeting
        await self.command("a1", "LOGIN " + self.login)
        await self.command("a2", "SELECT INBOX")
        self.writer.write(b"a3 IDLE\r\n")
        line = await self.reader.readline()
        if not line.startswith(b"+"):
            raise ConnectionError(f"IDLE: {line}")

    async def command(self, tag, text):
        self.writer.write(f"{tag} {text}\r\n".encode())
        while not (line := await self.reader.readline()).startswith(tag.encode()):
            if not line:
                raise ConnectionError(f"{text.split()[0]}: the connection ended")
        if not line.startswith(tag.encode() + b" OK"):
            raise ConnectionError(f"{text.split()[0]}: {line}")

    async def close(self):
        self.writer.close()


async def open_all(connections):
    """AT_ONCE at a time."""
    for first in range(0, len(connections), AT_ONCE):
        await asyncio.gather(*(one.open() for one in connections[first:first + AT_ONCE]))


async def measure(options, suite, users):
    told = suite.told
    tls = ssl.create_default_context(cafile=told["ca_file"])
    pid = told["pids"]["imap-gateway"]

    def some(count):
        return [Connection(told["imaps"], tls, *users[number % len(users)]) for number in range(count)]
    start = cpu.memory(pid)
    # What comes once, for the first clients and the first accounts, is not a connection's cost.
    warm = some(options.warm)
    await open_all(warm)
    await asyncio.sleep(options.settle)
    before = cpu.memory(pid)
    begun = time.monotonic()
    used = cpu.seconds(pid)
    many = some(options.connections)
    await open_all(many)
    elapsed = time.monotonic() - begun
    used = cpu.seconds(pid) - used
    await asyncio.sleep(options.settle)
    after = cpu.memory(pid)
    for one in [*warm, *many]:
        await one.close()
    count = options.connections
    return {"benchmark": "imap_idle", "connections": count, "accounts": len(users), "messages": options.messages,
            "rss_kib_each": (after["rss"] - before["rss"]) / count / 1024,
            "pss_kib_each": (after["pss"] - before["pss"]) / count / 1024,
            "start_rss_mib": start["rss"] / 1048576, "end_rss_mib": after["rss"] / 1048576,
            "logins_per_second": count / elapsed, "login_cpu_ms": used * 1000 / count}


def prepare(options, suite):
    """[(user, password)], each with a mailbox of some size."""
    users = []
    for number in range(options.accounts):
        address = f"idle{number}@{suite.told['domain']}"
        users.append((address, suite.add_account(address)))
    tls = ssl.create_default_context(cafile=suite.told["ca_file"])
    for user, password in users:
        with harness.imaplib.IMAP4_SSL(*harness.split(suite.told["imaps"]), ssl_context=tls) as client:
            client.login(user, password)
            raw = harness.message("ann@sender.test", user).as_bytes()
            for _ in range(options.messages):
                client.append("INBOX", "", None, raw)
    return users


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--accounts", type=int, default=10, help="the connections share them")
    parser.add_argument("--messages", type=int, default=100, help="in each account's INBOX")
    parser.add_argument("--warm", type=int, default=50, help="connections made before the first look")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before each look")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    return parser.parse_args()


def main():
    options = parse()
    suite = harness.Suite()
    try:
        result = asyncio.run(measure(options, suite, prepare(options, suite)))
        suite.check_store()
    finally:
        suite.close()
    for name, value in result.items():
        print(f"{name:>20}  {value:.2f}" if isinstance(value, float) else f"{name:>20}  {value}")
    if options.json:
        with open(options.json, "w", encoding="ascii") as out:
            json.dump(result, out, indent=1)


if __name__ == "__main__":
    main()
