"""Daemons and PostgreSQL are killed in the middle of 500 deliveries: what 250 promised must hold.

A message goes out again until its client has seen 250, as every mail server would send it. Each
attempt has a Message-ID of its own, so that the end can be judged attempt by attempt:

    answered 250        the message is there, exactly once for each of its recipients
    answer never seen,  it is there once or not at all: the commit may have happened
    or 4xx after it
    dot never sent      it is not there
"""

import collections
import email.utils
import os
import signal
import smtplib
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import psycopg2  # noqa: E402

import harness  # noqa: E402

MESSAGES = 500
CLIENTS = 10
ATTEMPTS = 200
PER_CONNECTION = 7
SENDER = "ann@sender.test"

TAKEN, UNSURE, DEFERRED, NOT_SENT = "250 seen", "answer not seen", "4xx after the dot", "dot not sent"


class Message:
    """One message, and what became of each attempt to bring it."""

    def __init__(self, run, number, recipients):
        self.name = f"{run}.{number}"
        self.recipients = recipients
        # Every 25th does not fit into one chunk: it is staged before the delivering transaction.
        self.body = "line\r\n" * (60000 if number % 25 == 0 else 300)
        self.attempts = []  # of TAKEN, UNSURE, DEFERRED, NOT_SENT

    def id_of(self, attempt):
        return f"{self.name}.{attempt}@sender.test"

    def text(self):
        return (f"From: {SENDER}\r\nTo: {', '.join(self.recipients)}\r\nSubject: {self.name}\r\n"
                f"Date: {email.utils.formatdate()}\r\nMessage-ID: <{self.id_of(len(self.attempts))}>\r\n"
                f"\r\n{self.body}").encode()


class Client(threading.Thread):
    """Brings its messages one after the other, some on each connection."""

    def __init__(self, connect, messages, on_taken):
        super().__init__(daemon=True)
        self.connect = connect
        self.messages = messages
        self.on_taken = on_taken
        self.smtp = None
        self.on_connection = 0
        self.refusals = []  # 5xx: never right here
        self.errors = collections.Counter()  # what ended the other attempts
        self.slowest = 0.0

    def run(self):
        for message in self.messages:
            for _ in range(ATTEMPTS):
                begun = time.monotonic()
                outcome = self.attempt(message)
                self.slowest = max(self.slowest, time.monotonic() - begun)
                message.attempts.append(outcome)
                if outcome == TAKEN:
                    self.on_taken()
                    break
                time.sleep(0.1)
        self.disconnect()

    def disconnect(self):
        if self.smtp is not None:
            try:
                self.smtp.quit()
            except (OSError, smtplib.SMTPException):
                pass
            self.smtp = None

    def lost(self):
        if self.smtp is not None:
            self.smtp.close()
            self.smtp = None

    def attempt(self, message):
        sent = False
        try:
            self.prepare(message)
            content = smtplib._quote_periods(message.text())  # pylint: disable=protected-access
            sent = True
            self.smtp.send(content + b".\r\n")
            self.expect(self.smtp.getreply(), 250)
        except smtplib.SMTPResponseException as error:
            self.lost()
            self.errors[f"{error.smtp_code} {error.smtp_error.decode().split(' [')[0]}"] += 1
            return DEFERRED if sent else NOT_SENT
        except (OSError, smtplib.SMTPException) as error:
            self.lost()
            self.errors[repr(error)] += 1
            return UNSURE if sent else NOT_SENT
        self.on_connection += 1
        return TAKEN

    def prepare(self, message):
        """Up to the 354 that lets the message's text go out."""
        if self.smtp is None or self.on_connection >= PER_CONNECTION:
            self.disconnect()
            self.smtp = self.connect()
            self.on_connection = 0
        self.expect(self.smtp.mail(SENDER), 250)
        for recipient in message.recipients:
            self.expect(self.smtp.rcpt(recipient), 250)
        self.expect(self.smtp.docmd("DATA"), 354)

    def expect(self, reply, code):
        if reply[0] >= 500:
            self.refusals.append(reply)
        if reply[0] != code:
            raise smtplib.SMTPResponseException(*reply)


class Deliveries(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accounts = [cls.alice, cls.bob, *(cls.new_account(f"user{number}") for number in range(6))]
        # Asked once: the description is not there for a moment while the suite writes it anew.
        cls.smtp_address = harness.split(cls.suite.told["smtp"])
        cls.reader = cls.suite.told["postgres"]

    def tearDown(self):
        self.suite.check_store()

    def connect(self):
        client = smtplib.SMTP(*self.smtp_address, local_hostname="client.sender.test", timeout=30)
        client.ehlo()
        return client

    def messages(self):
        """Every tenth has two recipients."""
        found = []
        for number in range(MESSAGES):
            recipients = [self.accounts[number % len(self.accounts)]]
            if number % 10 == 0:
                recipients.append(self.accounts[(number + 3) % len(self.accounts)])
            found.append(Message(self._testMethodName, number, recipients))
        return found

    def deliver_while(self, faults):
        """Delivers all; calls faults[0] after a quarter, faults[1] after a half, faults[2] after three quarters.

        Gives how often each outcome was, and the number of duplicates.
        """
        messages = self.messages()
        taken = threading.Semaphore(0)
        clients = [Client(self.connect, messages[first::CLIENTS], taken.release) for first in range(CLIENTS)]
        for client in clients:
            client.start()
        for number, fault in enumerate(faults, 1):
            due = MESSAGES * number // 4 - MESSAGES * (number - 1) // 4
            for _ in range(due):
                self.assertTrue(taken.acquire(timeout=60), "deliveries stand still")
            fault()
        for client in clients:
            client.join(100)
            self.assertFalse(client.is_alive(), "deliveries do not end")
            self.assertEqual(client.refusals, [])
        self.wait_settled()
        errors = sum((client.errors for client in clients), collections.Counter())
        for error, count in errors.most_common():
            print(f"  {count} x {error}", file=sys.stderr)
        return self.judge(messages, max(client.slowest for client in clients))

    def wait_settled(self):
        """All daemons are up again, and no transaction of a client that has gone is still under way."""
        self.wait_for(self.all_ready, 30, "all daemons ready")
        self.suite.check_store()

    def all_ready(self):
        try:
            for address in (self.alice, self.bob):
                self.imap(address).logout()
            self.connect().quit()
            return True
        except Exception:  # pylint: disable=broad-except
            return False

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

    def kill(self, daemon):
        """kill -9, and waits until the suite has started another one."""
        before = self.pid(daemon)
        os.kill(before, signal.SIGKILL)
        self.wait_for(lambda: self.pid(daemon) not in (None, before), 30, f"another {daemon}")

    def pid(self, daemon):
        try:
            told = self.suite.told
        except OSError:
            return None
        return told["postgres_pid"] if daemon == "postgres" else told["pids"][daemon]

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
        self.assertEqual((outcomes, duplicates), ({TAKEN: MESSAGES}, 0))

    def signal_postgres(self, number):
        before = self.pid("postgres")
        os.kill(before, number)
        self.wait_for(lambda: self.pid("postgres") not in (None, before), 60, "another PostgreSQL")

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
