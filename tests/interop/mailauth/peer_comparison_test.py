"""Our DKIM, ARC and SPF against python3-dkim and python3-spf, on generated messages and zones.

Random, from a fixed seed: a failure comes again.
"""

import base64
import itertools
import os
import random
import subprocess
import tempfile
import unittest

import dkim
import nacl.signing
import spf

TOOL = os.path.abspath("tests/interop/mailauth/mailauth_tool")
SEED = 20240607
DOMAIN, SELECTOR = b"example.org", b"s1"


def run(*args, stdin=""):
    return subprocess.run([TOOL, *args], input=stdin.encode(), stdout=subprocess.PIPE, check=True).stdout


def openssl(*args):
    return subprocess.run(["openssl", *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


class Keys:
    """One RSA and one Ed25519 key, in the forms both sides want."""

    def __init__(self, folder):
        rsa = os.path.join(folder, "rsa.pem")
        openssl("genrsa", "-out", rsa, "2048")
        public = openssl("rsa", "-in", rsa, "-pubout", "-outform", "DER")
        seed = random.Random(SEED).randbytes(32)
        ed = os.path.join(folder, "ed.pem")
        der = bytes.fromhex("302e020100300506032b657004220420") + seed
        with open(ed, "w") as f:
            f.write("-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n" % base64.b64encode(der).decode())
        verify = nacl.signing.SigningKey(seed).verify_key.encode()
        self.files = {"rsa": rsa, "ed25519": ed}
        with open(rsa, "rb") as f:
            self.dkimpy = {"rsa": f.read(), "ed25519": base64.b64encode(seed)}
        self.records = {
            "rsa": b"v=DKIM1; k=rsa; p=" + base64.b64encode(public),
            "ed25519": b"v=DKIM1; k=ed25519; p=" + base64.b64encode(verify),
        }
        self.zones = {}
        for kind, record in self.records.items():
            self.zones[kind] = os.path.join(folder, kind + ".zone")
            with open(self.zones[kind], "w") as f:
                f.write('s1._domainkey.example.org TXT "%s"\n' % record.decode())


def random_body(rng):
    pieces = [b"word", b" ", b"  ", b"\t", b" \r\n", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b".", b"\xc3\xbc", b"a" * 70]
    body = b"".join(rng.choice(pieces) for _ in range(rng.randrange(40)))
    # White space at an end without CRLF, which mail can't have, is read in two ways.
    return body + b"z" if rng.random() < 0.3 else body + b"\r\n"


def random_message(rng):
    header = [b"From: ann@example.org", b"To: bob@example.net,\r\n\tcarl@example.net", b"Subject:  a   b \r\n  c ",
              b"Date: Fri, 7 Jun 2024 12:00:00 +0000", b"X-Empty:", b"Received: from a\r\n by b;\r\n now"]
    rng.shuffle(header)
    return b"\r\n".join(header) + b"\r\n\r\n" + random_body(rng)


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


class Comparison(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.keys = Keys(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def write(self, name, data):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def dnsfunc(self, kind):
        return lambda name, timeout=5: self.keys.records[kind]

    def judge(self, kind, messages, what):
        paths = [self.write("m%d" % i, message) for i, message in enumerate(messages)]
        lines = run("verify", self.keys.zones[kind], *paths).decode().split("\n")
        return [dict(field.split("=") for field in line.split())[what] for line in lines[:len(paths)]]

    def test_dkimpy_signs_and_damages_and_both_agree(self):
        rng = random.Random(SEED)
        for kind in ("rsa", "ed25519"):
            for form in (b"simple/simple", b"simple/relaxed", b"relaxed/simple", b"relaxed/relaxed"):
                messages = []
                for _ in range(30):
                    plain = random_message(rng)
                    field = dkim.sign(plain, SELECTOR, DOMAIN, self.keys.dkimpy[kind],
                                      canonicalize=tuple(form.split(b"/")),
                                      include_headers=[b"from", b"to", b"subject", b"subject", b"date", b"x-empty"],
                                      signature_algorithm=kind.encode() + b"-sha256")
                    messages.append(field + plain)
                    messages += [m for m in (damaged(rng, field + plain) for _ in range(4)) if is_fair(m)]
                passes = 0
                for message, ours in zip(messages, self.judge(kind, messages, "dkim")):
                    theirs = dkim.verify(message, dnsfunc=self.dnsfunc(kind))
                    self.assertEqual(theirs, ours == "pass", (form, ours, message))
                    passes += theirs
                self.assertGreaterEqual(passes, 30)
                self.assertLess(passes, len(messages))

    def test_dkimpy_verifies_what_we_sign(self):
        rng = random.Random(SEED + 1)
        for kind in ("rsa", "ed25519"):
            for form in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"):
                for _ in range(10):
                    plain = random_message(rng)
                    path = self.write("plain", plain)
                    field = run("sign", "example.org", form, path, "s1", self.keys.files[kind])
                    self.assertTrue(dkim.verify(field + plain, dnsfunc=self.dnsfunc(kind)), (form, field + plain))

    def test_dkimpy_verifies_each_of_our_two_signatures(self):
        rng = random.Random(SEED + 4)
        answers = {b"%s._domainkey.example.org." % kind.encode(): record for kind, record in self.keys.records.items()}

        def verdicts(message):
            return [dkim.DKIM(message).verify(index, dnsfunc=lambda name, timeout=5: answers.get(name))
                    for index in range(2)]

        for _ in range(10):
            plain = random_message(rng)
            fields = run("sign", "example.org", "relaxed/relaxed", self.write("plain", plain),
                         "rsa", self.keys.files["rsa"], "ed25519", self.keys.files["ed25519"])
            self.assertEqual(verdicts(fields + plain), [True, True], fields + plain)
            self.assertEqual(verdicts(fields + plain.replace(b"Subject:", b"Subject: x")), [False, False])
            # Oversigned: none can be added.
            for name in (b"To", b"Cc", b"Reply-To", b"Sender", b"Date", b"Content-Type"):
                self.assertEqual(verdicts(name + b": x\r\n" + fields + plain), [False, False], name)

    def test_arc_chains_both_ways(self):
        rng = random.Random(SEED + 2)
        kind = "rsa"
        # Every order of theirs and ours over three hops, and some of four.
        orders = list(itertools.product((True, False), repeat=3)) + list(itertools.product((True, False), repeat=4))[::5]
        for order in orders:
            message = random_message(rng)
            for hop, theirs in enumerate(order):
                if theirs:
                    # arc_sign() takes its cv= from here.
                    status = b"pass" if hop else b"none"
                    seen = b"Authentication-Results: lists.example; spf=pass smtp.mailfrom=x.example; arc=" + status
                    fields = dkim.arc_sign(seen + b"\r\n" + message, SELECTOR, DOMAIN, self.keys.dkimpy[kind],
                                           b"lists.example", include_headers=[b"from", b"to", b"subject", b"date"])
                    message = b"".join(fields) + message
                else:
                    path = self.write("chain", message)
                    message = run("seal", self.keys.files[kind], "example.org", "s1", self.keys.zones[kind], path) + message
                cv, _, reason = dkim.arc_verify(message, dnsfunc=self.dnsfunc(kind))
                self.assertEqual(cv, b"pass", (reason, message))
                self.assertEqual(self.judge(kind, [message], "arc"), ["pass"], message)
            broken = message.replace(b"Subject:", b"Subject: x", 1)
            self.assertEqual(self.judge(kind, [broken], "arc"), ["fail"])
            self.assertEqual(dkim.arc_verify(broken, dnsfunc=self.dnsfunc(kind))[0], b"fail")


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
                lines = run("spf", path, stdin=stdin).decode().splitlines()
                spf.DNSLookup = zone.lookup
                for query, line in zip(queries, lines):
                    theirs = spf.check2(i=query[0], s=query[2], h=query[1])
                    ours, _, problem = line.partition("\t")
                    self.assertEqual(theirs[0], ours, (number, query, theirs, problem, zone.text()))
                    seen[ours] = seen.get(ours, 0) + 1
        self.assertGreaterEqual(len(seen), 6, seen)


if __name__ == "__main__":
    unittest.main(verbosity=2)
