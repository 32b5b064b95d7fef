"""Daemons and PostgreSQL are killed in the middle of 500 submissions: what 250 promised reaches its sink.

Each message goes to a user of ours and to one of another domain, whose sink is the folder `capture`.

    answered 250        every recipient has it, at least once
    answer never seen,  every recipient has it, or nobody
    or 4xx after it
    dot never sent      nobody has it

Two copies of one attempt are a duplicate of the queue's: it can arise only where the answer of the
next server after the dot, or our commit of it, was cut (docs/queue-states.md).
"""

import collections
import email
import glob
import json
import os
import signal
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import psycopg2  # noqa: E402

import harness  # noqa: E402
import faults  # noqa: E402
from faults import DEFERRED, NOT_SENT, TAKEN, UNSURE, Message  # noqa: E402

FOREIGN = "friend@foreign.test"


class Submissions(faults.FaultCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = harness.split(cls.suite.told["submission"])
        cls.reader = cls.suite.told["postgres"]

    def setUp(self):
        # One of its own: there is a bound on what an account sends in a day.
        self.sender = self.new_account(self._testMethodName.replace("_", "-")[5:40])

    def connect(self):
        client = smtplib.SMTP(*self.address, local_hostname="client.home.test", timeout=30)
        client.starttls(context=self.tls)
        client.login(self.sender, self.passwords[self.sender])
        return client

    def messages(self):
        return [Message(self._testMethodName, number, self.sender, [self.bob, FOREIGN])
                for number in range(faults.MESSAGES)]

    def wait_settled(self):
        super().wait_settled()
        # A claim of a worker that was killed ends, and its message goes out then. What was deferred would
        # wait for its next attempt for minutes.
        self.wait_for(self.queue_is_empty, 90, "an empty queue")
        self.godwitctl("queue", "check")

    def godwitctl(self, *argv):
        return harness.godwitctl(*argv, conninfo=self.suite.superuser())

    def queue_is_empty(self):
        if self.ask("SELECT count(*) FROM queue_messages") == 0:
            return True
        self.godwitctl("queue", "retry", "--sender", self.sender)
        time.sleep(1)
        return False

    def ask(self, statement):
        with psycopg2.connect(self.reader) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            value = cursor.fetchone()[0]
        connection.close()
        return value

    def arrived(self):
        """{Message-ID without brackets: {recipient: copies}} of this test's messages."""
        found = collections.defaultdict(collections.Counter)
        for path in glob.glob(os.path.join(self.suite.dir, "capture", "*.eml")):
            with open(path, "rb") as source:
                name = email.message_from_binary_file(source)["Message-ID"].strip("<>")
            with open(path[:-len("eml")] + "json", encoding="utf-8") as source:
                recipients = json.load(source)["rcpt_to"]
            if name.startswith(self._testMethodName + "."):
                found[name].update(recipients)
        with psycopg2.connect(self.reader) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT trim(both '<>' from message_id), name FROM mailbox_entries"
                           " JOIN emails USING (account_id, email_id) JOIN accounts USING (account_id)"
                           " WHERE message_id LIKE %s", (f"%{self._testMethodName}.%",))
            for name, address in cursor.fetchall():
                found[name][address] += 1
        connection.close()
        return found

    def judge(self, messages, slowest):
        arrived = self.arrived()
        outcomes = collections.Counter()
        again, doubled = 0, 0
        for message in messages:
            seen = 0
            for attempt, outcome in enumerate(message.attempts):
                got = arrived.pop(message.id_of(attempt), collections.Counter())
                outcomes[outcome] += 1
                seen += bool(got)
                doubled += sum(copies - 1 for copies in got.values())
                self.judge_attempt(message, outcome, got)
            self.assertEqual(message.attempts[-1], TAKEN, f"{message.name} was never taken")
            again += seen - 1
        self.assertEqual(arrived, {}, "messages that nobody sent")
        self.assertEqual(self.ask("SELECT count(*) FROM mailbox_entries JOIN emails USING (account_id, email_id)"
                                  " WHERE subject LIKE 'Undeliver%'"), 0, "bounces")
        told = ", ".join(f"{count} x {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{self._testMethodName}: {len(messages)} messages; attempts: {told}; {again} second attempts that"
              f" arrived as well; {doubled} duplicates of the queue; slowest attempt {slowest:.1f} s", file=sys.stderr)
        return outcomes, again, doubled

    def judge_attempt(self, message, outcome, got):
        everybody, nobody = set(message.recipients), set()
        allowed = {TAKEN: [everybody], UNSURE: [everybody, nobody], DEFERRED: [everybody, nobody],
                   NOT_SENT: [nobody]}
        self.assertIn(set(got), allowed[outcome], f"{message.name}: {message.attempts}")

    def kill_three_times(self, daemon):
        return self.deliver_while([lambda: self.kill(daemon)] * 3)

    def test_submission_is_killed(self):
        _, _, doubled = self.kill_three_times("submission")
        self.assertEqual(doubled, 0)

    def test_auth_verifier_is_killed(self):
        _, _, doubled = self.kill_three_times("auth-verifier")
        self.assertEqual(doubled, 0)

    def test_delivery_queue_is_killed(self):
        self.kill_three_times("delivery-queue")

    def test_tls_policy_is_killed(self):
        _, _, doubled = self.kill_three_times("tls-policy")
        self.assertEqual(doubled, 0)

    def test_smtp_ingress_is_killed(self):
        self.kill_three_times("smtp-ingress")

    def test_those_that_have_no_part_in_it_are_killed(self):
        outcomes, again, doubled = self.deliver_while([
            lambda: self.kill("acme"), lambda: self.kill("webmail-api"), lambda: self.kill("imap-gateway")])
        self.assertEqual((outcomes, again, doubled), ({TAKEN: faults.MESSAGES}, 0, 0))

    def test_postgresql_is_shut_down_at_once_and_restarted(self):
        self.deliver_while([lambda: self.signal_postgres(signal.SIGQUIT)] * 2)


if __name__ == "__main__":
    harness.main()
