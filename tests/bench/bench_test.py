"""The benchmarks run and say something; their figures are nobody's here."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Benchmarks(unittest.TestCase):
    def run_one(self, name, *arguments):
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            subprocess.run([sys.executable, os.path.join(HERE, name), "--json", out.name, *arguments], check=True,
                           timeout=600)
            return json.load(out)

    def test_receive_measures_all_servers(self):
        told = self.run_one("receive.py", "--messages", "40", "--sessions", "4", "--sizes", "2048", "--mailboxes", "1,5",
                            "--signatures", "rsa,ed25519", "--rounds", "1")
        servers = ["godwit", "godwit-plain", "postfix-milters", "postfix-plain", "postfix-rspamd"]
        self.assertEqual(sorted((row["server"], row["mailboxes"]) for row in told["results"]),
                         [(server, mailboxes) for server in servers for mailboxes in (1, 5)])
        for row in told["results"]:
            self.assertGreater(row["per_second"], 0)
            self.assertGreater(row["cpu_ms"]["total"], 0)
            self.assertGreaterEqual(row["p99_ms"], row["p50_ms"])
        for server, passes in told["passes"].items():
            self.assertEqual(passes["dkim"], 0 if server.endswith("-plain") else 2, server)
        self.assertEqual([(row["server"], row["of"]) for row in told["ratios"] if row["mailboxes"] == 5],
                         [("godwit-plain", "postfix-plain"), ("godwit", "postfix-milters"),
                          ("godwit", "postfix-rspamd")])
        for row in told["ratios"]:
            self.assertGreater(row["cpu"], 0)

    def test_a_mailbox_that_grows_is_measured_in_tenths(self):
        told = self.run_one("receive.py", "--flat", "50", "--sessions", "2", "--sizes", "2048")
        self.assertEqual([row["messages"] for row in told["results"]], list(range(5, 51, 5)))
        for row in told["results"]:
            self.assertGreater(row["per_second"], 0)

    def test_relay_measures_both_servers(self):
        told = self.run_one("relay.py", "--messages", "40", "--clients", "4", "--per-connection", "5", "--rounds", "1")
        self.assertEqual([row["server"] for row in told["results"]], ["godwit", "postfix+opendkim"])
        for row in told["results"]:
            self.assertGreater(row["per_second"], 0)
            self.assertGreater(row["cpu_ms"]["total"], 0)
            self.assertGreaterEqual(row["p99_ms"], row["p50_ms"])

    def test_daemons_idle_measures_each(self):
        told = self.run_one("daemons_idle.py", "--seconds", "0.2")
        self.assertEqual(len(told["daemons"]), 9)
        for row in told["daemons"].values():
            self.assertGreaterEqual(row["rss_mib"], row["pss_mib"])

    def test_imap_idle_measures_memory(self):
        told = self.run_one("imap_idle.py", "--connections", "50", "--warm", "5", "--accounts", "2", "--messages", "3",
                            "--settle", "0.5")
        self.assertEqual(told["connections"], 50)
        self.assertGreater(told["end_rss_mib"], told["start_rss_mib"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
