"""What tls-policy says of domains, and our TLS of their hosts: DANE and MTA-STS, right and wrong."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))

import tls_world  # noqa: E402

TOOL = os.path.join(ROOT, "tests/interop/tls/tls_tool")


@unittest.skipIf(os.geteuid() != 0 and not os.path.exists("/usr/bin/newuidmap"),
                 "Postfix needs users of its own; the package uidmap is not there")
class TlsPolicy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="godwit-tls-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        cls.world = tls_world.World(ROOT, folder)
        cls.addClassCleanup(cls.world.stop)

    def ask(self, *domains):
        """{domain: answer of the tool}"""
        done = subprocess.run([TOOL, "--dns", self.world.dns.address, "--port", str(self.world.postfix.port), "--sts_port",
                               str(self.world.web.server_address[1]), "--ca", self.world.root.cert, "--connect", *domains],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {row["domain"]: row for row in map(json.loads, done.stdout.splitlines())}

    def host(self, domain):
        answer = self.ask(domain)[domain]
        self.assertEqual(answer["outcome"], "ok", self.world.dns.logs())
        return answer["hosts"][0]

    def test_dane_right(self):
        for name in ("ee-spki.signed.test", "ee-cert.signed.test", "signed.test", "whole.signed.test"):
            with self.subTest(name):
                host = self.host(name)
                self.assertEqual(host["requirement"], "dane")
                self.assertEqual(host["session"], "ready TLSv1.3 verified")

    def test_dane_wrong(self):
        host = self.host("wrong.signed.test")
        self.assertEqual(host["requirement"], "dane")
        self.assertTrue(host["session"].startswith("failed no-tlsa-match"), host)
        self.assertTrue(self.host("wrong-ta.signed.test")["session"].startswith("failed no-tlsa-match"))
        self.assertTrue(self.host("hidden.signed.test")["session"].startswith("failed no-tlsa-match"))
        # Usage 2 with the right authority, and a certificate for another host.
        self.assertTrue(self.host("ta.signed.test")["session"].startswith("failed host-mismatch"))

    def test_dane_not_to_be_had(self):
        self.assertEqual(self.host("bogus.signed.test")["requirement"], "unusable")
        unusable = self.host("unusable.signed.test")
        self.assertEqual(unusable["requirement"], "encrypt")
        self.assertEqual(unusable["session"], "ready TLSv1.3 not-checked")
        self.assertEqual(self.host("none.signed.test")["requirement"], "opportunistic")
        # Records of a zone that is not signed say nothing.
        self.assertEqual(self.host("dane.plain.test")["requirement"], "opportunistic")

    def test_ends(self):
        answers = self.ask("null.signed.test", "empty.signed.test", "gone.signed.test")
        self.assertEqual([row["outcome"] for row in answers.values()], ["null-mx", "no-domain", "no-domain"])

    def test_mta_sts_right(self):
        host = self.host("right.plain.test")
        self.assertEqual(host["requirement"], "mta-sts")
        self.assertEqual(host["session"], "ready TLSv1.3 verified")

    def test_mta_sts_wrong(self):
        self.assertEqual(self.host("mismatch.plain.test")["requirement"], "unusable")
        # The policy names the host, and the host's certificate does not.
        host = self.host("name.plain.test")
        self.assertEqual(host["requirement"], "mta-sts")
        self.assertTrue(host["session"].startswith("failed host-mismatch"), host)
        testing = self.ask("testing.plain.test")["testing.plain.test"]
        self.assertEqual((testing["sts"], testing["hosts"][0]["requirement"]), ("testing", "opportunistic"))

    def test_mta_sts_not_to_be_had(self):
        answers = self.ask("untrusted.plain.test", "missing.plain.test")
        self.assertEqual([row["sts"] for row in answers.values()], ["failed 12", "failed 10"])
        self.assertEqual([row["hosts"][0]["requirement"] for row in answers.values()], ["opportunistic"] * 2)

    def test_a_dead_resolver_is_temporary(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % probe.getsockname()[1]
            done = subprocess.run([TOOL, "--dns", address, "signed.test"], capture_output=True, text=True, timeout=120)
        self.assertEqual(json.loads(done.stdout)["outcome"], "temporary")


if __name__ == "__main__":
    unittest.main()
