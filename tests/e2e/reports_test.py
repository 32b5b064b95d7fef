"""Reports by mail. DMARC: ours go out, signed and in the schema; others' are kept when they come. TLS: others' are
kept when whoever they are from has signed them."""

import base64
import datetime
import email
import email.policy
import glob
import gzip
import json
import os
import subprocess
import time
import xml.etree.ElementTree as xml

import dkim
import nacl.encoding
import nacl.signing

import harness

NAMESPACE = "{urn:ietf:params:xml:ns:dmarc-2.0}"
REPORT = """<?xml version="1.0"?>
<feedback><report_metadata><org_name>Reporter</org_name><email>r@reporter.test</email><report_id>77</report_id>
<date_range><begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>
<policy_published><domain>godwit.test</domain><p>reject</p></policy_published>
<record><row><source_ip>192.0.2.7</source_ip><count>3</count><policy_evaluated><disposition>reject</disposition>
<dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>godwit.test</header_from>
</identifiers></record></feedback>
"""


# Of 64 MiB, packed in 64 KiB.
BOMB = gzip.compress(b"[" * (64 << 20))

KEY = nacl.signing.SigningKey(b"k" * 32)
PUBLIC = base64.b64encode(bytes(KEY.verify_key)).decode()


class Reports(harness.SuiteCase):
    """Bob's address is one for reports, and smtp-ingress knows it: within a minute."""

    records = [
        '_smtp._tls.godwit.test. 60 IN TXT "v=TLSRPTv1; rua=mailto:bob@godwit.test"',
        'plain.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
        'reporter.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
        '_dmarc.reporter.test. 60 IN TXT "v=DMARC1; p=reject; rua=mailto:r@reporter.test"',
        'victim.test. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"',
        '_dmarc.victim.test. 60 IN TXT "v=DMARC1; p=reject; rua=mailto:r@elsewhere.test; ruf=mailto:f@victim.test"',
        # RFC 8460 §3: for TLS reports, and for nothing else.
        f'tls._domainkey.reporter.test. 60 IN TXT "v=DKIM1; k=ed25519; s=tlsrpt; p={PUBLIC}"',
    ]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ctl("dmarc", "address", cls.bob)
        case = cls()
        deadline = time.monotonic() + 100
        while case.what_became("ann@plain.test", harness.message("ann@plain.test", cls.bob)) is None:
            if time.monotonic() > deadline:
                raise AssertionError("the address is not known as one for reports")
            time.sleep(2)

    @classmethod
    def ctl(cls, *words):
        return harness.godwitctl(*words, conninfo=cls.suite.superuser())

    def what_became(self, sender, made):
        """The field that tells what became of the report in a message to Bob."""
        self.send(sender, [self.bob], made)
        return email.message_from_bytes(self.inbox(self.bob)[-1])["X-Godwit-Report"]


class DmarcReports(Reports):

    def outgoing(self, domain):
        """The one report about the domain, as soon as it is there."""
        found = self.wait_for(lambda: self.ctl("dmarc", "outgoing", "--domain", domain, "--json"), 20, domain)
        self.assertEqual(len(found), 1)
        return found[0]

    def captured(self):
        for path in glob.glob(os.path.join(self.suite.dir, "capture", "*.eml")):
            with open(path, "rb") as source:
                parsed = email.message_from_bytes(source.read(), policy=email.policy.default)
            if "r@reporter.test" in parsed["To"]:
                return parsed
        return None

    def send_report(self, text):
        return self.send_packed(gzip.compress(text.encode()))

    def send_packed(self, packed):
        made = harness.message("ann@reporter.test", self.bob, subject="Report Domain: godwit.test")
        made.add_attachment(packed, maintype="application", subtype="gzip",
                            filename="reporter.test!godwit.test!1700000000!1700086399.xml.gz")
        return self.what_became("ann@reporter.test", made)

    def test_reports_go_out_and_come_in(self):
        self.send("ann@reporter.test", [self.alice], harness.message("ann@reporter.test", self.alice))
        with self.assertRaises(Exception):
            self.send("ann@victim.test", [self.alice], harness.message("ann@victim.test", self.alice))
        self.assertEqual(self.outgoing("reporter.test")["rows"], 1)
        self.assertEqual(self.outgoing("victim.test")["outcome"], "")
        failure, = self.ctl("dmarc", "failures", "--json")
        self.assertEqual((failure["domain"], failure["fo"], failure["disposition"]), ("victim.test", "0", "reject"))

        # The day is over.
        subprocess.run(["psql", "-qd", self.suite.superuser(), "-c", "UPDATE dmarc_periods SET due_at = 'epoch'"],
                       check=True, timeout=30)
        message = self.wait_for(self.captured, 100, "a report in the capture folder")
        self.assertIn("d=godwit.test", message["DKIM-Signature"])
        self.assertEqual(message["Subject"].split()[:5],
                         ["Report", "Domain:", "reporter.test", "Submitter:", "godwit.test"])
        attachment, = message.iter_attachments()
        self.assertEqual(attachment.get_content_type(), "application/gzip")
        report = gzip.decompress(attachment.get_content())
        feedback = xml.fromstring(report)
        self.assertEqual(feedback.tag, NAMESPACE + "feedback")
        self.assertEqual([e.text for e in feedback.iter(NAMESPACE + "header_from")], ["reporter.test"])
        self.assertEqual([e.text for e in feedback.iter(NAMESPACE + "disposition")], ["pass"])
        self.wait_for(lambda: self.outgoing("reporter.test")["outcome"] == "r@reporter.test: sent; ")
        # The destination of the other is neither its own nor agrees.
        self.wait_for(lambda: "no record victim.test._report._dmarc.elsewhere.test" in
                      self.outgoing("victim.test")["outcome"])

        self.assertEqual(self.send_report(REPORT), "stored")
        self.assertEqual(self.send_report(REPORT.replace("</feedback>", "")), "not stored: no XML: no element found")
        kept, = self.ctl("dmarc", "reports", "--json")
        self.assertEqual((kept["domain"], kept["reporter"], kept["messages"], kept["failed"]),
                         ("godwit.test", "reporter.test", 3, 3))
        shown = self.ctl("dmarc", "report", str(kept["number"]), "--json")
        self.assertEqual(shown["rows"][0]["source"], "192.0.2.7")
        self.assertEqual(self.send_packed(BOMB), "not stored: unpacks to too much")


def tls_report(**changes):
    """Of yesterday, about godwit.test."""
    day = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)).strftime("%Y-%m-%d")
    return {
        "organization-name": "Reporter",
        "contact-info": "tls@reporter.test",
        "report-id": f"{day}-godwit.test",
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "policies": [{
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: enforce"],
                       "policy-domain": "godwit.test", "mx-host": ["mx.godwit.test"]},
            "summary": {"total-successful-session-count": 40, "total-failure-session-count": 2},
            "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.9",
                                 "receiving-mx-hostname": "mx.godwit.test", "failed-session-count": 2}],
        }],
        **changes,
    }


class TlsReports(Reports):
    def send_report(self, packed, sign=True, subtype="tlsrpt+gzip"):
        """RFC 8460 §5.3."""
        made = harness.message("tls@reporter.test", self.bob, subject="Report Domain: godwit.test",
                               TLS_Report_Domain="godwit.test", TLS_Report_Submitter="reporter.test")
        made.add_attachment(packed, maintype="application", subtype=subtype,
                            filename="reporter.test!godwit.test!1!2.json.gz")
        made.replace_header("Content-Type", made["Content-Type"].replace("multipart/mixed", "multipart/report")
                            + '; report-type="tlsrpt"')
        octets = made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
        if sign:
            octets = dkim.sign(octets, b"tls", b"reporter.test", KEY.encode(nacl.encoding.Base64Encoder),
                               signature_algorithm=b"ed25519-sha256", canonicalize=(b"relaxed", b"relaxed"),
                               include_headers=[b"From", b"To", b"Subject", b"TLS-Report-Domain",
                                                b"TLS-Report-Submitter"]) + octets
        return self.what_became("tls@reporter.test", octets)

    def pack(self, **changes):
        return gzip.compress(json.dumps(tls_report(**changes)).encode())

    def memory_peak(self, daemon):
        """MiB, ever."""
        with open(f"/proc/{self.suite.told['pids'][daemon]}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024

    def test_a_tls_report_is_kept(self):
        self.assertEqual(self.send_report(self.pack()), "stored")
        self.assertEqual(self.send_report(json.dumps(tls_report()).encode(), subtype="tlsrpt+json"), "stored")
        kept, = [row for row in self.ctl("tlsrpt", "reports", "--domain", "godwit.test", "--json")
                 if row["report_id"] == tls_report()["report-id"]]
        self.assertEqual((kept["reporter"], kept["contact"], kept["successful"], kept["failed"]),
                         ("reporter.test", "tls@reporter.test", 40, 2))
        policy, = self.ctl("tlsrpt", "show", str(kept["number"]), "--json")["policies"]
        self.assertEqual((policy["type"], policy["mx_hosts"]), ("sts", ["mx.godwit.test"]))
        self.assertEqual(policy["failures"][0]["sending_ip"], "192.0.2.9")
        self.assertIn("certificate-expired", self.ctl("tlsrpt", "show", str(kept["number"])))

    def test_whoever_wants_tls_reports_says_so_in_the_dns(self):
        dns = self.suite.told["dns"]
        self.assertEqual(self.ctl("tlsrpt", "record", "Godwit.test", "--dns", dns, "--json"),
                         {"name": "_smtp._tls.godwit.test", "rua": ["mailto:bob@godwit.test"]})
        with self.assertRaisesRegex(AssertionError, "there is no record"):
            self.ctl("tlsrpt", "record", "plain.test", "--dns", dns)

    def test_what_is_no_report_of_theirs_is_mail_with_the_reason(self):
        for packed, sign, problem in (
                (self.pack(), False, "no DKIM signature for TLS reports"),
                (self.pack(**{"contact-info": "tls@bank.test"}), True, "no valid DKIM signature of bank.test"),
                (self.pack()[:-20], True, "the packed data is cut off"),
                (b"{}", True, "not a TLS report: it has no policies"),
                (self.pack(policies=[{"policy": {"policy-domain": "other.test"}}]), True, "other.test is not ours")):
            with self.subTest(problem=problem):
                self.assertEqual(self.send_report(packed, sign=sign), f"not stored: {problem}")

    def test_a_bomb_takes_little_memory(self):
        self.send_report(self.pack(**{"report-id": "warm"}))
        before = self.memory_peak("tls-policy"), self.memory_peak("auth-verifier")
        deep = gzip.compress(b"[" * 1_000_000)
        began = time.monotonic()
        for _ in range(5):
            self.assertEqual(self.send_report(BOMB), "not stored: unpacks to too much")
            self.assertTrue(self.send_report(deep).startswith("not stored: JSON: "))
        took = time.monotonic() - began
        after = self.memory_peak("tls-policy"), self.memory_peak("auth-verifier")
        print(f"ten bombs in {took:.1f} s; peak of tls-policy {before[0]:.0f} to {after[0]:.0f} MiB, "
              f"of auth-verifier {before[1]:.0f} to {after[1]:.0f} MiB")
        if not harness.SANITIZED:
            self.assertLess(after[0] - before[0], 32)
            self.assertLess(after[1] - before[1], 16)
        self.assertLess(took, 30)


if __name__ == "__main__":
    harness.main()
