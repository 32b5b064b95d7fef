"""Every RPC of every daemon, called as every daemon: only those that docs/architecture.md lists get in.

The methods come from each daemon's reflection, so none can be forgotten: neither in the document nor in
a daemon's table.
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

PERMISSION_DENIED = 7
UNAUTHENTICATED = 16
NAMES = ["smtp-ingress", "submission", "imap-gateway", "delivery-queue", "auth-verifier", "tls-policy",
         "webmail-api", "acme", "godwitctl"]
HEALTH = "/grpc.health.v1.Health/Check"


def documented():
    """{(method, daemon or "every daemon"): callers}, from the table under "## RPCs"."""
    with open(os.path.join(harness.ROOT, "docs", "architecture.md")) as source:
        section = source.read().split("\n## RPCs\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        for daemon in re.split(r",\s*", cells[1]):
            found["/" + cells[0].strip("`"), daemon] = set(re.split(r",\s*", cells[2]))
    return found


class Callers(harness.SuiteCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.grpc = cls.suite.told["grpc"]
        cls.table = documented()
        path = os.path.join("tests", "callers", "callers_probe")
        places = [os.environ.get("GODWIT_BIN_ROOT", ""), harness.ROOT, os.path.join(harness.ROOT, "bazel-bin")]
        probe = next(found for place in places if os.path.exists(found := os.path.join(place, path)))
        cls.probe = subprocess.Popen([probe, os.path.join(cls.suite.dir, "pki")], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.methods = {daemon: set(cls.ask("methods", daemon, "godwitctl").split()) for daemon in cls.grpc}

    @classmethod
    def tearDownClass(cls):
        cls.probe.stdin.close()
        cls.probe.wait(30)
        cls.probe.stdout.close()
        super().tearDownClass()

    @classmethod
    def ask(cls, command, daemon, caller, method=""):
        cls.probe.stdin.write(f"{command} {cls.grpc[daemon]} {daemon} {caller} {method}\n")
        cls.probe.stdin.flush()
        return cls.probe.stdout.readline().rstrip("\n")

    def call(self, daemon, caller, method):
        """(code, text) of the status."""
        code, _, text = self.ask("call", daemon, caller, method).partition(" ")
        return int(code), text

    def callers_of(self, daemon, method):
        return self.table.get((method, daemon), self.table.get((method, "every daemon")))

    def test_every_daemon_has_an_rpc_listener_with_the_admin_service(self):
        self.assertEqual(set(self.grpc), set(self.suite.told["pids"]))
        for daemon, methods in self.methods.items():
            with self.subTest(daemon=daemon):
                for method in ("Status", "SetLogLevel", "Drain"):
                    self.assertIn(f"/godwit.admin.v1.Admin/{method}", methods)

    def test_what_daemons_serve_is_what_is_documented(self):
        served = {(method, daemon) for daemon, methods in self.methods.items() for method in methods}
        listed = {(method, daemon) for (method, where) in self.table
                  for daemon in (self.grpc if where == "every daemon" else [where]) if daemon in self.grpc}
        self.assertEqual(served, listed)

    def test_each_method_takes_its_callers_and_refuses_all_others(self):
        calls = 0
        for daemon, methods in self.methods.items():
            for method in sorted(methods):
                allowed = self.callers_of(daemon, method)
                self.assertIsNotNone(allowed, f"{method} of {daemon} is not in docs/architecture.md")
                self.assertLessEqual(allowed, set(NAMES), method)
                for caller in NAMES:
                    with self.subTest(daemon=daemon, method=method, caller=caller):
                        code, text = self.call(daemon, caller, method)
                        calls += 1
                        if caller in allowed:
                            self.assertNotIn("may not call", text)
                            self.assertNotIn(code, (UNAUTHENTICATED, PERMISSION_DENIED, 14, 4), text)
                        else:
                            self.assertEqual((code, text), (UNAUTHENTICATED, f"{caller} may not call {method}"))
        self.assertGreaterEqual(calls, len(self.grpc) * 3 * len(NAMES))

    def test_nobody_may_call_what_is_not_there(self):
        for daemon in self.grpc:
            with self.subTest(daemon=daemon):
                self.assertEqual(self.call(daemon, "godwitctl", "/godwit.admin.v1.Admin/Nothing")[0],
                                 UNAUTHENTICATED)

    def test_health_is_open_to_every_daemon(self):
        for daemon in self.grpc:
            for caller in NAMES:
                with self.subTest(daemon=daemon, caller=caller):
                    self.assertEqual(self.call(daemon, caller, HEALTH)[0], 0)


if __name__ == "__main__":
    harness.main()
