"""opendkim of Debian in a private root (tools/peers), spoken to as a mail server does: by its milter protocol.

    opendkim = OpenDkim(ROOT, folder, records={"s._domainkey.a.test": b"v=DKIM1; ..."},
                        keys={"s": ("a.test", "/path/of/key.pem")}, signed=["from", "to"], oversigned=["from"])
    opendkim.start()
    opendkim.verify(message)                                     # ["pass", "fail"]: of each signature
    opendkim.sign(message, "rsa-sha256", "simple/relaxed", "s")  # b"DKIM-Signature: ...\r\n"
    opendkim.stop()

It looks `records` up in a file. A daemon signs with one algorithm in one form, so there is one for each pair, and one
that verifies.
"""

import itertools
import os
import re
import socket
import struct
import subprocess
import time

INSIDE = "/srv/opendkim"  # where it sees `folder`
ALGORITHMS = ("rsa-sha256", "rsa-sha1", "ed25519-sha256")
FORMS = ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed")
CONFIGURATION = """
Socket local:{inside}/{name}.sock
PidFile {inside}/{name}.pid
Syslog no
UMask 000
RequireSafeKeys no
On-Default accept
"""
VERIFIER = """
Mode v
TestDNSData file:{inside}/zone
AlwaysAddARHeader yes
AuthservID opendkim.test
MinimumKeyBits 1024
ClockDrift 300
"""
# Which key is said in a field of the message itself, which is not signed.
SIGNER = """
Mode s
InternalHosts 0.0.0.0/0
SignatureAlgorithm {algorithm}
Canonicalization {form}
SenderHeaders X-Key
KeyTable file:{inside}/keys
SigningTable refile:{inside}/signing
SignHeaders {signed}
OverSignHeaders {oversigned}
"""

# The protocol: a length, a command, its data.
ALL_ACTIONS = 0x1FF
LEADING_SPACE = 0x100000  # header values with all the white space they have
STEPS = {0x01: "C", 0x02: "H", 0x04: "M", 0x08: "R", 0x10: "B", 0x20: "L", 0x40: "N", 0x100: "U", 0x200: "T"}
GO_ON, ACCEPT = b"c", b"a"
REFUSE = (b"r", b"t", b"d", b"y")
LARGEST_CHUNK = 65535
ENVELOPE = [("M", b"<ann@client.test>\0"), ("R", b"<bob@server.test>\0"), ("T", b"")]


class Milter:
    """One connection of a mail server to a filter; any number of messages."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.stream = self.socket.makefile("rwb")
        self._send([("O", struct.pack(">III", 6, ALL_ACTIONS, LEADING_SPACE | sum(STEPS)))])
        _, data = self._receive()
        _, _, protocol = struct.unpack(">III", data[:12])
        if not protocol & LEADING_SPACE:
            raise AssertionError("the filter wants header values without white space")
        self.unwanted = {step for bit, step in STEPS.items() if protocol & bit}
        self._take([("C", b"client.test\0" + b"4" + struct.pack(">H", 25) + b"192.0.2.1\0"), ("H", b"client.test\0")])

    def _send(self, steps):
        for command, data in steps:
            self.stream.write(struct.pack(">I", len(data) + 1) + command.encode() + data)
        self.stream.flush()

    def _receive(self):
        head = self.stream.read(5)
        if len(head) < 5:
            raise AssertionError("the filter went away")
        return head[4:5], self.stream.read(struct.unpack(">I", head[:4])[0] - 1)

    def _verdict(self):
        """The filter's verdict on a step, which is to go on or to accept, and what it changes: [(command, data)]."""
        changes = []
        while True:
            answer, data = self._receive()
            if answer in (GO_ON, ACCEPT):
                return answer, changes
            if answer in REFUSE:
                raise AssertionError(f"the filter says {answer}")
            changes.append((answer, data))

    def _take(self, steps):
        """All steps at once; the last verdict."""
        wanted = [step for step in steps if step[0] not in self.unwanted]
        self._send(wanted)
        verdict = GO_ON, []
        for step in wanted:
            if verdict[0] == ACCEPT:
                raise AssertionError(f"the filter accepts before {step}")
            verdict = self._verdict()
        return verdict

    def added_fields(self, message):
        """The fields that the filter adds, [(name, value)]."""
        header, _, body = message.partition(b"\r\n\r\n")
        fields = map(self._field_step, re.split(rb"\r\n(?![ \t])", header))
        verdict, changes = self._take([*ENVELOPE, *fields, ("N", b"")])
        if verdict == GO_ON:  # else it wants to see no more of it
            chunks = [body[start:start + LARGEST_CHUNK] for start in range(0, len(body), LARGEST_CHUNK)]
            _, changes = self._take([*(("B", chunk) for chunk in chunks), ("E", b"")])
        return [self._added(*change) for change in changes if change[0] in (b"h", b"i")]

    @staticmethod
    def _field_step(field):
        name, _, value = field.partition(b":")
        return "L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0"

    @staticmethod
    def _added(command, data):
        name, value = data[4 if command == b"i" else 0:].split(b"\0")[:2]
        return name, value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def close(self):
        self.stream.close()
        self.socket.close()


def _signer(algorithm, form):
    return f"{algorithm}-{form.replace('/', '-')}"


class OpenDkim:
    def __init__(self, root, folder, records, keys, signed, oversigned):
        self.command = [os.path.join(root, "tools", "peers"), "--bind", f"{folder}:{INSIDE}", "--run", "opendkim", "--"]
        self.folder = folder
        self.process = None
        self.milters = {}
        self._write("zone", "".join(f"{name} {text.decode()}\n" for name, text in records.items()))
        self._write("keys", "".join(f"{name} {domain}:{name}:{INSIDE}/{name}.pem\n"
                                    for name, (domain, _) in keys.items()))
        self._write("signing", "".join(f"{name}@* {name}\n" for name in keys))
        for name, (_, path) in keys.items():
            with open(path, encoding="ascii") as source:
                self._write(name + ".pem", source.read())
        self._configure("verify", VERIFIER)
        for algorithm, form in itertools.product(ALGORITHMS, FORMS):
            self._configure(_signer(algorithm, form), SIGNER, algorithm=algorithm, form=form, signed=",".join(signed),
                            oversigned=",".join(oversigned))

    def _write(self, name, text):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, name), "w", encoding="ascii") as out:
            out.write(text)

    def _configure(self, name, more, **settings):
        self._write(name + ".conf", (CONFIGURATION + more).format(name=name, inside=INSIDE, **settings))

    def start(self):
        names = ["verify", *itertools.starmap(_signer, itertools.product(ALGORITHMS, FORMS))]
        script = "".join(f"opendkim -f -x {INSIDE}/{name}.conf & " for name in names) + "wait"
        self.process = subprocess.Popen([*self.command, "sh", "-c", script], stdin=subprocess.DEVNULL)
        for name in names:
            self.milters[name] = self._connect(os.path.join(self.folder, name + ".sock"))

    def _connect(self, path):
        deadline = time.monotonic() + 60
        while True:
            try:
                return Milter(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def verify(self, message):
        """What it puts into Authentication-Results for each signature; [] when it lets the message through unjudged."""
        for name, value in self.milters["verify"].added_fields(message):
            if name == b"Authentication-Results":
                return re.findall(r"\bdkim=(\w+)", re.sub(r'"[^"]*"', "", value.decode()))
        return []

    def sign(self, message, algorithm, form, key):
        """Its DKIM-Signature field."""
        chosen = f"X-Key: {key}@key.test\r\n".encode()
        for name, value in self.milters[_signer(algorithm, form)].added_fields(chosen + message):
            if name == b"DKIM-Signature":
                return name + b":" + value + b"\r\n"
        raise AssertionError(f"opendkim does not sign with {algorithm}, {form}, {key}")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        for milter in self.milters.values():
            milter.close()
