"""python3-spf and we agree on every record of a hand-made zone (spf_records.py), for clients and senders of all kinds.

Results and explanations are compared. Where python3-spf may say something else is in spf_records.DIFFERENCES, with the
section of RFC 7208 that decides; an entry that nothing needs any more is a failure.
"""

import itertools
import re
import unittest

import spf

import tool
from spf_records import CLIENT, DIFFERENCES, HOSTS, MORE, OTHER, QUERIES, RECORDS, SENDERS

RESULTS = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}


def zone_lines():
    """(name, type, data)"""
    for line in HOSTS.strip().splitlines():
        name, kind, *data = line.split(None, 2)
        yield name, kind, "".join(data)
    for name, text, *_ in RECORDS:
        if text is not None:
            yield f"{name}.spf.test", "TXT", f'"{text}"'
    for name, kind, data in MORE:
        yield f"{name}.spf.test", kind, data


class Lookup:
    """What python3-spf asks instead of DNS."""

    def __init__(self, lines):
        self.records = {}
        for name, kind, data in lines:
            self.records.setdefault(name.lower(), []).append((kind, self._value(kind, data)))

    @staticmethod
    def _value(kind, data):
        if kind == "TXT":
            return tuple(part.encode() for part in re.findall(r'"([^"]*)"', data))
        if kind == "MX":
            preference, exchange = data.split()
            return int(preference), exchange
        return data

    def __call__(self, name, qtype, strict=True, timeout=None):
        found = self.records.get(name.lower().rstrip("."), [])
        if any(kind == "TEMPFAIL" for kind, _ in found):
            raise spf.TempError("DNS does not answer")
        return [((name, kind), value) for kind, value in found if kind in (qtype, "CNAME")]


def theirs(ip, helo, sender):
    """(result, explanation)"""
    query = spf.query(i=ip, s=sender, h=helo)
    query.t = "0"  # mailauth_tool's time
    result, _, text = query.check()
    explained = result == "fail" and text != spf.EXPLANATIONS["fail"]
    return result, text.lower() if explained else ""


def difference(record, query):
    """What of DIFFERENCES is about this record and query."""
    for row in DIFFERENCES:
        if row[0] in (None, record) and row[1] in ("", query[2]):
            return row
    return None


class SpfZone(tool.FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.zone = cls.write("zone", "".join(" ".join(line) + "\n" for line in zone_lines()).encode())
        cls.addClassCleanup(setattr, spf, "DNSLookup", spf.DNSLookup)
        spf.DNSLookup = Lookup(zone_lines())

    def ours(self, queries):
        """[(result, explanation)], the latter in lower case: the nibbles of %{i} have either (RFC 7208 §7.3)."""
        said = tool.run("spf", self.zone, stdin="".join("\t".join(query) + "\n" for query in queries)).decode()
        rows = [line.split("\t", 2) for line in said.splitlines()]
        return [(result, explanation.lower()) for result, explanation, _ in rows]

    def test_every_record_says_what_it_shall(self):
        for client, column in ((CLIENT, 2), (OTHER, 3)):
            queries = [(client, "helo.client.test", f"user@{row[0]}.spf.test") for row in RECORDS]
            for row, (result, _) in zip(RECORDS, self.ours(queries)):
                with self.subTest(record=row[:2], client=client):
                    self.assertEqual(result, row[column])

    def test_every_sender_is_judged_by_its_domain(self):
        queries = [(CLIENT, helo, sender) for helo, sender, _ in SENDERS]
        for (helo, sender, want), (result, _) in zip(SENDERS, self.ours(queries)):
            with self.subTest(helo=helo, sender=sender):
                self.assertEqual(result, want)

    def test_python_spf_agrees_on_every_record_and_sender(self):
        names = sorted({row[0] for row in [*RECORDS, *MORE]})
        asked = [*itertools.product(names, QUERIES), *((None, (CLIENT, *row[:2])) for row in SENDERS)]
        queries = [tuple(part.format(f"{name}.spf.test") for part in query) if name else query for name, query in asked]
        seen, needed = set(), set()
        for (name, kind), query, mine in zip(asked, queries, self.ours(queries)):
            his = theirs(*query)
            seen.add(his[0])
            if his != mine:
                row = difference(name, kind)
                self.assertIsNotNone(row, (query, "ours", mine, "theirs", his))
                needed.add(row)
        self.assertEqual(seen, RESULTS)
        self.assertEqual([row for row in DIFFERENCES if row not in needed], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
