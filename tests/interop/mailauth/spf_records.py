"""The hand-made zone of spf_zone_test: a record for each rule of RFC 7208.

RECORDS has (name below spf.test, record, result for CLIENT, result for OTHER); a record None is none. HOSTS is what
these ask for, as testing::FakeZone reads it.
"""

CLIENT, OTHER = "192.0.2.1", "198.51.100.9"
CLIENT_6, OTHER_6 = "2001:db8::1", "2001:db9::1"
MANY_NAMES = "192.0.2.77"  # its eleventh PTR record is the good one


def shortened(name):
    """§7.3: without the labels on the left that make it longer than 253 octets."""
    while len(name) > 253:
        name = name.partition(".")[2]
    return name


HOSTS = """
host.spf.test       A      192.0.2.1
host.spf.test       AAAA   2001:db8::1
far.spf.test        A      203.0.113.5
far.spf.test        AAAA   2001:dba::5
near.spf.test       A      192.0.2.77
near.spf.test       AAAA   2001:db8::99
pair.spf.test       A      203.0.113.5
pair.spf.test       A      192.0.2.1
six.spf.test        AAAA   2001:db8::1
alias.spf.test      CNAME  host.spf.test
alias2.spf.test     CNAME  alias.spf.test
lost.spf.test       CNAME  nothing.spf.test
broken.spf.test     TEMPFAIL
mxes.spf.test       MX     10 far.spf.test
mxes.spf.test       MX     20 host.spf.test
mxfar.spf.test      MX     10 far.spf.test
mxbroken.spf.test   MX     10 broken.spf.test
mxlost.spf.test     MX     10 nothing.spf.test
mxnull.spf.test     MX     0 .
mxalias.spf.test    CNAME  mxes.spf.test
1.2.0.192.in-addr.arpa      PTR  host.spf.test
9.100.51.198.in-addr.arpa   PTR  host.spf.test
9.100.51.198.in-addr.arpa   PTR  far.spf.test
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa  PTR  host.spf.test
listed.exists.test  A      127.0.0.2
six.exists.test     AAAA   2001:db8::2
192.0.2.1.i.exists.test                A  127.0.0.2
1.2.0.192.ir.exists.test               A  127.0.0.2
2.1.i2.exists.test                     A  127.0.0.2
in-addr.v.exists.test                  A  127.0.0.2
ip6.v.exists.test                      A  127.0.0.2
user.l.exists.test                     A  127.0.0.2
user.m-dash.spf.test.s.exists.test     A  127.0.0.2
strong.bad.l.exists.test               A  127.0.0.2
bad.lr.exists.test                     A  127.0.0.2
bad.strong.lr.exists.test              A  127.0.0.2
strong.l1r.exists.test                 A  127.0.0.2
helo.client.test.h.exists.test         A  127.0.0.2
host.spf.test.p.exists.test            A  127.0.0.2
unknown.p.exists.test                  A  127.0.0.2
spf.test.d2.exists.test                A  127.0.0.2
test.spf.m-reverse.dr.exists.test      A  127.0.0.2
a%b.percent.exists.test                A  127.0.0.2
a%20b.minus.exists.test                A  127.0.0.2
user%2bplus.upper.exists.test          A  127.0.0.2
2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.i.exists.test  A  127.0.0.2
why.exp.test        TXT    "not from %{i} for %{d} and %{s}"
who.exp.test        TXT    "%{c} %{h} %{r} %{p} %{v} %{o} %{l} %{t}"
two.exp.test        TXT    "one"
two.exp.test        TXT    "two"
bad.exp.test        TXT    "%{x} %"
parts.exp.test      TXT    "cut " "in " "two"
percent.exp.test    TXT    "100%% of%_them%-"
broken.exp.test     TEMPFAIL
in-addr.include.test   TXT    "v=spf1 foo"
ip6.include.test       TXT    "v=spf1 ip6:2001:db8::1 -all"
test.redirect.test     TXT    "v=spf1 -all"
"""
HOSTS += shortened("m-long.spf.test." * 30 + "192.0.2.1.i.exists.test") + " A 127.0.0.2\n"
HOSTS += "".join(f"mxten.spf.test MX {n} {'host' if n == 10 else 'far'}.spf.test\n" for n in range(1, 11))
HOSTS += "".join(f"mxeleven.spf.test MX {n} {'host' if n == 1 else 'far'}.spf.test\n" for n in range(1, 12))
HOSTS += "".join(f"77.2.0.192.in-addr.arpa PTR {'near' if n == 11 else 'far'}.spf.test\n" for n in range(1, 12))

RECORDS = [
    # §4.5: which record it is.
    ("none", None, "none", "none"),
    ("empty", "v=spf1", "neutral", "neutral"),
    ("space", "v=spf1 ", "neutral", "neutral"),
    ("upper", "V=SPF1 IP4:192.0.2.1 -ALL", "pass", "fail"),
    ("version10", "v=spf10 -all", "none", "none"),
    ("version2", "v=spf2.0/mfrom -all", "none", "none"),
    ("glued", "v=spf1-all", "none", "none"),
    ("front-space", " v=spf1 -all", "none", "none"),
    ("spaces", "v=spf1   ip4:192.0.2.1    -all  ", "pass", "fail"),
    ("tab", "v=spf1\tip4:192.0.2.1 -all", "none", "none"),
    ("tab-within", "v=spf1 ip4:192.0.2.1\t-all", "permerror", "permerror"),
    # §4.6.2 and §5.1.
    ("all", "v=spf1 all", "pass", "pass"),
    ("plus", "v=spf1 +all", "pass", "pass"),
    ("minus", "v=spf1 -all", "fail", "fail"),
    ("tilde", "v=spf1 ~all", "softfail", "softfail"),
    ("question", "v=spf1 ?all", "neutral", "neutral"),
    ("twice", "v=spf1 --all", "permerror", "permerror"),
    ("other-qualifier", "v=spf1 !all", "permerror", "permerror"),
    ("all-first", "v=spf1 -all ip4:192.0.2.1", "fail", "fail"),
    ("all-argument", "v=spf1 all:spf.test", "permerror", "permerror"),
    ("all-prefix", "v=spf1 all/8", "permerror", "permerror"),
    ("qualified", "v=spf1 ~ip4:192.0.2.1 ?ip4:198.51.100.9 -all", "softfail", "neutral"),
    ("no-match", "v=spf1 ip4:192.0.2.1", "pass", "neutral"),
    # §4.6: the whole record is read first.
    ("late-error", "v=spf1 ip4:192.0.2.1 -all foo", "permerror", "permerror"),
    ("late-address", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.300", "permerror", "permerror"),
    ("late-modifier", "v=spf1 ip4:192.0.2.1 -all x=%{q}", "permerror", "permerror"),
    # Mechanisms nobody knows.
    ("unknown", "v=spf1 foo -all", "permerror", "permerror"),
    ("unknown-argument", "v=spf1 foo:bar.test -all", "permerror", "permerror"),
    ("unknown-prefix", "v=spf1 foo/24 -all", "permerror", "permerror"),
    ("only-qualifier", "v=spf1 - -all", "permerror", "permerror"),
    ("comma", "v=spf1 ip4:192.0.2.1, -all", "permerror", "permerror"),
    ("bare-address", "v=spf1 192.0.2.1 -all", "permerror", "permerror"),
    ("ipv4", "v=spf1 ipv4:192.0.2.1 -all", "permerror", "permerror"),
    # §5.6: ip4 and ip6.
    ("ip4", "v=spf1 ip4:192.0.2.1 -all", "pass", "fail"),
    ("ip4-24", "v=spf1 ip4:192.0.2.77/24 -all", "pass", "fail"),
    ("ip4-32", "v=spf1 ip4:192.0.2.1/32 -all", "pass", "fail"),
    ("ip4-31", "v=spf1 ip4:192.0.2.0/31 -all", "pass", "fail"),
    ("ip4-0", "v=spf1 ip4:203.0.113.0/0 -all", "pass", "pass"),
    ("ip4-33", "v=spf1 ip4:192.0.2.1/33 -all", "permerror", "permerror"),
    ("ip4-024", "v=spf1 ip4:192.0.2.1/024 -all", "permerror", "permerror"),
    ("ip4-slash", "v=spf1 ip4:192.0.2.1/ -all", "permerror", "permerror"),
    ("ip4-dual", "v=spf1 ip4:192.0.2.1/24//64 -all", "permerror", "permerror"),
    ("ip4-300", "v=spf1 ip4:192.0.2.300 -all", "permerror", "permerror"),
    ("ip4-short", "v=spf1 ip4:192.0.2 -all", "permerror", "permerror"),
    ("ip4-zeros", "v=spf1 ip4:192.000.2.1 -all", "permerror", "permerror"),
    ("ip4-none", "v=spf1 ip4 -all", "permerror", "permerror"),
    ("ip4-empty", "v=spf1 ip4: -all", "permerror", "permerror"),
    ("ip4-name", "v=spf1 ip4:host.spf.test -all", "permerror", "permerror"),
    ("ip4-six", "v=spf1 ip4:2001:db8::1 -all", "permerror", "permerror"),
    ("ip4-equals", "v=spf1 ip4=192.0.2.1 -all", "fail", "fail"),
    ("ip6", "v=spf1 ip6:2001:db8::1 -all", "fail", "fail"),
    ("ip6-32", "v=spf1 ip6:2001:db8::/32 ?all", "neutral", "neutral"),
    ("ip6-0", "v=spf1 ip6:::/0 -all", "fail", "fail"),
    ("ip6-128", "v=spf1 ip6:2001:DB8:0:0:0:0:0:1/128 -all", "fail", "fail"),
    ("ip6-129", "v=spf1 ip6:2001:db8::1/129 -all", "permerror", "permerror"),
    ("ip6-032", "v=spf1 ip6:2001:db8::1/032 -all", "permerror", "permerror"),
    ("ip6-four", "v=spf1 ip6:192.0.2.1 -all", "permerror", "permerror"),
    ("ip6-mapped", "v=spf1 ip6:::ffff:192.0.2.1 -all", "fail", "fail"),
    ("ip6-dotted", "v=spf1 ip6:2001:db8::0.0.0.1 -all", "fail", "fail"),
    ("ip6-colons", "v=spf1 ip6:2001:db8:::1 -all", "permerror", "permerror"),
    ("ip6-none", "v=spf1 ip6 -all", "permerror", "permerror"),
    ("ip6-empty", "v=spf1 ip6: -all", "permerror", "permerror"),
    # §5.3: a.
    ("a", "v=spf1 a -all", "pass", "fail"),
    ("a-named", "v=spf1 a:host.spf.test -all", "pass", "fail"),
    ("a-far", "v=spf1 a:far.spf.test -all", "fail", "fail"),
    ("a-pair", "v=spf1 a:pair.spf.test -all", "pass", "fail"),
    ("a-24", "v=spf1 a:near.spf.test/24 -all", "pass", "fail"),
    ("a-0", "v=spf1 a:far.spf.test/0 -all", "pass", "pass"),
    ("a-64", "v=spf1 a:near.spf.test//64 -all", "fail", "fail"),
    ("a-dual", "v=spf1 a:near.spf.test/24//64 -all", "pass", "fail"),
    ("a-own-dual", "v=spf1 a/24//64 -all", "pass", "fail"),
    ("a-33", "v=spf1 a/33 -all", "permerror", "permerror"),
    ("a-129", "v=spf1 a//129 -all", "permerror", "permerror"),
    ("a-024", "v=spf1 a/024 -all", "permerror", "permerror"),
    ("a-slash", "v=spf1 a/ -all", "permerror", "permerror"),
    ("a-three", "v=spf1 a/24/64 -all", "permerror", "permerror"),
    ("a-six", "v=spf1 a:six.spf.test -all", "fail", "fail"),
    ("a-alias", "v=spf1 a:alias2.spf.test -all", "pass", "fail"),
    ("a-lost", "v=spf1 a:lost.spf.test -all", "fail", "fail"),
    ("a-void", "v=spf1 a:nothing.spf.test -all", "fail", "fail"),
    ("a-broken", "v=spf1 a:broken.spf.test -all", "temperror", "temperror"),
    ("a-before-broken", "v=spf1 a:host.spf.test a:broken.spf.test -all", "pass", "temperror"),
    ("a-empty", "v=spf1 a: -all", "permerror", "permerror"),
    ("a-dot", "v=spf1 a:host.spf.test. -all", "pass", "fail"),
    ("a-upper", "v=spf1 A:HOST.SPF.Test -all", "pass", "fail"),
    ("a-one-label", "v=spf1 a:localhost -all", "permerror", "permerror"),
    ("a-address", "v=spf1 a:192.0.2.1 -all", "permerror", "permerror"),
    ("a-port", "v=spf1 a:host.spf.test:25 -all", "permerror", "permerror"),
    ("a-hyphen", "v=spf1 a:host.spf.test- -all", "permerror", "permerror"),
    ("a-two-dots", "v=spf1 a:host..spf.test -all", "fail", "fail"),
    ("a-long-label", f"v=spf1 a:{'x' * 64}.spf.test -all", "fail", "fail"),
    ("a-underscore", "v=spf1 a:_host.spf.test -all", "fail", "fail"),
    # §5.4: mx.
    ("mx", "v=spf1 mx -all", "pass", "fail"),
    ("mx-named", "v=spf1 mx:mxes.spf.test -all", "pass", "fail"),
    ("mx-far", "v=spf1 mx:mxfar.spf.test -all", "fail", "fail"),
    ("mx-24", "v=spf1 mx:mxfar.spf.test/0 -all", "pass", "pass"),
    ("mx-dual", "v=spf1 mx:mxes.spf.test/24//64 -all", "pass", "fail"),
    ("mx-33", "v=spf1 mx/33 -all", "permerror", "permerror"),
    ("mx-void", "v=spf1 mx:nothing.spf.test -all", "fail", "fail"),
    ("mx-no-mx", "v=spf1 mx:host.spf.test -all", "fail", "fail"),
    ("mx-lost", "v=spf1 mx:mxlost.spf.test -all", "fail", "fail"),
    ("mx-null", "v=spf1 mx:mxnull.spf.test -all", "fail", "fail"),
    ("mx-broken", "v=spf1 mx:broken.spf.test -all", "temperror", "temperror"),
    ("mx-broken-host", "v=spf1 mx:mxbroken.spf.test -all", "temperror", "temperror"),
    ("mx-alias", "v=spf1 mx:mxalias.spf.test -all", "pass", "fail"),
    ("mx-ten", "v=spf1 mx:mxten.spf.test -all", "pass", "fail"),
    ("mx-eleven", "v=spf1 mx:mxeleven.spf.test -all", "permerror", "permerror"),
    ("mx-empty", "v=spf1 mx: -all", "permerror", "permerror"),
    # §5.5: ptr.
    ("ptr", "v=spf1 ptr:spf.test -all", "pass", "fail"),
    ("ptr-host", "v=spf1 ptr:host.spf.test -all", "pass", "fail"),
    ("ptr-part", "v=spf1 ptr:ost.spf.test -all", "fail", "fail"),
    ("ptr-other", "v=spf1 ptr:other.test -all", "fail", "fail"),
    ("ptr-own", "v=spf1 ptr -all", "fail", "fail"),
    ("ptr-upper", "v=spf1 PTR:SPF.TEST -all", "pass", "fail"),
    ("ptr-eleventh", "v=spf1 ptr:near.spf.test -all", "fail", "fail"),
    ("ptr-prefix", "v=spf1 ptr:spf.test/24 -all", "permerror", "permerror"),
    ("ptr-empty", "v=spf1 ptr: -all", "permerror", "permerror"),
    # §5.7: exists.
    ("exists", "v=spf1 exists:listed.exists.test -all", "pass", "pass"),
    ("exists-not", "v=spf1 exists:nothing.exists.test -all", "fail", "fail"),
    ("exists-six", "v=spf1 exists:six.exists.test -all", "fail", "fail"),
    ("exists-broken", "v=spf1 exists:broken.spf.test -all", "temperror", "temperror"),
    ("exists-none", "v=spf1 exists -all", "permerror", "permerror"),
    ("exists-empty", "v=spf1 exists: -all", "permerror", "permerror"),
    ("exists-prefix", "v=spf1 exists:listed.exists.test/24 -all", "permerror", "permerror"),
    # §5.2: include, each row of its table.
    ("include-pass", "v=spf1 include:ip4.spf.test -all", "pass", "fail"),
    ("include-softfail", "v=spf1 include:tilde.spf.test ?all", "neutral", "neutral"),
    ("include-neutral", "v=spf1 include:question.spf.test -all", "fail", "fail"),
    ("include-fail", "v=spf1 -include:minus.spf.test ~all", "softfail", "softfail"),
    ("include-minus-pass", "v=spf1 -include:ip4.spf.test +all", "fail", "pass"),
    ("include-none", "v=spf1 include:none.spf.test -all", "permerror", "permerror"),
    ("include-permerror", "v=spf1 include:unknown.spf.test +all", "permerror", "permerror"),
    ("include-temperror", "v=spf1 include:broken.spf.test +all", "temperror", "temperror"),
    ("include-after-match", "v=spf1 ip4:192.0.2.1 include:broken.spf.test -all", "pass", "temperror"),
    ("include-two", "v=spf1 include:include-pass.spf.test -all", "pass", "fail"),
    ("include-missing", "v=spf1 include -all", "permerror", "permerror"),
    ("include-empty", "v=spf1 include: -all", "permerror", "permerror"),
    ("include-prefix", "v=spf1 include:ip4.spf.test/24 -all", "permerror", "permerror"),
    ("include-macro", "v=spf1 include:%{v}.include.test -all", "permerror", "permerror"),
    ("include-self", "v=spf1 include:include-self.spf.test -all", "permerror", "permerror"),
    ("include-loop", "v=spf1 include:include-loop2.spf.test -all", "permerror", "permerror"),
    ("include-loop2", "v=spf1 include:include-loop.spf.test -all", "permerror", "permerror"),
    ("include-domain", "v=spf1 include:a.spf.test -all", "pass", "fail"),
    ("include-redirect", "v=spf1 include:redirect.spf.test ~all", "pass", "softfail"),
    # §6.1: redirect.
    ("redirect", "v=spf1 redirect=ip4.spf.test", "pass", "fail"),
    ("redirect-late", "v=spf1 redirect=ip4.spf.test ip4:198.51.100.9", "pass", "pass"),
    ("redirect-all", "v=spf1 ~all redirect=ip4.spf.test", "softfail", "softfail"),
    ("redirect-none", "v=spf1 redirect=none.spf.test", "permerror", "permerror"),
    ("redirect-permerror", "v=spf1 redirect=unknown.spf.test", "permerror", "permerror"),
    ("redirect-temperror", "v=spf1 redirect=broken.spf.test", "temperror", "temperror"),
    ("redirect-domain", "v=spf1 redirect=a.spf.test", "pass", "fail"),
    ("redirect-two", "v=spf1 redirect=redirect.spf.test", "pass", "fail"),
    ("redirect-twice", "v=spf1 redirect=ip4.spf.test redirect=ip4.spf.test", "permerror", "permerror"),
    ("redirect-empty", "v=spf1 redirect=", "permerror", "permerror"),
    ("redirect-self", "v=spf1 redirect=redirect-self.spf.test", "permerror", "permerror"),
    ("redirect-loop", "v=spf1 redirect=redirect-loop2.spf.test", "permerror", "permerror"),
    ("redirect-loop2", "v=spf1 redirect=redirect-loop.spf.test", "permerror", "permerror"),
    ("redirect-macro", "v=spf1 redirect=%{d1}.redirect.test", "fail", "fail"),
    ("redirect-upper", "v=spf1 REDIRECT=ip4.spf.test", "pass", "fail"),
    # §6.2: exp.
    ("exp", "v=spf1 ip4:192.0.2.1 -all exp=why.exp.test", "pass", "fail"),
    ("exp-who", "v=spf1 -all exp=who.exp.test", "fail", "fail"),
    ("exp-softfail", "v=spf1 ~all exp=why.exp.test", "softfail", "softfail"),
    ("exp-none", "v=spf1 -all exp=nothing.exp.test", "fail", "fail"),
    ("exp-two", "v=spf1 -all exp=two.exp.test", "fail", "fail"),
    ("exp-bad", "v=spf1 -all exp=bad.exp.test", "fail", "fail"),
    ("exp-broken", "v=spf1 -all exp=broken.exp.test", "fail", "fail"),
    ("exp-parts", "v=spf1 -all exp=parts.exp.test", "fail", "fail"),
    ("exp-percent", "v=spf1 -all exp=percent.exp.test", "fail", "fail"),
    ("exp-macro", "v=spf1 -all exp=why.exp.%{d1}", "fail", "fail"),
    ("exp-twice", "v=spf1 -all exp=why.exp.test exp=why.exp.test", "permerror", "permerror"),
    ("exp-empty", "v=spf1 -all exp=", "permerror", "permerror"),
    ("exp-first", "v=spf1 exp=why.exp.test -all", "fail", "fail"),
    ("exp-redirect", "v=spf1 exp=parts.exp.test redirect=exp.spf.test", "pass", "fail"),
    ("exp-redirect-none", "v=spf1 exp=parts.exp.test redirect=ip4.spf.test", "pass", "fail"),
    ("exp-include", "v=spf1 include:exp.spf.test -all", "pass", "fail"),
    ("exp-minus-include", "v=spf1 -include:exp.spf.test ?all", "fail", "neutral"),
    ("exp-own-include", "v=spf1 include:exp.spf.test -all exp=parts.exp.test", "pass", "fail"),
    # §6: other modifiers.
    ("modifier", "v=spf1 foo=bar ip4:192.0.2.1 -all", "pass", "fail"),
    ("modifier-name", "v=spf1 a.b-c_9=x ip4:192.0.2.1 -all", "pass", "fail"),
    ("modifier-empty", "v=spf1 foo= ip4:192.0.2.1 -all", "pass", "fail"),
    ("modifier-equals", "v=spf1 foo=a=b ip4:192.0.2.1 -all", "pass", "fail"),
    ("modifier-macro", "v=spf1 foo=%{i}%{d2r}/x ip4:192.0.2.1 -all", "pass", "fail"),
    ("modifier-bad-macro", "v=spf1 foo=%{q} ip4:192.0.2.1 -all", "permerror", "permerror"),
    ("modifier-open-macro", "v=spf1 foo=%{i ip4:192.0.2.1 -all", "permerror", "permerror"),
    ("modifier-digit", "v=spf1 1foo=bar ip4:192.0.2.1 -all", "permerror", "permerror"),
    ("modifier-qualified", "v=spf1 +foo=bar ip4:192.0.2.1 -all", "permerror", "permerror"),
    ("modifier-no-name", "v=spf1 =bar ip4:192.0.2.1 -all", "permerror", "permerror"),
    ("modifier-twice", "v=spf1 foo=1 foo=2 ip4:192.0.2.1 -all", "pass", "fail"),
    ("modifier-default", "v=spf1 ip4:192.0.2.1 default=fail", "pass", "neutral"),
    # §7: macros.
    ("m-i", "v=spf1 exists:%{i}.i.exists.test -all", "pass", "fail"),
    ("m-ir", "v=spf1 exists:%{ir}.ir.exists.test -all", "pass", "fail"),
    ("m-i2", "v=spf1 exists:%{i2}.i2.exists.test -all", "pass", "fail"),
    ("m-v", "v=spf1 exists:%{v}.v.exists.test -all", "pass", "pass"),
    ("m-l", "v=spf1 exists:%{l}.l.exists.test -all", "pass", "pass"),
    ("m-l-minus", "v=spf1 exists:%{l-}.l.exists.test -all", "pass", "pass"),
    ("m-lr", "v=spf1 exists:%{lr-}.lr.exists.test -all", "fail", "fail"),
    ("m-l1r", "v=spf1 exists:%{l1r-}.l1r.exists.test -all", "fail", "fail"),
    ("m-dash", "v=spf1 exists:%{l}.%{o}.s.exists.test -all", "pass", "pass"),
    ("m-s", "v=spf1 exists:%{s}.s.exists.test -all", "fail", "fail"),
    ("m-h", "v=spf1 exists:%{h}.h.exists.test -all", "pass", "pass"),
    ("m-p", "v=spf1 exists:%{p}.p.exists.test -all", "pass", "pass"),
    ("m-d2", "v=spf1 exists:%{d2}.d2.exists.test -all", "pass", "pass"),
    ("m-d99", "v=spf1 a:%{d99} -all", "pass", "fail"),
    ("m-reverse", "v=spf1 exists:%{dr}.dr.exists.test -all", "pass", "pass"),
    ("m-upper-letter", "v=spf1 exists:%{I}.i.exists.test -all", "pass", "fail"),
    ("m-upper-escapes", "v=spf1 exists:%{L}.upper.exists.test -all", "fail", "fail"),
    ("m-upper-r", "v=spf1 exists:%{iR}.ir.exists.test -all", "pass", "fail"),
    ("m-percent", "v=spf1 exists:a%%b.percent.exists.test -all", "pass", "pass"),
    ("m-minus", "v=spf1 exists:a%-b.minus.exists.test -all", "pass", "pass"),
    ("m-space", "v=spf1 exists:a%_b.minus.exists.test -all", "fail", "fail"),
    ("m-delimiters", "v=spf1 exists:%{l.-+,/_=}.l.exists.test -all", "pass", "pass"),
    ("m-delimiter-bad", "v=spf1 exists:%{l:}.l.exists.test -all", "permerror", "permerror"),
    ("m-zero", "v=spf1 exists:%{i0}.i.exists.test -all", "permerror", "permerror"),
    ("m-unknown", "v=spf1 exists:%{q}.i.exists.test -all", "permerror", "permerror"),
    ("m-empty", "v=spf1 exists:%{}.i.exists.test -all", "permerror", "permerror"),
    ("m-open", "v=spf1 exists:%{i.i.exists.test -all", "permerror", "permerror"),
    ("m-lone", "v=spf1 exists:%.exists.test -all", "permerror", "permerror"),
    ("m-lone-end", "v=spf1 exists:listed.exists.test% -all", "permerror", "permerror"),
    ("m-parentheses", "v=spf1 exists:%(i).exists.test -all", "permerror", "permerror"),
    ("m-c", "v=spf1 exists:%{c}.i.exists.test -all", "permerror", "permerror"),
    ("m-r", "v=spf1 exists:%{r}.i.exists.test -all", "permerror", "permerror"),
    ("m-t", "v=spf1 exists:%{t}.i.exists.test -all", "permerror", "permerror"),
    ("m-long", "v=spf1 exists:" + "%{d}." * 30 + "%{i}.i.exists.test -all", "pass", "fail"),
    ("m-end", "v=spf1 a:%{d} -all", "pass", "fail"),
    # §4.6.4: limits.
    ("ten", "v=spf1 " + "a:far.spf.test " * 9 + "a:host.spf.test -all", "pass", "fail"),
    ("eleven", "v=spf1 " + "a:far.spf.test " * 10 + "a:host.spf.test -all", "permerror", "permerror"),
    ("eleven-not-reached", "v=spf1 a:host.spf.test " + "a:far.spf.test " * 10 + "-all", "pass", "permerror"),
    ("ten-exists", "v=spf1 " + "exists:six.spf.test.listed.exists.test " * 2 + "ip4:192.0.2.1 -all", "pass", "fail"),
    ("ten-in-include", "v=spf1 include:nine.spf.test -all", "fail", "fail"),
    ("nine", "v=spf1 " + "a:far.spf.test " * 9 + "-all", "fail", "fail"),
    ("eleven-in-include", "v=spf1 a:far.spf.test include:nine.spf.test -all", "permerror", "permerror"),
    ("redirect-counts", "v=spf1 " + "a:far.spf.test " * 9 + "redirect=ip4.spf.test", "pass", "fail"),
    ("redirect-eleventh", "v=spf1 " + "a:far.spf.test " * 10 + "redirect=ip4.spf.test", "permerror", "permerror"),
    ("exp-counts-not", "v=spf1 " + "a:far.spf.test " * 10 + "-all exp=why.exp.test", "fail", "fail"),
    ("ip-counts-not", "v=spf1 " + "ip4:203.0.113.9 " * 20 + "ip4:192.0.2.1 -all", "pass", "fail"),
    ("void-two", "v=spf1 a:v1.void.test a:v2.void.test ip4:192.0.2.1 -all", "pass", "fail"),
    ("void-three", "v=spf1 a:v1.void.test a:v2.void.test a:v3.void.test ip4:192.0.2.1 -all", "permerror", "permerror"),
    ("void-mx", "v=spf1 mx:v1.void.test exists:v2.void.test a:v3.void.test ip4:192.0.2.1 -all", "permerror",
     "permerror"),
    ("void-no-data", "v=spf1 a:mxes.spf.test mx:host.spf.test a:mxfar.spf.test ip4:192.0.2.1 -all", "permerror",
     "permerror"),
    ("void-match-first", "v=spf1 a:v1.void.test a:v2.void.test a:host.spf.test a:v3.void.test -all", "pass",
     "permerror"),
    ("void-in-include", "v=spf1 include:void-two.spf.test a:v3.void.test -all", "pass", "permerror"),
]

# More at those names: addresses and MX of the ones whose own names are asked for, records beside the first.
MORE = [(name, "A", CLIENT) for name in ("a", "a-own-dual", "m-d99", "m-end")] + [
    ("a", "AAAA", CLIENT_6), ("a-own-dual", "AAAA", "2001:db8::77"), ("mx", "MX", "10 host.spf.test"),
    ("all", "TXT", '"some other text"'), ("double", "TXT", '"v=spf1 -all"'), ("double", "TXT", '"v=spf1 +all"'),
    ("cut", "TXT", '"v=spf1 ip4:192.0" ".2.1 -all"'), ("cut-space", "TXT", '"v=spf1" " ip4:192.0.2.1 -all"'),
    ("cut-glued", "TXT", '"v=spf1" "ip4:192.0.2.1 -all"')]

# (client, HELO, reverse-path); {}: the name of the record.
QUERIES = [
    (CLIENT, "helo.client.test", "user@{}"), (OTHER, "helo.client.test", "user@{}"),
    (CLIENT_6, "helo.client.test", "user@{}"), (OTHER_6, "helo.client.test", "user@{}"),
    ("::ffff:" + CLIENT, "helo.client.test", "user@{}"), (MANY_NAMES, "helo.client.test", "user@{}"),
    (CLIENT, "{}", ""), (OTHER, "{}", ""), (CLIENT, "helo.client.test", "strong-bad@{}"),
    (CLIENT, "helo.client.test", "user+plus@{}"), (CLIENT, "helo.client.test", "@{}"),
    (CLIENT, "[192.0.2.1]", "USER@{}"),
]

# §4.3, and what else is checked or not: (HELO, reverse-path, result for CLIENT).
SENDERS = [
    ("localhost", "", "none"), ("[192.0.2.1]", "", "none"), ("", "", "none"), ("all.spf.test", "", "pass"),
    ("helo.client.test", "user@localhost", "none"), ("helo.client.test", "user@[192.0.2.1]", "none"),
    ("helo.client.test", "user@", "none"), ("helo.client.test", "user", "none"), ("helo.client.test", "@", "none"),
    ("helo.client.test", "all.spf.test", "pass"), ("helo.client.test", "user@a..spf.test", "none"),
    ("helo.client.test", "user@.spf.test", "none"), ("helo.client.test", f"user@{'x' * 64}.spf.test", "none"),
    ("helo.client.test", f"user@{'x.' * 130}spf.test", "none"),
    ("helo.client.test", "user@broken.spf.test", "temperror"),
    ("helo.client.test", "user@host.spf.test", "none"), ("helo.client.test", "user@lost.spf.test", "none"),
    ("helo.client.test", '"a b"@all.spf.test', "pass"), ("helo.client.test", '"a@b"@all.spf.test', "pass"),
    ("helo.client.test", "%{d}@m-l.spf.test", "fail"), ("helo.client.test", "user@ALL.SPF.TEST", "pass"),
]

# Where python3-spf says something else: (record, None for all; reverse-path, "" for all; why we don't).
DIFFERENCES = [
    (None, '"a@b"@all.spf.test', "RFC 5321 §4.1.2: a quoted local part may hold an @"),
    (None, "@{}", "§4.3: without a local part it is postmaster, in %{s} too"),
    ("m-delimiter-bad", "", "§7.1: a colon is no delimiter"),
    ("m-open", "", "§7.1: a macro ends with a brace; §4.6: else it is a permerror"),
    ("modifier-open-macro", "", "§7.1: a macro ends with a brace; §4.6: else it is a permerror"),
    ("m-zero", "", "§7.3: the number of labels is not zero"),
    ("m-upper-r", "", "§7.1 is ABNF, whose strings have no case (RFC 5234 §2.3)"),
    ("m-long", "", "§7.3: labels go until the name is short enough, not one of them"),
    ("redirect-upper", "", "§6.1 is ABNF, whose strings have no case (RFC 5234 §2.3)"),
    ("modifier-twice", "", "§6: unknown modifiers are ignored, however many"),
]
