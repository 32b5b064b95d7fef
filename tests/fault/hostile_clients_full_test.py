"""hostile_clients_test at length: more attackers, for longer."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import hostile  # noqa: E402
from hostile_clients_test import Messages, Networks, Reports, Sessions, harness  # noqa: E402,F401


class Full(hostile.Pace):
    judged = True
    turns = 40
    clients = 8
    may_take = 128 * hostile.MIB


hostile.HostileCase.pace = Full

if __name__ == "__main__":
    harness.main()
