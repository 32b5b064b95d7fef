"""Faults in the middle of mail: what the tests of this folder share.

Clients bring messages as a mail server would, again and again until each was taken, while a test
kills what it wants to see killed. Each attempt has a Message-ID of its own, so that the end can be
judged attempt by attempt.
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

import harness  # noqa: E402

MESSAGES = 500
CLIENTS = 10
ATTEMPTS = 200
PER_CONNECTION = 7

TAKEN, UNSURE, DEFERRED, NOT_SENT = "250 seen", "answer not seen", "4xx after the dot", "dot not sent"


class Message:
    """One message, and what became of each attempt to bring it."""

    def __init__(self, run, number, sender, recipients):
        self.name = f"{run}.{number}"
        self.sender = sender
        self.recipients = recipients
        # Every 25th does not fit into one chunk: it is staged before the delivering transaction.
        self.body = "line\r\n" * (60000 if number % 25 == 0 else 300)
        self.attempts = []  # of TAKEN, UNSURE, DEFERRED, NOT_SENT

    def id_of(self, attempt):
        return f"{self.name}.{attempt}@sender.test"

    def text(self):
        return (f"From: {self.sender}\r\nTo: {', '.join(self.recipients)}\r\nSubject: {self.name}\r\n"
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
        self.expect(self.smtp.mail(message.sender), 250)
        for recipient in message.recipients:
            self.expect(self.smtp.rcpt(recipient), 250)
        self.expect(self.smtp.docmd("DATA"), 354)

    def expect(self, reply, code):
        if reply[0] >= 500:
            self.refusals.append(reply)
        if reply[0] != code:
            raise smtplib.SMTPResponseException(*reply)


class FaultCase(harness.SuiteCase):
    """A test gives connect() (a greeted smtplib.SMTP), messages(), and judge(messages, slowest)."""

    def tearDown(self):
        self.suite.check_store()

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

    def signal_postgres(self, number):
        before = self.pid("postgres")
        os.kill(before, number)
        self.wait_for(lambda: self.pid("postgres") not in (None, before), 60, "another PostgreSQL")
