"""Which port is whose: BASE+0.. in the order of NAMES, or free ones, chosen once and kept."""

import json
import os
import socket

from errors import SuiteError

DAEMONS = ["smtp-ingress", "submission", "imap-gateway", "delivery-queue",
           "auth-verifier", "tls-policy", "webmail-api", "acme"]
PUBLIC = ["smtp", "submission", "submissions", "imap", "imaps", "http", "https"]
NAMES = (PUBLIC + [f"metrics/{daemon}" for daemon in DAEMONS] +
         [f"grpc/{daemon}" for daemon in DAEMONS] + ["dns", "internal-smtp"])


def choose(path, base):
    """{name: port}. With `base` BASE+0..; else those kept in `path`, or free ones, then kept there."""
    if base is not None:
        if base + len(NAMES) > 65535:
            raise SuiteError(f"--ports {base} leaves no room for {len(NAMES)} ports below 65536.")
        return {name: base + i for i, name in enumerate(NAMES)}
    if os.path.exists(path):
        with open(path) as source:
            kept = json.load(source)
        if set(kept) == set(NAMES):
            return kept
    ports = _free_ports(len(NAMES))
    chosen = dict(zip(NAMES, ports))
    with open(path + ".new", "w") as out:
        json.dump(chosen, out, indent=1)
    os.rename(path + ".new", path)
    return chosen


def _free_ports(count):
    """Ports outside the range from which the kernel takes those of outgoing connections."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as source:
        first_ephemeral = int(source.read().split()[0])
    start = 20000 + int.from_bytes(os.urandom(2), "big") % 8000
    found = [port for port in range(start, first_ephemeral) if is_free(port)][:count]
    if len(found) < count:
        raise SuiteError("There are not enough free ports on 127.0.0.1: name some with --ports BASE.")
    return found


def is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def check(ports, used):
    """Fails with one sentence when a port that will be used is taken."""
    for name in used:
        if not is_free(ports[name]):
            raise SuiteError(f"Port {ports[name]} on 127.0.0.1 (for {name}) is taken: "
                             "end what listens there or choose others with --ports BASE.")
