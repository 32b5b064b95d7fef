"""A network of its own for a benchmark: loopback and one address more, from which its client comes.

Software treats 127.0.0.1 as a friend, whose SPF nobody looks at; and many a resolver library knows no
other port than 53.
"""

import os
import subprocess
import sys

CLIENT = "192.0.2.10"
_INSIDE = "GODWIT_BENCH_NETWORK"


def enter():
    """Comes back in there: the program is started anew. As root, or with ids in /etc/subuid."""
    if os.environ.get(_INSIDE) == str(os.getpid()):
        for command in ("ip link set lo up", f"ip address add {CLIENT}/32 dev lo"):
            subprocess.run(command.split(), check=True)
        return
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
    os.environ[_INSIDE] = str(os.getpid())  # which exec keeps
    os.execvp("unshare", ["unshare", "--net", *as_root, "--", sys.executable, *sys.argv])
