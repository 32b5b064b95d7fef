"""Python's imaplib, command by command, against the running suite."""

import base64
import email
import imaplib
import re
import ssl
import time

import harness
from scram import Scram

SENDER = "ann@sender.test"


class ImapCase(harness.SuiteCase):
    """An account of its own and a session for each test."""

    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']

    def setUp(self):
        self.user = self.new_account(self._testMethodName.replace("_", "")[-40:])
        self.client = self.session()

    def session(self):
        client = self.imap(self.user)
        self.addCleanup(self.end, client)
        return client

    @staticmethod
    def end(client):
        try:
            client.logout()
        except (imaplib.IMAP4.error, OSError):
            pass

    def ok(self, answer):
        """The data of an answer that must be OK."""
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def no(self, answer, code=""):
        self.assertEqual(answer[0], "NO", answer)
        self.assertIn(code.encode(), answer[1][0])

    def code(self, name):
        """The data of a response code seen since it was last asked for."""
        return self.client.response(name)[1][0]

    def append(self, subject, flags="", folder="INBOX", date=None, **options):
        raw = harness.message(SENDER, self.user, subject=subject, **options)
        raw = raw.as_bytes(policy=raw.policy.clone(linesep="\r\n"))
        self.ok(self.client.append(folder, flags, date, raw))
        return raw

    def names(self, answer):
        return [re.match(rb'\(([^)]*)\) "/" "?([^"]*)"?$', row).group(2).decode() for row in self.ok(answer) if row]

    def flags(self, uid):
        (row,) = self.ok(self.client.uid("FETCH", str(uid), "(FLAGS)"))
        return sorted(flag.decode() for flag in imaplib.ParseFlags(row) if flag != b"\\Recent")

    def search(self, *keys, charset=None):
        prefix = ("CHARSET", charset) if charset else ()
        return [int(uid) for uid in self.ok(self.client.uid("SEARCH", *prefix, *keys))[0].split()]


class Mailboxes(ImapCase):
    def test_mailboxes_are_made_renamed_subscribed_and_deleted(self):
        for name in ("Work", "Work/Plans", "Work/Plans/2026"):
            self.ok(self.client.create(name))
        self.no(self.client.create("Work"), "ALREADYEXISTS")
        self.assertEqual(self.names(self.client.list('""', "Work*")), ["Work", "Work/Plans", "Work/Plans/2026"])
        self.assertEqual(self.names(self.client.list('""', "Work/%")), ["Work/Plans"])
        self.assertEqual(self.names(self.client.list("Work/", "%/2*")), ["Work/Plans/2026"])
        for name in ("Work", "Work/Plans"):
            self.ok(self.client.subscribe(name))
        self.ok(self.client.unsubscribe("Work"))
        self.assertIn("Work/Plans", self.names(self.client.lsub('""', "*")))
        self.assertNotIn("Work", self.names(self.client.lsub('""', "*")))
        self.ok(self.client.rename("Work/Plans", "Play"))
        self.assertEqual(self.names(self.client.list('""', "Play*")), ["Play", "Play/2026"])
        self.ok(self.client.delete("Play/2026"))
        self.no(self.client.delete("Play/2026"), "NONEXISTENT")
        self.assertEqual(self.names(self.client.list('""', "Play*")), ["Play"])
        self.assertEqual(self.client.delete("INBOX")[0], "NO")
        self.no(self.client.select("Nowhere"), "NONEXISTENT")

    def test_names_beyond_ascii_are_kept(self):
        wire = "Entw&APw-rfe"  # RFC 3501 §5.1.3: Entwürfe
        self.ok(self.client.create(wire))
        self.assertIn(wire, self.names(self.client.list('""', "Entw*")))
        self.ok(self.client.select(wire))

    def test_namespace_and_special_uses_are_told(self):
        self.assertEqual(self.ok(self.client.namespace()), [b'(("" "/")) NIL NIL'])
        told = b"\n".join(self.ok(self.client.list()))
        for use in (b"\\Drafts", b"\\Sent", b"\\Junk", b"\\Trash", b"\\Archive"):
            self.assertIn(use, told)

    def test_status_counts_what_is_there(self):
        self.append("one")
        self.append("two", "(\\Seen)")
        self.append("three", "(\\Deleted)")
        (row,) = self.ok(self.client.status("INBOX", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))
        self.assertRegex(row, rb"MESSAGES 3\b.*UNSEEN 2\b.*UIDNEXT 4\b.*UIDVALIDITY [1-9]")

    def test_a_mailbox_made_anew_has_another_uidvalidity(self):
        seen = set()
        for _ in range(3):
            self.ok(self.client.create("Again"))
            seen.add(self.ok(self.client.status("Again", "(UIDVALIDITY)"))[0])
            self.ok(self.client.delete("Again"))
        self.assertEqual(len(seen), 3)


class Messages(ImapCase):
    def test_what_is_appended_is_fetched(self):
        when = imaplib.Time2Internaldate(1_700_000_000)
        raw = self.append("a subject", "(\\Flagged $Label)", date=when, body="text\n" * 50)
        self.assertRegex(self.code("APPENDUID"), rb"^\d+ 1$")
        self.assertEqual(self.ok(self.client.select()), [b"1"])
        (row,) = self.ok(self.client.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE)"))
        self.assertRegex(row, rb"UID 1\b")
        self.assertRegex(row, rb"RFC822.SIZE %d\b" % len(raw))
        self.assertEqual(time.mktime(imaplib.Internaldate2tuple(row)), 1_700_000_000)
        self.assertEqual(self.flags(1), ["$Label", "\\Flagged"])

        def section(item):
            return self.ok(self.client.fetch("1", f"({item})"))[0][1]
        header = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        self.assertEqual(section("BODY.PEEK[]"), raw)
        self.assertEqual(section("BODY.PEEK[HEADER]"), header)
        self.assertEqual(section("BODY.PEEK[]<10.20>"), raw[10:30])
        self.assertEqual(section("BODY.PEEK[HEADER.FIELDS (SUBJECT)]"), b"Subject: a subject\r\n\r\n")
        self.assertNotIn("\\Seen", self.flags(1))
        self.assertEqual(section("BODY[TEXT]"), raw[len(header):])
        self.assertIn("\\Seen", self.flags(1))
        self.assertEqual(section("RFC822"), raw)

    def test_envelope_and_structure_are_told(self):
        made = harness.message(SENDER, self.user, subject="with a part")
        made.add_attachment(b"12345", maintype="application", subtype="octet-stream", filename="five.bin")
        self.ok(self.client.append("INBOX", "", None, made.as_bytes(policy=made.policy.clone(linesep="\r\n"))))
        self.ok(self.client.select())
        (envelope,) = self.ok(self.client.fetch("1", "(ENVELOPE)"))
        self.assertIn(b'"with a part" ((NIL NIL "ann" "sender.test"))', envelope)
        (structure,) = self.ok(self.client.fetch("1", "(BODYSTRUCTURE)"))
        structure = structure.upper()
        for part in (b'("TEXT" "PLAIN"', b'("APPLICATION" "OCTET-STREAM"', b'"FIVE.BIN"', b'"MIXED"'):
            self.assertIn(part, structure)
        data = self.ok(self.client.fetch("1", "(BODY.PEEK[2] BODY.PEEK[2.MIME])"))
        self.assertEqual(base64.b64decode(data[0][1]), b"12345")
        self.assertIn(b"five.bin", data[1][1])

    def test_search_finds_what_it_should(self):
        early = imaplib.Time2Internaldate(1_600_000_000)
        self.append("first report", "(\\Seen)", body="apples and pears\n", date=early)
        self.append("Grüße aus Köln", "(\\Answered $Work)", body="nichts\n")
        self.append("second report", "(\\Flagged)", body="pears\n" * 1000)
        self.ok(self.client.select())
        for keys, found in (
                ("ALL", [1, 2, 3]), ("SUBJECT report", [1, 3]), ('BODY "and pears"', [1]), ("TEXT PEARS", [1, 3]),
                ("SEEN", [1]), ("UNSEEN", [2, 3]), ("FLAGGED", [3]), ("KEYWORD $Work", [2]),
                ("UNKEYWORD $Work", [1, 3]),
                ("FROM ann@", [1, 2, 3]), ("FROM nobody", []), ("LARGER 3000", [3]), ("SMALLER 3000", [1, 2]),
                ("SINCE 1-Jan-2021", [2, 3]), ("BEFORE 1-Jan-2021", [1]), ("ON 13-Sep-2020", [1]),
                ("OR ANSWERED FLAGGED", [2, 3]), ("NOT SUBJECT report", [2]), ("(SEEN) (SUBJECT report)", [1]),
                ("UID 2:*", [2, 3]), ("2:3 UNFLAGGED", [2]), ("HEADER Message-ID sender.test", [1, 2, 3]),
                ("HEADER X-None \"\"", [])):
            with self.subTest(keys):
                self.assertEqual(self.search(keys), found)
        self.client.literal = "köln".encode()
        self.assertEqual(self.search("SUBJECT", charset="UTF-8"), [2])

    def test_flags_are_set_added_and_removed(self):
        self.append("one")
        self.append("two")
        self.ok(self.client.select())
        rows = self.ok(self.client.store("1:2", "+FLAGS", "(\\Seen $Todo)"))
        self.assertEqual(len(rows), 2)
        self.assertIn(b"\\Seen", rows[0])
        self.ok(self.client.store("1", "-FLAGS", "(\\Seen)"))
        self.assertEqual(self.ok(self.client.store("2", "FLAGS.SILENT", "(\\Draft)")), [None])
        self.assertEqual((self.flags(1), self.flags(2)), (["$Todo"], ["\\Draft"]))

    def test_expunge_takes_what_is_marked_and_no_other(self):
        for subject in ("one", "two", "three", "four"):
            self.append(subject)
        self.ok(self.client.select())
        self.ok(self.client.store("1,3,4", "+FLAGS.SILENT", "(\\Deleted)"))
        self.ok(self.client.uid("EXPUNGE", "3"))
        self.assertEqual(self.search("ALL"), [1, 2, 4])
        self.assertEqual(self.client.response("EXPUNGE")[1], [b"3"])
        left = [1, 2, 4]
        for number in self.ok(self.client.expunge()):  # each counts from what the one before left
            del left[int(number) - 1]
        self.assertEqual(left, [2])
        self.assertEqual(self.search("ALL"), [2])
        self.assertEqual(self.ok(self.client.select()), [b"1"])

    def test_close_expunges_and_unselect_does_not(self):
        self.append("one", "(\\Deleted)")
        self.append("two", "(\\Deleted)")
        self.ok(self.client.select())
        self.ok(self.client.unselect())
        self.assertEqual(self.ok(self.client.select()), [b"2"])
        self.ok(self.client.close())
        self.assertEqual(self.ok(self.client.select()), [b"0"])

    def test_examine_changes_nothing(self):
        self.append("one")
        self.ok(self.client.select(readonly=True))
        self.ok(self.client.fetch("1", "(BODY[])"))
        self.assertEqual(self.flags(1), [])
        self.no(self.client.store("1", "+FLAGS", "(\\Seen)"))
        self.assertEqual(self.flags(1), [])

    def test_copy_and_move_tell_the_new_uids(self):
        raw = [self.append("one", "(\\Seen)"), self.append("two"), self.append("three")]
        self.ok(self.client.create("Other"))
        self.ok(self.client.select())
        self.ok(self.client.copy("1:2", "Other"))
        self.assertRegex(self.code("COPYUID"), rb"^\d+ 1:2 1:2$")
        self.ok(self.client.uid("MOVE", "3", "Other"))
        self.assertEqual(self.search("ALL"), [1, 2])
        self.no(self.client.copy("1", "Nowhere"), "TRYCREATE")
        self.assertEqual(self.mailbox(self.user, "Other"), raw)
        self.ok(self.client.select("Other"))
        self.assertEqual((self.search("ALL"), self.flags(1)), ([1, 2, 3], ["\\Seen"]))

    def test_uids_are_never_used_twice(self):
        self.append("one")
        self.ok(self.client.select())
        self.ok(self.client.store("1", "+FLAGS.SILENT", "(\\Deleted)"))
        self.ok(self.client.expunge())
        self.append("two")
        self.ok(self.client.select())
        self.assertEqual(self.search("ALL"), [2])


class Login(ImapCase):
    def connect(self):
        client = imaplib.IMAP4_SSL(*harness.split(self.suite.told["imaps"]), ssl_context=self.tls, timeout=30)
        self.addCleanup(self.end, client)
        return client

    def test_scram_proves_both_sides(self):
        client = self.connect()
        scram = Scram(self.user, self.passwords[self.user])
        self.ok(client.authenticate("SCRAM-SHA-256", scram))
        self.assertTrue(scram.server_is_true)
        self.ok(client.select())

    def test_wrong_passwords_and_unknown_users_are_refused_alike(self):
        def login(user):
            self.connect().login(user, "wrong")

        def scram(user):
            self.connect().authenticate("SCRAM-SHA-256", Scram(user, "wrong"))
        for attempt in (login, scram):
            answers = set()
            for user in (self.user, "nobody@godwit.test"):
                with self.assertRaises(imaplib.IMAP4.error) as refused:
                    attempt(user)
                answers.add(str(refused.exception))
            self.assertEqual(len(answers), 1, answers)
            self.assertIn("AUTHENTICATIONFAILED", answers.pop())

    def test_no_password_is_taken_before_starttls(self):
        client = imaplib.IMAP4(*harness.split(self.suite.told["imap"]), timeout=30)
        self.addCleanup(self.end, client)
        self.assertIn("LOGINDISABLED", client.capabilities)
        self.assertIn("STARTTLS", client.capabilities)
        with self.assertRaises(imaplib.IMAP4.error):
            client.login(self.user, self.passwords[self.user])
        self.ok(client.starttls(self.tls))
        self.assertNotIn("LOGINDISABLED", client.capabilities)
        self.assertNotIn("STARTTLS", client.capabilities)
        self.ok(client.login(self.user, self.passwords[self.user]))

    def test_what_comes_with_starttls_in_clear_is_not_run_afterwards(self):
        """CVE-2011-0411's kind: a command sent behind STARTTLS by someone on the wire."""
        client = imaplib.IMAP4(*harness.split(self.suite.told["imap"]), timeout=10)
        client.sock.sendall(b"a1 STARTTLS\r\na2 NOOP\r\n")
        answer = client.readline()
        if not answer.startswith(b"a1 OK"):
            self.assertNotIn(b"a2", answer + client.readline())
            client.shutdown()
            return
        try:
            with self.tls.wrap_socket(client.sock, server_hostname="localhost") as secured:
                secured.sendall(b"a3 NOOP\r\n")
                self.assertEqual(secured.recv(200)[:3], b"a3 ")
        except (ssl.SSLError, ConnectionError):
            pass  # cutting the connection is as good


class Idle:
    """IDLE in a session: gives lines until one holds what is waited for."""

    def __init__(self, client):
        self.client = client

    def __enter__(self):
        self.client.send(b"idle IDLE\r\n")
        assert self.client.readline().startswith(b"+")
        return self

    def until(self, wanted):
        seen = []
        while not seen or wanted not in seen[-1]:
            line = self.client.readline()
            if not line:
                raise AssertionError(f"the connection ended before {wanted}: {seen}")
            seen.append(line.rstrip())
        return seen

    def __exit__(self, *_):
        self.client.send(b"DONE\r\n")
        self.until(b"idle OK")


class TwoSessions(ImapCase):
    def test_idle_shows_what_the_other_session_does(self):
        self.append("one")
        self.append("two")
        watcher = self.session()
        self.ok(watcher.select())
        self.ok(self.client.select())
        with Idle(watcher) as idle:
            self.append("three")
            idle.until(b"3 EXISTS")
            self.ok(self.client.store("2", "+FLAGS.SILENT", "(\\Flagged $Urgent)"))
            line = idle.until(b"* 2 FETCH")[-1]
            self.assertIn(b"\\Flagged", line)
            self.assertIn(b"$Urgent", line)
            self.ok(self.client.store("1", "+FLAGS.SILENT", "(\\Deleted)"))
            self.ok(self.client.expunge())
            idle.until(b"* 1 EXPUNGE")
            self.send(SENDER, [self.user], harness.message(SENDER, self.user, subject="delivered"))
            idle.until(b"3 EXISTS")
            self.ok(self.client.create("Aside"))
            self.ok(self.client.uid("MOVE", "2", "Aside"))
            idle.until(b"* 1 EXPUNGE")
        subjects = [email.message_from_bytes(part[1])["Subject"] for part in
                    self.ok(watcher.fetch("1:*", "(BODY.PEEK[HEADER])")) if isinstance(part, tuple)]
        self.assertEqual(subjects, ["three", "delivered"])

    def test_a_session_that_does_not_idle_learns_with_its_next_command(self):
        self.append("one")
        watcher = self.session()
        self.ok(watcher.select())
        self.append("two")
        self.wait_for(lambda: watcher.noop()[0] == "OK" and watcher.response("EXISTS")[1][-1] == b"2", what="EXISTS")

    def test_sequence_numbers_stay_while_fetch_runs(self):
        """RFC 9051 §7.5.1: EXPUNGE is not told in FETCH, STORE or SEARCH, whose numbers it would shift."""
        for subject in ("one", "two", "three"):
            self.append(subject)
        watcher = self.session()
        self.ok(watcher.select())
        self.ok(self.client.select())
        self.ok(self.client.store("1", "+FLAGS.SILENT", "(\\Deleted)"))
        self.ok(self.client.expunge())
        watcher.untagged_responses.pop("EXPUNGE", None)
        self.ok(watcher.fetch("3", "(FLAGS)"))
        self.assertNotIn("EXPUNGE", watcher.untagged_responses)
        self.wait_for(lambda: watcher.noop()[0] == "OK" and watcher.response("EXPUNGE")[1][-1] == b"1", what="EXPUNGE")
        self.assertEqual(self.ok(watcher.uid("FETCH", "1:*", "(UID)")), [b"1 (UID 2)", b"2 (UID 3)"])


if __name__ == "__main__":
    harness.main()
