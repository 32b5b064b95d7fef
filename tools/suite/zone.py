"""The DNS server of a local suite: an unbound with the zone of the suite's own domain.

Behind the local zone stands the machine's resolver, where one answers; where none does, every other
name gets a quick NXDOMAIN, so that the suite works without a network.
"""

import os
import socket
import struct
import subprocess
import time

from errors import SuiteError

DOMAIN = "godwit.test"
HOST = "mx.godwit.test"


def records(dkim_records):
    """The zone as lines. `dkim_records` is as in localserve.json: {"name", "text"} of each key."""
    return [
        f"{DOMAIN}. 60 IN SOA {HOST}. postmaster.{DOMAIN}. 1 3600 600 86400 60",
        f"{DOMAIN}. 60 IN NS {HOST}.",
        f"{DOMAIN}. 60 IN MX 10 {HOST}.",
        f'{DOMAIN}. 60 IN TXT "v=spf1 mx ip4:127.0.0.1 ip6:::1 -all"',
        f"{HOST}. 60 IN A 127.0.0.1",
        f"{HOST}. 60 IN AAAA ::1",
        f'{HOST}. 60 IN TXT "v=spf1 a -all"',
        f'_dmarc.{DOMAIN}. 60 IN TXT "v=DMARC1; p=reject; rua=mailto:postmaster@{DOMAIN}"',
        f"1.0.0.127.in-addr.arpa. 60 IN PTR {HOST}.",
        *(txt(key["name"], key["text"]) for key in dkim_records),
    ]


def txt(name, text):
    """A TXT record, cut into strings of 255 octets (RFC 1035 §3.3)."""
    strings = " ".join(f'"{text[i:i + 255]}"' for i in range(0, len(text), 255))
    return f"{name}. 60 IN TXT {strings}"


def machine_resolver():
    """The first resolver of the machine that answers within a second; None where none does."""
    try:
        with open("/etc/resolv.conf") as source:
            servers = [line.split()[1] for line in source if line.startswith("nameserver") and len(line.split()) > 1]
    except OSError:
        return None
    return next((server for server in servers if answers(server, 53)), None)


def answers(host, port, timeout=1.0):
    """True when a DNS server there answers a question for the root's NS records without SERVFAIL."""
    question = struct.pack(">HHHHHH", 0x6764, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">HH", 2, 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        try:
            udp.connect((host, port))
            udp.send(question)
            reply = udp.recv(4096)
        except OSError:
            return False
    return len(reply) >= 12 and reply[:2] == question[:2] and reply[3] & 15 in (0, 3)


class Unbound:
    """One unbound process on a loopback port, in its private root (tools/peers)."""

    INSIDE = "/srv/dns"  # where it sees `folder`

    def __init__(self, root, folder, port):
        self.folder = folder
        self.port = port
        self.command = [os.path.join(root, "tools/peers"), "--bind", f"{folder}:{self.INSIDE}", "--run", "unbound",
                        "--", "/usr/sbin/unbound", "-d", "-p", "-c", f"{self.INSIDE}/unbound.conf"]
        self.process = None

    def start(self, zone):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "unbound.conf"), "w") as out:
            out.write(self._config(zone))
        self.restart()

    def restart(self):
        with open(os.path.join(self.folder, "unbound.log"), "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True)
        deadline = time.monotonic() + 60
        while not answers("127.0.0.1", self.port, 0.2):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SuiteError(f"The DNS server did not start; see {self.folder}/unbound.log.")
            time.sleep(0.05)

    def _config(self, zone):
        lines = [
            "server:",
            f"  interface: 127.0.0.1@{self.port}",
            "  access-control: 127.0.0.0/8 allow",
            "  do-daemonize: no",
            '  username: ""',
            '  chroot: ""',
            '  pidfile: ""',
            f'  directory: "{self.INSIDE}"',
            "  use-syslog: no",
            "  num-threads: 1",
            '  module-config: "iterator"',
            "  do-not-query-localhost: no",
            f'  local-zone: "{DOMAIN}." static',
            '  local-zone: "127.in-addr.arpa." static',
        ]
        # local-data takes the record in single quotes, since TXT strings have double ones.
        lines += [f"  local-data: '{record}'" for record in zone]
        behind = machine_resolver()
        if behind is None:
            lines.append('  local-zone: "." static')
        else:
            lines += ["forward-zone:", '  name: "."', f"  forward-addr: {behind}"]
        return "\n".join(lines) + "\n"

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if not self.alive():
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
