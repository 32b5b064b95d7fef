"""hostile_clients_test at length: more attackers, for longer."""

import hostile
from hostile_clients_test import Messages, Networks, Reports, Sessions, harness  # pylint: disable=unused-import


class Full(hostile.Pace):
    turns = 40
    clients = 8
    may_take = 128 * hostile.MIB


hostile.HostileCase.pace = Full

if __name__ == "__main__":
    harness.main()
