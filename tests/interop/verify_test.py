"""godwitctl verify, dkim sign and arc seal against other implementations: python3-dkim and opendkim sign and verify,
python3-spf judges, an unbound serves the names. A difference is a failure.

Here are the commands; the rules, each by itself, are tried in mailauth/.
"""

import itertools
import os
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e"), os.path.join(HERE, "mailauth")]

import dkim  # noqa: E402
import dns.resolver  # noqa: E402
import spf  # noqa: E402

import dkim_cases  # noqa: E402
import harness  # noqa: E402
import opendkim_peer  # noqa: E402
import zone  # noqa: E402
from signing_keys import SigningKeys  # noqa: E402

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
    # A DNS list (RFC 5782).
    "2.0.0.127.bl.sender.test. 60 IN A 127.0.0.2",
    "99.2.0.192.bl.sender.test. 60 IN A 127.0.0.5",
    '99.2.0.192.bl.sender.test. 60 IN TXT "see https://bl.sender.test/"',
    "test.bl.sender.test. 60 IN A 127.0.0.2",
    "evil.test.bl.sender.test. 60 IN A 127.0.0.2",
    "5" + ".0" * 23 + ".8.b.d.0.1.0.0.2.bl.sender.test. 60 IN A 127.255.255.254",
]


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="godwit-verify-", dir="/tmp")  # names of sockets are short
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        os.chmod(cls.dir, 0o755)  # the peers' users differ
        cls.keys = SigningKeys(cls.dir, {"r": 2048, "e": "ed25519", "r2": 2048, "e2": "ed25519"})
        cls.texts = {f"{name}._domainkey.sender.test": cls.keys.records[name] for name in ("r", "e")}
        cls.texts |= {f"{name}._domainkey.other.test": cls.keys.records[name + "2"] for name in ("r", "e")}
        records = [zone.txt(name, text.decode()) for name, text in cls.texts.items()]
        records += [zone.txt("_dmarc.sender.test", "v=DMARC1; p=reject"), *SPF_HOSTS]
        records += sorted({zone.txt(name, text) for name, text, *_ in SPF_CASES if text is not None})
        cls.port = harness.free_port()
        cls.unbound = zone.Unbound(harness.ROOT, os.path.join(cls.dir, "dns"), cls.port)
        cls.addClassCleanup(cls.unbound.stop)
        cls.unbound.start(records)
        cls.opendkim = opendkim_peer.OpenDkim(
            harness.ROOT, os.path.join(cls.dir, "opendkim"), cls.texts,
            {name: ("sender.test", cls.keys.files[name]) for name in ("r", "e")}, dkim_cases.SIGNED,
            dkim_cases.OVERSIGNED)
        cls.addClassCleanup(cls.opendkim.stop)
        cls.opendkim.start()

    def verify(self, message, *extra):
        return harness.godwitctl("verify", "message", "--ip", "127.0.0.1", "--helo", "h.sender.test", "--mail-from",
                                 "ann@sender.test", "--dns", f"127.0.0.1:{self.port}", "--json", *extra, text=message)

    def sign(self, algorithm, canonicalisation, message=MESSAGE, **options):
        selector = "r" if algorithm == b"rsa-sha256" else "e"
        return dkim.sign(message, selector.encode(), b"sender.test", self.keys.dkimpy[selector],
                         canonicalize=canonicalisation, signature_algorithm=algorithm, **options) + message

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

    def test_every_damage_is_judged_as_in_the_matrix(self):
        fields = [name.encode() for name in dkim_cases.FIELDS]
        signed = [(self.sign(b"ed25519-sha256", CANONICALISATIONS[1], dkim_cases.MESSAGE, include_headers=fields),
                   {"header": "fail", "body": "pass"}),
                  (self.opendkim.sign(dkim_cases.MESSAGE, "rsa-sha256", "relaxed/simple", "r") + dkim_cases.MESSAGE,
                   {"header": "pass", "body": "fail"})]
        for (message, by_form), (name, (damage, want)) in itertools.product(signed, dkim_cases.DAMAGES.items()):
            with self.subTest(damage=name, form=by_form):
                got = self.verify(damage(message))["dkim"][0]
                self.assertEqual(got["result"], by_form.get(want, want), got)
                self.assertEqual(got["reason"] == "", got["result"] == "pass", got)

    def dnsfunc(self, name, timeout=5):
        return self.texts.get(name.decode().rstrip("."))

    def dkim_sign(self, message, *extra, selectors=("r",)):
        return harness.godwitctl("dkim", "sign", "--domain", "sender.test", "--selector", ",".join(selectors), "--key",
                                 ",".join(self.keys.files[s] for s in selectors), *extra, text=message)

    def arc_seal(self, message, *extra):
        return harness.godwitctl("arc", "seal", "--authserv-id", "lists.test", "--domain", "sender.test", "--selector",
                                 "r", "--key", self.keys.files["r"], "--dns", f"127.0.0.1:{self.port}", *extra, text=message)

    def test_the_peers_verify_what_dkim_sign_prints(self):
        for extra in ((), ("--headers", "from:to:subject:subject"), ("--timestamp", "1790000000")):
            signed = self.dkim_sign(MESSAGE, *extra, selectors=("r", "e"))
            self.assertTrue(signed.endswith(MESSAGE))
            self.assertEqual(self.results(signed), ["pass", "pass"])
            for index in range(2):
                self.assertTrue(dkim.DKIM(signed).verify(index, dnsfunc=self.dnsfunc), signed)
            self.assertEqual(self.opendkim.verify(signed), ["pass", "pass"], signed)
        # Oversigned: a second Subject is seen, and an unsigned Date is not.
        signed = self.dkim_sign(MESSAGE, "--headers", "from:to:subject:subject")
        self.assertIn(b"h=from:to:subject:subject;", signed)
        for field, want in ((b"Subject: x\r\n", ["fail"]), (b"Date: x\r\n", ["pass"])):
            self.assertEqual((self.results(field + signed), self.opendkim.verify(field + signed)), (want, want))

    def test_dkim_sign_gives_only_the_fields_as_json(self):
        got = self.dkim_sign(MESSAGE, "--timestamp", "1790000000", "--json")
        self.assertEqual([f["name"] for f in got["fields"]], ["DKIM-Signature"])
        self.assertIn("t=1790000000;", got["fields"][0]["value"])
        self.assertEqual(got["header_fields"].encode() + MESSAGE, self.dkim_sign(MESSAGE, "--timestamp", "1790000000"))
        # A file with LF keeps its line ends, and is signed as it goes over SMTP.
        unix = self.dkim_sign(MESSAGE.replace(b"\r\n", b"\n"))
        self.assertNotIn(b"\r", unix)
        self.assertEqual(self.results(unix), ["pass"])

    def test_dkim_sign_refuses_what_makes_no_sense(self):
        for extra in (("--headers", "to:subject"), ("--headers", "fr om"), ("--timestamp", "soon")):
            with self.assertRaises(AssertionError):
                self.dkim_sign(MESSAGE, *extra)
        with self.assertRaises(AssertionError):
            self.dkim_sign(b"To: a@b.test\r\n\r\n")

    def test_arc_seal_and_python_dkim_seal_chains_of_three_hops(self):
        for order in itertools.product((True, False), repeat=3):
            message = MESSAGE
            for hop, theirs in enumerate(order):
                # arc_sign() takes its cv= from here, and wants it once; it is taken away again.
                seen = (b"Authentication-Results: lists.test; spf=pass smtp.mailfrom=ann@sender.test;\r\n"
                        b"\tarc=" + (b"pass" if hop else b"none") + b"\r\n")
                if theirs:
                    fields = dkim.arc_sign(seen + message, b"r", b"sender.test", self.keys.dkimpy["r"], b"lists.test",
                                           include_headers=[b"from", b"to", b"subject", b"date"], linesep=b"\r\n")
                    message = b"".join(fields) + message
                else:
                    extra = ("--headers", "from:to:subject:date") if hop == 1 else ()
                    sealed = self.arc_seal(seen + message, *extra)
                    self.assertTrue(sealed.endswith(seen + message))
                    message = sealed[:-len(seen + message)] + message
                    self.assertIn(b"ARC-Authentication-Results: i=%d; lists.test;\r\n\tspf=pass" % (hop + 1), message)
                with self.subTest(order=order, hop=hop):
                    cv, _, reason = dkim.arc_verify(message, dnsfunc=self.dnsfunc)
                    self.assertEqual(cv, b"pass", (reason, message))
                    arc = self.verify(message)["arc"]
                    self.assertEqual((arc["result"], arc["instances"]), ("pass", hop + 1), arc)
            # RFC 8617 5.1: a chain that broke gets one set that says so, and no other.
            broken = self.arc_seal(message.replace(b"Subject: a", b"Subject: b"))
            self.assertIn(b"cv=fail", broken[:200])
            cv, _, reason = dkim.arc_verify(broken, dnsfunc=self.dnsfunc)
            self.assertEqual((cv, "terminated" in reason), (None, True), reason)
            with self.assertRaises(AssertionError):
                self.arc_seal(broken)

    def test_a_trusted_sealer_of_another_making_overrides_dmarc(self):
        seen = b"Authentication-Results: lists.test; dmarc=pass header.from=sender.test; arc=none\r\n"
        fields = dkim.arc_sign(seen + MESSAGE, b"r", b"sender.test", self.keys.dkimpy["r"], b"lists.test",
                               include_headers=[b"from", b"to", b"subject", b"date"], linesep=b"\r\n")
        forwarded = b"".join(fields) + MESSAGE
        self.assertEqual(self.verify(forwarded)["dmarc"]["override"], "")
        dmarc = self.verify(forwarded, "--trusted-sealer", "other.test,sender.test")["dmarc"]
        self.assertEqual((dmarc["result"], dmarc["override"], dmarc["override_comment"]),
                         ("fail", "trusted_forwarder", "arc=pass as[1].d=sender.test as[1].s=r"))

    def test_arc_seal_without_results_of_ours_says_what_dkim_says(self):
        signed = b"Authentication-Results: other.test; dkim=fail\r\n" + self.sign(b"rsa-sha256", CANONICALISATIONS[3])
        got = self.arc_seal(signed, "--json")
        self.assertEqual([f["name"] for f in got["fields"]],
                         ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"])
        self.assertIn("lists.test; dkim=pass", got["fields"][2]["value"].replace("\r\n\t", " "))

    def test_lists_say_who_stands_on_them(self):
        def ask(*extra):
            return harness.godwitctl("verify", "dnsbl", "--list", "bl.sender.test,gone.sender.test", *extra, "--dns",
                                     f"127.0.0.1:{self.port}", "--json")

        good, gone = ask("--ip", "192.0.2.99", "--code", "127.0.0.4-127.0.0.7=exploit:5")
        self.assertEqual((good["healthy"], good["result"], good["categories"], good["weight"], good["text"]),
                         (True, "listed", ["exploit"], 5, "see https://bl.sender.test/"))
        self.assertEqual((gone["healthy"], gone["health_problem"]), (False, "127.0.0.2: is not listed"))
        self.assertEqual([row["result"] for row in ask("--ip", "192.0.2.98")], ["not-listed", "not-listed"])
        self.assertEqual(ask("--domain", "evil.test")[0]["result"], "listed")
        self.assertEqual(ask("--ip", "2001:db8::5")[0]["result"], "error")

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
