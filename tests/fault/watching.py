"""What the daemons of a suite take of the machine: their memory and descriptors, while a test goes on."""

import os
import threading

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as source:
        return int(source.read().split()[1]) * PAGE


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Watch:
    """Samples every process of {name: pid} until end().

    `samples` is {name: [(resident, descriptors)]}, `ended` the names of processes that are no more.
    """

    def __init__(self, pids, every):
        self.pids = dict(pids)
        self.every = every
        self.samples = {name: [] for name in pids}
        self.ended = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def _run(self):
        while True:
            self._sample()
            if self._over.wait(self.every):
                return

    def _sample(self):
        for name, pid in self.pids.items():
            try:
                self.samples[name].append((resident(pid), descriptors(pid)))
            except FileNotFoundError:
                self.ended.add(name)

    def end(self):
        self._over.set()
        self._thread.join()
        self._sample()

    def most(self, name):
        return max(resident for resident, _ in self.samples[name])

    def last(self, name):
        return self.samples[name][-1][0]

    def first(self, name):
        return self.samples[name][0][0]
