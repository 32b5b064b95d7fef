"""tools/localserve as its user meets it: ports, folders, restarts, ends, and what it says when it can not."""

import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import harness

import cluster  # noqa: E402

MAIN = os.path.join(harness.ROOT, "tools", "suite", "main.py")


def localserve(*arguments):
    return subprocess.run([sys.executable, MAIN, *arguments], text=True, capture_output=True, timeout=120)


def free_base(count=40):
    """The first of `count` ports in a row that are free."""
    for base in range(21000, 32000, count):
        taken = False
        for port in range(base, base + count):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    taken = True
        if not taken:
            return base
    raise AssertionError("no free ports")


class Localserve(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="godwit-ls-")

    def tearDown(self):
        self.remove(self.dir)

    def remove(self, directory):
        """The suite, its folder, and its cluster, which may lie elsewhere."""
        localserve("--stop", "--dir", directory)
        shutil.rmtree(cluster.Cluster(directory).home, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)

    def told(self, directory=None):
        with open(os.path.join(directory or self.dir, "localserve.json")) as source:
            return json.load(source)

    def start(self, *arguments):
        done = localserve("--dir", self.dir, "--detach", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_ports_follow_base_in_order(self):
        base = free_base()
        table = self.start("--ports", str(base))
        told = self.told()
        self.assertEqual((told["smtp"], told["imap"], told["imaps"]),
                         (f"127.0.0.1:{base}", f"127.0.0.1:{base + 3}", f"127.0.0.1:{base + 4}"))
        for shown in (told["smtp"], told["imaps"], told["accounts"][0]["password"], told["ca_file"]):
            self.assertIn(shown, table)

    def test_free_ports_are_kept_for_the_next_start(self):
        self.start()
        first = self.told()
        with open(first["ca_file"]) as source:
            authority = source.read()
        shown = self.shown(authority)
        self.assertEqual(localserve("--stop", "--dir", self.dir).returncode, 0)
        self.assertFalse(os.path.exists(os.path.join(self.dir, "localserve.json")))
        self.start()
        second = self.told()
        for key in ("smtp", "imap", "imaps", "accounts", "admin", "postgres", "dkim"):
            self.assertEqual(first[key], second[key])
        self.assertEqual(self.shown(authority), shown)

    def test_settings_are_put_into_the_configurations(self):
        settings = os.path.join(self.dir, "settings.json")
        with open(settings, "w", encoding="utf-8") as out:
            out.write('{"smtp-ingress": {"hostname": "mx2.godwit.test", "limits": {"recipients": 100}}}')
        self.start("--settings", settings)
        with smtplib.SMTP(*harness.split(self.told()["smtp"]), timeout=10) as client:
            reply = client.ehlo()[1].decode()
        self.assertIn("mx2.godwit.test", reply)
        self.assertIn("RCPTMAX=100", reply)
        for told in ('{"smtp": {}}', '{"smtp-ingress": true}', "{"):
            with open(settings, "w", encoding="utf-8") as out:
                out.write(told)
            done = localserve("--dir", os.path.join(self.dir, "other"), "--settings", settings)
            self.assertEqual(done.returncode, 1)
            self.assertIn(settings, done.stderr)

    def test_the_signing_keys_are_published(self):
        self.start()
        told = self.told()
        self.assertEqual([key["name"] for key in told["dkim"]],
                         ["local-ed25519._domainkey.godwit.test", "local-rsa._domainkey.godwit.test"])
        for key in told["dkim"]:
            answer = harness.godwitctl("lookup", "dns", "TXT", key["name"], "--dns", told["dns"], "--json")
            self.assertEqual(answer["records"], [key["text"]])

    def test_a_daemon_that_dies_is_started_again_and_told_anew(self):
        self.start()
        before = self.told()["pids"]
        for name, pid in before.items():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            now = self.told()["pids"]
            if all(now[name] != pid for name, pid in before.items()):
                break
            time.sleep(0.05)
        self.assertTrue(all(now[name] != pid for name, pid in before.items()), (before, now))
        with socket.create_connection(harness.split(self.told()["smtp"]), timeout=10) as client:
            self.assertTrue(client.recv(100).startswith(b"220 "))

    def test_nothing_is_left_running_after_its_end(self):
        self.start()
        told = self.told()
        self.assertEqual(localserve("--stop", "--dir", self.dir).returncode, 0)
        for pid in (*told["pids"].values(), told["postgres_pid"]):
            self.assertFalse(os.path.exists(f"/proc/{pid}"), pid)
        self.assertIn("No suite is running", localserve("--stop", "--dir", self.dir).stdout)

    def test_a_long_and_closed_folder_will_do(self):
        deep = os.path.join(self.dir, "a" * 100, "b" * 60)
        os.makedirs(deep, mode=0o700)
        os.chmod(self.dir, 0o700)
        done = localserve("--dir", deep, "--detach")
        try:
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("smtp", self.told(deep))
        finally:
            self.remove(deep)

    def test_two_suites_in_one_folder_are_refused(self):
        self.start()
        done = localserve("--dir", self.dir, "--detach")
        self.assertEqual(done.returncode, 1)
        self.assertIn("running in", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        # A refused start once took the running suite's description away.
        self.assertIn("smtp", self.told())

    def test_a_start_that_fails_says_why(self):
        with open(os.path.join(self.dir, "logs"), "w"):
            pass
        done = localserve("--dir", self.dir, "--detach")
        self.assertEqual(done.returncode, 1)
        self.assertIn("File exists", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_a_port_that_is_taken_is_named(self):
        base = free_base()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", base))
            taken.listen()
            done = localserve("--dir", self.dir, "--ports", str(base))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"Port {base} ", done.stderr)
        self.assertIn("smtp", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_an_authority_of_an_older_suite_is_kept(self):
        """Before acme there was, openssl made the authority: clients were told to trust it."""
        public = os.path.join(self.dir, "pki", "public")
        os.makedirs(public)
        key, certificate = os.path.join(public, "ca.key"), os.path.join(public, "ca.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "3650", "-subj", "/CN=Godwit local public CA",
                        "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"], check=True, capture_output=True)
        with open(certificate) as source:
            old = source.read()
        self.start()
        self.assertEqual(self.told()["ca_file"], certificate)
        with open(certificate) as source:
            self.assertEqual(source.read(), old)
        self.shown(old)
        self.assertFalse(os.path.exists(key), "its key is in the database only")

    def shown(self, authority):
        """The certificate that the suite shows to one who trusts `authority`."""
        with socket.create_connection(harness.split(self.told()["imaps"]), timeout=10) as tcp, \
                ssl.create_default_context(cadata=authority).wrap_socket(tcp, server_hostname="mx.godwit.test") as tls:
            return tls.getpeercert(binary_form=True)

    def test_secrets_are_for_their_owner_only(self):
        self.start()
        for path in ("localserve.json", "secrets/accounts.json", "secrets/roles.json", "secrets/postgres",
                     "pki/acme", "pki/imap-gateway/rpc.pem", "pki/imap-gateway/mx.godwit.test.pem"):
            self.assertEqual(os.stat(os.path.join(self.dir, path)).st_mode & 0o077, 0, path)


if __name__ == "__main__":
    harness.main()
