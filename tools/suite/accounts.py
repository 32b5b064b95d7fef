"""What the first start creates: the suite's domain and its signing keys, three accounts and an administrator."""

import json
import os
import secrets
import subprocess

from errors import SuiteError
from zone import DOMAIN

USERS = ["alice", "bob", "postmaster"]
ADMIN = f"admin@{DOMAIN}"
DKIM_KEYS = {"local-rsa": "rsa", "local-ed25519": "ed25519"}  # selector: algorithm


class Control:
    """Runs godwitctl against the suite's database as the owner of the store."""

    def __init__(self, program, conninfo):
        self.program = program
        self.environment = {**os.environ, "GODWIT_DATABASE": conninfo}

    def run(self, *argv, text=None):
        done = subprocess.run([self.program, *argv], input=text, text=True, capture_output=True,
                              env=self.environment)
        if done.returncode != 0:
            raise SuiteError(f"godwitctl {' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout


def load_or_make(path):
    """Passwords in the form of localserve.json; made once, kept before anything is created."""
    if os.path.exists(path):
        with open(path) as source:
            return json.load(source)
    made = {
        "accounts": [{"address": f"{user}@{DOMAIN}", "password": secrets.token_urlsafe(12)} for user in USERS],
        "admin": {"address": ADMIN, "password": secrets.token_urlsafe(12)},
    }
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(made, out, indent=1)
    os.rename(path + ".new", path)
    return made


def create(control, made):
    """Creates what is not there yet, so that an interrupted first start is completed by the next."""
    domains = {row["name"] for row in json.loads(control.run("domain", "list", "--json"))}
    if DOMAIN not in domains:
        control.run("domain", "add", DOMAIN)
    accounts = {row["address"] for row in json.loads(control.run("account", "list", "--json"))}
    for account in made["accounts"]:
        if account["address"] not in accounts:
            control.run("account", "add", account["address"], "--password-stdin", text=account["password"] + "\n")
    control.run("account", "postmaster", f"postmaster@{DOMAIN}")
    admins = {row["address"] for row in json.loads(control.run("admin", "list", "--json"))}
    if made["admin"]["address"] not in admins:
        control.run("admin", "add", made["admin"]["address"], "--password-stdin",
                    text=made["admin"]["password"] + "\n")


def dkim_records(control):
    """The DNS records {"name", "text"} of the suite's signing keys. The first start makes the keys, or
    completes what an interrupted one left; keys that somebody else made are left alone."""
    def keys():
        return {row["selector"]: row for row in json.loads(control.run("dkim", "list", "--domain", DOMAIN, "--json"))}

    there = keys()
    if set(there) <= set(DKIM_KEYS):
        for selector, algorithm in DKIM_KEYS.items():
            if selector not in there:
                control.run("dkim", "generate", DOMAIN, "--selector", selector, "--algorithm", algorithm)
            if selector not in there or there[selector]["state"] == "pending":
                control.run("dkim", "activate", DOMAIN, selector)
        there = keys()
    return [{"name": row["record"]["name"], "text": row["record"]["text"]} for row in there.values()]
