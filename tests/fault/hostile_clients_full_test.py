"""hostile_clients_test at length: more attackers, for longer."""

import hostile
from hostile_clients_test import Messages, Sessions, Unpacking, harness  # pylint: disable=unused-import


class Full(hostile.Pace):
    quiet = 3
    attack = 8
    turns = 3
    clients = 8
    slow = 4000


hostile.HostileCase.pace = Full

if __name__ == "__main__":
    harness.main()
