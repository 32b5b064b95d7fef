"""Postfix's posttls-finger verifies smtp-ingress by TLSA records, DNSSEC and all."""

import hashlib
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import harness  # noqa: E402
import signed_zone  # noqa: E402

RESOLVER = "127.19.53.1"  # resolv.conf knows no ports


@unittest.skipIf(os.geteuid() != 0, "a resolver on port 53 is for root")
class PosttlsFinger(harness.SuiteCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="godwit-finger-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        os.chmod(cls.folder, 0o755)
        cls.port = harness.split(cls.suite.told["smtp"])[1]
        leaf = cls._certificate()
        spki = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], capture_output=True, check=True,
                              input=subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-pubkey"], input=leaf,
                                                   capture_output=True, check=True).stdout).stdout
        tlsa = f"_{cls.port}._tcp"
        cls.dns = signed_zone.SignedZone(ROOT, os.path.join(cls.folder, "dns"), "\n".join([
            "mx A 127.0.0.1", f"{tlsa}.mx TLSA 3 1 1 {hashlib.sha256(spki).hexdigest()}",
            "cert A 127.0.0.1", f"{tlsa}.cert TLSA 3 0 2 {hashlib.sha512(leaf).hexdigest()}",
            "wrong A 127.0.0.1", f"{tlsa}.wrong TLSA 3 1 1 {'00' * 32}"]) + "\n", resolver=(RESOLVER, 53))
        cls.addClassCleanup(cls.dns.stop)
        cls.dns.start()
        with open(os.path.join(cls.folder, "resolv.conf"), "w", encoding="ascii") as out:
            out.write(f"nameserver {RESOLVER}\noptions edns0 trust-ad\n")

    @classmethod
    def _certificate(cls):
        context = ssl.create_default_context(cafile=cls.suite.told["ca_file"])
        context.check_hostname = False
        with smtplib.SMTP("127.0.0.1", cls.port, timeout=20) as client:
            client.starttls(context=context)
            return client.sock.getpeercert(binary_form=True)

    def finger(self, host):
        done = subprocess.run([os.path.join(ROOT, "tools/peers"), "--bind",
                               f"{self.folder}/resolv.conf:/etc/resolv.conf", "--run", "postfix", "--",
                               "posttls-finger", "-c", "-t", "20", "-T", "20", "-l", "dane-only", "-L",
                               "summary,verbose", f"[{host}.{signed_zone.ZONE}]:{self.port}"],
                              capture_output=True, text=True, timeout=120)
        return done.stdout + done.stderr

    def test_our_records_are_verified(self):
        for host in ("mx", "cert"):
            with self.subTest(host):
                self.assertIn("Verified TLS connection established", self.finger(host))

    def test_a_wrong_record_is_not(self):
        told = self.finger("wrong")
        self.assertNotIn("Verified TLS connection", told)
        self.assertIn("TLS connection established", told)  # it came so far


if __name__ == "__main__":
    unittest.main()
