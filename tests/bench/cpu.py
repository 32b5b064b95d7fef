"""CPU time and memory of processes, from /proc."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields behind the name, which may hold blanks."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as source:
        return source.read().rpartition(")")[2].split()


def _children(pid):
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as source:
            found += [int(child) for child in source.read().split()]
    return found


def seconds(pid):
    """CPU seconds, user and system, of a process with all its threads and descendants, those that have ended too."""
    total = 0.0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            fields = _stat(one)
            waiting += _children(one)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended just now; its time is its parent's
        total += sum(int(field) for field in fields[11:15]) / TICKS  # utime stime cutime cstime
    return total


def memory(pid):
    """{"rss": bytes, "pss": bytes} of one process."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as source:
        for line in source:
            name, _, rest = line.partition(":")
            if name in ("Rss", "Pss"):
                found[name.lower()] = int(rest.split()[0]) * 1024
    return found
