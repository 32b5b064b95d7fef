"""An SMTP server for tests that keeps what came over the wire, octet by octet, commands and all.

    sink = Sink(extensions=["8BITMIME"])      # listens at sink.address from now on
    ...
    for session in sink.sessions: session.wire, session.messages
    sink.close()

It takes everything. The data of DATA ends at CRLF.CRLF only; the octets of a BDAT are counted. With `tls`, an
ssl.SSLContext, it has STARTTLS, and the extensions are told inside of TLS only.
"""

import socketserver
import ssl
import threading


class Session(socketserver.StreamRequestHandler):
    def setup(self):
        super().setup()
        self.wire = bytearray()
        self.messages = []  # (envelope lines, text with its dots of transparency taken away)
        self.envelope = []
        self.chunks = b""
        self.over = False
        self.server.sessions.append(self)

    def finish(self):
        super().finish()
        self.over = True

    def line(self):
        """Up to its LF, whatever is before that."""
        line = self.rfile.readline()
        self.wire += line
        return line

    def reply(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.reply("220 sink.test ESMTP")
        while line := self.line():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"QUIT":
                self.reply("221 2.0.0 Bye")
                return
            self.command(verb, line)

    def command(self, verb, line):
        if verb == b"EHLO":
            self.reply("\r\n".join(["250-sink.test", *(f"250-{name}" for name in self.extensions()), "250 HELP"]))
        elif verb == b"STARTTLS":
            self.reply("220 2.0.0 Go ahead")
            self.start_tls()
        elif verb == b"DATA":
            self.reply("354 Go ahead")
            self.keep(self.data())
        elif verb == b"BDAT":
            self.bdat(line.split())
        else:
            self.envelope += [line] if verb in (b"MAIL", b"RCPT") else []
            self.reply("250 2.0.0 OK")

    def extensions(self):
        if self.server.tls and not isinstance(self.connection, ssl.SSLSocket):
            return ["STARTTLS"]
        return self.server.extensions

    def start_tls(self):
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", self.wbufsize)

    def data(self):
        text = b""
        while line := self.line():
            if line == b".\r\n" and (not text or text.endswith(b"\r\n")):
                break
            text += line[1:] if line.startswith(b".") else line
        return text

    def bdat(self, words):
        octets = self.rfile.read(int(words[1]))
        self.wire += octets
        self.chunks += octets
        if len(words) == 3:
            text, self.chunks = self.chunks, b""
            self.keep(text)
        else:
            self.reply("250 2.0.0 OK")

    def keep(self, text):
        self.messages.append((self.envelope, text))
        self.envelope = []
        self.reply("250 2.0.0 Taken")


class Sink(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 100

    def __init__(self, extensions=(), endpoint=("127.0.0.1", 0), tls=None):
        super().__init__(endpoint, Session)
        self.extensions = list(extensions)
        self.tls = tls
        self.sessions = []
        self.address = "%s:%d" % self.server_address
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def messages(self):
        return [message for session in self.sessions for message in session.messages]

    def close(self):
        self.shutdown()
        self.server_close()
