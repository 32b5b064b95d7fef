"""Keys to sign with, in the forms that python3-dkim, opendkim and we want.

    keys = SigningKeys(folder, {"r2048": 2048, "e": "ed25519"})
    keys.files["e"]      # PEM, what we and opendkim read
    keys.dkimpy["e"]     # what dkim.sign() takes
    keys.records["e"]    # b"v=DKIM1; k=ed25519; p=..."
"""

import base64
import os

import nacl.signing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# PKCS #8 around the 32 octets of the seed.
ED25519_HEAD = bytes.fromhex("302e020100300506032b657004220420")


def _rsa(bits):
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, private, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def _ed25519():
    key = nacl.signing.SigningKey.generate()
    pem = b"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n" % base64.b64encode(ED25519_HEAD + bytes(key))
    record = b"v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(key.verify_key))
    return pem, base64.b64encode(bytes(key)), record


class SigningKeys:
    def __init__(self, folder, kinds):
        """`kinds`: {name: "ed25519" or the bits of an RSA key}."""
        self.files, self.dkimpy, self.records = {}, {}, {}
        for name, kind in kinds.items():
            pem, self.dkimpy[name], self.records[name] = _ed25519() if kind == "ed25519" else _rsa(kind)
            self.files[name] = os.path.join(folder, name + ".pem")
            with open(self.files[name], "wb") as out:
                out.write(pem)


def zone_text(records):
    """{name: text} as mailauth_tool reads it."""
    quoted = {name: text.decode().replace("\\", "\\\\").replace('"', '\\"') for name, text in records.items()}
    return "".join(f'{name} TXT "{text}"\n' for name, text in quoted.items())
