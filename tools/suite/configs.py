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
    folder = "tools/godwitctl" if name == "godwitctl" else f"services/{name}"
    return os.path.join(root, "bazel-bin", folder, name)


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
