#!/usr/bin/python3
"""tools/peers, with the real servers: unbound and nsd answer, Postfix delivers."""

import importlib.machinery
import importlib.util
import os
import signal
import smtplib
import socket
import subprocess
import tempfile
import threading
import time
import unittest

PEERS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "peers")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: nothing after {seconds} s")


def dig(port, *question):
    result = subprocess.run(["dig", "@127.0.0.1", "-p", str(port), "+short", "+tries=1", "+time=1",
                             *question], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""


class SmtpSink:
    """Takes one mail at a loopback port and keeps what it saw."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lines = []
        self.done = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connection, _ = self.listener.accept()
        self.listener.close()
        with connection, connection.makefile("rwb") as stream:
            def say(text):
                stream.write(text.encode() + b"\r\n")
                stream.flush()
            say("220 sink.test")
            in_data = False
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                self.lines.append(line)
                if in_data and line != ".":
                    continue
                if in_data:
                    self.done.set()
                in_data = line == "DATA"
                say("354 go" if in_data else "250 ok")
                if line == "QUIT":
                    return


class PeersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Not within the time limits below.
        subprocess.run([PEERS, "nsd", "unbound", "postfix"], check=True, stdout=subprocess.DEVNULL)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gw", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def start(self, *arguments):
        process = subprocess.Popen([PEERS, *arguments], stdin=subprocess.DEVNULL)
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process):
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def run_in(self, peer, *command, options=()):
        return subprocess.run([PEERS, *options, "--run", peer, "--", *command], check=False,
                              capture_output=True, text=True, timeout=120)

    def test_a_root_is_made_anew_for_its_own_recipe_only(self):
        before = {name: self.stamp_in_copy(name) for name in ("nsd", "unbound")}
        changed = '"nsd": Peer(["nsd"', '"nsd": Peer(["nsd", "another"'
        self.assertNotEqual(self.stamp_in_copy("nsd", changed), before["nsd"])
        self.assertEqual(self.stamp_in_copy("unbound", changed), before["unbound"])
        self.assertNotEqual(self.stamp_in_copy("unbound", ('"usr/share/doc"', '"usr/share/docs"')), before["unbound"])

    def stamp_in_copy(self, name, change=("", "")):
        with open(PEERS, encoding="utf-8") as source:
            copy = self.file("peers", source.read().replace(*change, 1))
        loader = importlib.machinery.SourceFileLoader("peers", copy)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("peers", loader))
        loader.exec_module(module)
        return module.stamp_of(name)

    def test_exit_status_and_output_are_the_commands(self):
        result = self.run_in("nsd", "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("out\n", "err\n", 7))
        self.assertEqual(self.run_in("nsd", "sh", "-c", "kill -9 $$").returncode, 128 + 9)
        self.assertEqual(self.run_in("nsd", "no-such-command").returncode, 1)

    def test_a_run_sees_only_its_own_and_changes_nothing(self):
        marker = "/etc/marker"
        first = self.run_in("nsd", "sh", "-c", f"touch {marker} /var/lib/nsd/x && id -un && ls -d /proc/[0-9]* | wc -l")
        user, processes = first.stdout.split()
        self.assertEqual(user, "root")
        self.assertLess(int(processes), 8)
        self.assertNotEqual(self.run_in("nsd", "test", "-e", marker).returncode, 0)
        self.assertNotEqual(self.run_in("nsd", "touch", "/usr/bin/x").returncode, 0)
        self.assertFalse(os.path.exists(marker))

    def test_state_is_kept_where_one_says(self):
        state = ["--state", os.path.join(self.folder, "state")]
        self.assertEqual(self.run_in("nsd", "sh", "-c", "echo kept > /etc/kept", options=state).returncode, 0)
        self.assertEqual(self.run_in("nsd", "cat", "/etc/kept", options=state).stdout, "kept\n")

    def test_files_of_the_machine_can_be_shown_inside(self):
        shown = self.file("shown", "hello\n")
        result = self.run_in("nsd", "cat", "/etc/shown", options=["--bind", f"{shown}:/etc/shown"])
        self.assertEqual(result.stdout, "hello\n")
        self.assertIn("must be below", self.run_in("nsd", "true", options=["--bind", f"{shown}:/usr/x"]).stderr)

    def start_nsd(self, port):
        config = self.file("nsd.conf", self.nsd_config(port))
        zone = self.file("zone", "$ORIGIN example.test.\n$TTL 60\n"
                         "@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n@ MX 10 mx\n")
        return self.start("--bind", f"{config}:/etc/nsd/nsd.conf",
                          "--bind", f"{zone}:/etc/nsd/nsd.conf.zone", "--run", "nsd", "--", "nsd", "-d")

    def test_whatever_ends_us_ends_all_inside(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            port = free_port()
            process = self.start_nsd(port)
            wait_for(lambda port=port: dig(port, "example.test", "SOA"), "nsd")
            process.send_signal(number)
            process.wait(20)
            wait_for(lambda port=port: not dig(port, "example.test", "SOA"), "nsd is still there")

    @staticmethod
    def nsd_config(port):
        return (f'server:\n  ip-address: 127.0.0.1\n  port: {port}\n  username: ""\n  verbosity: 0\n'
                'remote-control:\n  control-enable: no\nzone:\n  name: example.test\n  zonefile: /etc/nsd/nsd.conf.zone\n')

    def test_nsd_serves_a_zone(self):
        port = free_port()
        self.start_nsd(port)
        answer = wait_for(lambda: dig(port, "example.test", "MX"), "nsd")
        self.assertEqual(answer, "10 mx.example.test.")

    def test_unbound_answers_from_a_local_zone(self):
        port = free_port()
        config = self.file("unbound.conf", f"""server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  use-syslog: no
  do-daemonize: no
  pidfile: ""
  local-zone: "godwit.test." static
  local-data: 'godwit.test. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"'
""")
        self.start("--bind", f"{config}:/etc/unbound/unbound.conf", "--run", "unbound", "--", "unbound", "-d")
        answer = wait_for(lambda: dig(port, "godwit.test", "TXT"), "unbound")
        self.assertEqual(answer, '"v=spf1 ip4:127.0.0.1 -all"')

    @unittest.skipIf(os.geteuid() != 0 and not os.path.exists("/usr/bin/newuidmap"),
                     "Postfix needs users of its own; the package uidmap is not there")
    def test_postfix_takes_a_mail_and_delivers_it(self):
        sink = SmtpSink()
        port = free_port()
        state = os.path.join(self.folder, "state")
        self.addCleanup(subprocess.run, [PEERS, "--remove", state], check=True)
        self.assertEqual(self.run_in("postfix", "true", options=["--state", state]).returncode, 0)
        with open(os.path.join(state, "etc/postfix/main.cf"), "a", encoding="utf-8") as config:
            config.write(f"myhostname = postfix.test\nmydestination =\nrelayhost = [127.0.0.1]:{sink.port}\n"
                         "mynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"
                         "maillog_file = /dev/stdout\nsmtputf8_enable = no\n")
        with open(os.path.join(state, "etc/postfix/master.cf"), "r+", encoding="utf-8") as config:
            text = config.read().replace("smtp inet n", f"127.0.0.1:{port} inet n", 1)
            config.seek(0)
            config.write(text)
        self.start("--state", state, "--run", "postfix", "--", "postfix", "start-fg")

        def submit():
            try:
                with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                    client.sendmail("a@one.test", ["b@two.test"], "Subject: hello\r\n\r\nthrough Postfix\r\n")
                return True
            except OSError:
                return False
        wait_for(submit, "Postfix")
        self.assertTrue(sink.done.wait(30))
        self.assertIn("RCPT TO:<b@two.test>", [line.split(" ORCPT")[0] for line in sink.lines])
        self.assertIn("through Postfix", sink.lines)
        self.assertIn("by postfix.test (Postfix)", "\n".join(sink.lines))


if __name__ == "__main__":
    unittest.main()
