"""A signed zone on nsd, and a validating unbound in front of it, on loopback (tools/peers).

    dns = SignedZone(ROOT, folder, zone_text, unsigned={"plain.test": text}, break_names=["_25._tcp.mx.signed.test"])
    dns.start()
    dns.address      # HOST:PORT of the resolver, which validates
    dns.stop()

`zone_text` has records of signed.test, relative names allowed; SOA and NS are added. The signatures of
`break_names` are damaged after signing, so that the resolver answers SERVFAIL for them.
"""

import os
import random
import re
import socket
import subprocess
import time

ZONE = "signed.test"
HEAD = "$ORIGIN {0}.\n$TTL 300\n@ SOA ns.{0}. post.{0}. 1 3600 600 86400 60\n@ NS ns.{0}.\nns A 127.0.0.1\n"


def _free_port():
    """Not one of those that localserve or outgoing connections get: they may take it before ours listens."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class SignedZone:
    def __init__(self, root, folder, zone_text, unsigned=None, break_names=(), resolver=("127.0.0.1", None)):
        self.peers = os.path.join(root, "tools", "peers")
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.nsd_port = _free_port()
        self.host, port = resolver[0], resolver[1] or _free_port()
        self.address = f"{self.host}:{port}"
        self.port = port
        self.unsigned = unsigned or {}
        self.processes = []
        self._write(f"{ZONE}.zone", HEAD.format(ZONE) + zone_text)
        for name, text in self.unsigned.items():
            self._write(f"{name}.zone", HEAD.format(name) + text)
        self._sign()
        self._damage(break_names)
        self._write("nsd.conf", self._nsd_conf())
        self._write("unbound.conf", self._unbound_conf())

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as out:
            out.write(text)

    def _command(self, peer, argv):
        return [self.peers, "--bind", f"{self.folder}:/srv/dns", "--run", peer, "--", *argv]

    def _sign(self):
        script = (f"cd /srv/dns && key=$(ldns-keygen -a ECDSAP256SHA256 -k {ZONE}) && cat $key.key > anchor && "
                  f"ldns-signzone -f {ZONE}.signed {ZONE}.zone $key")
        done = subprocess.run(self._command("nsd", ["sh", "-ec", script]), capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise AssertionError(f"signing: {done.stderr}{done.stdout}")

    def _damage(self, names):
        path = os.path.join(self.folder, f"{ZONE}.signed")
        with open(path, encoding="utf-8") as source:
            lines = source.read().splitlines()
        for name in names:
            pattern = re.compile(re.escape(name) + r"\.\s+\d+\s+IN\s+RRSIG\s+TLSA\s")
            hit = [i for i, line in enumerate(lines) if pattern.match(line)]
            if len(hit) != 1:
                raise AssertionError(f"{name}: {len(hit)} signatures")
            before, signature = lines[hit[0]].rstrip().rsplit(None, 1)
            lines[hit[0]] = f"{before} {'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")

    def _nsd_conf(self):
        lines = ["server:", f"  ip-address: 127.0.0.1@{self.nsd_port}", '  username: ""', '  pidfile: ""',
                 '  database: ""', '  zonelistfile: "/tmp/zone.list"', '  xfrdfile: "/tmp/xfrd.state"',
                 '  zonesdir: "/srv/dns"', "remote-control:", "  control-enable: no",
                 "zone:", f"  name: {ZONE}", f"  zonefile: {ZONE}.signed"]
        for name in self.unsigned:
            lines += ["zone:", f"  name: {name}", f"  zonefile: {name}.zone"]
        return "\n".join(lines) + "\n"

    def _unbound_conf(self):
        lines = ["server:", f"  interface: {self.host}@{self.port}", "  access-control: 127.0.0.0/8 allow",
                 "  do-daemonize: no", '  username: ""', '  chroot: ""', '  pidfile: ""', '  directory: "/srv/dns"',
                 "  use-syslog: no", "  num-threads: 1", '  module-config: "validator iterator"',
                 "  do-not-query-localhost: no", '  trust-anchor-file: "/srv/dns/anchor"', "  val-log-level: 1",
                 '  local-zone: "test." nodefault', "  domain-insecure: plain.test"]
        for name in [ZONE, *self.unsigned]:
            lines += ["stub-zone:", f"  name: {name}", f"  stub-addr: 127.0.0.1@{self.nsd_port}"]
        return "\n".join(lines) + "\n"

    def start(self):
        for peer, argv in (("nsd", ["/usr/sbin/nsd", "-d", "-c", "/srv/dns/nsd.conf"]),
                           ("unbound", ["/usr/sbin/unbound", "-d", "-p", "-c", "/srv/dns/unbound.conf"])):
            log = open(os.path.join(self.folder, f"{peer}.log"), "wb")
            self.processes.append(subprocess.Popen(self._command(peer, argv), stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log, start_new_session=True))
            log.close()
        deadline = time.monotonic() + 30
        while not self._answers():
            if any(process.poll() is not None for process in self.processes) or time.monotonic() > deadline:
                raise AssertionError("the DNS servers did not start: " + self.logs())
            time.sleep(0.1)

    def _answers(self):
        done = subprocess.run(["dig", "+short", "+tries=1", "+time=1", f"@{self.host}", "-p", str(self.port),
                               f"ns.{ZONE}", "A"], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() == "127.0.0.1"

    def logs(self):
        text = ""
        for name in ("nsd.log", "unbound.log"):
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as source:
                text += f"{name}: {source.read()[-3000:]}\n"
        return text

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                process.wait(20)
