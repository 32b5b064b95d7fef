"""Thunderbird of Debian keeps an account in step with us, both ways, over TLS and STARTTLS."""

import email.policy
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402
import thunderbird_peer  # noqa: E402

SENDER = "ann@sender.test"

# Between a change on the server and Thunderbird, which idles. It asks by itself only after minutes.
SOON = 10


def crlf(message):
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


class ThunderbirdCase(harness.SuiteCase):
    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']
    listener = "imaps"
    preferences = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="godwit-thunderbird-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.user = cls.new_account(cls.__name__.lower())
        cls.bird = thunderbird_peer.Thunderbird(harness.ROOT, cls.folder, cls.user,
                                                harness.split(cls.suite.told[cls.listener])[1], cls.preferences)
        cls.addClassCleanup(cls.keep_log)
        cls.addClassCleanup(cls.bird.stop)
        cls.bird.start()
        cls.bird.trust(cls.suite.told["ca_file"])
        cls.bird.call("remember", cls.passwords[cls.user])
        cls.look()

    @classmethod
    def keep_log(cls):
        """Where a failing test's reader finds it."""
        outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
        if outputs:
            with open(os.path.join(outputs, cls.__name__ + ".imap"), "w", encoding="utf-8") as out:
                out.write(cls.bird.imap_log())
            shutil.copy(cls.bird.output, os.path.join(outputs, cls.__name__ + ".out"))

    @classmethod
    def look(cls):
        """Opens the account, as somebody who starts Thunderbird."""
        cls.bird.call("expand")
        cls.bird.call("open", "INBOX")

    # The server's side, as imaplib sees it.

    def deliver(self, subject, **options):
        self.send(SENDER, [self.user], harness.message(SENDER, self.user, subject=subject, **options))

    def append(self, folder, subject, flags="", **options):
        with self.imap(self.user) as client:
            state, data = client.append(f'"{folder}"', flags, None,
                                        crlf(harness.message(SENDER, self.user, subject, **options)))
            self.assertEqual(state, "OK", data)

    def remote(self, folder):
        """{subject: flags}"""
        with self.imap(self.user) as client:
            self.assertEqual(client.select(f'"{folder}"', readonly=True)[0], "OK")
            rows = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            return {re.search(rb"Subject: (.*)\r", part[1]).group(1).decode():
                    set(re.search(rb"FLAGS \(([^)]*)\)", part[0]).group(1).decode().split())
                    for part in rows if isinstance(part, tuple)}

    def remote_folders(self, command="list"):
        with self.imap(self.user) as client:
            return {row.decode().rsplit(' "/" ', 1)[1].strip('"') for row in getattr(client, command)()[1] if row}

    def change(self, folder, subject, how, flags):
        with self.imap(self.user) as client:
            client.select(f'"{folder}"')
            uid = client.uid("SEARCH", "SUBJECT", f'"{subject}"')[1][0].decode()
            self.assertRegex(uid, r"^\d+$")
            self.assertEqual(client.uid("STORE", uid, how, flags)[0], "OK")
            if "Deleted" in flags:
                client.expunge()

    def wait_remote(self, folder, condition, what):
        self.soon(lambda: self.remote(folder), condition, f"{what} in {folder}")

    def wait_flags(self, folder, subject, flags):
        self.wait_remote(folder, lambda rows: rows.get(subject) == set(flags.split()), f"{subject} with ({flags})")

    def wait_folders(self, condition, what):
        self.soon(self.remote_folders, condition, what)

    def soon(self, look, condition, what):
        """Looks until what it sees is as `condition` wants it."""
        deadline = time.monotonic() + SOON
        while not condition(seen := look()):
            if time.monotonic() > deadline:
                self.fail(f"not seen: {what}; but {seen}")
            time.sleep(0.05)

    # Thunderbird's side.

    def local(self, folder):
        return {row["subject"]: row for row in self.bird.call("messages", folder)}

    def opened(self, folder):
        """What a click shows. One that finds the connection dead shows what was known before."""
        try:
            self.bird.call("open", folder)
        except thunderbird_peer.Failed:
            pass
        return self.local(folder)

    def wait_local(self, folder, condition, what):
        self.soon(lambda: self.local(folder), condition, f"{what} in Thunderbird's {folder}")

    def wait_local_folder(self, name):
        self.soon(lambda: self.bird.call("folders"), lambda names: name in names, f"{name} in Thunderbird")

    def new_folder(self, name):
        with self.imap(self.user) as client:
            self.assertEqual(client.create(f'"{name}"')[0], "OK")
            client.subscribe(f'"{name}"')
        self.bird.call("expand")
        self.wait_local_folder(name)

    def filled_folder(self, *subjects, flags="", name=None):
        """A folder of the test's own with these messages, open in Thunderbird."""
        name = name or self._testMethodName.removeprefix("test_").replace("_", "-")
        self.new_folder(name)
        for subject in subjects:
            self.append(name, subject, flags)
        self.bird.call("open", name)
        self.assertEqual(set(self.local(name)), set(subjects))
        return name


    def test_a_new_start_finds_what_changed_and_changes_nothing(self):
        name = self.filled_folder("kept", "marked", "expunged")
        self.bird.stop()
        self.change(name, "marked", "+FLAGS", "(\\Seen $label1)")
        self.change(name, "expunged", "+FLAGS", "(\\Deleted)")
        self.append(name, "added")
        before = self.dump(name)
        self.bird.start()
        self.look()
        want = {"kept": (False, []), "marked": (True, ["$label1"]), "added": (False, [])}
        self.soon(lambda: {subject: (row["read"], row["keywords"]) for subject, row in self.opened(name).items()},
                  lambda seen: seen == want, "what was done meanwhile")
        self.assertEqual(self.dump(name), before)

    def dump(self, folder):
        """All of a folder that a client can see."""
        with self.imap(self.user) as client:
            status = client.status(f'"{folder}"', "(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
            client.select(f'"{folder}"', readonly=True)
            return status, client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")


class OverTls(ThunderbirdCase):
    def test_folders_have_their_purposes(self):
        folders = self.bird.call("folders")
        with self.imap(self.user) as client:
            self.assertEqual(set(folders), self.remote_folders(), client)
        self.assertEqual({name: folders[name] for name in ("INBOX", "Drafts", "Sent", "Trash")},
                         {"INBOX": "Inbox", "Drafts": "Drafts", "Sent": "SentMail", "Trash": "Trash"})

    def test_messages_are_read_octet_by_octet(self):
        name = self.filled_folder()
        kinds = {
            "small": harness.message(SENDER, self.user, "small", "a line\n"),
            "Grüße aus Köln": harness.message(SENDER, self.user, "Grüße aus Köln", "äöü €\n" * 50),
            "large": harness.message(SENDER, self.user, "large",
                                     "".join(f"{line:08d} {'x' * 60}\n" for line in range(40000))),
            "attached": harness.message(SENDER, self.user, "attached", "see there\n"),
        }
        kinds["attached"].add_attachment(bytes(range(256)) * 2000, "application", "octet-stream", filename="b.bin")
        with self.imap(self.user) as client:
            for message in kinds.values():
                self.assertEqual(client.append(f'"{name}"', "", None, crlf(message))[0], "OK")
        self.bird.call("open", name)
        local = self.local(name)
        self.assertEqual(set(local), set(kinds))
        for subject, message in kinds.items():
            with self.subTest(subject):
                source = self.bird.call("source", name, subject).encode("latin-1")
                source = re.sub(rb"^X-Mozilla-[^\n]*\n", b"", source, flags=re.MULTILINE)  # of its own store
                self.assertEqual(source.replace(b"\r\n", b"\n"), crlf(message).replace(b"\r\n", b"\n"))
                self.assertEqual(local[subject]["author"], SENDER)

    def test_flags_of_the_server_are_shown(self):
        name = self.filled_folder()
        for subject, flags in (("new", ""), ("seen", "\\Seen"), ("starred", "\\Flagged"), ("replied", "\\Answered"),
                               ("tagged", "$label1"), ("all", "\\Seen \\Flagged \\Answered $label2 own")):
            self.append(name, subject, f"({flags})")
        self.bird.call("open", name)
        shown = {subject: (row["read"], row["flagged"], row["answered"], row["keywords"])
                 for subject, row in self.local(name).items()}
        self.assertEqual(shown, {"new": (False, False, False, []), "seen": (True, False, False, []),
                                 "starred": (False, True, False, []), "replied": (False, False, True, []),
                                 "tagged": (False, False, False, ["$label1"]),
                                 "all": (True, True, True, ["$label2", "own"])})

    def test_flags_set_in_thunderbird_arrive(self):
        name = self.filled_folder("one", "two", "three")
        self.bird.call("markRead", name, ["one", "two", "three"], True)
        for subject in ("one", "two", "three"):
            self.wait_flags(name, subject, "\\Seen")
        self.bird.call("markFlagged", name, "one", True)
        self.bird.call("tag", name, "one", "$label3", True)
        self.bird.call("markAnswered", name, "two")
        self.wait_flags(name, "one", "\\Seen \\Flagged $label3")
        self.wait_flags(name, "two", "\\Seen \\Answered")
        self.bird.call("markRead", name, "one", False)
        self.bird.call("markFlagged", name, "one", False)
        self.bird.call("tag", name, "one", "$label3", False)
        self.wait_flags(name, "one", "")

    def test_messages_are_copied_moved_and_deleted(self):
        name = self.filled_folder("copied", "moved", "thrown away", "gone", flags="\\Flagged")
        # One after the other: Thunderbird puts off what comes while it plays back another action.
        self.bird.call("copy", name, "copied", "Archive")
        self.wait_flags("Archive", "copied", "\\Flagged")
        self.bird.call("move", name, "moved", "Archive")
        self.wait_flags("Archive", "moved", "\\Flagged")
        self.bird.call("remove", name, "thrown away", False)
        self.wait_remote("Trash", lambda rows: "thrown away" in rows, "the deleted one")
        self.bird.call("remove", name, "gone", True)
        self.bird.call("expunge", name)
        self.wait_remote(name, lambda rows: set(rows) == {"copied"}, "only the copied one")
        self.assertEqual(set(self.local(name)), {"copied"})
        for folder, subjects in (("Trash", {"thrown away"}), ("Archive", {"copied", "moved"})):
            self.bird.call("open", folder)
            self.assertLessEqual(subjects, set(self.local(folder)))
        self.bird.call("emptyTrash", "Trash")
        self.wait_remote("Trash", lambda rows: not rows, "nothing")

    def test_many_messages_move_at_once(self):
        subjects = [f"message {number}" for number in range(60)]
        name = self.filled_folder(*subjects)
        self.bird.call("move", name, subjects[1::2], "Junk")
        self.wait_remote("Junk", lambda rows: set(rows) == set(subjects[1::2]), "every other message")
        self.wait_remote(name, lambda rows: set(rows) == set(subjects[::2]), "the other messages")

    def test_folders_made_renamed_moved_and_deleted_in_thunderbird_are_ours_too(self):
        self.bird.call("createFolder", "", "Projekte")
        self.wait_folders(lambda names: "Projekte" in names, "Projekte")
        self.wait_local_folder("Projekte")
        self.bird.call("createFolder", "Projekte", "Übung & Spaß")
        inside = "Projekte/&ANw-bung &- Spa&AN8-"  # RFC 3501 §5.1.3
        self.wait_folders(lambda names: inside in names, inside)
        self.soon(lambda: self.remote_folders("lsub"), lambda names: {"Projekte", inside} <= names, "subscriptions")
        self.append(inside, "inside")
        self.wait_local_folder(inside)
        self.bird.call("renameFolder", "Projekte", "Projects")
        inside = inside.replace("Projekte", "Projects")
        self.wait_folders(lambda names: inside in names, inside)
        self.wait_local_folder(inside)
        self.bird.call("open", inside)
        self.assertEqual(set(self.local(inside)), {"inside"})
        self.bird.call("moveFolder", "Projects", "Archive")
        self.wait_local_folder("Archive/" + inside)
        self.wait_folders(lambda names: "Archive/" + inside in names and "Projects" not in names, "all in Archive")
        self.bird.call("deleteFolder", "Archive/Projects")
        self.wait_local_folder("Trash/" + inside)
        self.wait_folders(lambda names: "Trash/" + inside in names and "Archive/Projects" not in names, "all in Trash")
        self.assertEqual(set(self.remote("Trash/" + inside)), {"inside"})

    def test_files_are_appended(self):
        name = self.filled_folder()
        message = harness.message(SENDER, self.user, "from a file", "line\n" * 100000)
        path = os.path.join(self.bird.profile, "file.eml")
        with open(path, "wb") as out:
            out.write(crlf(message))
        self.bird.call("append", name, thunderbird_peer.PROFILE + "/file.eml", True)
        self.wait_flags(name, "from a file", "\\Seen")
        self.assertEqual(self.mailbox(self.user, f'"{name}"'), [crlf(message)])

    def test_drafts_are_saved_and_replaced(self):
        self.bird.call("write", "bob@godwit.test", "draft", "first words")
        self.bird.call("saveDraft", "draft one", False)
        self.wait_remote("Drafts", lambda rows: set(rows) == {"draft one"}, "the draft")
        self.assertIn("\\Draft", self.remote("Drafts")["draft one"])
        self.bird.call("saveDraft", "draft two", True)
        self.wait_remote("Drafts", lambda rows: set(rows) == {"draft two"}, "only the second draft")
        self.assertIn(b"first words", self.mailbox(self.user, "Drafts")[0])

    def test_idle_shows_what_happens_on_the_server(self):
        self.bird.call("open", "INBOX")
        self.deliver("while you idle")
        self.wait_local("INBOX", lambda seen: "while you idle" in seen, "the new message")
        self.change("INBOX", "while you idle", "+FLAGS", "(\\Flagged $label1)")
        self.wait_local("INBOX", lambda seen: seen["while you idle"]["flagged"]
                        and seen["while you idle"]["keywords"] == ["$label1"], "the flags")
        self.change("INBOX", "while you idle", "FLAGS", "(\\Seen)")
        self.wait_local("INBOX", lambda seen: seen["while you idle"]["read"] and not seen["while you idle"]["flagged"],
                        "other flags")
        self.deliver("the second")
        self.wait_local("INBOX", lambda seen: "the second" in seen, "the second message")
        self.change("INBOX", "while you idle", "+FLAGS", "(\\Deleted)")
        self.wait_local("INBOX", lambda seen: "while you idle" not in seen, "the expunge")
        self.assertIn("the second", self.local("INBOX"))

    def test_many_messages_come_while_it_idles(self):
        self.bird.call("open", "INBOX")
        names = {f"one of many {number}" for number in range(40)}
        for name in sorted(names):
            self.deliver(name)
        self.wait_local("INBOX", lambda seen: names <= set(seen), "all of them")

    def test_folders_made_on_the_server_are_found(self):
        self.new_folder("Made elsewhere")
        with self.imap(self.user) as client:
            self.assertEqual(client.delete('"Made elsewhere"')[0], "OK")
            client.unsubscribe('"Made elsewhere"')
        self.bird.call("expand")
        self.soon(lambda: self.bird.call("folders"), lambda names: "Made elsewhere" not in names, "the folder gone")

    def test_the_server_searches(self):
        name = self.filled_folder("apple pie", "plum cake", "Käse")
        self.append(name, "third", body="an apple a day\n")
        self.bird.call("open", name)
        self.assertEqual(self.bird.call("searchOnServer", name, "Subject", "Apple"), ["apple pie"])
        self.assertEqual(self.bird.call("searchOnServer", name, "Body", "apple a day"), ["third"])
        self.assertEqual(self.bird.call("searchOnServer", name, "Sender", SENDER),
                         ["Käse", "apple pie", "plum cake", "third"])
        self.assertEqual(self.bird.call("searchOnServer", name, "Subject", "KÄSE"), ["Käse"])
        self.assertEqual(self.bird.call("searchOnServer", name, "Subject", "Äpfel"), [])

    def test_what_was_done_offline_is_played_back(self):
        for name, do in (("offline read", lambda name: self.bird.call("markRead", name, "one", True)),
                         ("offline move", lambda name: self.bird.call("move", name, "one", "Archive")),
                         ("offline delete", lambda name: self.bird.call("remove", name, "one", False))):
            self.filled_folder("one", "two", name=name)
            self.bird.call("workOffline", True)
            self.soon(lambda: self.bird.call("isOffline"), bool, "offline")
            do(name)
            self.append(name, "three")
            self.assertEqual(self.remote(name), {"one": set(), "two": set(), "three": set()})
            self.bird.call("workOffline", False)
            self.wait_remote(name, lambda rows: rows != {"one": set(), "two": set(), "three": set()}, "the change")
            self.soon(lambda: self.opened(name), lambda rows: set(rows) == set(self.remote(name)), f"both in {name}")
        self.assertIn("\\Seen", self.remote("offline read")["one"])
        self.assertEqual(set(self.remote("offline move")), {"two", "three"})
        self.assertEqual(set(self.remote("offline delete")), {"two", "three"})
        self.assertIn("one", self.remote("Archive"))
        self.assertIn("one", self.remote("Trash"))

    def test_a_gateway_that_was_killed_is_found_again(self):
        name = self.filled_folder("before")
        old = self.suite.told["pids"]["imap-gateway"]
        os.kill(old, signal.SIGKILL)
        self.wait_for(lambda: os.path.exists(os.path.join(self.suite.dir, "localserve.json"))
                      and self.suite.told["pids"]["imap-gateway"] != old, 30, "a new gateway")
        self.append(name, "after")
        self.soon(lambda: self.opened(name), lambda rows: "after" in rows, "the new message")
        self.bird.call("markRead", name, "after", True)
        self.wait_flags(name, "after", "\\Seen")


class OverStartTls(ThunderbirdCase):
    """And with CONDSTORE, which Thunderbird can but does not use unless told."""

    listener = "imap"
    preferences = {"mail.server.server1.socketType": 2, "mail.server.server1.use_condstore": True}

    def test_a_new_start_finds_what_changed_and_changes_nothing(self):
        super().test_a_new_start_finds_what_changed_and_changes_nothing()
        self.assertIn("(FLAGS) (CHANGEDSINCE ", self.bird.imap_log())

    def test_mail_comes_and_goes(self):
        self.deliver("over STARTTLS")
        self.wait_local("INBOX", lambda seen: "over STARTTLS" in seen, "the message")
        self.bird.call("markRead", "INBOX", "over STARTTLS", True)
        self.wait_flags("INBOX", "over STARTTLS", "\\Seen")
        self.bird.call("move", "INBOX", "over STARTTLS", "Archive")
        self.wait_flags("Archive", "over STARTTLS", "\\Seen")


del ThunderbirdCase  # its tests run in the classes above


if __name__ == "__main__":
    harness.main()
