"""CPU time shared out between groups of processes, so that an attack does not win by its own appetite.

    groups = cpu_groups.make({"server": 8192, "attacker": 1024})
    groups.bound("attacker", 0.25)
    groups.move("server", cpu_groups.family(pid))
    print(groups.how)
    groups.close()

With control groups (the cpu controller of version 1 or 2, where we may make groups) the numbers are the
kernel's weights (an ordinary process outside weighs 1024), and a bound is the most that a group gets, in CPUs.
Where there are none, the groups but "attacker" keep off one of the CPUs and the attacker gets that one; with
a single CPU, the attacker is nice. Then `fixed` is False: such shares prove nothing about latency.
"""

import os


# Short, so that a group at its bound runs in small pieces; no piece may be below a millisecond.
PERIOD_US = 50_000


class Version1:
    how = "control groups, version 1"

    @staticmethod
    def weigh(path, weight):
        _write(path, "cpu.shares", weight)

    @staticmethod
    def bound(path, cpus):
        _write(path, "cpu.cfs_period_us", PERIOD_US)
        _write(path, "cpu.cfs_quota_us", int(cpus * PERIOD_US))


class Version2:
    how = "control groups, version 2"

    @staticmethod
    def weigh(path, weight):
        _write(path, "cpu.weight", max(1, weight * 100 // 1024))

    @staticmethod
    def bound(path, cpus):
        _write(path, "cpu.max", f"{int(cpus * PERIOD_US)} {PERIOD_US}")


class ControlGroups:
    """One folder a group, all in one that is ours."""

    fixed = True

    def __init__(self, base, version):
        self.how = version.how
        self.base = base
        self.mine = os.path.join(base, f"godwit-test-{os.getpid()}")
        self.version = version
        os.mkdir(self.mine)
        self.names = []

    def add(self, name, weight):
        path = os.path.join(self.mine, name)
        os.mkdir(path)
        self.names.append(name)
        self.version.weigh(path, weight)

    def bound(self, name, cpus):
        self.version.bound(os.path.join(self.mine, name), cpus)

    def move(self, name, pids):
        self._write(os.path.join(self.mine, name), pids)

    @staticmethod
    def _write(path, pids):
        for pid in pids:
            try:
                with open(os.path.join(path, "cgroup.procs"), "w", encoding="ascii") as out:
                    out.write(str(pid))
            except ProcessLookupError:
                pass  # it has ended

    def close(self):
        for path in [os.path.join(self.mine, name) for name in self.names] + [self.mine]:
            with open(os.path.join(path, "cgroup.procs"), encoding="ascii") as source:
                self._write(self.base, source.read().split())
            os.rmdir(path)


class Affinity:
    """Where there are no control groups."""

    fixed = False

    def __init__(self):
        self.cpus = sorted(os.sched_getaffinity(0))
        self.how = ("a CPU of the attacker's own, no control groups" if len(self.cpus) > 1 else
                    "a nice attacker, neither control groups nor a second CPU")

    def add(self, name, weight):
        pass

    def bound(self, name, cpus):
        pass

    def move(self, name, pids):
        for pid in pids:
            try:
                self._move(name == "attacker", pid)
            except ProcessLookupError:
                pass

    def _move(self, attacker, pid):
        if len(self.cpus) == 1:
            if attacker:
                os.setpriority(os.PRIO_PROCESS, pid, 15)
            return
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), self.cpus[-1:] if attacker else self.cpus[:-1])

    def close(self):
        os.sched_setaffinity(0, self.cpus)


def _write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="ascii") as out:
        out.write(str(value))


def _own_path(controllers):
    """Where this process is, in the hierarchy of these controllers ("" is version 2's)."""
    with open("/proc/self/cgroup", encoding="ascii") as source:
        for line in source:
            _, named, path = line.rstrip("\n").split(":", 2)
            if controllers in named.split(","):
                return path.lstrip("/")
    return ""


def _mounts():
    with open("/proc/mounts", encoding="utf-8") as source:
        for line in source:
            _, folder, kind, options = line.split()[:4]
            yield folder, kind, options.split(",")


def _version_1(folder):
    return ControlGroups(os.path.join(folder, _own_path("cpu")), Version1)


def _version_2(folder):
    base = os.path.join(folder, _own_path(""))
    _write(base, "cgroup.subtree_control", "+cpu")
    groups = ControlGroups(base, Version2)
    _write(groups.mine, "cgroup.subtree_control", "+cpu")
    return groups


def _control_groups():
    for folder, kind, options in _mounts():
        try:
            if kind == "cgroup" and "cpu" in options:
                return _version_1(folder)
            if kind == "cgroup2":
                return _version_2(folder)
        except OSError:
            continue  # not for us
    return None


def make(weights):
    groups = _control_groups() or Affinity()
    # Beside the processes of the rest of the machine the folder counts as one.
    if isinstance(groups, ControlGroups):
        groups.version.weigh(groups.mine, sum(weights.values()))
    for name, weight in weights.items():
        groups.add(name, weight)
    return groups


def family(pid):
    """The process and all that it started."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children", encoding="ascii") as source:
                    waiting += [int(child) for child in source.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found
