"""The client's side of SCRAM-SHA-256 without channel binding (RFC 5802 §5), for imaplib and smtplib.

    client.authenticate("SCRAM-SHA-256", Scram(user, password))                          # imaplib
    client.auth("SCRAM-SHA-256", Scram(user, password).answer, initial_response_ok=True)  # smtplib
"""

import base64
import hashlib
import hmac
import secrets


class Scram:
    def __init__(self, user, password):
        self.password = password.encode()
        self.nonce = secrets.token_hex(12)
        self.bare = f"n={user},r={self.nonce}"
        self.step = 0
        self.expected = None
        self.server_is_true = False

    def __call__(self, challenge):
        self.step += 1
        if self.step == 1:
            return ("n,," + self.bare).encode()
        if self.step == 2:
            return self.final(challenge.decode())
        self.server_is_true = dict(self.attributes(challenge.decode())).get("v") == self.expected
        return b""

    def answer(self, challenge=None):
        """smtplib gives None for the initial response, and takes text."""
        return self(challenge or b"").decode()

    @staticmethod
    def attributes(text):
        return [(part[0], part[2:]) for part in text.split(",")]

    def final(self, first):
        said = dict(self.attributes(first))
        assert said["r"].startswith(self.nonce) and said["r"] != self.nonce, first
        bare = "c=biws,r=" + said["r"]
        told = ",".join((self.bare, first, bare)).encode()
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(said["s"]), int(said["i"]))
        client = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client).digest(), told, "sha256")
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), told, "sha256")
        self.expected = base64.b64encode(server).decode()
        proof = bytes(a ^ b for a, b in zip(client, signature))
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()
