"""The daemons of the suite: their programs, database roles, ports and configuration files."""

import json
import os
import secrets

HOST = "127.0.0.1"

START_ORDER = ["auth-verifier", "imap-gateway", "smtp-ingress"]
HAS_RPC = {"auth-verifier", "imap-gateway"}
NEEDS_DATABASE = ["smtp-ingress", "imap-gateway"]
SERVED_BY = {"smtp": "smtp-ingress", "submission": "submission", "submissions": "submission",
             "imap": "imap-gateway", "imaps": "imap-gateway", "http": "webmail-api", "https": "webmail-api"}
MEANING = {"smtp": "mail in, STARTTLS", "submission": "mail out, STARTTLS", "submissions": "mail out, TLS",
           "imap": "reading mail, STARTTLS", "imaps": "reading mail, TLS", "http": "web", "https": "web, TLS"}


def binary(root, name):
    """A program of ours: below GODWIT_BIN_ROOT when that is set (another build's bazel-bin), beside
    the sources in a test's runfiles, else where Bazel puts it."""
    path = f"tools/{name}/{name}" if name == "godwitctl" else f"services/{name}/{name}"
    chosen = os.environ.get("GODWIT_BIN_ROOT")
    if chosen:
        return os.path.join(chosen, path)
    beside = os.path.join(root, path)
    return beside if os.path.exists(beside) else os.path.join(root, "bazel-bin", path)


def role(name):
    return "godwit_" + name.replace("-", "_")


def role_passwords(path):
    """{role: password} for the daemons and the reader; made once."""
    if os.path.exists(path):
        with open(path) as source:
            kept = json.load(source)
    else:
        kept = {}
    wanted = [role(name) for name in NEEDS_DATABASE] + ["godwit_reader"]
    if any(name not in kept for name in wanted):
        kept.update({name: secrets.token_urlsafe(24) for name in wanted if name not in kept})
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(kept, out, indent=1)
        os.rename(path + ".new", path)
    return kept


def used_ports(own_dns):
    """Names of the ports that the running daemons listen on."""
    names = [name for name, daemon in SERVED_BY.items() if daemon in START_ORDER]
    names += [f"metrics/{name}" for name in START_ORDER]
    names += [f"grpc/{name}" for name in START_ORDER if name in HAS_RPC]
    return names + ["internal-smtp"] + (["dns"] if own_dns else [])


def _common(suite, name):
    return {"metrics_listen": suite.metrics(name), "drain": {"grace": "10s"}}


def _rpc_tls(suite, name):
    certificate, key = suite.mesh_pairs[name]
    return {"ca_file": suite.mesh_ca, "certificate_file": certificate, "key_file": key}


def auth_verifier(suite):
    return {
        "common": _common(suite, "auth-verifier"),
        "rpc": {"listen": suite.grpc("auth-verifier")},
        "rpc_tls": _rpc_tls(suite, "auth-verifier"),
        "dns": {"servers": [suite.dns], "trusted": True},
    }


def _public_tls(suite):
    chain, key = suite.public_pair
    return {"certificates": [{"chain_file": chain, "key_file": key}]}


def smtp_ingress(suite):
    return {
        "common": _common(suite, "smtp-ingress"),
        "hostname": suite.hostname,
        "listeners": [{"listen": suite.public("smtp")}],
        "internal": {"listen": f"{HOST}:{suite.ports['internal-smtp']}"},
        "tls": _public_tls(suite),
        "database": {},
        "rpc_tls": _rpc_tls(suite, "smtp-ingress"),
        "auth_verifier": {"target": suite.grpc("auth-verifier")},
    }


def imap_gateway(suite):
    return {
        "common": _common(suite, "imap-gateway"),
        "hostname": suite.hostname,
        "listeners": [{"listen": suite.public("imap")}, {"listen": suite.public("imaps"), "implicit_tls": True}],
        "tls": _public_tls(suite),
        "database": {},
        "rpc_tls": _rpc_tls(suite, "imap-gateway"),
        "rpc": {"listen": suite.grpc("imap-gateway")},
    }


MAKERS = {"auth-verifier": auth_verifier, "smtp-ingress": smtp_ingress, "imap-gateway": imap_gateway}
