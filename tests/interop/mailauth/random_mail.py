"""Messages from a random generator, of pieces on which canonical forms differ (RFC 6376 §3.4)."""


def random_body(rng):
    pieces = [b"word", b" ", b"  ", b"\t", b" \r\n", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b".", b"\xc3\xbc",
              b"a" * 70]
    body = b"".join(rng.choice(pieces) for _ in range(rng.randrange(40)))
    # White space at an end without CRLF, which mail can't have, is read in two ways.
    return body + b"z" if rng.random() < 0.3 else body + b"\r\n"


def random_message(rng):
    header = [b"From: ann@example.org", b"To: bob@example.net,\r\n\tcarl@example.net", b"Subject:  a   b \r\n  c ",
              b"Date: Fri, 7 Jun 2024 12:00:00 +0000", b"X-Empty:", b"Received: from a\r\n by b;\r\n now"]
    rng.shuffle(header)
    return b"\r\n".join(header) + b"\r\n\r\n" + random_body(rng)
