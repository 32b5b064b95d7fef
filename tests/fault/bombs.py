"""Messages, and DNS records, that are made to cost the reader more than the writer.

Each function of messages gives a list of (reverse-path, text).
"""

import base64
import gzip
import hashlib
import io
import os
import zipfile
import zlib

FROM = b"From: s@sender.test\r\nTo: you@godwit.test\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
SENDER = b"s@sender.test"
DEPTH = 10_000
SIGNATURES = 1_000
# Of signatures, the first so many name a key that is there: they cost an RSA operation each.
WITH_KEY = 100


def headed(subject, rest):
    return FROM + b"Subject: " + subject + b"\r\nMIME-Version: 1.0\r\n" + rest


def nested():
    """Parts in parts, 10,000 deep: multipart, message/rfc822, and both in turn."""
    multipart = b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n" + b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (level, level + 1) for level in range(DEPTH))
    message = b"Content-Type: message/rfc822\r\n\r\n" * DEPTH
    both = b"".join(b"Content-Type: multipart/digest; boundary=b%d\r\n\r\n--b%d\r\n\r\nSubject: a\r\n" % (level, level)
                    for level in range(DEPTH))
    return [(SENDER, headed(b"nested", rest + b"\r\nleaf")) for rest in (multipart, message, both)]


def signature(number, body_hash):
    """One with the key of the suite's own domain, or of a domain that nobody has."""
    who = b"d=godwit.test; s=local-rsa" if number < WITH_KEY else b"d=d%d.sender.test; s=s" % number
    return (b"DKIM-Signature: v=1; a=rsa-sha256; " + who + b"; h=from; bh=" + body_hash + b";\r\n\tb=" +
            base64.b64encode(os.urandom(256)) + b"\r\n")


def signed():
    """1,000 DKIM signatures, the hash of the body right: each wants its key."""
    body = b"text\r\n"
    body_hash = base64.b64encode(hashlib.sha256(body).digest())
    block = b"".join(signature(number, body_hash) for number in range(SIGNATURES))
    return [(SENDER, block + headed(b"signed", b"\r\n" + body.removesuffix(b"\r\n")))]


# SPF (RFC 7208 §4.6.4): what each domain's record asks for is more than may be asked.
SPF_DOMAINS = ("chain.test", "wide.test", "self.test", "hosts.test", "void.test", "round.test", "macro.test")


def text(name, terms):
    """An SPF record; its strings have at most 255 octets (RFC 1035 §3.3)."""
    record = f"v=spf1 {terms} -all"
    return f"{name} 60 IN TXT " + " ".join(f'"{record[at:at + 255]}"' for at in range(0, len(record), 255))


def spf_records():
    records = [text("chain.test.", "include:c0.chain.test")]
    records += [text(f"c{level}.chain.test.", f"include:c{level + 1}.chain.test") for level in range(100)]
    records += [text("wide.test.", " ".join(f"include:w{first}.wide.test" for first in range(10)))]
    records += [text(f"w{first}.wide.test.", " ".join(f"include:w{first}{second}.wide.test" for second in range(10)))
                for first in range(10)]
    records += [text(f"w{leaf:02}.wide.test.", "a:a.wide.test mx:wide.test exists:e.wide.test") for leaf in range(100)]
    records += [text("self.test.", "include:self.test"), text("void.test.", " ".join(
        f"a:v{number}.void.test" for number in range(9)))]
    records += [text("round.test.", "include:r2.round.test"), 'r2.round.test. 60 IN TXT "v=spf1 redirect=round.test"']
    records += [text("macro.test.", " ".join(f"exists:%{{l}}.{'%{ir}.' * 3}m{number}.macro.test" for number in range(8)))]
    records += [text("hosts.test.", "mx")] + [f"hosts.test. 60 IN MX 10 h{number}.hosts.test." for number in range(30)]
    return records


def spf():
    return [(b"s@" + domain.encode(), headed(b"spf", b"\r\ntext")) for domain in SPF_DOMAINS]


def zeros():
    """A gigabyte of them as a gzip file of a megabyte (RFC 1952), whose checksum nobody should come to see."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * 1024 + b"\x03\0" + bytes(4) + (1 << 30).to_bytes(4, "little")


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files:
            made.writestr(name, content)
    return out.getvalue()


def laughs():
    """XML whose entities are three, each ten of the one before: a billion."""
    entities = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE f [<!ENTITY a0 "ha">{entities}]><feedback>&a9;</feedback>'.encode()


def shrunk_directory(packed):
    """The archive, with sizes in its directory that say nothing is in it (and hide what is)."""
    directory = packed.rindex(b"PK\x01\x02")
    return packed[:directory + 24] + (100).to_bytes(4, "little") + packed[directory + 28:]


def report_files():
    zip_of_zeros = archive([("r.xml", bytes(64 << 20))])
    return {
        "zeros.xml.gz": zeros(),
        "zeros.zip": zip_of_zeros,
        "liar.zip": shrunk_directory(zip_of_zeros),
        "nested.zip": archive([("a.zip", archive([("b.zip", zip_of_zeros)]))]),
        "many.zip": archive([(f"{number}.txt", b"") for number in range(5000)]),
        "twice.xml.gz": gzip.compress(zeros()),
        "laughs.xml.gz": gzip.compress(laughs()),
        "deep.xml.gz": gzip.compress(b"<feedback>" + b"<a>" * 2_000_000),
        "wide.xml.gz": gzip.compress(b"<feedback>" + b"<record></record>" * 900_000 + b"</feedback>"),
        "attributes.xml.gz": gzip.compress(b"<feedback " + b" ".join(b"a%d=''" % n for n in range(100_000)) + b"/>"),
    }


def report(name, content):
    kind = b"gzip" if name.endswith(".gz") else b"zip"
    return headed(b"Report Domain: godwit.test (" + name.encode() + b")",
                  b"Content-Type: application/" + kind + b"; name=" + name.encode() +
                  b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                  base64.encodebytes(content).replace(b"\n", b"\r\n"))


def reports():
    return [(SENDER, report(name, content)) for name, content in report_files().items()]
