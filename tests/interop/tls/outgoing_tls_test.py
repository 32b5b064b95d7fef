"""Mail of our users to domains with DANE and MTA-STS: what may leave leaves over verified TLS, the rest waits."""

import os
import re
import shutil
import smtplib
import sys
import tempfile
import unittest

import psycopg2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))

import harness  # noqa: E402
import tls_world  # noqa: E402

# Domain: may mail go there? What that is for: tls_world.py.
DOMAINS = {
    "ee-spki.signed.test": True, "signed.test": True, "whole.signed.test": True, "none.signed.test": True,
    "unusable.signed.test": True, "right.plain.test": True, "testing.plain.test": True, "missing.plain.test": True,
    "wrong.signed.test": False, "wrong-ta.signed.test": False, "ta.signed.test": False, "bogus.signed.test": False,
    "mismatch.plain.test": False, "name.plain.test": False,
}
# RFC 8460's policy types and result types, by their numbers in tls_policy.proto.
STS, TLSA = 2, 3
SUCCESS, HOST_MISMATCH, VALIDATION_FAILURE = 1, 3, 6


@unittest.skipIf(os.geteuid() != 0 and not os.path.exists("/usr/bin/newuidmap"),
                 "Postfix needs users of its own; the package uidmap is not there")
class OutgoingTls(harness.SuiteCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="godwit-tls-")
        unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        cls.world = tls_world.World(ROOT, folder, [
            "relay_domains = signed.test, plain.test", "relay_transport = discard:",
            "smtpd_relay_restrictions = permit_auth_destination, reject", "smtpd_tls_loglevel = 1",
            "smtpd_tls_received_header = yes"])
        unittest.addModuleCleanup(cls.world.stop)
        cls.arguments = ["--dns", cls.world.dns.address, "--outbound", "direct", "--outbound-port",
                         str(cls.world.postfix.port), "--outbound-ca", cls.world.root.cert, "--mta-sts-port",
                         str(cls.world.web.server_address[1])]
        super().setUpClass()
        with smtplib.SMTP(*harness.split(cls.suite.told["submission"]), timeout=30) as client:
            client.starttls(context=cls.tls)
            client.login(cls.alice, cls.passwords[cls.alice])
            for domain in DOMAINS:
                text = harness.message(cls.alice, f"user@{domain}", "tls")
                client.sendmail(cls.alice, [f"user@{domain}"],
                                text.as_bytes(policy=text.policy.clone(linesep="\r\n")))

    def taken(self):
        """The domains whose mail Postfix has taken."""
        return set(re.findall(r"to=<user@([a-z.-]+)>, .*status=sent", self.world.postfix.log()))

    def waiting(self):
        """{domain: what the last attempt said}"""
        rows = harness.godwitctl("queue", "list", "--json", conninfo=self.suite.superuser())
        return str(rows)

    def outcomes(self):
        """{(domain, policy type, result)}"""
        with psycopg2.connect(self.suite.told["postgres"]) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT domain, policy_type, result FROM tls_outcomes JOIN tls_policies_seen "
                           "USING (day, domain, policy_key)")
            return set(cursor.fetchall())

    def test_what_may_leave_leaves_and_nothing_else(self):
        right = {domain for domain, may in DOMAINS.items() if may}
        self.wait_for(lambda: right <= self.taken(), 60, f"mail to {right}")
        self.wait_for(lambda: {("wrong.signed.test", TLSA, VALIDATION_FAILURE), ("ta.signed.test", TLSA, HOST_MISMATCH),
                               ("name.plain.test", STS, HOST_MISMATCH), ("ee-spki.signed.test", TLSA, SUCCESS),
                               ("right.plain.test", STS, SUCCESS),
                               ("mismatch.plain.test", STS, VALIDATION_FAILURE),
                               ("testing.plain.test", STS, VALIDATION_FAILURE)} <= self.outcomes(), 30, "outcomes for reports")
        self.assertEqual(self.taken(), right)
        # Postfix's side of it: nothing came in the clear.
        log = self.world.postfix.log()
        self.assertGreaterEqual(log.count("TLS connection established from"), len(right))


if __name__ == "__main__":
    harness.main()
