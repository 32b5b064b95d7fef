"""godwitctl verify against other implementations: python3-dkim signs, python3-spf judges, an unbound
serves the names. A difference is a failure."""

import base64
import itertools
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import dkim  # noqa: E402
import dns.resolver  # noqa: E402
import nacl.encoding  # noqa: E402
import nacl.signing  # noqa: E402
import spf  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402

import harness  # noqa: E402
import zone  # noqa: E402

MESSAGE = (b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
           b"From: Ann  Example <ann@sender.test>\r\n"
           b"To: bob@godwit.test\r\n"
           b"Subject: a subject\r\n that is \t folded\r\n"
           b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
           b"Message-ID: <1@sender.test>\r\n"
           b"\r\n"
           b"First line  with   spaces \t\r\n"
           b"\r\n"
           b"last line\r\n"
           b"\r\n"
           b"\r\n")

CANONICALISATIONS = list(itertools.product((b"simple", b"relaxed"), repeat=2))

# (name, text of the SPF record, client address, helo, mail from)
SPF_CASES = [
    ("ip4.sender.test", "v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.7", "h.sender.test", "a@ip4.sender.test"),
    ("ip4.sender.test", "v=spf1 ip4:192.0.2.0/24 -all", "198.51.100.1", "h.sender.test", "a@ip4.sender.test"),
    ("soft.sender.test", "v=spf1 ~all", "192.0.2.7", "h.sender.test", "a@soft.sender.test"),
    ("neutral.sender.test", "v=spf1 ?all", "192.0.2.7", "h.sender.test", "a@neutral.sender.test"),
    ("empty.sender.test", "v=spf1", "192.0.2.7", "h.sender.test", "a@empty.sender.test"),
    ("six.sender.test", "v=spf1 ip6:2001:db8::/32 -all", "2001:db8::5", "h.sender.test", "a@six.sender.test"),
    ("a.sender.test", "v=spf1 a:host.sender.test -all", "192.0.2.10", "h.sender.test", "a@a.sender.test"),
    ("mx.sender.test", "v=spf1 mx:mxes.sender.test -all", "192.0.2.10", "h.sender.test", "a@mx.sender.test"),
    ("inc.sender.test", "v=spf1 include:ip4.sender.test -all", "192.0.2.7", "h.sender.test", "a@inc.sender.test"),
    ("inc.sender.test", "v=spf1 include:ip4.sender.test -all", "192.9.2.7", "h.sender.test", "a@inc.sender.test"),
    ("redir.sender.test", "v=spf1 redirect=ip4.sender.test", "192.0.2.7", "h.sender.test", "a@redir.sender.test"),
    ("exists.sender.test", "v=spf1 exists:%{ir}.%{v}.list.sender.test -all", "192.0.2.10", "h.sender.test",
     "a@exists.sender.test"),
    ("loc.sender.test", "v=spf1 exists:%{l1r-}.user.sender.test -all", "192.0.2.10", "h.sender.test",
     "bob-list@loc.sender.test"),
    ("ptr.sender.test", "v=spf1 ptr:sender.test -all", "192.0.2.10", "h.sender.test", "a@ptr.sender.test"),
    ("loop.sender.test", "v=spf1 include:loop.sender.test -all", "192.0.2.7", "h.sender.test", "a@loop.sender.test"),
    ("bad.sender.test", "v=spf1 ip4:192.0.2.300 -all", "192.0.2.7", "h.sender.test", "a@bad.sender.test"),
    ("unknown.sender.test", "v=spf1 foo:bar -all", "192.0.2.7", "h.sender.test", "a@unknown.sender.test"),
    ("two.sender.test", "v=spf1 -all", "192.0.2.7", "h.sender.test", "a@two.sender.test"),
    ("none.sender.test", None, "192.0.2.7", "h.sender.test", "a@none.sender.test"),
    ("voids.sender.test", "v=spf1 a:v1.sender.test a:v2.sender.test a:v3.sender.test -all", "192.0.2.7",
     "h.sender.test", "a@voids.sender.test"),
    ("helo.sender.test", "v=spf1 ip4:192.0.2.7 -all", "192.0.2.7", "helo.sender.test", ""),
]

SPF_HOSTS = [
    "host.sender.test. 60 IN A 192.0.2.10",
    "mxes.sender.test. 60 IN MX 10 host.sender.test.",
    "10.2.0.192.in-addr.list.sender.test. 60 IN A 127.0.0.2",
    "bob.user.sender.test. 60 IN A 127.0.0.2",
    "10.2.0.192.in-addr.arpa. 60 IN PTR host.sender.test.",
    'two.sender.test. 60 IN TXT "v=spf1 +all"',
]


class Keys:
    def __init__(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.rsa = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                     serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.DER,
                                               serialization.PublicFormat.SubjectPublicKeyInfo)
        self.rsa_public = base64.b64encode(public).decode()
        edwards = nacl.signing.SigningKey.generate()
        self.ed25519 = edwards.encode(nacl.encoding.Base64Encoder)
        self.ed25519_public = edwards.verify_key.encode(nacl.encoding.Base64Encoder).decode()


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="godwit-verify-")
        cls.keys = Keys()
        records = [zone.txt("r._domainkey.sender.test", "v=DKIM1; k=rsa; p=" + cls.keys.rsa_public),
                   zone.txt("e._domainkey.sender.test", "v=DKIM1; k=ed25519; p=" + cls.keys.ed25519_public),
                   zone.txt("_dmarc.sender.test", "v=DMARC1; p=reject"), *SPF_HOSTS]
        records += sorted({zone.txt(name, text) for name, text, *_ in SPF_CASES if text is not None})
        cls.port = harness.free_port()
        cls.unbound = zone.Unbound(harness.ROOT, cls.dir, cls.port)
        cls.unbound.start(records)

    @classmethod
    def tearDownClass(cls):
        cls.unbound.stop()
        shutil.rmtree(cls.dir, ignore_errors=True)

    def verify(self, message):
        return harness.godwitctl("verify", "message", "--ip", "127.0.0.1", "--helo", "h.sender.test", "--mail-from",
                                 "ann@sender.test", "--dns", f"127.0.0.1:{self.port}", "--json", text=message)

    def sign(self, algorithm, canonicalisation, message=MESSAGE, **options):
        selector, key = (b"r", self.keys.rsa) if algorithm == b"rsa-sha256" else (b"e", self.keys.ed25519)
        return dkim.sign(message, selector, b"sender.test", key, canonicalize=canonicalisation,
                         signature_algorithm=algorithm, linesep=b"\r\n", **options) + message

    def results(self, message):
        return [row["result"] for row in self.verify(message)["dkim"]]

    def test_signatures_of_every_kind_pass(self):
        for algorithm, canonicalisation in itertools.product((b"rsa-sha256", b"ed25519-sha256"), CANONICALISATIONS):
            with self.subTest(algorithm=algorithm, canonicalisation=canonicalisation):
                got = self.verify(self.sign(algorithm, canonicalisation))
                self.assertEqual([row["result"] for row in got["dkim"]], ["pass"], got)
                self.assertEqual((got["dkim"][0]["domain"], got["dmarc"]["result"]), ("sender.test", "pass"))
                self.assertIn("dkim=pass", got["authentication_results"])

    def test_two_signatures_pass_side_by_side(self):
        both = self.sign(b"ed25519-sha256", CANONICALISATIONS[3], self.sign(b"rsa-sha256", CANONICALISATIONS[0]))
        self.assertEqual(self.results(both), ["pass", "pass"])

    def test_damage_is_seen(self):
        damages = [(b"last line", b"last lime"), (b"Subject: a", b"Subject: b"), (b"bob@", b"eve@"),
                   (b"From: Ann", b"From: Amn"), (b"last line\r\n", b"")]
        for algorithm, canonicalisation in itertools.product((b"rsa-sha256", b"ed25519-sha256"), CANONICALISATIONS):
            signed = self.sign(algorithm, canonicalisation)
            for old, new in damages:
                with self.subTest(algorithm=algorithm, canonicalisation=canonicalisation, damage=old):
                    got = self.verify(signed.replace(old, new))
                    self.assertEqual(got["dkim"][0]["result"], "fail", got)
                    self.assertNotEqual(got["dkim"][0]["reason"], "")

    def test_white_space_counts_as_the_canonicalisation_says(self):
        for header, body in CANONICALISATIONS:
            signed = self.sign(b"rsa-sha256", (header, body))
            with self.subTest(header=header):
                respaced = signed.replace(b"Subject: a subject", b"subject:  a   subject")
                self.assertEqual(self.results(respaced), ["pass" if header == b"relaxed" else "fail"])
            with self.subTest(body=body):
                respaced = signed.replace(b"with   spaces \t\r\n", b"with spaces\r\n")
                self.assertEqual(self.results(respaced), ["pass" if body == b"relaxed" else "fail"])

    def test_python_dkim_agrees_about_random_damage(self):
        answer = {b"r._domainkey.sender.test.": b"v=DKIM1; k=rsa; p=" + self.keys.rsa_public.encode()}
        signed = self.sign(b"rsa-sha256", CANONICALISATIONS[3])
        judged = 0
        for position in range(len(signed) - len(MESSAGE), len(signed), 7):
            if signed[position:position + 1] in b"\r\n":
                continue
            damaged = bytearray(signed)
            damaged[position] = ord(" ") if damaged[position] != ord(" ") else ord("x")
            try:
                theirs = dkim.verify(bytes(damaged), dnsfunc=lambda name, timeout=5: answer.get(name))
            except dkim.MessageFormatError:
                continue  # it has no opinion about a field name with a space
            judged += 1
            with self.subTest(position=position):
                self.assertEqual(self.results(bytes(damaged)) == ["pass"], theirs, bytes(damaged))
        self.assertGreater(judged, 20)

    def test_spf_agrees_with_python_spf(self):
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        dns.resolver.default_resolver = resolver  # python3-spf asks this one
        for name, text, ip, helo, mail_from in SPF_CASES:
            with self.subTest(record=text, ip=ip, mail_from=mail_from):
                ours = harness.godwitctl("verify", "spf", "--ip", ip, "--helo", helo, "--mail-from", mail_from,
                                         "--dns", f"127.0.0.1:{self.port}", "--json")
                theirs = spf.check2(ip, mail_from or f"postmaster@{helo}", helo)
                self.assertEqual(ours["result"], theirs[0], (ours, theirs))


if __name__ == "__main__":
    harness.main()
