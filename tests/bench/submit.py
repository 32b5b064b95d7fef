#!/usr/bin/python3
"""The load of relay.py, a process of its own: clients that log in over TLS and submit mail.

Reads its orders as JSON from standard input: address, ca_file, users ([[name, password], ...]), clients,
messages, per_connection, size, recipient. Prints begin and end by the clock, and the milliseconds from the
final dot to 250 (median and 99th percentile).
"""

import asyncio
import base64
import email.utils
import json
import ssl
import sys
import time


class Client:
    def __init__(self, orders, number):
        self.orders = orders
        self.user, self.password = orders["users"][number % len(orders["users"])]
        self.tls = ssl.create_default_context(cafile=orders["ca_file"])
        self.waits = []
        self.reader = self.writer = None

    async def run(self, take):
        sent = 0
        while take():
            if sent % self.orders["per_connection"] == 0:
                await self.open()
            await self.send()
            sent += 1
        await self.close()

    async def open(self):
        await self.close()
        host, port = self.orders["address"].rsplit(":", 1)
        self.reader, self.writer = await asyncio.open_connection(host, int(port), ssl=self.tls,
                                                                 server_hostname="localhost")
        await self.reply(220)
        token = base64.b64encode(f"\0{self.user}\0{self.password}".encode()).decode()
        await self.say("EHLO client.test\r\n", 250)
        await self.say(f"AUTH PLAIN {token}\r\n", 235)

    async def send(self):
        await self.say(f"MAIL FROM:<{self.user}>\r\nRCPT TO:<{self.orders['recipient']}>\r\nDATA\r\n", 250, 250, 354)
        begin = time.monotonic()
        await self.say(self.message() + ".\r\n", 250)
        self.waits.append((time.monotonic() - begin) * 1000)

    def message(self):
        head = (f"From: {self.user}\r\nTo: {self.orders['recipient']}\r\nSubject: relay\r\n"
                f"Date: {email.utils.formatdate()}\r\nMessage-ID: {email.utils.make_msgid(domain='client.test')}\r\n"
                "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n")
        line = "x" * 70 + "\r\n"
        return head + line * max(1, (self.orders["size"] - len(head)) // len(line))

    async def say(self, text, *codes):
        self.writer.write(text.encode())
        for code in codes:
            await self.reply(code)

    async def reply(self, code):
        while (line := await self.reader.readline())[3:4] == b"-":
            pass
        if not line.startswith(b"%d" % code):
            raise ConnectionError(f"{code} awaited: {line}")

    async def close(self):
        if self.writer is not None:
            self.writer.write(b"QUIT\r\n")
            self.writer.close()
            self.writer = None


async def run(orders):
    left = orders["messages"]

    def take():
        nonlocal left
        left -= 1
        return left >= 0
    clients = [Client(orders, number) for number in range(orders["clients"])]
    begin = time.time()
    await asyncio.gather(*(client.run(take) for client in clients))
    end = time.time()
    waits = sorted(wait for client in clients for wait in client.waits)
    return {"begin": begin, "end": end, "p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
