"""Our delivery status notifications, as the golden files of libs/dsn have them, read by Python's email
package: what it finds is what was meant."""

import email
import email.policy
import glob
import os
import unittest

FOLDER = "libs/dsn/testdata/golden"

# name: (actions, third part)
WANTED = {
    "01-failed": (["failed"], "text/rfc822-headers"),
    "02-delayed": (["delayed"], "text/rfc822-headers"),
    "03-mixed": (["failed", "failed", "expanded", "relayed"], "text/rfc822-headers"),
    "04-full-8bit": (["failed"], "message/rfc822"),
    "05-utf8-in-ascii": (["failed"], "text/rfc822-headers"),
    "06-global": (["failed"], "message/global-headers"),
    "07-delivered": (["delivered"], "text/rfc822-headers"),
}


def read(name):
    with open(os.path.join(FOLDER, name + ".eml"), "rb") as source:
        policy = email.policy.SMTPUTF8 if name == "06-global" else email.policy.default
        return email.message_from_bytes(source.read(), policy=policy)


def blocks(part):
    """The groups of fields of a report; of its global kind Python has no opinion."""
    if part.get_content_type() == "message/delivery-status":
        return part.get_payload()
    text = part.get_payload()
    text = text[0].as_string() if isinstance(text, list) else text
    return [email.message_from_string(block, policy=email.policy.SMTPUTF8)
            for block in text.replace("\r\n", "\n").strip().split("\n\n")]


class Dsn(unittest.TestCase):
    def test_every_golden_file_is_known(self):
        names = {os.path.basename(path)[:-len(".eml")] for path in glob.glob(FOLDER + "/*.eml")}
        self.assertEqual(names, set(WANTED))

    def test_three_parts_without_a_defect(self):
        for name, (_, third) in WANTED.items():
            with self.subTest(name=name):
                message = read(name)
                self.assertEqual(message.get_content_type(), "multipart/report")
                self.assertEqual(message.get_param("report-type"), "delivery-status")
                self.assertEqual(message["Auto-Submitted"], "auto-replied")
                parts = message.get_payload()
                kind = "global-delivery-status" if name == "06-global" else "delivery-status"
                self.assertEqual([part.get_content_type() for part in parts],
                                 ["text/plain", "message/" + kind, third])
                for part in message.walk():
                    self.assertEqual(part.defects, [], part.get_content_type())

    def test_the_report_says_what_was_meant(self):
        for name, (actions, _) in WANTED.items():
            with self.subTest(name=name):
                about_message, *recipients = blocks(read(name).get_payload()[1])
                self.assertEqual(about_message["Reporting-MTA"], "dns; mail.example.org")
                self.assertEqual([block["Action"] for block in recipients], actions)
                for block in recipients:
                    self.assertRegex(block["Final-Recipient"], r"^(rfc822|utf-8); \S+@\S+$")
                    self.assertRegex(block["Status"], r"^[245]\.\d+\.\d+$")

    def test_envelope_id_and_original_recipient_go_back(self):
        about_message, _, forwarded, *_ = blocks(read("03-mixed").get_payload()[1])
        self.assertEqual(about_message["Original-Envelope-Id"], "QQ314159")
        self.assertEqual(forwarded["Original-Recipient"], "rfc822; eve+list@example.org")

    def test_the_text_is_readable(self):
        text = read("05-utf8-in-ascii").get_payload()[0].get_content()
        self.assertIn("<büb@例え.example>", text)
        text = read("06-global").get_payload()[0].get_content()
        self.assertIn("550 5.1.1 Unbekannter Empfänger", text)
        self.assertIn("550 5.1.1 No such user here", read("01-failed").get_payload()[0].get_content())

    def test_the_message_comes_back_whole(self):
        returned = read("04-full-8bit").get_payload()[2].get_payload()[0]
        self.assertEqual(returned["Message-ID"], "<m1@example.org>")
        self.assertIn("Grüße", returned.get_payload(decode=True).decode())

    def test_a_mail_program_finds_the_thread(self):
        self.assertEqual(read("01-failed")["In-Reply-To"], "<m1@example.org>")


if __name__ == "__main__":
    unittest.main(verbosity=2)
