"""python3-dkim, opendkim and we agree about signatures: signer x canonicalisation x algorithm x damage.

Each of the three says of each message whether its signature passes; we also say why not. Where a peer may say
something else is in dkim_cases.DIFFERENCES, with the RFC; an entry that nothing needs any more is a failure.
"""

import base64
import collections
import itertools
import os
import re
import unittest

import dkim
import dkim.canonicalization
import dkim.crypto
import nacl.encoding
import nacl.signing

import opendkim_peer
import tool
from dkim_cases import (BODIES, DAMAGES, DIFFERENCES, DOMAIN, FIELDS, HEADER, MESSAGE, NOW, OVERSIGNED, RECORDS, SIGNED,
                        TAGS, WRONG_SIGNATURES)
from signing_keys import SigningKeys, zone_text

KEYS = {"r768": 768, "r1024": 1024, "r2048": 2048, "r4096": 4096, "e": "ed25519"}
OTHERS = {"r1024": 1024, "r2048": 2048, "r4096": 2048, "e": "ed25519"}
SIGNERS = ("python3-dkim", "opendkim", "godwit")
# (what a= says, key)
ALGORITHMS = [("rsa-sha256", "r1024"), ("rsa-sha256", "r2048"), ("rsa-sha256", "r4096"), ("ed25519-sha256", "e"),
              ("rsa-sha1", "r2048")]
ONE_OF_EACH_TYPE = [("rsa-sha256", "r2048"), ("ed25519-sha256", "e")]

# `want`: what we shall say.
Case = collections.namedtuple("Case", "name signer algorithm form message want")


def expected(want, signer, algorithm, form):
    """What we say of a damage, in this cell of the matrix."""
    header, body = form.split("/")
    if want in ("header", "body"):
        want = "pass" if {"header": header, "body": body}[want] == "relaxed" else "fail"
    if algorithm == "rsa-sha1" and want != "neutral":
        return "permerror"  # RFC 8301 §3.1
    wrong = any((signer, algorithm, header) == (*cell,) for *cell, _ in WRONG_SIGNATURES)
    return "fail" if wrong and want == "pass" else want


class Crafted:
    """Signatures by python3-dkim's arithmetic, with the tags one wants."""

    def __init__(self, keys):
        self.keys = keys

    def _private(self, algorithm, key):
        if algorithm == "ed25519-sha256":
            return nacl.signing.SigningKey(self.keys.dkimpy[key], encoder=nacl.encoding.Base64Encoder)
        return dkim.crypto.parse_pem_private_key(self.keys.dkimpy[key])

    def sign(self, algorithm, key, tags, selector=None):
        """MESSAGE with a signature; `tags` as in dkim_cases.TAGS."""
        signer = dkim.DKIM(MESSAGE, signature_algorithm=algorithm.encode())
        signer.hasher = dkim.HASH_ALGORITHMS[algorithm.encode()]
        policy = self._policy(tags)
        text = policy.canonicalize_body(signer.body)
        if tags.get("l") == "whole":
            tags = {**tags, "l": str(len(text))}
        covered = text[:int(tags["l"])] if tags.get("l", "").isdigit() else text
        tags = {name: value and value.replace("KEY", key) for name, value in tags.items()}
        usual = {"v": "1", "a": algorithm, "c": "relaxed/relaxed", "d": DOMAIN, "s": selector or key, "t": str(NOW),
                 "h": ":".join(FIELDS), "bh": base64.b64encode(signer.hasher(covered).digest()).decode()}
        fields = [(name.encode(), value.encode()) for name, value in {**usual, **tags}.items() if value is not None]
        names = re.split(rb"\s*:\s*", (tags.get("h") or usual["h"]).lower().encode())
        value = signer.gen_header([*fields, (b"b", b"0" * 60)], names, policy, b"DKIM-Signature",
                                  self._private(algorithm, key))
        return b"DKIM-Signature: " + value + MESSAGE

    @staticmethod
    def _policy(tags):
        """RFC 6376 §3.5: without c= both are simple. Of a form that nobody knows ours is as good as any."""
        form = tags.get("c", "relaxed/relaxed") or "simple/simple"
        form = "relaxed/relaxed" if form.startswith("nofws") else form
        return dkim.canonicalization.CanonicalizationPolicy.from_c_value(form.encode())


class DkimMatrix(tool.FolderCase):
    parent = "/tmp"  # names of sockets are short

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = SigningKeys(cls.folder, KEYS)
        cls.records = cls.key_records()
        cls.opendkim = opendkim_peer.OpenDkim(
            tool.ROOT, os.path.join(cls.folder, "opendkim"), cls.records,
            {key: (DOMAIN, cls.keys.files[key]) for key in KEYS}, SIGNED, OVERSIGNED)
        cls.addClassCleanup(cls.opendkim.stop)
        cls.opendkim.start()
        cls.zone = cls.write("zone", zone_text(cls.records).encode())
        cls.needed = set()  # of DIFFERENCES

    @classmethod
    def key_records(cls):
        records = {f"{key}._domainkey.{DOMAIN}": record for key, record in cls.keys.records.items()}
        other = os.path.join(cls.folder, "other")
        os.mkdir(other)
        for key, record in SigningKeys(other, OTHERS).records.items():
            records[f"{key}._domainkey.other.test"] = record
        for key, kind, other_kind in (("r2048", "rsa", "ed25519"), ("e", "ed25519", "rsa")):
            public = cls.keys.records[key].split(b"p=")[1].decode()
            for name, (text, _) in RECORDS.items():
                if text is not None:
                    records[f"{name}-{key}._domainkey.{DOMAIN}"] = text.format(public, kind, other_kind).encode()
        return records

    def signed_by(self, signer, algorithm, key, form, message=MESSAGE):
        """The message with a signature in front."""
        if signer == "opendkim":
            return self.opendkim.sign(message, algorithm, form, key) + message
        if signer == "godwit":
            plain = self.write("plain", message)
            return tool.run("sign", DOMAIN, form, ":".join(FIELDS), plain, key, self.keys.files[key]) + message
        return dkim.sign(message, key.encode(), DOMAIN.encode(), self.keys.dkimpy[key],
                         canonicalize=tuple(form.encode().split(b"/")), signature_algorithm=algorithm.encode(),
                         include_headers=[name.encode() for name in FIELDS]) + message

    def passes_dkimpy(self, message):
        def answer(name, timeout=5):
            return self.records.get(name.decode().lower().rstrip("."))
        try:
            return dkim.verify(message, dnsfunc=answer)
        except (dkim.MessageFormatError, KeyError, IndexError, ValueError):
            return False  # so it says that it can't read it

    def allowed(self, peer, case):
        """Whether the peer may differ here; what allows it is needed then."""
        found = [row for row in DIFFERENCES
                 if row[0] == peer and row[1] in (None, case.name) and row[2] in (None, case.algorithm)]
        self.needed.update(found[:1])
        return bool(found)

    def judge(self, cases):
        """We say what we shall, and the peers agree that a signature passes or does not."""
        for case, said in zip(cases, tool.verify(self.folder, self.zone, [case.message for case in cases])):
            where = (case.name, case.signer, case.algorithm, case.form)
            self.assertEqual(said["dkim"], case.want, (where, case.message))
            theirs = {"python3-dkim": self.passes_dkimpy(case.message),
                      "opendkim": self.opendkim.verify(case.message) == ["pass"]}
            for peer, passes in theirs.items():
                if passes != (case.want == "pass"):
                    self.assertTrue(self.allowed(peer, case), (peer, passes, where, case.message))

    def check_needed(self, names):
        """Each difference that is about one of these cases, or about all, was seen."""
        stale = [row for row in DIFFERENCES if row not in self.needed and row[1] in names]
        self.assertEqual(stale, [])

    def test_every_damage_of_every_signature(self):
        """RFC 6376 §3.4, §3.7, §5.4, §6.1; RFC 8301 §3; RFC 8463 §3."""
        cases = []
        for signer, (algorithm, key), form in itertools.product(SIGNERS, ALGORITHMS, opendkim_peer.FORMS):
            if (signer, algorithm) == ("godwit", "rsa-sha1"):
                continue  # RFC 8301 §3.1: we do not sign so
            signed = self.signed_by(signer, algorithm, key, form)
            cases += [Case(name, signer, algorithm, form, damage(signed), expected(want, signer, algorithm, form))
                      for name, (damage, want) in DAMAGES.items()]
        self.judge(cases)
        self.check_needed({None, *DAMAGES})

    def test_every_body(self):
        """RFC 6376 §3.4.3 and §3.4.4: of bodies of every shape signers and verifiers make the same hash."""
        cases = []
        for signer, form, (name, body) in itertools.product(SIGNERS, opendkim_peer.FORMS, BODIES.items()):
            signed = self.signed_by(signer, "rsa-sha256", "r1024", form, HEADER + body)
            cases += [Case(name, signer, "rsa-sha256", form, signed, "pass"),
                      Case(name + ", and a line more", signer, "rsa-sha256", form, signed + b"x\r\n", "fail")]
        self.judge(cases)

    def test_every_tag(self):
        """RFC 6376 §3.5 and §6.1.1."""
        crafted = Crafted(self.keys)
        self.judge([Case(name, "hand", algorithm, "", (damage or bytes)(crafted.sign(algorithm, key, tags)), want)
                    for (algorithm, key), (name, (tags, damage, want)) in itertools.product(ONE_OF_EACH_TYPE,
                                                                                            TAGS.items())])
        self.check_needed(TAGS)

    def test_every_key_record(self):
        """RFC 6376 §3.6.1 and §6.1.2."""
        crafted = Crafted(self.keys)
        self.judge([Case(name, "hand", algorithm, "", crafted.sign(algorithm, key, {}, f"{name}-{key}"), want)
                    for (algorithm, key), (name, (_, want)) in itertools.product(ONE_OF_EACH_TYPE, RECORDS.items())])
        self.check_needed(RECORDS)

    def test_a_key_that_is_too_short(self):
        """RFC 8301 §3.2."""
        message = Crafted(self.keys).sign("rsa-sha256", "r768", {})
        self.judge([Case("768 bits", "hand", "rsa-sha256", "", message, "policy")])

    def test_dns_that_does_not_answer(self):
        """RFC 6376 §6.1.2, step 2: a temporary failure; opendkim looks keys up in a file, which has none."""
        message = Crafted(self.keys).sign("rsa-sha256", "r2048", {}, "broken")
        zone = self.write("broken", f"broken._domainkey.{DOMAIN} TEMPFAIL\n".encode())
        self.assertEqual(tool.verify(self.folder, zone, [message])[0]["dkim"], "temperror")

        def no_answer(name, timeout=5):
            raise dkim.DnsTimeoutError(name)
        self.assertFalse(dkim.verify(message, dnsfunc=no_answer))

    def test_two_signatures_are_judged_apart(self):
        """RFC 6376 §6.1: one of them passes whatever the other does."""
        one = self.signed_by("opendkim", "ed25519-sha256", "e", "relaxed/relaxed")
        both = self.signed_by("python3-dkim", "rsa-sha256", "r2048", "simple/simple")[:-len(MESSAGE)] + one
        messages = {"pass,pass": both, "fail,pass": both.replace(b"with   spaces", b"with spaces"),
                    "fail,fail": both.replace(b"last line", b"last lime")}
        said = tool.verify(self.folder, self.zone, messages.values())
        self.assertEqual([row["dkim"] for row in said], list(messages))
        for want, message in messages.items():
            self.assertEqual(self.opendkim.verify(message), want.split(","))


if __name__ == "__main__":
    unittest.main(verbosity=2)
