"""Programs of private roots (tools/peers) that run beside each other, and waiting for them."""

import os
import socket
import subprocess
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "e2e"), os.path.join(TESTS, "interop")]

import harness  # noqa: E402
import postfix_peer  # noqa: E402,F401

PEERS = os.path.join(harness.ROOT, "tools", "peers")


def wait(seconds, what, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: nothing within {seconds} s")
        time.sleep(0.05)


def listens(address):
    """True when a connection to it opens: a port of 127.0.0.1, or the path of a socket."""
    family, where = (socket.AF_INET, ("127.0.0.1", address)) if isinstance(address, int) else (socket.AF_UNIX, address)
    with socket.socket(family) as probe:
        probe.settimeout(1)
        try:
            probe.connect(where)
        except OSError:
            return False
    return True


class Peer:
    """One program, until close()."""

    def __init__(self, name, command, state, binds=()):
        self.log = state + ".out"
        options = ["--state", state]
        for bind in binds:
            options += ["--bind", bind]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([PEERS, *options, "--run", name, "--", *command],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def wait_listens(self, address):
        def ready():
            if self.process.poll() is not None:
                with open(self.log, errors="replace", encoding="utf-8") as source:
                    sys.exit(f"{self.process.args}: " + source.read())
            return listens(address)
        wait(180, str(self.process.args), ready)

    def close(self):
        self.process.terminate()
        self.process.wait(30)
