"""Signed mail, and the program that brings it: signed_mail.cc and smtp_load.cc."""

import base64
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time

import own_network
from peer import harness

zone = harness.zone

DOMAIN = "sender.example"  # not of test.: opendkim's resolver, a libunbound, asks nobody about that
SENDER = f"ann@{DOMAIN}"
HELO = f"client.{DOMAIN}"
ALGORITHMS = {"rsa": ["genrsa", "-traditional", "2048"], "ed25519": ["genpkey", "-algorithm", "ed25519"]}


def _program(name):
    """Where configs.binary() looks for daemons."""
    path = os.path.join("tests", "bench", name)
    chosen = os.environ.get("GODWIT_BIN_ROOT")
    places = [chosen] if chosen else [harness.ROOT, os.path.join(harness.ROOT, "bazel-bin")]
    for place in places:
        if os.path.exists(found := os.path.join(place, path)):
            return found
    sys.exit(f"{path} is not in {places}: bazel build //tests/bench/...")


def _openssl(*arguments):
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


class Mail:
    """Messages of one domain, with one DKIM signature of each of the `algorithms`."""

    def __init__(self, folder, algorithms):
        self.keys = {}  # selector: file
        self.public = {}
        self.seeds = itertools.count(time.time_ns())
        for algorithm in algorithms:
            path = self.keys[algorithm] = os.path.join(folder, algorithm + ".pem")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
                out.write(_openssl(*ALGORITHMS[algorithm]))
            spki = _openssl("pkey", "-in", path, "-pubout", "-outform", "DER")
            # RFC 8463 §4: the 32 octets alone.
            self.public[algorithm] = base64.b64encode(spki[-32:] if algorithm == "ed25519" else spki).decode()

    def records(self):
        return [
            f"{DOMAIN}. 60 IN A {own_network.CLIENT}",
            f"{DOMAIN}. 60 IN MX 10 {HELO}.",
            zone.txt(DOMAIN, f"v=spf1 ip4:{own_network.CLIENT} -all"),
            f"{HELO}. 60 IN A {own_network.CLIENT}",
            zone.txt(HELO, "v=spf1 a -all"),
            f"{'.'.join(reversed(own_network.CLIENT.split('.')))}.in-addr.arpa. 60 IN PTR {HELO}.",
            # No rua=: Godwit would count for reports, the others, as they are shipped, would not.
            zone.txt(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject"),
            *(zone.txt(f"{selector}._domainkey.{DOMAIN}", f"v=DKIM1; k={selector}; p={text}")
              for selector, text in self.public.items()),
        ]

    def write(self, out, recipients, count, size):
        """New messages to the recipients in turn."""
        keys = [word for pair in self.keys.items() for word in pair]
        subprocess.run([_program("signed_mail"), SENDER, ",".join(recipients), str(count), str(size),
                        str(next(self.seeds)), *keys], stdout=out, check=True)


class Load:
    """Messages in smtp_load's memory; go() sends them."""

    def __init__(self, mail, recipients, count, size):
        self.count = count
        # In memory: what is written to a disk would be written behind the server's back, too.
        folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.file = tempfile.NamedTemporaryFile(prefix="godwit-bench-", dir=folder)
        mail.write(self.file, recipients, count, size)

    def ready(self, address, sessions, per_connection):
        self.process = subprocess.Popen(
            [_program("smtp_load"), address, own_network.CLIENT, HELO, SENDER, str(sessions), str(per_connection),
             self.file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit("smtp_load did not start")
        self.file.close()

    def go(self):
        """When it began, when the last message was accepted, and more figures: compare.measure()."""
        told, _ = self.process.communicate("go\n", timeout=3600)
        if self.process.returncode != 0:
            sys.exit("smtp_load failed")
        told = json.loads(told)
        return told["begin"], told["end"], {"p50_ms": told["p50_ms"], "p99_ms": told["p99_ms"],
                                            "load_cpu_ms": told["cpu_seconds"] * 1000 / self.count}
