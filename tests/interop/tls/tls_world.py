"""Other people's servers, as DANE and MTA-STS meet them: a signed zone (nsd, ldns), a validating unbound,
a Postfix with a certificate, web servers with MTA-STS policies. All on loopback.

    world = World(ROOT, folder)
    world.dns.address, world.postfix.port, world.web.server_address, world.root.cert
    world.stop()

What has to be verified comes from other programs: openssl makes certificates and digests, ldns signs.
"""

import hashlib
import http.server
import os
import shutil
import ssl
import subprocess
import threading

import postfix_peer
import signed_zone


def openssl(*args, text=None):
    done = subprocess.run(["openssl", *args], input=text, capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"openssl {args}: {done.stderr.decode()}")
    return done.stdout


class Authority:
    """One that signs itself, or one below another."""

    def __init__(self, folder, name, parent=None):
        self.cert, self._key = os.path.join(folder, f"{name}.pem"), os.path.join(folder, f"{name}.key")
        self._folder = folder
        signer = ["-CA", parent.cert, "-CAkey", parent._key] if parent else []
        request = os.path.join(folder, f"{name}.csr")
        extensions = os.path.join(folder, f"{name}.ext")
        with open(extensions, "w", encoding="ascii") as out:
            out.write("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self._key,
                "-out", request, "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-days", "30", "-extfile", extensions, "-out", self.cert,
                *(signer + ["-CAcreateserial"] if parent else ["-signkey", self._key]))

    def issue(self, stem, names):
        """Path of one PEM file: key, leaf, this authority (and none above it)."""
        base = os.path.join(self._folder, stem)
        with open(base + ".ext", "w", encoding="ascii") as out:
            out.write("basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
                      "subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                base + ".key", "-out", base + ".csr", "-subj", f"/CN={stem}")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial",
                "-days", "30", "-extfile", base + ".ext", "-out", base + ".crt")
        with open(base + ".all", "w", encoding="ascii") as out:
            for part in (base + ".key", base + ".crt", self.cert):
                with open(part, encoding="ascii") as source:
                    out.write(source.read())
        return base + ".all"


def digest(pem, selector, algorithm="sha256"):
    """The certificate association data as openssl makes it."""
    if selector == 0:
        octets = openssl("x509", "-in", pem, "-outform", "DER")
    else:
        octets = openssl("pkey", "-pubin", "-outform", "DER", text=openssl("x509", "-in", pem, "-noout", "-pubkey"))
    return hashlib.new(algorithm, octets).hexdigest()


class PolicyServer(http.server.ThreadingHTTPServer):
    """MTA-STS policies by host: {"mta-sts.a.test": text}; TLS certificates by server name."""

    def __init__(self, policies, contexts):
        outer = self
        self.policies = policies

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = outer.policies.get(self.headers["Host"].split(":")[0])
                right = self.path == "/.well-known/mta-sts.txt" and text is not None
                self.send_response(200 if right else 404)
                self.send_header("Content-Type", "text/plain")
                body = (text or "").encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        main = next(iter(contexts.values()))

        def choose(connection, name, _context):
            if name in contexts:
                connection.context = contexts[name]
        main.sni_callback = choose
        self.socket = main.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def policy(mode, *mx):
    return "version: STSv1\r\nmode: " + mode + "\r\n" + "".join(f"mx: {each}\r\n" for each in mx) + "max_age: 86400\r\n"


class World:
    def __init__(self, root, folder, postfix_settings=()):
        """`folder` is readable by all: its users differ."""
        self.tree = root
        self.folder = folder
        self._stops = []
        try:
            self._start(postfix_settings)
        except Exception:
            self.stop()
            raise

    def _start(self, postfix_settings):
        self.root = Authority(self.folder, "root")
        self.authority = Authority(self.folder, "authority", self.root)
        self.stranger = Authority(self.folder, "stranger")
        self.chain = self.authority.issue("mx", ["mx.signed.test", "mx.plain.test", "mx.whole.signed.test"])
        self._start_postfix(postfix_settings)
        self._start_web()
        self._start_dns()

    def stop(self):
        while self._stops:
            self._stops.pop()()

    def _start_postfix(self, settings):
        self.postfix = postfix_peer.Postfix(self.tree, os.path.join(self.folder, "postfix"), [
            "smtpd_tls_security_level = may", "smtpd_tls_chain_files = /etc/postfix/chain.pem", *settings])
        shutil.copy(self.chain, self.postfix.path("etc/postfix/chain.pem"))
        self._stops.append(self.postfix.stop)
        self.postfix.start()

    def _start_web(self):
        def context(authority, name):
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.load_cert_chain(authority.issue(name, [name]))
            return made
        self.policies = {
            "mta-sts.right.plain.test": policy("enforce", "*.plain.test"),
            "mta-sts.mismatch.plain.test": policy("enforce", "mx.other.test"),
            "mta-sts.testing.plain.test": policy("testing", "mx.other.test"),
            "mta-sts.untrusted.plain.test": policy("enforce", "*.plain.test"),
            "mta-sts.name.plain.test": policy("enforce", "bad.plain.test"),
        }
        contexts = {name: context(self.stranger if "untrusted" in name else self.authority, name)
                    for name in [*self.policies, "mta-sts.missing.plain.test"]}
        self.web = PolicyServer(self.policies, contexts)
        self._stops.append(self.web.shutdown)

    def _start_dns(self):
        tlsa = f"_{self.postfix.port}._tcp"
        mx = os.path.join(self.folder, "mx.crt")
        signed = ["mx A 127.0.0.1"]
        records = {
            "ee-spki": f"3 1 1 {digest(mx, 1)}",
            "ee-cert": f"3 0 2 {digest(mx, 0, 'sha512')}",
            "ta": f"2 0 1 {digest(self.authority.cert, 0)}",
            # An authority that the server does not show: as a digest it is nothing, as a whole it is enough.
            "hidden": f"2 0 1 {digest(self.root.cert, 0)}",
            "whole": f"2 0 0 {openssl('x509', '-in', self.root.cert, '-outform', 'DER').hex()}",
            "wrong": f"3 1 1 {digest(self.stranger.cert, 1)}",
            "wrong-ta": f"2 1 1 {digest(self.stranger.cert, 1)}",
            "unusable": f"1 1 1 {digest(mx, 1)}",
            "bogus": f"3 1 1 {digest(mx, 1)}",
            "none": None,
        }
        for name, record in records.items():
            # The certificate is for mx.signed.test, of which each host is its own; usage 2 asks for a name.
            signed += [f"{name} MX 10 mx.{name}", f"mx.{name} A 127.0.0.1"]
            if record:
                signed.append(f"{tlsa}.mx.{name} TLSA {record}")
        signed += ["@ MX 10 mx", f"{tlsa}.mx TLSA 2 0 1 {digest(self.authority.cert, 0)}",
                   "null MX 0 .", "empty TXT nothing"]
        plain = ["mx A 127.0.0.1", "bad A 127.0.0.1", "dane MX 10 mx", f"{tlsa}.mx TLSA {records['wrong']}"]
        for name in ("right", "mismatch", "testing", "untrusted", "missing", "name"):
            plain += [f"{name} MX 10 {'bad' if name == 'name' else 'mx'}", f'_mta-sts.{name} TXT "v=STSv1; id=1"',
                      f"mta-sts.{name} A 127.0.0.1"]
        self.dns = signed_zone.SignedZone(self.tree, os.path.join(self.folder, "dns"), "\n".join(signed) + "\n",
                                         {"plain.test": "\n".join(plain) + "\n"},
                                         [f"{tlsa}.mx.bogus.signed.test"])
        self._stops.append(self.dns.stop)
        self.dns.start()
