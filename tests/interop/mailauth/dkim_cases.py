"""The message, the damages, the tags and the key records of dkim_matrix_test, and what we say of each.

What we say is a result of RFC 8601 §2.7.1.
"""

import re
import time

DOMAIN = "sender.test"
MESSAGE = (b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
           b"From: Ann  Example <ann@sender.test>\r\n"
           b"To: bob@godwit.test,\r\n\tcarl@godwit.test\r\n"
           b"Subject:  a subject\r\n that is \t folded\r\n"
           b"X-Twice: one\r\n"
           b"X-Twice: two\r\n"
           b"X-Unsigned: anything\r\n"
           b"X-Empty:\r\n"
           b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
           b"Message-ID: <1@sender.test>\r\n"
           b"\r\n"
           b"First line  with   spaces \t\r\n"
           b"\r\n"
           b".a dot\r\n"
           b"last line\r\n"
           b"\r\n"
           b"\r\n")
SIGNED = ["from", "to", "subject", "x-twice", "x-empty", "date"]
OVERSIGNED = ["from", "to", "subject"]
FIELDS = ["from", "from", "to", "to", "subject", "subject", "x-twice", "x-twice", "x-empty", "date"]


def replace(pattern, by, message):
    """A damage changes something, or it is none."""
    changed = re.sub(pattern, by, message, count=1)
    if changed == message:
        raise AssertionError(f"nothing is changed in {message}")
    return changed


def put(old, new):
    return lambda message: replace(re.escape(old), lambda _: new, message)


def tag(name, change):
    """The damage that changes the value of a tag of the signature."""
    pattern = rb"(?s)(\b%s=)([^;]*?)(?=;|\r\n\S)" % name
    return lambda message: replace(pattern, lambda match: match[1] + change(match[2]), message)


def flip(at):
    def change(value):
        letters = re.sub(rb"\s", b"", value)
        other = b"A" if letters[at:at + 1] != b"A" else b"B"
        return letters[:at] + other + letters[at + 1:]
    return change


def front(field):
    return lambda message: field + b"\r\n" + message


def behind_date(field):
    return put(b"\r\nDate:", b"\r\n%s\r\nDate:" % field)


def body(change):
    def damage(message):
        header, _, text = message.partition(b"\r\n\r\n")
        return header + b"\r\n\r\n" + change(text)
    return damage


def refolded(message):
    """The signature's own field, folded at another place."""
    return replace(b"; ", b";\r\n\t ", message)


def moved_down(message):
    """The signature below all other fields."""
    signature = re.match(rb"(?s)DKIM-Signature:.*?\r\n(?!\s)", message)[0]
    return message[len(signature):].replace(b"\r\n\r\n", b"\r\n" + signature + b"\r\n", 1)


def other_domain(message):
    """d= and, where it is there, i=."""
    return re.sub(rb"(\b[di]=@?)sender\.test", rb"\1other.test", message)


# name: (what is done, what we say). "header" and "body" pass where that part is relaxed and fail where it is simple.
DAMAGES = {
    "none": (lambda message: message, "pass"),
    # The body: RFC 6376 §3.4.3 and §3.4.4.
    "a byte of the body": (put(b"last line", b"last lime"), "fail"),
    "a line more": (lambda message: message + b"more\r\n", "fail"),
    "a line less": (put(b".a dot\r\n", b""), "fail"),
    "the last line's text gone": (put(b"last line\r\n", b""), "fail"),
    "no body": (body(lambda text: b""), "fail"),
    "only empty lines": (body(lambda text: b"\r\n\r\n"), "fail"),
    "an empty line in front": (body(lambda text: b"\r\n" + text), "fail"),
    "an empty line within": (put(b"\r\n.a dot", b"\r\n\r\n.a dot"), "fail"),
    "more empty lines at the end": (lambda message: message + b"\r\n\r\n\r\n", "pass"),
    "no empty lines at the end": (lambda message: message[:-4], "pass"),
    "a line of spaces at the end": (lambda message: message + b"  \t\r\n", "body"),
    "a run of spaces": (put(b"with   spaces", b"with spaces"), "body"),
    "a space gone": (put(b"with   spaces", b"withspaces"), "fail"),
    "spaces at the end of a line": (put(b".a dot\r\n", b".a dot \t\r\n"), "body"),
    "no spaces at the end of a line": (put(b"spaces \t\r\n", b"spaces\r\n"), "body"),
    "a space at the start of a line": (put(b"\r\n.a dot", b"\r\n .a dot"), "fail"),
    "a dot more": (put(b".a dot", b"..a dot"), "fail"),
    # The header: §3.4.1 and §3.4.2.
    "a byte of a field": (put(b"Subject:  a", b"Subject:  b"), "fail"),
    "a byte of the address": (put(b"ann@sender.test", b"eve@sender.test"), "fail"),
    "another case in a value": (put(b"bob@", b"Bob@"), "fail"),
    "another case in a name": (put(b"\r\nSubject:", b"\r\nSUBJECT:"), "header"),
    "a space before the colon": (put(b"\r\nSubject:", b"\r\nSubject :"), "header"),
    "spaces behind the colon": (put(b"From: Ann", b"From:   Ann"), "header"),
    "no space behind the colon": (put(b"From: Ann", b"From:Ann"), "header"),
    "a run of spaces in a field": (put(b"Ann  Example", b"Ann \t  Example"), "header"),
    "spaces at the end of a field": (put(b"<ann@sender.test>\r\n", b"<ann@sender.test>  \r\n"), "header"),
    "unfolded": (put(b"subject\r\n that", b"subject that"), "header"),
    "folded": (put(b"Ann  Example", b"Ann\r\n  Example"), "header"),
    "folded elsewhere with a tab": (put(b",\r\n\tcarl", b",\r\n carl"), "header"),
    "a space in an empty field": (put(b"X-Empty:\r\n", b"X-Empty: \r\n"), "header"),
    "something in an empty field": (put(b"X-Empty:\r\n", b"X-Empty: x\r\n"), "fail"),
    # Which fields: §5.4.2 and §8.15.
    "a signed field gone": (put(b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n", b""), "fail"),
    "a second From": (front(b"From: eve@evil.test"), "fail"),
    "a second From below": (behind_date(b"From: eve@evil.test"), "fail"),
    "a second Subject": (front(b"Subject: x"), "fail"),
    "a second To below": (behind_date(b"To: x"), "fail"),
    "a second Date above": (front(b"Date: x"), "pass"),
    "a second Date below": (put(b"Message-ID:", b"Date: x\r\nMessage-ID:"), "fail"),
    "a third X-Twice above": (front(b"X-Twice: zero"), "pass"),
    "a third X-Twice below": (behind_date(b"X-Twice: three"), "fail"),
    "two fields of a name change places": (
        put(b"X-Twice: one\r\nX-Twice: two", b"X-Twice: two\r\nX-Twice: one"), "fail"),
    "one of two fields gone": (put(b"X-Twice: one\r\n", b""), "fail"),
    "an unsigned field changed": (put(b"X-Unsigned: anything", b"X-Unsigned: something"), "pass"),
    "an unsigned field gone": (put(b"X-Unsigned: anything\r\n", b""), "pass"),
    "an unsigned field more": (front(b"X-Other: x"), "pass"),
    "fields of other names change places": (
        put(b"X-Unsigned: anything\r\nX-Empty:", b"X-Empty:\r\nX-Unsigned: anything"), "pass"),
    "the signature below": (moved_down, "pass"),
    # The signature's own field: §3.5, §3.7 and §6.1.
    "the signature folded": (refolded, "header"),
    "the signature's name in another case": (put(b"DKIM-Signature:", b"dkim-signature:"), "header"),
    "a byte of b=": (tag(rb"b", flip(20)), "fail"),
    "b= without its end": (tag(rb"b", lambda value: re.sub(rb"\s", b"", value)[:-8]), "fail"),
    "spaces in b=": (tag(rb"b", lambda value: value.rstrip()[:20] + b"\r\n\t" + value.rstrip()[20:]), "pass"),
    "a byte of bh=": (tag(rb"bh", flip(20)), "fail"),
    "another t=": (tag(rb"t", lambda value: b"1600000000"), "fail"),
    "another d=, without a key": (tag(rb"d", lambda value: b"unknown.test"), "permerror"),
    "another d=, with another key": (other_domain, "fail"),
    "another s=, without a key": (tag(rb"s", lambda value: b"unknown"), "permerror"),
    "another a=": (tag(rb"a", lambda value: b"x-sha256"), "permerror"),
    "a tag more": (put(b"DKIM-Signature: v=1;", b"DKIM-Signature: v=1; zz=1;"), "fail"),
    "another v=": (put(b"v=1;", b"v=2;"), "neutral"),
    "no bh=": (lambda message: replace(rb"(?s)\bbh=[^;]*;", b"", message), "neutral"),
    "no signature left": (tag(rb"b", lambda value: b""), "neutral"),
}

NOW = int(time.time())
DAY = 24 * 3600
# name: (tags instead of the usual ones, what is done to the message then, what we say). None leaves a tag out; KEY is
# the key's name.
TAGS = {
    "the usual": ({}, None, "pass"),
    "no c=": ({"c": None}, None, "pass"),
    "c= with one name": ({"c": "relaxed"}, None, "pass"),
    "c= unknown": ({"c": "nofws/simple"}, None, "neutral"),
    "no t=": ({"t": None}, None, "pass"),
    "t= of yesterday": ({"t": str(NOW - DAY)}, None, "pass"),
    "t= of the day after tomorrow": ({"t": str(NOW + 2 * DAY)}, None, "policy"),
    "t= is no number": ({"t": "soon"}, None, "neutral"),
    "x= of tomorrow": ({"x": str(NOW + DAY)}, None, "pass"),
    "x= of the day before yesterday": ({"t": str(NOW - 3 * DAY), "x": str(NOW - 2 * DAY)}, None, "policy"),
    "x= before t=": ({"t": str(NOW), "x": str(NOW - 60)}, None, "neutral"),
    "x= is no number": ({"x": "never"}, None, "neutral"),
    "l= of the whole body": ({"l": "whole"}, None, "pass"),
    "l= and a line more": ({"l": "whole"}, lambda message: message + b"more\r\n", "policy"),
    "l= and a byte changed": ({"l": "whole"}, put(b"last line", b"last lime"), "fail"),
    "l= and a line less": ({"l": "whole"}, put(b"last line\r\n", b""), "fail"),
    "l=0": ({"l": "0"}, None, "policy"),
    "l= beyond the body": ({"l": "5000"}, None, "fail"),
    "l= is no number": ({"l": "all"}, None, "neutral"),
    "i= in d=": ({"i": "ann@sender.test"}, None, "pass"),
    "i= below d=": ({"i": "ann@sub.sender.test"}, None, "pass"),
    "i= below d=, which the key forbids": ({"i": "ann@sub.sender.test", "s": "same-domain-KEY"}, None, "permerror"),
    "i= in another domain": ({"i": "ann@other.test"}, None, "permerror"),
    "i= in a domain that ends like d=": ({"i": "ann@notsender.test"}, None, "permerror"),
    "i= without @": ({"i": "sender.test"}, None, "neutral"),
    "d= and i= in upper case": ({"d": "SENDER.TEST", "i": "@sender.TEST"}, None, "pass"),
    "q=dns/txt": ({"q": "dns/txt"}, None, "pass"),
    "q= unknown": ({"q": "http"}, None, "permerror"),
    "q= unknown and dns/txt": ({"q": "http:dns/txt"}, None, "pass"),
    "no v=": ({"v": None}, None, "neutral"),
    "no h=": ({"h": None}, None, "neutral"),
    "From not signed": ({"h": "to:subject:date"}, None, "permerror"),
    "only From signed": ({"h": "from"}, None, "pass"),
    "h= with spaces": ({"h": "from : to :\r\n\tsubject"}, None, "pass"),
    "h= in upper case": ({"h": "FROM:To"}, None, "pass"),
    "h= with a field that is not there": ({"h": "from:x-none"}, None, "pass"),
    "that field added": ({"h": "from:x-none"}, front(b"X-None: x"), "fail"),
    "an unknown tag": ({"zz": "1"}, None, "pass"),
    "z=": ({"z": "From:ann@sender.test|To:bob"}, None, "pass"),
    "a tag twice": ({"t": f"{NOW}; t={NOW}"}, None, "neutral"),
}

# name: (what stands in DNS; {0}: the public key, {1}: its type, {2}: the other algorithm's; what we say). RFC 6376
# §3.6.1 and §6.1.2.
RECORDS = {
    "usual": ("v=DKIM1; k={1}; p={0}", "pass"),
    "no-v": ("k={1}; p={0}", "pass"),
    "testing": ("v=DKIM1; k={1}; t=y; p={0}", "pass"),
    "same-domain": ("v=DKIM1; k={1}; t=s; p={0}", "pass"),
    "unknown-flag": ("v=DKIM1; k={1}; t=x:z; p={0}", "pass"),
    "unknown-tag": ("v=DKIM1; k={1}; zz=1; p={0}", "pass"),
    "note": ("v=DKIM1; k={1}; n=some=20note; p={0}", "pass"),
    "for-mail": ("v=DKIM1; k={1}; s=email; p={0}", "pass"),
    "for-all": ("v=DKIM1; k={1}; s=*; p={0}", "pass"),
    "for-other": ("v=DKIM1; k={1}; s=other; p={0}", "permerror"),
    "hash": ("v=DKIM1; k={1}; h=sha256; p={0}", "pass"),
    "hashes": ("v=DKIM1; k={1}; h=sha1:sha256; p={0}", "pass"),
    "old-hash": ("v=DKIM1; k={1}; h=sha1; p={0}", "permerror"),
    "revoked": ("v=DKIM1; k={1}; p=", "permerror"),
    "no-p": ("v=DKIM1; k={1}", "permerror"),
    "broken-p": ("v=DKIM1; k={1}; p=AAAA", "permerror"),
    "other-version": ("v=DKIM2; k={1}; p={0}", "permerror"),
    "late-v": ("k={1}; v=DKIM1; p={0}", "permerror"),
    "other-type": ("v=DKIM1; k={2}; p={0}", "permerror"),
    "unknown-type": ("v=DKIM1; k=x25519; p={0}", "permerror"),
    "no-key": (None, "permerror"),
}

HEADER = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
# Bodies that signers and verifiers have read in two ways: RFC 6376 §3.4.3 makes an empty one CRLF, §3.4.4 nothing.
BODIES = {
    "none": b"",
    "an empty line": b"\r\n",
    "empty lines": b"\r\n" * 3,
    "a line of spaces": b" \t\r\n",
    "a line of spaces and more": b" \t\r\n\r\n \r\n",
    "a dot": b".\r\n",
    "octets": bytes(range(128, 256)) + b"\r\n",
    "one long line": b"x" * 70000 + b"\r\n",
    # Larger than what a mail server hands to a filter at once, with the cut within CRLF.
    "many lines": b"0123456\r\n" * 8000,
    "spaces over a cut": b"x" * 65530 + b" " * 20 + b"\r\n" + b"y  z\r\n",
    "empty lines over a cut": b"x" * 65534 + b"\r\n" * 100,
    "empty lines within": b"x" * 65534 + b"\r\n" * 100 + b"x\r\n",
}

# Where a peer may say something else: (peer, name or None for all, algorithm or None for all, why).
DIFFERENCES = [
    ("python3-dkim", None, "rsa-sha1", "RFC 8301 §3.1: nobody verifies rsa-sha1; the peer still does"),
    ("opendkim", None, "rsa-sha1", "RFC 8301 §3.1: nobody verifies rsa-sha1; the peer still does"),
    ("python3-dkim", "a space before the colon", None,
     "RFC 6376 §3.4.2 drops it; the peer reads no field of RFC 5322 §4.5 (obsolete syntax)"),
    ("python3-dkim", "x= before t=", None, "RFC 6376 §3.5: x= must be greater than t="),
    ("python3-dkim", "l= and a line more", None, "RFC 6376 §8.2: a verifier may want the whole body signed; we do"),
    ("opendkim", "l= and a line more", None, "RFC 6376 §8.2: a verifier may want the whole body signed; we do"),
    ("python3-dkim", "l=0", None, "RFC 6376 §8.2: a verifier may want the whole body signed; we do"),
    ("opendkim", "l=0", None, "RFC 6376 §8.2: a verifier may want the whole body signed; we do"),
    ("python3-dkim", "l= beyond the body", None, "RFC 6376 §3.5: l= must not be larger than the body"),
    ("python3-dkim", "i= below d=, which the key forbids", None, "RFC 6376 §3.6.1: with t=s the domain of i= is d="),
    ("python3-dkim", "q= unknown and dns/txt", None, "RFC 6376 §3.5: q= is a list, of which one method suffices"),
    ("python3-dkim", "From not signed", None, "RFC 6376 §6.1.1: without From in h= it is a PERMFAIL"),
    ("opendkim", "a tag twice", None, "RFC 6376 §3.2: a tag list with a name twice is invalid"),
    ("python3-dkim", "old-hash", None, "RFC 6376 §6.1.2, step 6: h= must have the hash of a="),
    ("python3-dkim", "late-v", None, "RFC 6376 §3.6.1: v= must be the first tag of the record"),
    ("opendkim", "late-v", None, "RFC 6376 §3.6.1: v= must be the first tag of the record"),
    ("opendkim", "other-type", None, "RFC 6376 §6.1.2, step 7: the key must be of the type of a="),
]

# Signatures that nobody verifies, their signer neither: (signer, algorithm, form of the header, why).
WRONG_SIGNATURES = [
    ("opendkim", "ed25519-sha256", "simple",
     "RFC 8463 §3 signs the hash of RFC 6376 §3.7; of the simple form the peer's signer takes something else"),
]
