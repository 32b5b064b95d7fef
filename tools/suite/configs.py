"""The daemons of the suite: their programs, database roles, ports and configuration files."""

import json
import os
import secrets

import pki
import zone

HOST = "127.0.0.1"

START_ORDER = ["acme", "auth-verifier", "tls-policy", "imap-gateway", "smtp-ingress", "delivery-queue", "submission",
               "webmail-api"]
NEEDS_DATABASE = ["acme", "auth-verifier", "tls-policy", "smtp-ingress", "imap-gateway", "delivery-queue", "submission",
                  "webmail-api"]
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
    names += [f"grpc/{name}" for name in START_ORDER]
    return names + ["internal-smtp"] + (["dns"] if own_dns else [])


def changed(config, settings):
    """`config` with the settings in it; of lists the items are put behind those that are there."""
    if isinstance(config, dict) and isinstance(settings, dict):
        return {**config, **{name: changed(config.get(name), value) for name, value in settings.items()}}
    if isinstance(config, list) and isinstance(settings, list):
        return config + settings
    return settings


def _common(suite, name):
    return {"metrics_listen": suite.metrics(name), "drain": {"grace": "10s"}}


def _rpc_tls(suite, name):
    return pki.rpc_tls(suite.path("pki"), name)


def _certificates(suite, name):
    return {"target": suite.grpc("acme"), "folder": suite.path("pki", name)}


def _public_tls(suite, name):
    return {"certificates": [pki.public_certificate(suite.path("pki"), name, zone.HOST)]}


def acme(suite):
    lifetime = suite.options.certificate_lifetime
    return {
        "common": _common(suite, "acme"),
        "rpc": {"listen": suite.grpc("acme")},
        "rpc_tls": _rpc_tls(suite, "acme"),
        "database": {"threads": 2},
        "folder": suite.path("pki", "acme"),
        "local": {"organization": "Godwit localserve"},
        "lifetimes": {"public": lifetime, "rpc": lifetime} if lifetime else {},
        "certificates": [{
            "name": zone.HOST,
            "names": [zone.HOST, zone.DOMAIN, f"mail.{zone.DOMAIN}", "localhost", "127.0.0.1", "::1"],
            "daemons": ["smtp-ingress", "submission", "imap-gateway", "webmail-api"],
        }],
    }


def godwitctl(suite):
    """Not a daemon: how the operator's command line reaches them."""
    return {
        "rpc_tls": _rpc_tls(suite, "godwitctl"),
        "daemons": [{"name": name, "targets": [suite.grpc(name)]} for name in START_ORDER],
    }


def auth_verifier(suite):
    return {
        "common": _common(suite, "auth-verifier"),
        "rpc": {"listen": suite.grpc("auth-verifier")},
        "rpc_tls": _rpc_tls(suite, "auth-verifier"),
        "certificates": _certificates(suite, "auth-verifier"),
        "dns": {"servers": [suite.dns], "trusted": True},
        "database": {"threads": 4},
        "delivery_queue": {"target": suite.grpc("delivery-queue")},
        "tls_policy": {"target": suite.grpc("tls-policy")},
        # Nobody out there wants to know how a developer's tests fared.
        "reports": {"send": "yes" if suite.options.outbound == "capture" else "no"},
    }


def tls_policy(suite):
    options = suite.options
    mta_sts = {"port": options.mta_sts_port, "ca_file": options.outbound_ca}
    return {
        "common": _common(suite, "tls-policy"),
        "rpc": {"listen": suite.grpc("tls-policy")},
        "rpc_tls": _rpc_tls(suite, "tls-policy"),
        "certificates": _certificates(suite, "tls-policy"),
        "dns": {"servers": [suite.dns], "trusted": True},
        "database": {"threads": 2},
        "mta_sts": {name: value for name, value in mta_sts.items() if value},
    }


def smtp_ingress(suite):
    return {
        "common": _common(suite, "smtp-ingress"),
        "hostname": suite.hostname,
        "listeners": [{"listen": suite.public("smtp")}],
        "internal": {"listen": f"{HOST}:{suite.ports['internal-smtp']}"},
        "tls": _public_tls(suite, "smtp-ingress"),
        "database": {},
        "rpc": {"listen": suite.grpc("smtp-ingress")},
        "rpc_tls": _rpc_tls(suite, "smtp-ingress"),
        "certificates": _certificates(suite, "smtp-ingress"),
        "auth_verifier": {"target": suite.grpc("auth-verifier")},
        "delivery_queue": {"target": suite.grpc("delivery-queue")},
    }


def submission(suite):
    return {
        "common": _common(suite, "submission"),
        "hostname": suite.hostname,
        "listeners": [{"listen": suite.public("submission")},
                      {"listen": suite.public("submissions"), "implicit_tls": True}],
        "tls": _public_tls(suite, "submission"),
        "database": {},
        "rpc": {"listen": suite.grpc("submission")},
        "rpc_tls": _rpc_tls(suite, "submission"),
        "certificates": _certificates(suite, "submission"),
        "auth_verifier": {"target": suite.grpc("auth-verifier")},
        "delivery_queue": {"target": suite.grpc("delivery-queue")},
        # Nobody but its owner sends through it.
        "daily": {"messages": 0, "recipients": 0},
    }


def delivery_queue(suite):
    mode, _, smarthost = suite.options.outbound.partition("=")
    outbound = {"mode": mode, "port": suite.options.outbound_port, "ca_file": suite.options.outbound_ca}
    if mode == "capture":
        outbound["capture_folder"] = suite.path("capture")
    if mode == "smarthost":
        outbound["smarthost"] = smarthost
    return {
        "common": _common(suite, "delivery-queue"),
        "hostname": suite.hostname,
        "rpc": {"listen": suite.grpc("delivery-queue")},
        "rpc_tls": _rpc_tls(suite, "delivery-queue"),
        "certificates": _certificates(suite, "delivery-queue"),
        "database": {},
        "outbound": {name: value for name, value in outbound.items() if value},
        "internal": {"target": f"{HOST}:{suite.ports['internal-smtp']}"},
        "tls_policy": {"target": suite.grpc("tls-policy")},
        "signer": {"target": suite.grpc("auth-verifier")},
        "dns": {"servers": [suite.dns]},
        "notices": {"domain": zone.DOMAIN},
    }


def imap_gateway(suite):
    return {
        "common": _common(suite, "imap-gateway"),
        "hostname": suite.hostname,
        "listeners": [{"listen": suite.public("imap")}, {"listen": suite.public("imaps"), "implicit_tls": True}],
        "tls": _public_tls(suite, "imap-gateway"),
        "database": {},
        "rpc_tls": _rpc_tls(suite, "imap-gateway"),
        "certificates": _certificates(suite, "imap-gateway"),
        "rpc": {"listen": suite.grpc("imap-gateway")},
    }


def webmail_api(suite):
    return {
        "common": _common(suite, "webmail-api"),
        "hostname": suite.hostname,
        "listeners": [{"listen": suite.public("http")}, {"listen": suite.public("https"), "implicit_tls": True}],
        "tls": _public_tls(suite, "webmail-api"),
        "database": {},
        "rpc": {"listen": suite.grpc("webmail-api")},
        "rpc_tls": _rpc_tls(suite, "webmail-api"),
        "certificates": _certificates(suite, "webmail-api"),
        "auth_verifier": {"target": suite.grpc("auth-verifier")},
        "delivery_queue": {"target": suite.grpc("delivery-queue")},
    }


MAKERS = {"acme": acme, "auth-verifier": auth_verifier, "tls-policy": tls_policy, "smtp-ingress": smtp_ingress,
          "imap-gateway": imap_gateway, "delivery-queue": delivery_queue, "submission": submission,
          "webmail-api": webmail_api}
