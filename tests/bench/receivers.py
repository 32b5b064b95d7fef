"""The servers that tests/bench/receive.py measures: Godwit, and Postfix with Dovecot behind it.

Each has an `address` to send to, `mailboxes` that exist, `processes()` for the CPU columns, and
`delivered(mark, count)`, which waits until all mail since `mark()` lies in its mailboxes.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "e2e"), os.path.join(TESTS, "interop")]

import psycopg2  # noqa: E402

import harness  # noqa: E402
import postfix_peer  # noqa: E402

DOMAIN = "godwit.test"
SENDER = "ann@sender.test"
BOXES = 100
ONE = f"one@{DOMAIN}"
MANY = f"u@{DOMAIN}"  # smtp-source -N puts 1, 2, 3, ... before it


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def wait_sent(postfix, mark, count):
    """Until `count` deliveries stand in Postfix's log behind `mark`; each is a line."""
    sent = 0
    rest = b""
    deadline = time.monotonic() + 300
    with open(postfix.path("var/log/postfix.log"), "rb") as log:
        log.seek(mark)
        while sent < count:
            *lines, rest = (rest + log.read()).split(b"\n")
            sent += sum(b"status=sent" in line for line in lines)
            if time.monotonic() > deadline:
                sys.exit(f"Postfix delivered {sent} of {count}: {lines[-3:]}")
            if sent < count:
                time.sleep(0.01)


class Godwit:
    """The suite as tools/localserve starts it: SPF, DKIM, DMARC, ARC and iprev are checked, all is durable."""

    name = "godwit"

    def __init__(self, most_messages):
        self.suite = harness.Suite(['sender.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"',
                                    '_dmarc.sender.test. 60 IN TXT "v=DMARC1; p=none"'])
        self.address = self.suite.told["smtp"]
        self.suite.add_account(ONE)
        for number in range(BOXES):
            self.suite.add_account(f"box{number}@{DOMAIN}")
        self._number_addresses(most_messages)

    def _number_addresses(self, most):
        """1u@, 2u@, ... are addresses of box0@ to box99@ in turn."""
        with psycopg2.connect(self.suite.superuser()) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO addresses (domain, local_part, account_id, created_at)"
                           " SELECT box.domain, n || 'u', box.account_id, box.created_at"
                           " FROM generate_series(1, %s) n JOIN addresses box"
                           " ON box.domain = %s AND box.local_part = 'box' || n %% %s", (most, DOMAIN, BOXES))
        connection.close()

    def processes(self):
        told = self.suite.told
        return {**told["pids"], "postgres": told["postgres_pid"], "(dns)": self.suite.unbound.process.pid}

    def mark(self):
        return None

    def delivered(self, _mark, _count):
        """250 says so."""

    def close(self):
        try:
            self.suite.check_store()
        finally:
            self.suite.close()


class PostfixDovecot:
    """Debian's Postfix delivering by LMTP to Debian's Dovecot with Maildirs, as shipped; nothing is verified."""

    name = "postfix+dovecot"

    def __init__(self, _most_messages):
        self.folder = tempfile.mkdtemp(prefix="godwit-bench-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.dovecot = None
        port = harness.free_port()
        self._start_dovecot(port)
        self.postfix = postfix_peer.Postfix(harness.ROOT, os.path.join(self.folder, "postfix"), [
            f"virtual_mailbox_domains = {DOMAIN}",
            "virtual_mailbox_maps = static:all",
            "virtual_alias_maps = regexp:/etc/postfix/numbers",
            f"virtual_transport = lmtp:inet:127.0.0.1:{port}"])
        with open(self.postfix.path("etc/postfix/numbers"), "w", encoding="ascii") as out:
            out.write(f"/^[0-9]*([0-9][0-9])u@/ box$1@{DOMAIN}\n/^([0-9])u@/ box0$1@{DOMAIN}\n")
        self.postfix.start()
        self.address = f"127.0.0.1:{self.postfix.port}"

    def _start_dovecot(self, port):
        config = os.path.join(self.folder, "dovecot.conf")
        with open(config, "w", encoding="ascii") as out:
            out.write(f"""protocols = lmtp
ssl = no
log_path = /var/log/dovecot.log
mail_location = maildir:/var/mail/%n
userdb {{
  driver = static
  args = uid=vmail gid=vmail home=/var/mail/%n allow_all_users=yes
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
""")
        log = open(os.path.join(self.folder, "dovecot.out"), "wb")
        self.dovecot = subprocess.Popen(
            [os.path.join(harness.ROOT, "tools/peers"), "--state", os.path.join(self.folder, "dovecot"), "--bind",
             f"{config}:/etc/dovecot/dovecot.conf", "--run", "dovecot", "--", "dovecot", "-F"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not listens(port):
            if self.dovecot.poll() is not None or time.monotonic() > deadline:
                with open(log.name, errors="replace", encoding="utf-8") as source:
                    sys.exit("Dovecot did not start: " + source.read())
            time.sleep(0.1)

    def processes(self):
        return {"postfix": self.postfix.process.pid, "dovecot": self.dovecot.pid}

    def mark(self):
        """Where Postfix's log ends now."""
        return os.path.getsize(self.postfix.path("var/log/postfix.log"))

    def delivered(self, mark, count):
        wait_sent(self.postfix, mark, count)

    def close(self):
        self.postfix.stop()
        self.dovecot.terminate()
        self.dovecot.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
