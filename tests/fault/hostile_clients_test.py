"""Clients that mean harm come to the running suite, one kind after the other, while mail comes in: hostile.py
says what has to hold. hostile_clients_full_test does the same for longer; soak_test does all at once.
"""

import os
import signal
import socket
import socketserver
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bombs  # noqa: E402
import hostile  # noqa: E402
import watching  # noqa: E402
from hostile import DEAR, MIB, HostileCase, harness  # noqa: E402


class Sessions(HostileCase):
    """Attackers of the SMTP session itself."""

    def test_slow_connections(self):
        """RFC 5321 §4.5.3.2: a command has its time."""
        self.attack("slow_commands", {"421 4.4.2"}, clients=self.pace.slow, seconds=6)

    def test_slow_messages(self):
        self.attack("slow_messages", {"421 4.4.2"}, clients=self.pace.slow // 2, seconds=7)

    def test_endless_header(self):
        self.attack("endless_header", {"552 5.3.4"}, share=DEAR)

    def test_endless_line(self):
        """RFC 5321 §4.5.3.1.6."""
        self.attack("endless_line", {"550 5.6.0"})

    def test_endless_body(self):
        """RFC 1870 §6.3."""
        self.attack("endless_body", {"552 5.3.4"}, share=DEAR)

    def test_endless_command(self):
        """RFC 5321 §4.5.3.1.4."""
        self.attack("endless_command", {"500 5.5.2"})

    def test_100_000_recipients(self):
        """RFC 5321 §4.5.3.1.10."""
        self.attack("recipients", {"250 2.1.5", "452 4.5.3", "421 4.7.0"}, share=DEAR)

    def test_100_000_recipients_that_nobody_has(self):
        self.attack("guesses", {"550 5.1.1", "421 4.7.0"}, share=DEAR)

    def test_nonsense(self):
        self.attack("nonsense", {"500 5.5.1", "500 5.5.2", "421 4.7.0"}, also={"554 5.5.1"})

    def test_gone_in_the_midst(self):
        self.attack("gone", set(), share=DEAR)

    def test_connections_that_come_and_go(self):
        self.attack("churn", set())


class Networks(HostileCase):
    """Attackers of one network, whose clients are counted: this machine's own are not."""

    def test_2_000_connections_of_one_network(self):
        """By default 100 of an address, three times as many of a /26, nine times of a /21."""
        self.attack("slow_commands", {"421 4.7.0", "421 4.4.2"}, clients=self.pace.slow, seconds=6,
                    network="198.51.100.0/24")
        for report in self.reports:
            self.assertEqual(report["replies"]["220"], 900)
            self.assertEqual(report["replies"]["421 4.4.2"], 900)
            self.assertEqual(report["replies"]["421 4.7.0"], self.pace.slow - 900)


class DnsCounter(socketserver.ThreadingUDPServer):
    """Hands questions on to another DNS server, and counts them."""

    daemon_threads = True

    def __init__(self, server):
        super().__init__(("127.0.0.1", 0), None)
        self.server = harness.split(server)
        self.address = "127.0.0.1:%d" % self.server_address[1]
        self.count = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def finish_request(self, request, client_address):
        question, back = request
        self.count += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward:
            onward.settimeout(5)
            onward.sendto(question, self.server)
            back.sendto(onward.recv(65535), client_address)


class Messages(HostileCase):
    """Attackers by what they write. What is no more than costly is taken, within bounds."""

    def verify(self, *words, text=None):
        """(what godwitctl says, the number of DNS questions it asked)"""
        with DnsCounter(self.suite.told["dns"]) as dns:
            said = harness.godwitctl("verify", *words, "--ip", "127.0.0.2", "--helo", "hostile.test", "--dns", dns.address,
                                     "--json", text=text)
        return said, dns.count

    def test_parts_10_000_deep(self):
        self.attack("nested", {"250 2.0.0"}, share=DEAR)
        with self.imap(self.target) as reader, watching.Watch(self.suite.told["pids"], 0.05) as watch:
            reader.select("INBOX", readonly=True)
            found = reader.search(None, "SUBJECT", "nested")[1][0].split()[-len(bombs.nested()):]
            begun = time.monotonic()
            for number in found:
                for what in ("(ENVELOPE BODYSTRUCTURE)", "(BODY.PEEK[1.1.1.1.1.1.1.1.1.MIME])", "(BODY.PEEK[])"):
                    self.assertEqual(reader.fetch(number, what)[0], "OK")
            took = time.monotonic() - begun
        print(f"  read {len(found)} in {took:.2f} s; imap-gateway MiB {watch.first('imap-gateway') / MIB:.0f}/"
              f"{watch.most('imap-gateway') / MIB:.0f}", file=sys.stderr)
        self.assertLess(took, 10)
        if not harness.SANITIZED:
            self.assertLess(watch.most("imap-gateway") - watch.first("imap-gateway"), 64 * MIB)

    def test_1_000_signatures(self):
        """RFC 6376 §6.1: as many as a verifier likes."""
        self.attack("signatures", {"250 2.0.0"}, share=DEAR)
        results = self.taken()["signed"]["Authentication-Results"]
        self.assertEqual(results.count("dkim=fail"), 10)
        said, questions = self.verify("message", "--mail-from", "s@sender.test", text=bombs.signed()[0][1].decode())
        print(f"  {results.count('dkim=')} results, {questions} DNS questions", file=sys.stderr)
        self.assertEqual([result["result"] for result in said["dkim"]].count("fail"), 10)
        self.assertLess(questions, 30)

    def test_spf_that_never_ends(self):
        """RFC 7208 §4.6.4."""
        self.attack("spf", {"250 2.0.0"}, share=DEAR)
        for domain in bombs.SPF_DOMAINS:
            with self.subTest(domain):
                said, questions = self.verify("spf", "--mail-from", f"s@{domain}")
                print(f"  {domain}: {said['result']}, {questions} DNS questions", file=sys.stderr)
                self.assertEqual(said["result"], "permerror")
                self.assertLess(questions, 40)


# auth-verifier works on four reports at a time: a message of at most 12 MiB, and what is in it, of at most 16 MiB
# unpacked; each in a string that grows by doubling.
MAY_TAKE_FOR_REPORTS = 4 * (16 + 16 + 32) * MIB


class Reports(HostileCase):
    """Messages to an address where reports are expected: auth-verifier keeps those that pass DMARC, to unpack them."""

    for_reports = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # It would learn within a minute where they are expected.
        os.kill(cls.suite.told["pids"]["smtp-ingress"], signal.SIGTERM)

    def setUp(self):
        self.wait_for(self.expects_reports, 60, "that reports are expected")

    def test_reports_that_unpack_to_much(self):
        self.attack("reports", {"250 2.0.0"}, share=DEAR, may_take=MAY_TAKE_FOR_REPORTS)
        said = {name: text["X-Godwit-Report"] for name, text in self.taken().items() if name.startswith("Report")}
        print("".join(f"  {name}: {reason}\n" for name, reason in said.items()), file=sys.stderr)
        self.assertGreater(len(said), 3)
        for name, reason in said.items():
            self.assertTrue(reason.startswith("not stored: "), f"{name}: {reason}")
            self.assertNotIn("DMARC", reason, "it was not unpacked")

    def test_messages_without_end(self):
        self.attack("endless_body", {"552 5.3.4"}, share=DEAR, may_take=MAY_TAKE_FOR_REPORTS)


if __name__ == "__main__":
    harness.main()
