"""python3-dkim and we seal and verify each other's Authenticated Received Chains (RFC 8617): every order over three
hops, and every damage to each of these chains. The verdicts are equal, but for DIFFERENCES.
"""

import itertools
import random
import re
import unittest

import dkim

import tool
from random_mail import random_message
from signing_keys import SigningKeys, zone_text

SEED = 20240607
DOMAIN = "example.org"
HOPS = (1, 2, 3)
ORDERS = list(itertools.product((True, False), repeat=len(HOPS)))  # True: they seal
KINDS = {"AAR": b"ARC-Authentication-Results", "AMS": b"ARC-Message-Signature", "AS": b"ARC-Seal"}


def field_of(message, kind, instance):
    """One field of the chain, with its last CRLF."""
    header = message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for field in re.findall(rb"(?ms)^%s:.*?\r\n(?![ \t])" % KINDS[kind], header):
        if re.search(rb"[\s:;]i=%d;" % instance, field):
            return field
    raise AssertionError(f"no {kind} {instance} in {message}")


def on_field(kind, instance, change):
    """The damage that changes one field of the chain."""
    def damage(message):
        field = field_of(message, kind, instance)
        changed = change(field)
        if changed == field:
            raise AssertionError(f"nothing changed in {field}")
        return message.replace(field, changed, 1)
    return damage


def without(*fields):
    def damage(message):
        for kind, instance in fields:
            message = on_field(kind, instance, lambda field: b"")(message)
        return message
    return damage


def flipped(field):
    """Another octet in the middle of b=."""
    start = re.search(rb"\bb=\s*", field).end() + 10
    return field[:start] + (b"A" if field[start:start + 1] != b"A" else b"B") + field[start + 1:]


def put(old, new):
    return lambda data: data.replace(old, new, 1)


def oldest_on_top(message):
    """The fields of the chain in another order."""
    fields = [field_of(message, kind, instance) for instance in HOPS for kind in KINDS]
    for field in fields:
        message = message.replace(field, b"", 1)
    return b"".join(fields) + message


def seals_exchanged(message):
    """The second seal says that it is the third, and the other way round."""
    second, third = field_of(message, "AS", 2), field_of(message, "AS", 3)
    message = message.replace(third, third.replace(b"i=3;", b"i=2;"), 1)
    return message.replace(second, second.replace(b"i=2;", b"i=3;"), 1)


# name: (what is done to the chain of three hops, the verdict).
DAMAGES = {
    "none": (lambda message: message, "pass"),
    # RFC 8617 §5.2, step 4: the newest message signature.
    "a byte of the body": (put(b"\r\n\r\n", b"\r\n\r\nx"), "fail"),
    "a line more": (lambda message: message + b"x\r\n", "fail"),
    "an empty line more": (lambda message: message + b"\r\n", "pass"),
    "a signed field changed": (put(b"\r\nSubject:", b"\r\nSubject: x"), "fail"),
    "a signed field gone": (put(b"\r\nDate: Fri, 7 Jun 2024 12:00:00 +0000", b""), "fail"),
    "an unsigned field more": (lambda message: b"X-Other: x\r\n" + message, "pass"),
    # §5.1.1: the order of the fields is that of the instances.
    "the oldest set on top": (oldest_on_top, "pass"),
    "spaces in a seal": (on_field("AS", 2, put(b"; ", b";\r\n\t  ")), "pass"),
    # §5.2, step 3: the sets are whole and in a row.
    "the newest set gone": (without(*((kind, 3) for kind in KINDS)), "pass"),
    "the two newest sets gone": (without(*((kind, instance) for kind in KINDS for instance in (2, 3))), "pass"),
    "no set left": (without(*((kind, instance) for kind in KINDS for instance in HOPS)), "none"),
    "the set in the middle gone": (without(*((kind, 2) for kind in KINDS)), "fail"),
    "the oldest set gone": (without(*((kind, 1) for kind in KINDS)), "fail"),
    "a fourth seal alone": (lambda message: put(b"i=3;", b"i=4;")(field_of(message, "AS", 3)) + message, "fail"),
    "an instance of 0": (on_field("AS", 1, put(b"i=1;", b"i=0;")), "fail"),
    "instances change places": (seals_exchanged, "fail"),
    # §4.1.3: what no seal has.
    "h= in a seal": (on_field("AS", 3, put(b"i=3;", b"i=3; h=from;")), "fail"),
    "an unknown cv=": (on_field("AS", 2, put(b"cv=pass", b"cv=good")), "fail"),
    "no cv=": (on_field("AS", 2, put(b"cv=pass;", b"")), "fail"),
    # §5.2, step 3.C: the first says none, the others pass.
    "the first says pass": (on_field("AS", 1, put(b"cv=none", b"cv=pass")), "fail"),
    "the second says none": (on_field("AS", 2, put(b"cv=pass", b"cv=none")), "fail"),
    "the third says none": (on_field("AS", 3, put(b"cv=pass", b"cv=none")), "fail"),
    # §5.2, step 2.
    "the third says fail": (on_field("AS", 3, put(b"cv=pass", b"cv=fail")), "fail"),
}
for _kind, _instance in itertools.product(KINDS, HOPS):
    DAMAGES[f"{_kind} {_instance} gone"] = (without((_kind, _instance)), "fail")
    DAMAGES[f"{_kind} {_instance} twice"] = (on_field(_kind, _instance, lambda field: field + field), "fail")
for _instance in HOPS:
    # §5.2, step 5: every seal covers all sets up to its own.
    DAMAGES[f"AS {_instance} altered"] = (on_field("AS", _instance, flipped), "fail")
    DAMAGES[f"AMS {_instance} altered"] = (on_field("AMS", _instance, flipped), "fail")
    DAMAGES[f"AAR {_instance} altered"] = (on_field("AAR", _instance, put(b"\r\n", b"; dkim=pass\r\n")), "fail")
    DAMAGES[f"AS {_instance} of another domain"] = (
        on_field("AS", _instance, put(b"d=example.org", b"d=example.net")), "fail")
    DAMAGES[f"AS {_instance} with another time"] = (
        on_field("AS", _instance, lambda field: re.sub(rb"t=\d+", b"t=1600000000", field)), "fail")


# Where python3-dkim says fail and we pass.
DIFFERENCES = {
    "the oldest set on top": "RFC 8617 §5.1.1 has an order of its own for the seal; the peer takes the message's",
}


class ArcMatrix(tool.FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A key for each hop.
        cls.keys = SigningKeys(cls.folder, {f"hop{hop}": 2048 for hop in (*HOPS, 4)})
        cls.records = {f"{name}._domainkey.{DOMAIN}": record for name, record in cls.keys.records.items()}
        cls.zone = cls.write("zone", zone_text(cls.records).encode())
        rng = random.Random(SEED)
        cls.chains = {order: cls.chain(random_message(rng), order) for order in ORDERS}

    @classmethod
    def chain(cls, message, order):
        """The message after each hop."""
        messages = []
        for hop, theirs in enumerate(order, 1):
            message = cls.sealed(message, hop, theirs, "pass" if hop > 1 else "none")
            messages.append(message)
        return messages

    @classmethod
    def sealed(cls, message, hop, theirs, status):
        """`status`: what they are told of the chain so far. We look ourselves."""
        selector = f"hop{hop}"
        if not theirs:
            path = cls.write("plain", message)
            return tool.run("seal", cls.keys.files[selector], DOMAIN, selector, cls.zone, path) + message
        seen = f"Authentication-Results: {DOMAIN}; spf=pass smtp.mailfrom=x.example; arc={status}\r\n".encode()
        fields = dkim.arc_sign(seen + message, selector.encode(), DOMAIN.encode(), cls.keys.dkimpy[selector],
                               DOMAIN.encode(), include_headers=[b"from", b"to", b"subject", b"date"])
        return b"".join(fields) + message

    def their_verdict(self, message, records):
        def answer(name, timeout=5):
            return records.get(name.decode().rstrip("."))
        verdict, _, _ = dkim.arc_verify(message, dnsfunc=answer)
        return (verdict or b"fail").decode()  # None: the newest seal says cv=fail

    def check(self, rows, records=None):
        """Both have the verdict that is wanted of each (name, message, verdict)."""
        zone = self.zone if records is None else self.write("zone2", zone_text(records).encode())
        for (name, message, want), ours in zip(rows, tool.verify(self.folder, zone, [row[1] for row in rows])):
            theirs = "fail" if name[-1] in DIFFERENCES else want
            self.assertEqual((ours["arc"], self.their_verdict(message, records or self.records)), (want, theirs),
                             (name, message))

    def test_chains_of_every_order_pass_at_every_hop(self):
        self.check([((order, hop), message, "pass")
                    for order, messages in self.chains.items() for hop, message in enumerate(messages, 1)])

    def test_damage(self):
        for order, messages in self.chains.items():
            self.check([((order, name), damage(messages[-1]), want) for name, (damage, want) in DAMAGES.items()])

    def test_a_key_that_is_gone_or_revoked_breaks_the_chain(self):
        """RFC 8617 §5.2, step 5: every seal is verified, the oldest too."""
        for hop in HOPS:
            name = f"hop{hop}._domainkey.{DOMAIN}"
            rows = [((order, name), messages[-1], "fail") for order, messages in self.chains.items()]
            self.check(rows, {**self.records, name: b"v=DKIM1; p="})
            self.check(rows, {other: record for other, record in self.records.items() if other != name})

    def test_a_body_that_changed_after_the_second_hop(self):
        """RFC 8617 §5.1: the third either changed it, having verified the chain, or says that it is broken."""
        rows = []
        for order, messages in self.chains.items():
            changed = messages[1].replace(b"\r\n\r\n", b"\r\n\r\n[list] ", 1)
            rows.append(((order, "not sealed"), changed, "fail"))
            rows.append(((order, "by the third itself"), self.sealed(changed, 3, True, "pass"), "pass"))
            for theirs in (True, False):
                broken = self.sealed(changed, 3, theirs, "fail")
                self.assertIn(b"cv=fail", field_of(broken, "AS", 3))
                rows.append(((order, theirs, "before the third"), broken, "fail"))
                # §5.1: nobody may add to it, and whoever does mends nothing.
                rows.append(((order, theirs, "sealed once more"), self.sealed(broken, 4, True, "pass"), "fail"))
        self.check(rows)


if __name__ == "__main__":
    unittest.main(verbosity=2)
