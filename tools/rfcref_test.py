#!/usr/bin/python3
"""tools/rfcref reads citations as people write them, and sees each kind of fault."""

import importlib.machinery
import importlib.util
import os
import unittest

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "rfcref")
loader = importlib.machinery.SourceFileLoader("rfcref", PATH)
rfcref = importlib.util.module_from_spec(importlib.util.spec_from_loader("rfcref", loader))
loader.exec_module(rfcref)

HEAD = "\t".join(rfcref.COLUMNS) + "\n"
SMTP = "5321\tSimple Mail Transfer Protocol\tcomplete\tlibs/smtp\t\n"
NEXT = "5322\tInternet Message Format\tplanned\tlibs/mime\tlater\n"
CODE = {"libs/smtp/server.cc": "int i;\n// RFC 5321 §4.1.4: EHLO acts as RSET.\n"}


def judge(files, rows):
    return rfcref.judge(files, HEAD + rows, {"libs/smtp", "libs/mime"}.__contains__)


class Citations(unittest.TestCase):
    def check(self, text, *expected):
        self.assertEqual([tuple(one) for one in rfcref.citations(text)], list(expected))

    def test_one_with_its_line_and_section(self):
        self.check("x\n// (RFC 5321 §4.5.3.1.4).\n", (5321, 2, "§4.5.3.1.4"))
        self.check("// RFC 822 has none.", (822, 1, ""))

    def test_lists(self):
        self.check("RFC 5321, 3463 (codes), 5248 and 6152.",
                   (5321, 1, ""), (3463, 1, ""), (5248, 1, ""), (6152, 1, ""))
        self.check("RFC 5891 §5, §6, RFC 1035 §2.3.4.", (5891, 1, "§5"), (1035, 1, "§2.3.4"))
        self.check("RFCs 2045 to 2049", (2045, 1, ""), (2049, 1, ""))

    def test_over_the_end_of_a_line(self):
        self.check("// (RFC\n  // 3501 §6,\n  // 9051)", (3501, 2, "§6"), (9051, 3, ""))
        self.check("-- as RFC\n-- 3461 has it", (3461, 2, ""))

    def test_other_numbers_are_none(self):
        self.check("// RFC 5321 §4.5.3.1.4: 512 octets, 1000 lines", (5321, 1, "§4.5.3.1.4"))
        self.check("RFC 5321, 78 columns; RFC822.SIZE; RFC 5321x; RFC 2034\n\n3463",
                   (5321, 1, ""), (2034, 1, ""))


class Faults(unittest.TestCase):
    def refused(self, files, rows, *words):
        found = judge(files, rows)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_good_tree_has_none(self):
        self.assertEqual(judge(CODE, SMTP + NEXT), [])

    def test_a_citation_without_a_row(self):
        self.refused(CODE, NEXT, "libs/smtp/server.cc:2:", "RFC 5321")
        self.refused({**CODE, "docs/a.md": "RFC 5321, 7208"}, SMTP, "docs/a.md:1:", "RFC 7208")

    def test_an_owner_that_is_no_folder(self):
        self.refused(CODE, SMTP.replace("libs/smtp", "libs/gone"), ":2:", "libs/gone")
        self.refused(CODE, SMTP + NEXT.replace("libs/mime", ""), ":3:", "no folder")

    def test_a_row_that_no_code_cites(self):
        self.refused({}, SMTP + NEXT, ":2:", "no line of code cites it")
        self.refused({"docs/a.md": "RFC 5321"}, SMTP, "no line of code cites it")
        self.assertEqual(judge({}, SMTP.replace("complete", "reference")), [])

    def test_rows_out_of_shape(self):
        self.refused(CODE, SMTP + "5322\tInternet Message Format\n", ":3:", "tabs")
        self.refused(CODE, SMTP + NEXT.replace("planned", "soon"), ":3:", "status")
        self.refused(CODE, SMTP + SMTP, ":3:", "behind")
        self.assertEqual(len(rfcref.judge(CODE, SMTP, lambda folder: True)), 2)  # no names of columns

    def test_the_listing(self):
        lines = list(rfcref.listing(CODE, HEAD + SMTP + NEXT))
        self.assertEqual(lines, ["RFC 5321  Simple Mail Transfer Protocol (complete, libs/smtp)",
                                 "  libs/smtp/server.cc:2  §4.1.4",
                                 "RFC 5322  Internet Message Format (planned, libs/mime): later"])
        self.assertEqual(len(list(rfcref.listing(CODE, HEAD + SMTP + NEXT, 5322))), 1)


if __name__ == "__main__":
    unittest.main()
