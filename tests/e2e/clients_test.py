"""Real IMAP clients against the running suite: mbsync, curl and neomutt."""

import email
import mailbox
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import urllib.parse

import harness

SENDER = "ann@sender.test"


def flags_of(line):
    """The flags of a FETCH response, without \\Recent, which belongs to the session that asks."""
    found = re.search(rb"FLAGS \(([^)]*)\)", line).group(1).decode().split()
    return tuple(sorted(flag for flag in found if flag != "\\Recent"))


class ClientCase(harness.SuiteCase):
    """A suite, a folder for the client's files, and an account for each test."""

    records = ['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"']

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="godwit-client-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.user = self.new_account(self._testMethodName.replace("_", "")[-40:])

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def port(self, name):
        return harness.split(self.suite.told[name])[1]

    def deliver(self, subject, **options):
        self.send(SENDER, [self.user], harness.message(SENDER, self.user, subject=subject, **options))

    def append(self, folder, subject, flags=""):
        with self.imap(self.user) as client:
            state, data = client.append(folder, flags, None, harness.message(SENDER, self.user, subject).as_bytes())
            self.assertEqual(state, "OK", data)

    def change_flags(self, folder, subject, change, flags):
        """By the subject, as the client's own tests name messages."""
        with self.imap(self.user) as client:
            client.select(folder)
            found = client.uid("SEARCH", "SUBJECT", f'"{subject}"')[1][0].decode().split()
            self.assertEqual(len(found), 1, f"{subject} in {folder}")
            self.assertEqual(client.uid("STORE", found[0], change, flags)[0], "OK")
            if "Deleted" in flags:
                client.expunge()

    def folders(self):
        with self.imap(self.user) as client:
            return sorted(row.decode().rsplit(' "/" ', 1)[1].strip('"') for row in client.list()[1])

    def dump(self):
        """{folder: (UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, [(UID, subject, flags)])}: all a client can see."""
        seen = {}
        for folder in self.folders():
            with self.imap(self.user) as client:
                status = client.status(f'"{folder}"', "(UIDVALIDITY UIDNEXT HIGHESTMODSEQ)")[1][0]
                numbers = tuple(int(number) for number in re.findall(rb" (\d+)", status.rsplit(b"(", 1)[1]))
                client.select(f'"{folder}"', readonly=True)
                rows = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
                seen[folder] = numbers, [self.row(part) for part in rows if isinstance(part, tuple)]
        return seen

    @staticmethod
    def row(part):
        uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
        return uid, email.message_from_bytes(part[1])["Subject"], flags_of(part[0])

    def remote(self, folder):
        """{subject: flags} of a folder on the server."""
        return {subject: flags for _, subject, flags in self.dump()[folder][1]}


class Mbsync(ClientCase):
    def setUp(self):
        super().setUp()
        self.mail = os.path.join(self.folder, "mail")
        os.mkdir(self.mail)
        self.config = self.file("mbsyncrc", f"""
IMAPAccount godwit
Host localhost
Port {self.port("imaps")}
User {self.user}
Pass {self.passwords[self.user]}
SSLType IMAPS
CertificateFile {self.suite.told["ca_file"]}

IMAPStore remote
Account godwit

MaildirStore local
Path {self.mail}/
Inbox {self.mail}/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")

    def sync(self):
        done = subprocess.run(["mbsync", "--config", self.config, "--all", "--verbose"], capture_output=True, text=True,
                              timeout=60, env={**os.environ, "HOME": self.folder})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def box(self, folder):
        return mailbox.Maildir(os.path.join(self.mail, folder), create=False)

    def local(self, folder):
        """{subject: Maildir flags} of a folder of the client."""
        return {message["Subject"]: "".join(sorted(message.get_flags())) for message in self.box(folder)}

    def change_local(self, folder, subject, flags):
        box = self.box(folder)
        key = next(key for key, message in box.items() if message["Subject"] == subject)
        message = box[key]
        message.set_flags(flags)
        # Renames in place: mbsync knows a message by the U= in its name.
        old = os.path.join(self.mail, folder, box._lookup(key))  # pylint: disable=protected-access
        base = os.path.basename(old).split(":2,")[0]
        os.rename(old, os.path.join(self.mail, folder, "cur", base + ":2," + flags))

    def add_local(self, folder, subject, flags=""):
        path = os.path.join(self.mail, folder)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, part), exist_ok=True)
        message = mailbox.MaildirMessage(harness.message(self.user, SENDER, subject=subject))
        if flags:
            message.set_subdir("cur")
            message.set_flags(flags)
        self.box(folder).add(message)

    def tree(self):
        """Every file of the client with its content, mbsync's own state too."""
        found = {}
        for path, _, names in os.walk(self.mail):
            for name in names:
                with open(os.path.join(path, name), "rb") as source:
                    found[os.path.relpath(os.path.join(path, name), self.mail)] = source.read()
        return found

    def sync_until_nothing_changes(self):
        """The run that must not change anything comes twice, as a timer would start it."""
        self.sync()
        before = self.tree(), self.dump()
        for _ in range(2):
            told = self.sync()
            self.assertEqual(self.tree(), before[0], told)
            self.assertEqual(self.dump(), before[1], told)

    def test_an_account_is_synchronised_both_ways_and_the_second_run_changes_nothing(self):
        for number in range(5):
            self.deliver(f"delivered {number}")
        with self.imap(self.user) as client:
            for folder in ("Work", "Work/Plans"):
                client.create(folder)
        self.append("Work/Plans", "a plan", "(\\Seen)")
        self.change_flags("INBOX", "delivered 0", "+FLAGS", "(\\Seen \\Flagged)")
        self.change_flags("INBOX", "delivered 1", "+FLAGS", "(\\Answered)")
        self.sync_until_nothing_changes()
        self.assertEqual(self.local("INBOX"), {"delivered 0": "FS", "delivered 1": "R", "delivered 2": "",
                                               "delivered 3": "", "delivered 4": ""})
        self.assertEqual(self.local("Work/Plans"), {"a plan": "S"})

        # Both sides change before the next run.
        self.change_local("INBOX", "delivered 1", "RS")
        self.change_local("INBOX", "delivered 2", "T")
        self.add_local("INBOX", "written here")
        self.add_local("INBOX", "written here with flags", "FS")
        self.add_local("Work/Ideas", "an idea", "S")
        self.deliver("delivered later")
        self.change_flags("INBOX", "delivered 0", "-FLAGS", "(\\Flagged)")
        self.change_flags("INBOX", "delivered 3", "+FLAGS", "(\\Deleted)")
        self.sync_until_nothing_changes()
        self.assertEqual(self.local("INBOX"), {
            "delivered 0": "S", "delivered 1": "RS", "delivered 4": "", "delivered later": "", "written here": "",
            "written here with flags": "FS"})
        self.assertEqual(self.remote("INBOX"), {
            "delivered 0": ("\\Seen",), "delivered 1": ("\\Answered", "\\Seen"), "delivered 4": (),
            "delivered later": (), "written here": (), "written here with flags": ("\\Flagged", "\\Seen")})
        self.assertEqual(self.remote("Work/Ideas"), {"an idea": ("\\Seen",)})

    def test_a_message_is_the_same_octets_on_both_sides(self):
        self.deliver("with eight bits", body="Grüße\n.\n..\n\ttab \n" + "x" * 900 + "\n")
        self.sync()
        (message,) = self.box("INBOX")
        here = self.box("INBOX").get_bytes(self.box("INBOX").keys()[0])
        # mbsync marks what it has by a field of its own until it knows the UID.
        here = re.sub(rb"X-TUID: [^\n]*\n", b"", here)
        self.assertEqual(here.replace(b"\n", b"\r\n"), self.inbox(self.user)[0])
        self.assertEqual(message["Delivered-To"], self.user)


class Curl(ClientCase):
    def curl(self, path, *options, scheme="imaps"):
        """Standard output, octet by octet."""
        address = f"{scheme}://localhost:{self.port(scheme)}/{path}"
        done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "30", "--cacert",
                               self.suite.told["ca_file"], "--user", f"{self.user}:{self.passwords[self.user]}",
                               *options, address], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_curl_lists_searches_and_fetches_over_tls(self):
        for subject in ("one thing", "another thing", "Grüße"):
            self.deliver(subject, body=f"the text of {subject}\n")
        self.assertIn(b'"/" INBOX\r\n', self.curl(""))
        self.assertIn(b"(MESSAGES 3)", self.curl("", "-X", "STATUS INBOX (MESSAGES)"))
        self.assertEqual(self.curl("INBOX?SUBJECT%20another"), b"* SEARCH 2\r\n")
        self.assertEqual(self.curl("INBOX?" + urllib.parse.quote('NOT SUBJECT "thing"')), b"* SEARCH 3\r\n")
        self.assertEqual(self.curl("INBOX;UID=2"), self.inbox(self.user)[1])
        self.assertEqual(self.curl("INBOX;MAILINDEX=3;SECTION=TEXT").strip(),
                         email.message_from_bytes(self.inbox(self.user)[2]).get_payload().encode().strip())

    def test_curl_reads_after_starttls(self):
        self.deliver("over STARTTLS")
        self.assertEqual(self.curl("INBOX;UID=1", "--ssl-reqd", scheme="imap"), self.inbox(self.user)[0])

    def test_curl_is_told_that_a_wrong_password_is_wrong(self):
        done = subprocess.run(["curl", "--silent", "--cacert", self.suite.told["ca_file"],
                               "--user", self.user + ":wrong",
                               f"imaps://localhost:{self.port('imaps')}/"], capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 67, done.stderr)  # CURLE_LOGIN_DENIED

    def test_curl_uploads_a_message(self):
        made = harness.message(self.user, SENDER, subject="uploaded")
        text = made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
        path = os.path.join(self.folder, "message")
        with open(path, "wb") as out:
            out.write(text)
        self.curl("Sent", "--upload-file", path)
        self.assertEqual(self.mailbox(self.user, "Sent"), [text])


class Neomutt(ClientCase):
    def neomutt(self, keys):
        """Runs neomutt at a terminal and types `keys`, the last of which must end it."""
        folder = f"imaps://localhost:{self.port('imaps')}/"
        config = self.file("muttrc", f"""
set folder="{folder}" spoolfile="+INBOX" record="" postponed=""
set imap_user="{self.user}" imap_pass="{self.passwords[self.user]}"
set certificate_file="{self.suite.told["ca_file"]}" ssl_usesystemcerts=no ssl_verify_host=yes
set header_cache="" history_file="" crypt_use_gpgme=no use_envelope_from=no
set confirmappend=no confirmcreate=no delete=yes quit=yes move=no wait_key=no pipe_decode=yes sort=mailbox-order
set mail_check=1 timeout=1 sleep_time=0 beep=no pager_index_lines=0
push "{keys}"
""")
        terminal, theirs = pty.openpty()
        process = subprocess.Popen(["neomutt", "-n", "-F", config], stdin=theirs, stdout=theirs, stderr=theirs,
                                   start_new_session=True,
                                   env={**os.environ, "HOME": self.folder, "TERM": "vt100", "LC_ALL": "C.UTF-8"})
        os.close(theirs)
        screen = self.watch(process, terminal)
        self.assertEqual(process.returncode, 0, screen[-3000:])

    @staticmethod
    def watch(process, terminal):
        """What neomutt painted, until it ended."""
        screen = b""
        deadline = time.monotonic() + 40
        try:
            while time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.2)[0]:
                    screen += os.read(terminal, 65536)
                elif process.poll() is not None:
                    break
        except OSError:
            pass  # EIO: the other end is closed
        finally:
            os.close(terminal)
            if time.monotonic() >= deadline:
                process.kill()
            process.wait()
        return screen

    def test_neomutt_reads_a_message(self):
        self.deliver("Grüße", body="Zeile eins\nZeile zwei\n")
        read = os.path.join(self.folder, "read")
        self.neomutt(f"<pipe-message>cat >{read}<enter><display-message><exit><quit>")
        with open(read, "rb") as source:
            text = source.read()
        self.assertIn("Zeile eins\nZeile zwei\n".encode(), text)
        self.assertIn("Subject: Grüße".encode(), text)
        self.assertEqual(list(self.remote("INBOX").values()), [("\\Seen",)])

    def test_neomutt_tags_copies_flags_saves_and_deletes(self):
        for subject in ("keep one", "keep two", "flag this", "move this", "delete this"):
            self.deliver(subject)
        before = {email.message_from_bytes(raw)["Subject"]: raw for raw in self.inbox(self.user)}
        self.neomutt("<tag-pattern>~s keep<enter><tag-prefix><copy-message>=Copies<enter><untag-pattern>~A<enter>"
                     "<search>~s flag<enter><flag-message>"
                     "<first-entry><search>~s move<enter><save-message>=Archive<enter>"
                     "<first-entry><search>~s delete<enter><delete-message><quit>")
        self.assertEqual(sorted(self.remote("Copies")), ["keep one", "keep two"])
        self.assertEqual(list(self.remote("Archive")), ["move this"])
        inbox = self.remote("INBOX")
        self.assertEqual(sorted(inbox), ["flag this", "keep one", "keep two"])
        self.assertIn("\\Flagged", inbox["flag this"])
        self.assertEqual(self.mailbox(self.user, "Archive"), [before["move this"]])


if __name__ == "__main__":
    harness.main()
