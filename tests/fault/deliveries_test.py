"""Daemons and PostgreSQL are killed in the middle of 500 deliveries: what 250 promised must hold.

A message goes out again until its client has seen 250, as every mail server would send it. Each
attempt has a Message-ID of its own, so that the end can be judged attempt by attempt:

    answered 250        the message is there, exactly once for each of its recipients
    answer never seen,  it is there once or not at all: the commit may have happened
    or 4xx after it
    dot never sent      it is not there
"""

import collections
import os
import signal
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import psycopg2  # noqa: E402

import harness  # noqa: E402
import faults  # noqa: E402
from faults import DEFERRED, NOT_SENT, TAKEN, UNSURE, Message  # noqa: E402

SENDER = "ann@sender.test"


class Deliveries(faults.FaultCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accounts = [cls.alice, cls.bob, *(cls.new_account(f"user{number}") for number in range(6))]
        # Asked once: the description is not there for a moment while the suite writes it anew.
        cls.smtp_address = harness.split(cls.suite.told["smtp"])
        cls.reader = cls.suite.told["postgres"]

    def connect(self):
        client = smtplib.SMTP(*self.smtp_address, local_hostname="client.sender.test", timeout=30)
        client.ehlo()
        return client

    def messages(self):
        """Every tenth has two recipients."""
        found = []
        for number in range(faults.MESSAGES):
            recipients = [self.accounts[number % len(self.accounts)]]
            if number % 10 == 0:
                recipients.append(self.accounts[(number + 3) % len(self.accounts)])
            found.append(Message(self._testMethodName, number, SENDER, recipients))
        return found

    def stored(self):
        """{Message-ID without brackets: {address: copies}} of this test's messages."""
        found = collections.defaultdict(collections.Counter)
        with psycopg2.connect(self.reader) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT trim(both '<>' from message_id), name FROM mailbox_entries"
                           " JOIN emails USING (account_id, email_id) JOIN accounts USING (account_id)"
                           " WHERE message_id LIKE %s", (f"%{self._testMethodName}.%",))
            for message_id, address in cursor.fetchall():
                found[message_id][address] += 1
        connection.close()
        return found

    def judge(self, messages, slowest):
        stored = self.stored()
        outcomes = collections.Counter()
        duplicates = 0
        for message in messages:
            copies = 0
            for attempt, outcome in enumerate(message.attempts):
                got = stored.pop(message.id_of(attempt), collections.Counter())
                outcomes[outcome] += 1
                copies += bool(got)
                self.judge_attempt(message, outcome, got)
            self.assertEqual(message.attempts[-1], TAKEN, f"{message.name} was never taken")
            duplicates += copies - 1
        self.assertEqual(stored, {}, "messages that nobody sent")
        self.judge_imap()
        told = ", ".join(f"{count} x {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{self._testMethodName}: {len(messages)} messages; attempts: {told};"
              f" {duplicates} duplicates; slowest attempt {slowest:.1f} s", file=sys.stderr)
        return outcomes, duplicates

    def judge_attempt(self, message, outcome, got):
        whole = collections.Counter(message.recipients)
        none = collections.Counter()
        allowed = {TAKEN: [whole], UNSURE: [whole, none], DEFERRED: [whole, none], NOT_SENT: [none]}
        self.assertIn(got, allowed[outcome], f"{message.name}: {message.attempts}")

    def judge_imap(self):
        """What a client sees is what SQL sees."""
        with psycopg2.connect(self.reader) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT accounts.name, total FROM mailboxes JOIN accounts USING (account_id)"
                           " WHERE mailboxes.name = 'INBOX'")
            counts = dict(cursor.fetchall())
        connection.close()
        for address in self.accounts:
            with self.imap(address) as client:
                self.assertEqual(int(client.select(readonly=True)[1][0]), counts[address])

    def test_smtp_ingress_is_killed_three_times(self):
        self.deliver_while([lambda: self.kill("smtp-ingress")] * 3)

    def test_auth_verifier_is_killed_three_times(self):
        outcomes, duplicates = self.deliver_while([lambda: self.kill("auth-verifier")] * 3)
        # What could not be verified was answered, and not delivered.
        self.assertEqual((outcomes[UNSURE], duplicates), (0, 0))

    def test_imap_gateway_is_killed_three_times_while_clients_idle(self):
        def idle():
            client = self.imap(self.alice)
            client.select()
            client.send(b"i1 IDLE\r\n")
            self.addCleanup(client.shutdown)

        def fault():
            idle()  # someone watches, so that hints are on their way
            self.kill("imap-gateway")
        outcomes, duplicates = self.deliver_while([fault] * 3)
        # Deliveries do not need a gateway.
        self.assertEqual((outcomes, duplicates), ({TAKEN: faults.MESSAGES}, 0))

    def test_postgresql_is_shut_down_at_once_and_restarted(self):
        self.deliver_while([lambda: self.signal_postgres(signal.SIGQUIT)] * 2)

    def test_postgresql_is_killed_and_restarted(self):
        self.deliver_while([lambda: None, lambda: self.signal_postgres(signal.SIGKILL)])

    def test_a_client_that_idles_through_a_crash_of_postgresql_sees_new_mail(self):
        """The crash empties the table of who watches what; the gateway has to notice and register anew."""
        with self.imap(self.bob) as client:
            client.select()
            client.send(b"i1 IDLE\r\n")
            self.assertTrue(client.readline().startswith(b"+"))
            self.signal_postgres(signal.SIGQUIT)
            self.wait_for(self.all_ready, 30, "all daemons ready")
            text = harness.message(SENDER, self.bob, subject="after the crash")
            self.wait_for(lambda: self.sent(text), 30, "a delivery")
            self.assertIn(b"EXISTS", client.readline())
            client.send(b"DONE\r\n")
            while not client.readline().startswith(b"i1 OK"):
                pass

    def sent(self, text):
        try:
            return self.send(SENDER, [self.bob], text) == {}
        except (OSError, smtplib.SMTPException):
            return False

    def test_one_database_connection_is_killed_again_and_again(self):
        """A backend that dies by kill -9 makes PostgreSQL end all others and recover, without the postmaster's end."""
        def fault():
            children = f"/proc/{self.pid('postgres')}/task/{self.pid('postgres')}/children"
            with open(children, encoding="ascii") as source:
                for child in source.read().split():
                    with open(f"/proc/{child}/cmdline", encoding="utf-8") as line:
                        if "godwit_smtp_ingress" in line.read():
                            os.kill(int(child), signal.SIGKILL)
                            return
            self.fail("smtp-ingress has no connection")
        self.deliver_while([fault] * 3)


if __name__ == "__main__":
    harness.main()
