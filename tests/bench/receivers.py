"""The servers that tests/bench/receive.py measures.

Each has a `name`, whether it `verifies`, an `address` to send to, any number of mailboxes (see
`mailbox()`), `processes()` for the CPU columns, `delivered(mark, count)`, which waits until all mail since
`mark()` lies in its mailboxes, and `newest(number)`, a message as it lies there.
"""

import imaplib
import os
import shutil
import ssl
import sys
import tempfile
import time

from peer import Peer, harness, postfix_peer

DOMAIN = "godwit.test"
HOST = "postfix.test"


def mailbox(number):
    return f"box{number}@{DOMAIN}"


def wait_sent(postfix, mark, count):
    """Until `count` deliveries stand in Postfix's log behind `mark`; each is a line."""
    sent = 0
    rest = b""
    deadline = time.monotonic() + 300
    with open(postfix.path("var/log/postfix.log"), "rb") as log:
        log.seek(mark)
        while sent < count:
            *lines, rest = (rest + log.read()).split(b"\n")
            sent += sum(b"status=sent" in line for line in lines)
            if time.monotonic() > deadline:
                sys.exit(f"Postfix delivered {sent} of {count}: {lines[-3:]}")
            if sent < count:
                time.sleep(0.01)


class Godwit:
    """The suite as tools/localserve starts it: SPF, DKIM, DMARC, ARC and iprev are checked, all is durable."""

    name = "godwit"
    verifies = True
    check_at_end = True
    # Limits are there, and out of reach: all mail comes from one address.
    settings = {"clients": {"connections": 100_000, "connections_per_minute": 1_000_000, "bytes_per_hour": "100TiB"}}

    def __init__(self, dns, mailboxes):
        self.suite = harness.Suite([], ["--dns", dns], {"smtp-ingress": self.settings})
        self.address = self.suite.told["smtp"]
        try:
            self.passwords = {mailbox(number): self.suite.add_account(mailbox(number)) for number in range(mailboxes)}
        except BaseException:
            self.suite.close()
            raise

    def processes(self):
        told = self.suite.told
        return {**told["pids"], "postgres": told["postgres_pid"]}

    def mark(self):
        return None

    def delivered(self, _mark, _count):
        """250 says so."""

    def newest(self, number):
        told = self.suite.told
        tls = ssl.create_default_context(cafile=told["ca_file"])
        with imaplib.IMAP4_SSL(*harness.split(told["imaps"]), ssl_context=tls, timeout=30) as client:
            client.login(mailbox(number), self.passwords[mailbox(number)])
            client.select("INBOX", readonly=True)
            return client.fetch("*", "(BODY.PEEK[])")[1][0][1]

    def close(self):
        try:
            if self.check_at_end:
                self.suite.check_store()
        finally:
            self.suite.close()


class GodwitPlain(Godwit):
    """The same without verification."""

    name = "godwit-plain"
    verifies = False
    settings = {**Godwit.settings, "verification": "off"}


class PostfixPlain:
    """Debian's Postfix delivering by LMTP to Debian's Dovecot with Maildirs, as shipped; nothing is verified."""

    name = "postfix-plain"
    verifies = False
    root = "postfix"

    def __init__(self, dns, _mailboxes):
        self.dns = dns
        self.folder = tempfile.mkdtemp(prefix="godwit-bench-", dir="/var/tmp")
        self.sockets = os.path.join(self.folder, "sockets")
        for folder in (self.folder, self.sockets):
            os.makedirs(folder, exist_ok=True)
            os.chmod(folder, 0o777)
        self.binds = [f"{self.sockets}:/srv/sockets"]
        self.peers = {}
        self.postfix = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.start_dovecot()
        self.start_verifiers()
        self.postfix = postfix_peer.Postfix(harness.ROOT, os.path.join(self.folder, "postfix"), [
            f"virtual_mailbox_domains = {DOMAIN}",
            "virtual_mailbox_maps = static:all",
            "virtual_transport = lmtp:unix:/srv/sockets/lmtp",
            # The limits are there, and out of reach: all mail comes from one address.
            "smtpd_client_connection_count_limit = 1000",
            *self.settings()], self.services(), root=self.root, binds=self.binds)
        self.prepare()
        self.postfix.start()
        self.address = f"127.0.0.1:{self.postfix.port}"

    def start_verifiers(self):
        """What runs beside Postfix."""

    def settings(self):
        return []

    def services(self):
        return []

    def prepare(self):
        """Files in Postfix's root."""

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
        return path

    def start_peer(self, name, command, config, inside):
        """One that listens on a socket of its name."""
        path = self.write(f"{name}.conf", config)
        peer = self.peers[name] = Peer(name, command, os.path.join(self.folder, name),
                                       [*self.binds, f"{path}:{inside}"])
        peer.wait_listens(os.path.join(self.sockets, "lmtp" if name == "dovecot" else name))

    def start_dovecot(self):
        self.start_peer("dovecot", ["dovecot", "-F"], """protocols = lmtp
ssl = no
log_path = /var/log/dovecot.log
mail_location = maildir:/var/mail/%n
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/var/mail/%n allow_all_users=yes
}
passdb {
  driver = static
  args = nopassword=y
}
service lmtp {
  unix_listener /srv/sockets/lmtp {
    mode = 0666
  }
}
""", "/etc/dovecot/dovecot.conf")

    def processes(self):
        return {"postfix": self.postfix.process.pid, **{name: peer.process.pid for name, peer in self.peers.items()}}

    def mark(self):
        """Where Postfix's log ends now."""
        return os.path.getsize(self.postfix.path("var/log/postfix.log"))

    def delivered(self, mark, count):
        wait_sent(self.postfix, mark, count)

    def newest(self, number):
        folder = os.path.join(self.folder, "dovecot/var/mail", f"box{number}", "new")
        names = [os.path.join(folder, name) for name in os.listdir(folder)]
        with open(max(names, key=os.path.getmtime), "rb") as source:
            return source.read()

    def close(self):
        if self.postfix is not None:
            self.postfix.stop()
        for peer in self.peers.values():
            peer.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostfixMilters(PostfixPlain):
    """With opendkim and opendmarc as milters and policyd-spf as policy service."""

    name = "postfix-milters"
    verifies = True
    root = "postfix-spf"

    def start_verifiers(self):
        # Nameservers and not ResolverConfiguration: that file is parsed for each message, by a parser
        # that is not made for threads, and opendkim dies of it.
        self.start_peer("opendkim", ["opendkim", "-f", "-x", "/etc/opendkim.conf"], f"""Mode v
AuthservID {HOST}
Nameservers {self.dns.rpartition(":")[0]}
Socket local:/srv/sockets/opendkim
UMask 000
UserID opendkim
Syslog no
""", "/etc/opendkim.conf")
        self.start_peer("opendmarc", ["opendmarc", "-f", "-c", "/etc/opendmarc.conf"], f"""AuthservID {HOST}
TrustedAuthservIDs {HOST}
PublicSuffixList /usr/share/publicsuffix/public_suffix_list.dat
Socket local:/srv/sockets/opendmarc
UMask 000
UserID opendmarc
Syslog false
""", "/etc/opendmarc.conf")

    def settings(self):
        return ["smtpd_milters = unix:/srv/sockets/opendkim, unix:/srv/sockets/opendmarc",
                "milter_default_action = tempfail",
                "smtpd_recipient_restrictions = reject_unauth_destination,"
                " check_policy_service unix:private/policyd-spf",
                "policyd-spf_time_limit = 3600"]

    def services(self):
        return ["policyd-spf unix - n n - 0 spawn user=policyd-spf argv=/usr/bin/policyd-spf"]

    def prepare(self):
        # In a form that opendmarc reads.
        with open(self.postfix.path("etc/postfix-policyd-spf-python/policyd-spf.conf"), "a", encoding="ascii") as out:
            out.write(f"Header_Type = AR\nAuthserv_Id = {HOST}\n")


class PostfixRspamd(PostfixPlain):
    """With rspamd as milter: its modules SPF, DKIM and DMARC, no Redis; it scans in the process that
    speaks the milter protocol, one a core."""

    name = "postfix-rspamd"
    verifies = True

    def start_verifiers(self):
        self.start_peer("rspamd", ["sh", "-ec", "mkdir -p /run/rspamd; chown _rspamd /run/rspamd;"
                                   " exec rspamd -f -u _rspamd -g _rspamd -c /etc/rspamd/rspamd.conf"],
                        f"""options {{
  filters = "dkim";
  dns {{
    nameserver = ["{self.dns}"];
  }}
  url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  pidfile = "/run/rspamd/rspamd.pid";
  cache_file = "/var/lib/rspamd/symbols.cache";
  hs_cache_dir = "/var/lib/rspamd/";
  control_socket = "/var/lib/rspamd/rspamd.sock mode=0600";
}}
logging {{
  type = "file";
  filename = "/var/log/rspamd/rspamd.log";
  level = "notice";
}}
worker "rspamd_proxy" {{
  bind_socket = "/srv/sockets/rspamd mode=0666";
  milter = yes;
  timeout = 120s;
  upstream "local" {{
    default = yes;
    self_scan = yes;
  }}
  count = {os.cpu_count()};
}}
group "policies" {{
  .include "/etc/rspamd/scores.d/policies_group.conf"
}}
# Those without a section of their own stay off.
modules {{
  path = "/usr/share/rspamd/plugins";
}}
dkim {{
}}
spf {{
}}
dmarc {{
}}
milter_headers {{
  use = ["authentication-results"];
}}
""", "/etc/rspamd/rspamd.conf")

    def settings(self):
        return ["smtpd_milters = unix:/srv/sockets/rspamd", "milter_default_action = tempfail"]


KINDS = {kind.name: kind for kind in (GodwitPlain, Godwit, PostfixPlain, PostfixMilters, PostfixRspamd)}
