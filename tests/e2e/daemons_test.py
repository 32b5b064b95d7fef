"""What an operator asks of running daemons: godwitctl status, log-level, drain, certificates."""

import email.policy
import json
import os
import socket
import subprocess

import harness

import configs  # noqa: E402


def ask(*argv, config):
    """(exit status, standard output, standard error) of godwitctl, which finds its daemons by the environment."""
    done = subprocess.run([configs.binary(harness.ROOT, "godwitctl"), *argv], text=True, capture_output=True,
                          timeout=60, env={**os.environ, "GODWITCTL_CONFIG": config})
    return done.returncode, done.stdout, done.stderr


class Daemons(harness.SuiteCase):
    def ctl(self, *argv):
        return ask(*argv, config=self.suite.told["godwitctl"])

    def status(self, *daemons):
        code, out, err = self.ctl("status", *daemons, "--json")
        self.assertEqual(code, 0, out + err)
        return {row["daemon"]: row for row in json.loads(out)}

    def log(self, daemon):
        with open(os.path.join(self.suite.dir, "logs", f"{daemon}.log")) as source:
            return [json.loads(line) for line in source if line.startswith("{")]

    def test_status_of_all(self):
        told = self.suite.told
        rows = self.status()
        self.assertEqual({name: row["pid"] for name, row in rows.items()}, told["pids"])
        self.assertEqual({(row["serving"], row["draining"]) for row in rows.values()}, {(True, False)})
        self.assertEqual(len({row["version"] for row in rows.values()}), 1)
        code, out, _ = self.ctl("status")
        self.assertEqual(code, 0)
        for name in rows:
            self.assertIn(name, out)
        self.assertEqual(list(self.status("acme")), ["acme"])

    def test_status_counts_connections(self):
        before = self.status("smtp-ingress")["smtp-ingress"]["connections"]
        with self.smtp(), self.smtp(starttls=False):
            self.wait_for(lambda: self.status("smtp-ingress")["smtp-ingress"]["connections"] >= before + 2)

    def test_status_shows_settings_but_no_secret(self):
        settings = self.status("imap-gateway")["imap-gateway"]["settings"]
        self.assertEqual(settings["hostname"], "mx.godwit.test")
        self.assertEqual(settings["database.conninfo"], "(secret)")
        code, out, _ = self.ctl("status", "--json")
        self.assertEqual(code, 0)
        with open(os.path.join(self.suite.dir, "secrets", "roles.json")) as source:
            for password in json.load(source).values():
                self.assertNotIn(password, out)

    def test_log_level_takes_effect_and_goes_back(self):
        self.assertEqual(self.ctl("log-level", "auth-verifier", "debug")[0], 0)
        self.assertEqual(self.status("auth-verifier")["auth-verifier"]["log_level"], "debug")
        message = harness.message("ann@sender.test", self.alice)
        self.assertEqual(self.send("ann@sender.test", [self.alice], message), {})
        self.wait_for(lambda: any(line["level"] == "debug" for line in self.log("auth-verifier")))
        self.assertEqual(self.ctl("log-level", "auth-verifier", "info")[0], 0)
        code, _, err = self.ctl("log-level", "auth-verifier", "loud")
        self.assertEqual(code, 1)
        self.assertIn("loud", err)
        self.assertEqual(self.status("auth-verifier")["auth-verifier"]["log_level"], "info")

    def test_drain_finishes_what_is_in_flight_and_another_takes_over(self):
        before = self.suite.told["pids"]["smtp-ingress"]
        client = self.smtp()
        client.ehlo()
        for reply, code in ((client.mail("ann@sender.test"), 250), (client.rcpt(self.bob), 250),
                            (client.docmd("DATA"), 354)):
            self.assertEqual(reply[0], code)
        code, out, err = self.ctl("drain", "smtp-ingress")
        self.assertEqual(code, 0, err)
        self.assertIn("smtp-ingress", out)
        self.wait_for(lambda: any(line["event"] == "draining" for line in self.log("smtp-ingress")))
        client.send(harness.message("ann@sender.test", self.bob, subject="in flight").as_bytes(
            policy=email.policy.SMTP) + b"\r\n.\r\n")
        self.assertEqual(client.getreply()[0], 250)
        client.close()

        def taken_over():
            try:
                return self.suite.told["pids"]["smtp-ingress"] != before
            except OSError:
                return False
        self.wait_for(taken_over, 30)
        self.assertEqual([line["event"] for line in self.log("smtp-ingress")].count("stopped"), 1)
        self.wait_for(lambda: any(b"Subject: in flight" in text for text in self.inbox(self.bob)))
        self.wait_for(lambda: self.ctl("status", "smtp-ingress")[0] == 0)

    def test_what_does_not_answer_is_told(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            with open(self.suite.told["godwitctl"]) as source:
                config = json.load(source)
            config["daemons"] = [{"name": "acme", "targets": [f"127.0.0.1:{closed.getsockname()[1]}"]}]
            path = os.path.join(self.suite.dir, "elsewhere.yaml")
            with open(path, "w") as out:
                json.dump(config, out)
            code, out, _ = ask("status", "--json", config=path)
            self.assertEqual(code, 1)
            self.assertIn("UNAVAILABLE", json.loads(out)[0]["error"])
            # The server there is not the daemon that was meant.
            config["daemons"] = [{"name": "acme", "targets": [self.suite.told["grpc"]["auth-verifier"]]}]
            with open(path, "w") as out:
                json.dump(config, out)
            code, out, _ = ask("status", "--json", config=path)
            self.assertEqual(code, 1)
            self.assertIn("error", json.loads(out)[0])
        code, _, err = self.ctl("status", "nobody")
        self.assertEqual(code, 1)
        self.assertIn("nobody", err)
        code, _, err = ask("status", config="/no/such/file")
        self.assertEqual(code, 1)
        self.assertIn("/no/such/file", err)

    def test_certificates_are_listed(self):
        code, out, err = self.ctl("certificates", "--json")
        self.assertEqual(code, 0, err)
        listed = json.loads(out)
        names = {(row["kind"], row["name"]) for row in listed["certificates"]}
        self.assertIn(("public", "mx.godwit.test"), names)
        self.assertIn(("rpc", "godwitctl"), names)
        self.assertEqual({row["name"] for row in listed["authorities"]}, {"public", "rpc"})
        self.assertNotIn("PRIVATE KEY", out)
        with open(self.suite.told["ca_file"]) as source:
            self.assertIn(source.read(), [row["certificate"] for row in listed["authorities"]])
        self.assertIn("mx.godwit.test", self.ctl("certificates")[1])


if __name__ == "__main__":
    harness.main()
