"""A Postfix of Debian in a private root (tools/peers), with a spool that outlives its runs.

    postfix = Postfix(ROOT, folder, ["relayhost = [localhost]:2525"])
    postfix.start()
    postfix.run("sendmail -f a@one.test b@two.test < /srv/mail/1", binds=["/tmp/mail:/srv/mail"])
    postfix.log()

`root` is the one of tools/peers, `binds` are what a running server sees of the machine. `folder` keeps its /etc and /var. Everything it started ends with stop(), or with this process.
"""

import os
import random
import socket
import subprocess
import time

BASE = """
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_host_lookup = native
maillog_file = /var/log/postfix.log
"""


def _free_port():
    """Not one of those that localserve or outgoing connections get: they may take it before ours listens."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Postfix:
    def __init__(self, tree, folder, settings, services=(), root="postfix", binds=()):
        self.peers = os.path.join(tree, "tools", "peers")
        self.root = root
        self.binds = binds
        self.folder = folder
        self.process = None
        self.port = _free_port()
        self.run("true")  # makes the private /etc and /var
        with open(self.path("etc/postfix/main.cf"), "a", encoding="utf-8") as config:
            config.write(BASE + "\n".join(settings) + "\n")
        with open(self.path("etc/postfix/master.cf"), encoding="utf-8") as config:
            text = config.read()
        with open(self.path("etc/postfix/master.cf"), "w", encoding="utf-8") as config:
            config.write(text.replace("smtp inet n", f"127.0.0.1:{self.port} inet n", 1) + "\n".join(services) + "\n")

    def path(self, inside):
        """Where the machine sees a path of /etc or /var, given without its first slash."""
        return os.path.join(self.folder, inside)

    def _command(self, argv, binds=()):
        command = [self.peers, "--state", self.folder]
        for bind in binds:
            command += ["--bind", bind]
        return [*command, "--run", self.root, "--", *argv]

    def run(self, script, binds=(), seconds=60):
        """Standard output of a shell script inside, beside the running server."""
        done = subprocess.run(self._command(["sh", "-ec", script], binds), capture_output=True, text=True,
                              timeout=seconds)
        if done.returncode != 0:
            raise AssertionError(f"{script}: {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def start(self):
        self.process = subprocess.Popen(self._command(["postfix", "start-fg"], self.binds), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 30
        while not self._greets():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("Postfix did not start: " + self.log()[-2000:])
            time.sleep(0.05)

    def _greets(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as client:
                return client.recv(100).startswith(b"220")
        except OSError:
            return False

    def log(self):
        try:
            with open(self.path("var/log/postfix.log"), encoding="utf-8", errors="replace") as source:
                return source.read()
        except FileNotFoundError:
            return ""

    def queued(self):
        """How many messages are in the queue."""
        return int(self.run("cd /var/spool/postfix; find maildrop incoming active deferred hold -type f | wc -l"))

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
