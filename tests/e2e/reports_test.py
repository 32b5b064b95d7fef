"""DMARC aggregate reports: ours go out as mail, signed and in the schema; others' are kept when they come."""

import email
import email.policy
import glob
import gzip
import os
import subprocess
import xml.etree.ElementTree as xml

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


class DmarcReports(harness.SuiteCase):
    records = [
        'reporter.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
        '_dmarc.reporter.test. 60 IN TXT "v=DMARC1; p=reject; rua=mailto:r@reporter.test"',
        'victim.test. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"',
        '_dmarc.victim.test. 60 IN TXT "v=DMARC1; p=reject; rua=mailto:r@elsewhere.test; ruf=mailto:f@victim.test"',
    ]

    def ctl(self, *words):
        return harness.godwitctl(*words, conninfo=self.suite.superuser())

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
        made = harness.message("ann@reporter.test", self.bob, subject="Report Domain: godwit.test")
        made.add_attachment(gzip.compress(text.encode()), maintype="application", subtype="gzip",
                            filename="reporter.test!godwit.test!1700000000!1700086399.xml.gz")
        self.send("ann@reporter.test", [self.bob], made)
        return email.message_from_bytes(self.inbox(self.bob)[-1])["X-Godwit-Report"]

    def test_reports_go_out_and_come_in(self):
        self.ctl("dmarc", "address", self.bob)  # smtp-ingress knows within a minute
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


if __name__ == "__main__":
    harness.main()
