"""The smuggling matrix, from a raw socket against the running suite.

A message whose text has what some server somewhere takes for the end of data, and behind that a second
message of another sender: every such end, by DATA, by BDAT in one chunk or cut in the midst of it, and with
BODY=BINARYMIME, each line waited for and all of it at once. Of none does a second message come: neither
here nor at the next server, to which an alias sends what was taken. What goes there has no bare CR or LF,
and is what came. The true end of data stands in the matrix as well: behind it the second message comes, so
this test would see one.
"""

import base64
import collections
import concurrent.futures
import email
import email.policy
import itertools
import os
import re
import smtplib
import socket
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e"), HERE]

import harness  # noqa: E402
import smtp_sink  # noqa: E402

LINE_ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\n\n", b"\n\r", b"\r\0\n", b"\0\r\n", b"\n\0", b" \r\n", b"\t\n",
             b"\x0b", b"\x85", b""]
DOTS = [b".", b"..", b". ", b".\0"]
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
REPLY = re.compile(rb"^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))?(?!-)", re.MULTILINE)
ELSEWHERE = "member@elsewhere.test"
TAKEN, BAD_LINE_ENDS = "250 2.0.0", "550 5.6.11"
CLIENTS = 6
# RFC 9051 §4.3: a literal of IMAP has no NUL; imap-gateway puts this in its place.
IN_LITERALS = b"\x80"


class Variant(collections.namedtuple("Variant", "way before dot after")):
    """One message with another one behind a false end (or, of few, the true one)."""

    @property
    def name(self):
        return f"{self.way} {self.before!r} {self.dot!r} {self.after!r}"

    @property
    def chunked(self):
        return self.way.startswith("BDAT")

    @property
    def binary(self):
        return "BINARYMIME" in self.way

    @property
    def at_once(self):
        return self.way.endswith("at once")

    @property
    def true_end(self):
        """RFC 5321 §4.1.1.4: CRLF, a dot, CRLF, in DATA; what is behind it are commands."""
        return (not self.chunked and self.dot == b"." and self.before.endswith(b"\r\n") and
                self.after.startswith(b"\r\n"))

    def evil(self, to):
        return (b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<" + to.encode() + b">\r\nDATA\r\nFrom: evil@sender.test\r\n"
                b"Subject: evil\r\n\r\nevil\r\n.\r\n")

    def body(self, to):
        return b"text" + self.before + self.dot + self.after + self.evil(to)

    def text(self, to):
        kind = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n" if self.binary else b""
        return (b"From: s@sender.test\r\nMIME-Version: 1.0\r\n" + kind + b"Subject: " +
                base64.b64encode(self.name.encode()) + b"\r\n\r\n" + self.body(to))

    def data(self, to):
        """What the client sends behind RCPT, command by command."""
        text = self.text(to)
        if not self.chunked:
            return [b"DATA\r\n", text]  # the end of the second is that of the first
        cut = text.index(self.before + self.dot) + len(self.before + self.dot) if "cut" in self.way else 0
        pieces = [text[:cut], text[cut:]] if cut else [text]
        return [b"BDAT %d%s\r\n" % (len(piece), b" LAST" if piece is pieces[-1] else b"") + piece for piece in pieces]


WAYS = ["DATA", "DATA at once", "BDAT", "BDAT at once", "BDAT cut at once", "BDAT BINARYMIME cut", "BDAT BINARYMIME at once"]
MATRIX = [Variant(*row) for row in itertools.product(WAYS, LINE_ENDS, DOTS, LINE_ENDS)]


class Conversation:
    """With raw octets; at_once: nothing is waited for."""

    def __init__(self, sock):
        self.socket = sock
        self.said = b""

    def replies(self):
        return [(code + b" " + enhanced).decode().strip() for code, enhanced in REPLY.findall(self.said)]

    def read(self):
        got = self.socket.recv(1 << 16)
        self.said += got
        return bool(got)

    def say(self, octets):
        wanted = len(self.replies()) + 1
        self.socket.sendall(octets)
        while len(self.replies()) < wanted and self.read():
            pass

    def to_end(self, octets):
        self.socket.sendall(octets)
        while self.read():
            pass
        return self.replies()


class Smuggling(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"', 'elsewhere.test. 60 IN TXT "v=spf1 -all"']

    @classmethod
    def setUpClass(cls):
        cls.sink = smtp_sink.Sink()
        unittest.addModuleCleanup(cls.sink.close)
        cls.arguments = ["--outbound", f"smarthost={cls.sink.address}"]
        super().setUpClass()
        cls.local = cls.new_account("local")
        cls.out = "out@godwit.test"
        harness.godwitctl("alias", "add", cls.out, cls.local, ELSEWHERE, conninfo=cls.suite.superuser())

    def setUp(self):
        # A connection that is kept for more mail knows what the one before was told.
        self.wait_for(lambda: all(session.over for session in self.sink.sessions), 20, "the end of old connections")
        self.sink.extensions[:] = ["PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME", "SIZE 100000000"]

    def bring(self, variant):
        """The replies to what stands behind RCPT."""
        with socket.create_connection(harness.split(self.suite.told["smtp"]), timeout=60) as sock:
            conversation = Conversation(sock)
            conversation.read()
            body = b" BODY=BINARYMIME" if variant.binary else b""
            conversation.say(b"EHLO raw.test\r\n")
            lines = [b"MAIL FROM:<s@sender.test>" + body + b"\r\n", b"RCPT TO:<" + self.out.encode() + b">\r\n",
                     *variant.data(self.bob)]
            if variant.at_once:
                return conversation.to_end(b"".join(lines) + b"NOOP\r\nQUIT\r\n")[4:]
            for line in lines:
                conversation.say(line)
            return conversation.to_end(b"NOOP\r\nQUIT\r\n")[4:]

    def bring_all(self, variants):
        """{variant: the reply to its text}; each session is in step to its end."""
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            return {variant: self.judge(variant, replies)
                    for variant, replies in zip(variants, clients.map(self.bring, variants))}

    def judge(self, variant, replies):
        self.assertEqual(replies[-2:], ["250 2.0.0", "221 2.0.0"], variant.name)
        answer, rest = replies[-3], replies[:-3]
        if variant.way.startswith("DATA"):
            self.assertEqual(rest, ["354"], variant.name)
        elif "cut" not in variant.way:
            self.assertEqual(rest, [], variant.name)
        elif rest == [BAD_LINE_ENDS]:
            self.assertEqual(answer, "503 5.5.1", variant.name)  # the first chunk ended the transaction
            answer = BAD_LINE_ENDS
        else:
            self.assertEqual(rest, [TAKEN], variant.name)
        return answer

    def to_member(self):
        return [message for message in self.sink.messages() if ELSEWHERE.encode() in b"".join(message[0])]

    def test_only_the_true_end_of_data_ends_data(self):
        ends = [variant for variant in MATRIX if variant.true_end]
        answers = self.bring_all([variant for variant in MATRIX if not variant.true_end])
        for variant, answer in answers.items():
            self.assertIn(answer, (TAKEN, BAD_LINE_ENDS), variant.name)
            bare = BARE.search(variant.text(self.bob)) and not variant.binary
            self.assertEqual(answer, BAD_LINE_ENDS if bare else TAKEN, variant.name)
        self.assertEqual(self.inbox(self.bob), [])
        taken = {variant.name: variant for variant, answer in answers.items() if answer == TAKEN}
        print(f"{len(answers)} variants, {len(taken)} taken", file=sys.stderr)
        self.judge_local(taken)
        self.judge_elsewhere(taken)
        # What would have come. (Behind the others a bare LF is in the way of MAIL.)
        for variant in ends:
            self.bring(variant)
        self.assertEqual(len(self.inbox(self.bob)), len([variant for variant in ends if variant.after == b"\r\n"]))

    def judge_local(self, taken):
        found = self.inbox(self.local)
        self.assertEqual(sorted(self.name_of(text) for text in found), sorted(taken))
        for text in found:
            self.judge_text(text, taken[self.name_of(text)], IN_LITERALS)

    def judge_elsewhere(self, taken):
        self.wait_for(lambda: len(self.to_member()) >= len(taken), 60, "all mail in the sink")
        for session in self.sink.sessions:
            self.assertIsNone(BARE.search(session.wire), "a bare CR or LF was sent on")
        messages = self.to_member()
        self.assertEqual(sorted(self.name_of(text) for _, text in messages), sorted(taken))
        for envelope, text in messages:
            self.assertNotIn(b"evil", b"".join(envelope))
            self.assertEqual(len(envelope), 2)
            self.judge_text(text, taken[self.name_of(text)])

    @staticmethod
    def name_of(text):
        subject = re.search(rb"^Subject: (\S+)\r\n", text, re.MULTILINE)[1]
        return base64.b64decode(subject).decode()

    def judge_text(self, text, variant, nul=b"\0"):
        self.assertIsNone(BARE.search(text), variant.name)
        body = text.partition(b"\r\n\r\n")[2]
        if variant.binary:
            # RFC 3030 §3: as the next server has to be told nothing of binary parts, they are base64.
            self.assertIn(b"Content-Transfer-Encoding: base64\r\n", text)
            body = base64.b64decode(body)
        sent = variant.body(self.bob)
        if not variant.chunked:
            sent = re.sub(rb"(?<=\r\n)\.", b"", sent.removesuffix(b".\r\n"))
        self.assertEqual(body, sent if variant.binary else sent.replace(b"\0", nul), variant.name)

    # RFC 3030 §3: what the next server can not take is converted, or comes back as undeliverable.

    def submit_binary(self, to, text):
        with smtplib.SMTP(*harness.split(self.suite.told["submission"]), local_hostname="c.test", timeout=30) as client:
            client.starttls(context=self.tls)
            client.login(self.alice, self.passwords[self.alice])
            self.assertEqual(client.docmd("MAIL", f"FROM:<{self.alice}> BODY=BINARYMIME")[0], 250)
            self.assertEqual(client.docmd("RCPT", f"TO:<{to}>")[0], 250)
            client.send(b"BDAT %d LAST\r\n" % len(text) + text)
            return client.getreply()

    def test_what_users_send_in_binary_leaves_as_lines(self):
        octets = bytes(range(256)) * 40 + b"\r\n.\r\nMAIL FROM:<evil@sender.test>\n.\r.\r\n"
        text = (f"From: {self.alice}\r\nTo: x@binary.test\r\nSubject: binary\r\nMIME-Version: 1.0\r\n"
                "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n").encode() + octets
        for extensions in (["8BITMIME", "CHUNKING", "BINARYMIME"], ["8BITMIME"], []):
            with self.subTest(extensions=extensions):
                self.setUp()
                self.sink.extensions[:] = extensions
                to = f"x{len(extensions)}@binary.test"
                self.assertEqual(self.submit_binary(to, text)[0], 250)
                found = self.wait_for(lambda: [text for envelope, text in self.sink.messages()
                                               if to.encode() in b"".join(envelope)], 30, to)
                self.assertEqual(len(found), 1)
                parsed = email.message_from_bytes(found[0], policy=email.policy.default)
                self.assertEqual(parsed.get_content(), octets)
        for session in self.sink.sessions:
            self.assertIsNone(BARE.search(session.wire))

    def test_eight_bit_text_for_a_seven_bit_server_comes_back(self):
        self.sink.extensions.clear()
        text = (f"From: {self.alice}\r\nSubject: eight\r\nMIME-Version: 1.0\r\n"
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n")
        self.assertEqual(self.submit_binary("y@seven.test", text.encode())[0], 250)
        notice = self.wait_for(lambda: [text for text in self.inbox(self.alice) if b"5.6.3" in text], 30, "a notice")[0]
        self.assertIn(b"Action: failed", notice)
        self.assertFalse([envelope for envelope, _ in self.sink.messages() if b"seven" in b"".join(envelope)])

    def test_binary_mail_with_bare_line_ends_in_text_is_refused(self):
        for body in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\nb\r\n", b"a\r\r\n"):
            code, words = self.submit_binary("x@binary.test", f"From: {self.alice}\r\nSubject: a\r\n\r\n".encode() + body)
            self.assertEqual((code, words.split()[0]), (550, b"5.6.11"), body)


if __name__ == "__main__":
    harness.main()
