"""The embedded PostgreSQL 15 cluster of a local suite.

PostgreSQL refuses to run as root and its socket's path may hold 107 bytes, while the suite's folder
may be deep, and closed to user postgres. So the cluster lies in the suite's folder only where that
works; else in a short private folder of its own below /var/tmp, which survives a reboot.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import time

from errors import SuiteError

BIN = "/usr/lib/postgresql/15/bin"
SOCKET_PATH_MAX = 107
SOCKET_NAME = "/.s.PGSQL.5432.lock.12345"  # the longest name PostgreSQL makes there

# Durable, and small enough for a laptop: what is not named here is PostgreSQL's default.
SETTINGS = {
    "listen_addresses": "''",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] %u '",
    "password_encryption": "'scram-sha-256'",
}


class Cluster:
    """Owns one cluster: `start()` makes it when it is not there, `stop()` ends it cleanly."""

    def __init__(self, suite_dir):
        self.suite_dir = suite_dir
        self.user = "postgres" if os.geteuid() == 0 else None
        self.home = self._home()
        self.data = os.path.join(self.home, "data")
        self.socket_dir = os.path.join(self.home, "socket")
        self.log = os.path.join(self.home, "postgres.log")
        self.process = None

    def _home(self):
        inside = os.path.join(self.suite_dir, "postgres")
        if len(inside + "/socket" + SOCKET_NAME) <= SOCKET_PATH_MAX and self._reachable(self.suite_dir):
            return inside
        name = hashlib.sha256(os.path.realpath(self.suite_dir).encode()).hexdigest()[:12]
        return f"/var/tmp/godwit-{os.getuid()}-{name}"

    def _reachable(self, path):
        """True when the cluster's user may enter `path`."""
        if self.user is None:
            return True
        while True:
            if not os.stat(path).st_mode & stat.S_IXOTH:
                return False
            if path == "/":
                return True
            path = os.path.dirname(path)

    def command(self, *argv):
        """`argv` as the cluster's user; it dies with this process."""
        if self.user is None:
            return ["setpriv", "--pdeathsig", "INT", *argv]
        return ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups",
                "--pdeathsig", "INT", *argv]

    def start(self):
        if not os.path.exists(f"{BIN}/initdb"):
            raise SuiteError("PostgreSQL 15 is not installed: run tools/setup.")
        self._make_home()
        if not os.path.exists(os.path.join(self.data, "PG_VERSION")):
            self._init()
        self._spawn()

    def _make_home(self):
        owner = pwd.getpwnam(self.user) if self.user else pwd.getpwuid(os.getuid())
        try:
            os.mkdir(self.home, 0o700)
            os.chown(self.home, owner.pw_uid, owner.pw_gid)
        except FileExistsError:
            # Below /var/tmp anybody could have made a folder of this name first.
            if os.lstat(self.home).st_uid != owner.pw_uid or os.path.islink(self.home):
                raise SuiteError(f"{self.home} belongs to somebody else: remove it or take another --dir.")
        os.makedirs(self.socket_dir, mode=0o700, exist_ok=True)
        os.chown(self.socket_dir, owner.pw_uid, owner.pw_gid)

    def _init(self):
        partial = self.data + ".new"
        shutil.rmtree(partial, ignore_errors=True)
        # A file, because the cluster's user may not open our standard input.
        password_file = os.path.join(self.home, "password")
        with open(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            os.fchown(out.fileno(), os.stat(self.home).st_uid, -1)
            out.write(self.superuser_password() + "\n")
        done = subprocess.run(
            self.command(f"{BIN}/initdb", "--pgdata", partial, "--encoding", "UTF8", "--locale", "C.UTF-8",
                         "--username", "postgres", "--auth-local", "scram-sha-256",
                         "--auth-host", "reject", "--pwfile", password_file),
            text=True, capture_output=True, cwd="/")
        os.remove(password_file)
        if done.returncode != 0:
            raise SuiteError(f"initdb failed: {done.stderr.strip().splitlines()[-1:]}")
        with open(os.path.join(partial, "postgresql.auto.conf"), "a") as out:
            out.writelines(f"{key} = {value}\n" for key, value in SETTINGS.items())
        os.rename(partial, self.data)

    def superuser_password(self):
        path = os.path.join(self.suite_dir, "secrets", "postgres")
        if not os.path.exists(path):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(24))
        with open(path) as source:
            return source.read().strip()

    def _spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(f"{BIN}/postgres", "-D", self.data, "-k", self.socket_dir),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SuiteError(f"PostgreSQL did not start; see {self.log}.")
            if self.psql("SELECT 1", check=False) == "1":
                return
            time.sleep(0.05)
        raise SuiteError(f"PostgreSQL was not ready within a minute; see {self.log}.")

    def conninfo(self, user, password, database="godwit"):
        return f"host={self.socket_dir} port=5432 dbname={database} user={user} password={password}"

    def psql(self, sql, database="postgres", check=True):
        """Runs `sql` as superuser; gives its output without column names."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
             f"host={self.socket_dir} port=5432 dbname={database} user=postgres"],
            input=sql, text=True, capture_output=True,
            env={**os.environ, "PGPASSWORD": self.superuser_password(), "PGCONNECT_TIMEOUT": "5"})
        if check and done.returncode != 0:
            raise SuiteError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def restart(self):
        """After its end, however that came: PostgreSQL recovers by itself."""
        self._spawn()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """A fast shutdown: running transactions are rolled back, the cluster is left clean."""
        if not self.alive():
            return
        self.process.send_signal(2)  # SIGINT, PostgreSQL's fast shutdown
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.send_signal(3)  # SIGQUIT: recovery at the next start
            self.process.wait(10)
