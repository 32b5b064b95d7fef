"""Keeps the suite's processes running: starts them in order, restarts one that dies, ends all."""

import ctypes
import os
import signal
import subprocess
import time
import urllib.request

from errors import SuiteError

READY_SECONDS = 30
GRACE_SECONDS = 20
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Daemon:
    """One of Godwit's daemons: a command line, a log, and an address that tells whether it is ready."""

    def __init__(self, name, command, log, metrics, environment):
        self.name = name
        self.command = command
        self.log = log
        self.metrics = metrics
        self.environment = environment
        self.process = None
        self.restarts = 0
        self._retry_at = 0.0

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=_die_with_parent, env={**os.environ, **self.environment})

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.metrics}/readyz", timeout=1) as reply:
                return reply.status == 200
        except OSError:
            return False

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready():
            if not self.alive():
                raise SuiteError(f"{self.name} ended at once: {self.last_words()}")
            if time.monotonic() > deadline:
                raise SuiteError(f"{self.name} was not ready within {READY_SECONDS} s; see {self.log}.")
            time.sleep(0.02)

    def last_words(self):
        try:
            with open(self.log, errors="replace") as source:
                lines = source.read()[-4000:].strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"see {self.log}"

    def restart_if_dead(self):
        """True when it was started again. The pause grows to ten seconds while it keeps dying."""
        now = time.monotonic()
        if self.alive() or now < self._retry_at:
            return False
        self.restarts += 1
        self._retry_at = now + min(10.0, 0.1 * 2 ** min(self.restarts, 7))
        self.start()
        return True

    def terminate(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)

    def wait_ended(self):
        if self.process is None:
            return
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def stop_all(daemons):
    for daemon in daemons:
        daemon.terminate()
    for daemon in daemons:
        daemon.wait_ended()
