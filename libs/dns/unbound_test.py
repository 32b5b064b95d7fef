#!/usr/bin/python3
"""The resolver's queries against a real unbound (tools/peers), by way of lookup_for_test."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.getcwd()
PEERS = os.path.realpath(os.path.join(ROOT, "tools/peers"))
LOOKUP = os.path.join(ROOT, "libs/dns/lookup_for_test")

ZONE = [
    "mail.example.test. 300 IN A 192.0.2.1",
    "mail.example.test. 300 IN AAAA 2001:db8::1",
    "example.test. 300 IN MX 10 Mail.Example.test.",
    "null.example.test. 300 IN MX 0 .",
    "example.test. 300 IN SOA ns.example.test. root.example.test. 1 2 3 4 60",
    "example.test. 300 IN NS ns.example.test.",
    "www.example.test. 30 IN CNAME mail.example.test.",
    "_imap._tcp.example.test. 300 IN SRV 0 1 143 mail.example.test.",
    "_25._tcp.mail.example.test. 300 IN TLSA 3 1 1 " + "ab" * 32,
    "big.example.test. 300 IN TXT " + " ".join(f'"{"k" * 250}"' for _ in range(10)),
    "1.2.0.192.in-addr.arpa. 300 IN PTR mail.example.test.",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Unbound(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.port = free_port()
        config = os.path.join(cls.folder.name, "unbound.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"""server:
  interface: 127.0.0.1
  port: {cls.port}
  username: ""
  chroot: ""
  directory: "/tmp"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  local-zone: "example.test." static
  local-zone: "2.0.192.in-addr.arpa." static
""")
            for record in ZONE:
                file.write(f"  local-data: '{record}'\n")
            file.write("  local-zone: \"refused.test.\" refuse\n")
        command = [PEERS, "--bind", f"{config}:/etc/unbound/test.conf", "--run", "unbound", "--",
                   "/usr/sbin/unbound", "-d", "-c", "/etc/unbound/test.conf"]
        cls.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while cls.ask("mail.example.test", "A").startswith("tempfail"):
            if cls.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("unbound does not run: " + cls.process.stderr.read())
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait()
        cls.process.stderr.close()
        cls.folder.cleanup()

    @classmethod
    def ask(cls, name, kind):
        result = subprocess.run([LOOKUP, f"127.0.0.1:{cls.port}", name, kind], text=True,
                                capture_output=True, check=True)
        return result.stdout.strip()

    def test_every_type(self):
        self.assertEqual(self.ask("Mail.Example.test", "A"), "ok mail.example.test 300 192.0.2.1")
        self.assertEqual(self.ask("mail.example.test", "AAAA"),
                         "ok mail.example.test 300 2001:db8::1")
        self.assertEqual(self.ask("example.test", "MX"), "ok example.test 300 10/mail.example.test")
        self.assertEqual(self.ask("null.example.test", "MX"), "ok null.example.test 300 0/")
        self.assertEqual(self.ask("example.test", "NS"), "ok example.test 300 ns.example.test")
        self.assertEqual(self.ask("_imap._tcp.example.test", "SRV"),
                         "ok _imap._tcp.example.test 300 0/1/143/mail.example.test")
        self.assertEqual(self.ask("_25._tcp.mail.example.test", "TLSA"),
                         "ok _25._tcp.mail.example.test 300 3/1/1/" + "ab" * 32)
        self.assertEqual(self.ask("1.2.0.192.in-addr.arpa", "PTR"),
                         "ok 1.2.0.192.in-addr.arpa 300 mail.example.test")

    def test_a_large_answer_comes_over_tcp(self):
        self.assertEqual(self.ask("big.example.test", "TXT"),
                         "ok big.example.test 300 " + "k" * 2500)

    def test_a_chain_that_the_server_leaves_open_is_followed(self):
        # unbound's local-data answers with the alias only.
        self.assertEqual(self.ask("www.example.test", "A"), "ok mail.example.test 30 192.0.2.1")

    def test_negative_answers(self):
        self.assertTrue(self.ask("mail.example.test", "MX").startswith("nodata "))
        self.assertTrue(self.ask("absent.example.test", "A").startswith("nodomain "))
        self.assertIn("REFUSED", self.ask("a.refused.test", "A"))


if __name__ == "__main__":
    unittest.main()
