"""Certificates of a local suite: acme makes and renews them, and keeps its authorities in the database.

Before it can run, `acme --bootstrap` writes what the daemons need to call it. Two authorities: one signs
what mail clients see, one what the daemons show one another, so that a certificate which any client can
see is never one that may call an RPC.
"""

import glob
import os
import subprocess

from errors import SuiteError

RPC_FILE = "rpc.pem"  # certificate and key
RPC_CA_FILE = "rpc-ca.pem"


def bootstrap(program, config, folder, environment):
    """Makes and renews what is missing or due; authorities that an older suite made in `folder` are taken over."""
    done = subprocess.run([program, "--config", config, "--bootstrap", folder], text=True, capture_output=True,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise SuiteError(f"acme --bootstrap: {lines[-1] if lines else done.returncode}")
    _remove_old(folder)


def _remove_old(folder):
    """What an older suite kept beside its authorities: certificates that nobody uses any more, and their keys."""
    for name in ("public", "mesh"):
        for path in glob.glob(os.path.join(folder, name, "*")):
            if os.path.basename(path) != "ca.pem":
                os.remove(path)


def ca_file(folder):
    """Who signs what mail clients see."""
    return os.path.join(folder, "public", "ca.pem")


def rpc_tls(folder, name):
    """The files of mutual TLS of one daemon, or of godwitctl."""
    own = os.path.join(folder, name)
    identity = os.path.join(own, RPC_FILE)
    return {"ca_file": os.path.join(own, RPC_CA_FILE), "certificate_file": identity, "key_file": identity}


def public_certificate(folder, name, certificate):
    """A public certificate of one daemon, as its configuration names the files."""
    both = os.path.join(folder, name, certificate + ".pem")
    return {"chain_file": both, "key_file": both}
