"""Certificates of a local suite, made once with openssl and kept.

Two authorities: `public` signs what mail clients see, `mesh` signs what the daemons show one
another, so that a certificate which any client can see is never one that may call an RPC.
"""

import os
import subprocess

DAYS = "3650"


def _openssl(*argv, text=None):
    subprocess.run(["openssl", *argv], input=text, text=True, check=True, capture_output=True)


class Authority:
    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        self.cert = os.path.join(self.folder, "ca.pem")
        self._key = os.path.join(self.folder, "ca.key")
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if not os.path.exists(self.cert):
            self._make(name)

    def _make(self, name):
        partial = self.cert + ".new"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", self._key, "-out", partial, "-days", DAYS,
                 "-subj", f"/O=Godwit localserve/CN=Godwit local {name} CA",
                 "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        os.chmod(self._key, 0o600)
        os.rename(partial, self.cert)

    def issue(self, name, alternative_names):
        """(certificate file, key file) for `name`; made when it is not there."""
        cert = os.path.join(self.folder, f"{name}.pem")
        key = os.path.join(self.folder, f"{name}.key")
        if os.path.exists(cert):
            return cert, key
        request = os.path.join(self.folder, f"{name}.csr")
        extensions = os.path.join(self.folder, f"{name}.ext")
        with open(extensions, "w") as out:
            out.write("basicConstraints=critical,CA:FALSE\n"
                      "keyUsage=critical,digitalSignature\n"
                      "extendedKeyUsage=serverAuth,clientAuth\n"
                      f"subjectAltName={','.join(alternative_names)}\n")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        os.chmod(key, 0o600)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key,
                 "-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out", cert + ".new")
        os.rename(cert + ".new", cert)
        os.remove(request)
        os.remove(extensions)
        return cert, key


def dkim_key(folder, selector):
    """(private key file, base 64 of the public key) of a DKIM selector (RFC 6376 §3.6.1)."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    key = os.path.join(folder, f"{selector}.key")
    if not os.path.exists(key):
        _openssl("genrsa", "-out", key + ".new", "2048")
        os.chmod(key + ".new", 0o600)
        os.rename(key + ".new", key)
    done = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "PEM"],
                          check=True, capture_output=True, text=True)
    return key, "".join(line for line in done.stdout.splitlines() if "-----" not in line)
