"""Our DKIM and SPF against python3-dkim and python3-spf, on generated messages and zones.

Random, from a fixed seed: a failure comes again. What is to be tried of each rule, one by one, is in
dkim_matrix_test, arc_matrix_test and spf_zone_test.
"""

import itertools
import os
import random
import tempfile
import unittest

import dkim
import spf

import tool
from random_mail import random_message
from signing_keys import SigningKeys, zone_text

SEED = 20240607
DOMAIN, SELECTOR = b"example.org", b"s1"
FORMS = ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"]


def damaged(rng, message):
    """The message with one change, somewhere in its signed part or not."""
    kind = rng.randrange(5)
    at = rng.randrange(message.index(b"From:"), len(message))
    if kind == 0:
        return message[:at] + b"x" + message[at:]
    if kind == 1:
        return message[:at] + message[at + 1:]
    if kind == 2:
        return b"Subject: another\r\n" + message
    if kind == 3:
        return message + b"\r\n\r\n"
    return message.replace(b"b=", b"b=A", 1)


def is_fair(message):
    """Bare CR or LF, and lines that are no field, are refused before us; dkimpy is free there."""
    if message.replace(b"\r\n", b"").count(b"\r") or message.replace(b"\r\n", b"").count(b"\n"):
        return False
    if message[-1:] in b" \t":
        return False
    head = message.split(b"\r\n\r\n", 1)[0]
    return all(b":" in line or line[:1] in b" \t" for line in head.split(b"\r\n"))


class Comparison(tool.FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = SigningKeys(cls.folder, {"rsa": 2048, "ed25519": "ed25519"})
        cls.zones = {kind: cls.write(kind + ".zone", zone_text({"s1._domainkey.example.org": record}).encode())
                     for kind, record in cls.keys.records.items()}

    def dnsfunc(self, kind):
        return lambda name, timeout=5: self.keys.records[kind]

    def test_dkimpy_signs_and_damages_and_both_agree(self):
        rng = random.Random(SEED)
        for kind, form in itertools.product(self.zones, FORMS):
            messages = []
            for _ in range(30):
                plain = random_message(rng)
                field = dkim.sign(plain, SELECTOR, DOMAIN, self.keys.dkimpy[kind],
                                  canonicalize=tuple(form.encode().split(b"/")),
                                  include_headers=[b"from", b"to", b"subject", b"subject", b"date", b"x-empty"],
                                  signature_algorithm=kind.encode() + b"-sha256")
                messages.append(field + plain)
                messages += [m for m in (damaged(rng, field + plain) for _ in range(4)) if is_fair(m)]
            passes = 0
            for message, ours in zip(messages, tool.verify(self.folder, self.zones[kind], messages)):
                theirs = dkim.verify(message, dnsfunc=self.dnsfunc(kind))
                self.assertEqual(theirs, ours["dkim"] == "pass", (form, ours, message))
                passes += theirs
            self.assertGreaterEqual(passes, 30)
            self.assertLess(passes, len(messages))

    def test_dkimpy_verifies_what_we_sign(self):
        rng = random.Random(SEED + 1)
        for kind, form in itertools.product(self.zones, FORMS):
            for _ in range(10):
                plain = random_message(rng)
                path = self.write("plain", plain)
                field = tool.run("sign", DOMAIN.decode(), form, "", path, "s1", self.keys.files[kind])
                self.assertTrue(dkim.verify(field + plain, dnsfunc=self.dnsfunc(kind)), (form, field + plain))

    def test_dkimpy_verifies_each_of_our_two_signatures(self):
        rng = random.Random(SEED + 4)
        answers = {b"%s._domainkey.example.org." % kind.encode(): record for kind, record in self.keys.records.items()}

        def verdicts(message):
            return [dkim.DKIM(message).verify(index, dnsfunc=lambda name, timeout=5: answers.get(name))
                    for index in range(2)]

        for _ in range(10):
            plain = random_message(rng)
            fields = tool.run("sign", DOMAIN.decode(), "relaxed/relaxed", "", self.write("plain", plain),
                              "rsa", self.keys.files["rsa"], "ed25519", self.keys.files["ed25519"])
            self.assertEqual(verdicts(fields + plain), [True, True], fields + plain)
            self.assertEqual(verdicts(fields + plain.replace(b"Subject:", b"Subject: x")), [False, False])
            # Oversigned: none can be added.
            for name in (b"To", b"Cc", b"Reply-To", b"Sender", b"Date", b"Content-Type"):
                self.assertEqual(verdicts(name + b": x\r\n" + fields + plain), [False, False], name)


class Zone:
    """A random zone, given to pyspf through its look-up hook and to us as a file."""

    NAMES = ["d%d.example" % i for i in range(8)]
    IPS = ["192.0.2.%d" % i for i in range(1, 9)]

    def __init__(self, rng):
        self.records = {}
        for name in self.NAMES:
            entry = self.records.setdefault(name, [])
            entry += [("A", rng.choice(self.IPS)) for _ in range(rng.randrange(1, 3))]
            entry.append(("MX", (10, rng.choice(self.NAMES))))
            if rng.random() < 0.9:
                entry.append(("TXT", self.spf_record(rng, name)))
            if rng.random() < 0.04:
                entry.append(("TXT", "v=spf1 -all"))
        for ip in self.IPS:
            reverse = ".".join(reversed(ip.split("."))) + ".in-addr.arpa"
            self.records[reverse] = [("PTR", rng.choice(self.NAMES)) for _ in range(rng.randrange(1, 3))]
        for ip in rng.sample(self.IPS, 4):
            self.records[ip + ".ok.example"] = [("A", "127.0.0.2")]

    def spf_record(self, rng, own):
        # pyspf calls a record that includes itself an error even where it is not reached.
        name = lambda: rng.choice([n for n in self.NAMES if n != own])
        terms = ["a", "mx", "ptr", "a:" + name(), "mx:%s/30" % name(), "a:%s/29//64" % name(), "include:" + name(),
                 "include:" + name(), "ip4:" + rng.choice(self.IPS), "ip4:192.0.2.4/31", "ip6:2001:db8::/32",
                 "exists:%{i}.ok.example", "ptr:" + name(), "exists:%{i}.%{d2}.ok.example", "a:%{o}", "mx:%{h}",
                 "moo=%{i}", "all", "ip4:192.0.2.300", "a:%{x}.example", "foo", "redirect=" + name()]
        weights = [4] * (len(terms) - 4) + [0.1] * 3 + [2]
        # A second unknown modifier of one name is an error to pyspf; RFC 7208 §6 wants it ignored.
        drawn = rng.choices(terms, weights, k=rng.randrange(1, 6))
        drawn = [t for i, t in enumerate(drawn) if "moo" not in t or t not in drawn[:i]]
        chosen = [rng.choice(["", "-", "~", "?", "+"]) + t if "=" not in t else t
                  for t in drawn]
        return " ".join(["v=spf1"] + chosen + rng.choice([[], ["-all"], ["~all"], ["?all"]]))

    def text(self):
        lines = []
        for name, records in self.records.items():
            for kind, value in records:
                shown = {"TXT": '"%s"', "MX": "%d %s"}.get(kind, "%s") % value
                lines.append("%s %s %s\n" % (name, kind, shown))
        return "".join(lines)

    def lookup(self, name, qtype, strict=True, timeout=None):
        for kind, value in self.records.get(name.lower().rstrip("."), []):
            if kind == qtype:
                yield (name, kind), (value.encode(),) if kind == "TXT" else value


class SpfComparison(unittest.TestCase):
    def test_pyspf_and_we_agree(self):
        rng = random.Random(SEED + 3)
        seen = {}
        with tempfile.TemporaryDirectory() as folder:
            for number in range(150):
                zone = Zone(rng)
                path = os.path.join(folder, "zone")
                with open(path, "w") as f:
                    f.write(zone.text())
                queries = [(ip, rng.choice(zone.NAMES), "user@" + rng.choice(zone.NAMES)) for ip in zone.IPS]
                stdin = "".join("\t".join(query) + "\n" for query in queries)
                lines = tool.run("spf", path, stdin=stdin).decode().splitlines()
                spf.DNSLookup = zone.lookup
                for query, line in zip(queries, lines):
                    theirs = spf.check2(i=query[0], s=query[2], h=query[1])
                    ours, _, problem = line.split("\t", 2)
                    self.assertEqual(theirs[0], ours, (number, query, theirs, problem, zone.text()))
                    seen[ours] = seen.get(ours, 0) + 1
        self.assertGreaterEqual(len(seen), 6, seen)


if __name__ == "__main__":
    unittest.main(verbosity=2)
