"""The servers that tests/bench/relay.py measures, and the sink behind them.

Users log in over TLS, each message is signed with one RSA-2048 key and goes to Postfix's smtp-sink,
which takes everything at once and without TLS.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import receivers
from peer import PEERS, Peer, harness, postfix_peer, wait

DOMAIN = receivers.DOMAIN
SINK_DOMAIN = "sink.test"
RECIPIENT = f"ann@{SINK_DOMAIN}"
USERS = 10
DELIVERED = 'godwit_delivery_queue_recipients_total{result="delivered",route="direct"} '


class Sink:
    """smtp-sink; with `dump` it keeps the messages in one file."""

    def __init__(self, folder, port, dump=False):
        self.folder = os.path.join(folder, "dump")
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o777)
        options = ["-D", "/srv/dump/all"] if dump else []
        self.peer = Peer("postfix", ["smtp-sink", "-u", "postfix", *options, f"127.0.0.1:{port}", "1000"],
                         os.path.join(folder, "sink"), [f"{self.folder}:/srv/dump"])
        self.peer.wait_listens(port)

    def messages(self):
        try:
            with open(os.path.join(self.folder, "all"), "rb") as source:
                return source.read()
        except FileNotFoundError:
            return b""

    def close(self):
        self.peer.close()


class Godwit:
    """The suite as tools/localserve starts it, sending direct: tls-policy says where to."""

    name = "godwit"

    def __init__(self, sink_port):
        self.suite = harness.Suite([f"{SINK_DOMAIN}. 60 IN MX 10 mx.{SINK_DOMAIN}.", f"mx.{SINK_DOMAIN}. 60 IN A 127.0.0.1"],
                                   ["--outbound", "direct", "--outbound-port", str(sink_port)])
        self.address = self.suite.told["submissions"]
        self.ca_file = self.suite.told["ca_file"]
        self.users = [[f"u{number}@{DOMAIN}", self.suite.add_account(f"u{number}@{DOMAIN}")]
                      for number in range(USERS)]
        for key in harness.godwitctl("dkim", "list", "--domain", DOMAIN, "--json", conninfo=self.suite.superuser()):
            if key["algorithm"] != "rsa-sha256":
                harness.godwitctl("dkim", "retire", DOMAIN, key["selector"], conninfo=self.suite.superuser())
        time.sleep(3)  # until auth-verifier has seen it

    def processes(self):
        told = self.suite.told
        return {**told["pids"], "postgres": told["postgres_pid"], "(dns)": self.suite.unbound.process.pid}

    def mark(self):
        with urllib.request.urlopen(f"http://{self.suite.told['metrics']['delivery-queue']}/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(DELIVERED):
                    return float(line[len(DELIVERED):])
        sys.exit("delivery-queue does not count " + DELIVERED)

    def delivered(self, mark, count):
        wait(300, "Godwit's deliveries", lambda: self.mark() >= mark + count)

    def close(self):
        self.suite.close()


class PostfixOpendkim:
    """Debian's Postfix as shipped, Dovecot's auth for its users, opendkim for its signatures."""

    name = "postfix+opendkim"

    def __init__(self, sink_port):
        self.folder = tempfile.mkdtemp(prefix="godwit-bench-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.users = [[f"u{number}@{DOMAIN}", f"secret-{number}"] for number in range(USERS)]
        self.ca_file = os.path.join(self.folder, "tls.crt")
        self.peers = {}
        auth, milter, port = (harness.free_port() for _ in range(3))
        self._start_dovecot(auth)
        self._start_opendkim(milter)
        self.address = f"127.0.0.1:{port}"
        self._start_postfix(port, auth, milter, sink_port)

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
        return path

    def _start_dovecot(self, port):
        # The same work as ours for each login: SCRAM-SHA-256 verifiers of 4,096 rounds.
        words = subprocess.run([PEERS, "--run", "dovecot", "--", "sh", "-ec", "".join(
            f"doveadm -c /dev/null pw -s SCRAM-SHA-256 -r 4096 -p '{password}'\n" for _, password in self.users)],
            capture_output=True, text=True, check=True).stdout.split()
        users = self._write("users", "".join(f"{name}:{word}\n" for (name, _), word in zip(self.users, words)))
        config = self._write("dovecot.conf", f"""protocols =
ssl = no
log_path = /var/log/dovecot.log
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home=/var/mail/%n
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
""")
        self.peers["dovecot"] = Peer("dovecot", ["dovecot", "-F"], os.path.join(self.folder, "dovecot"), [
            f"{config}:/etc/dovecot/dovecot.conf", f"{users}:/etc/dovecot/users"])
        self.peers["dovecot"].wait_listens(port)

    def _start_opendkim(self, port):
        key = os.path.join(self.folder, "rsa.pem")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        os.chmod(key, 0o644)
        config = self._write("opendkim.conf", f"""Mode s
Domain {DOMAIN}
Selector rsa
KeyFile /etc/dkimkeys/rsa.pem
RequireSafeKeys no
Canonicalization relaxed/relaxed
OversignHeaders From
InternalHosts 127.0.0.1
Socket inet:{port}@127.0.0.1
UserID opendkim
Syslog no
""")
        self.peers["opendkim"] = Peer("opendkim", ["opendkim", "-f", "-x", "/etc/opendkim.conf"],
                                      os.path.join(self.folder, "opendkim"),
                                      [f"{config}:/etc/opendkim.conf", f"{key}:/etc/dkimkeys/rsa.pem"])
        self.peers["opendkim"].wait_listens(port)

    def _start_postfix(self, port, auth, milter, sink_port):
        key = os.path.join(self.folder, "tls.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", self.ca_file, "-days", "30", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        self.postfix = postfix_peer.Postfix(harness.ROOT, os.path.join(self.folder, "postfix"), [
            f"relayhost = [127.0.0.1]:{sink_port}",
            "smtpd_tls_cert_file = /etc/postfix/tls.crt", "smtpd_tls_key_file = /etc/postfix/tls.key",
            f"smtpd_milters = inet:127.0.0.1:{milter}", "milter_default_action = tempfail",
            "smtpd_sasl_type = dovecot", f"smtpd_sasl_path = inet:127.0.0.1:{auth}",
        ], [f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes"
            " -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"])
        for source in (self.ca_file, key):
            shutil.copy(source, self.postfix.path("etc/postfix"))
        self.postfix.start()

    def processes(self):
        return {"postfix": self.postfix.process.pid, **{name: peer.process.pid for name, peer in self.peers.items()}}

    def mark(self):
        return os.path.getsize(self.postfix.path("var/log/postfix.log"))

    def delivered(self, mark, count):
        receivers.wait_sent(self.postfix, mark, count)

    def close(self):
        self.postfix.stop()
        for peer in self.peers.values():
            peer.close()
        shutil.rmtree(self.folder, ignore_errors=True)
