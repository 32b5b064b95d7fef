"""Whether a message costs the same when its mailbox, and what is known of its sender, have grown."""

import cpu

BATCH = 10_000  # messages of smtp_load at a time: they are in memory


def _batches(count):
    while count > 0:
        yield min(BATCH, count)
        count -= BATCH


def _spent(server):
    return {name: cpu.seconds(pid) for name, pid in server.processes().items()}


def run(server, bench, cell, messages, per_connection):
    """The figures of each tenth. Its CPU time is all that passed, while messages were made, too: what
    PostgreSQL does in between, it does for them."""
    tenths = []
    before = _spent(server)
    for tenth in range(10):
        count = messages * (tenth + 1) // 10 - messages * tenth // 10
        seconds, slowest = 0.0, 0.0
        for size in _batches(count):
            begin, end, more = bench.ready(server, cell, size, per_connection).go()
            seconds += end - begin
            slowest = max(slowest, more["p99_ms"])
        now = _spent(server)
        spent = {name: (now[name] - before[name]) * 1000 / count for name in now}
        before = now
        tenths.append({"messages": messages * (tenth + 1) // 10, "per_second": count / seconds, "p99_ms": slowest,
                       "cpu_ms": {**spent, "total": sum(spent.values())}})
        show(tenths[-1:], heading=tenth == 0)
    return tenths


def show(tenths, heading=True):
    if heading:
        print(f"{'messages':>9} {'msg/s':>7} {'p99_ms':>9}  CPU ms a message: " + "  ".join(tenths[0]["cpu_ms"]))
    for row in tenths:
        columns = "  ".join(f"{ms:>{max(4, len(name))}.2f}" for name, ms in row["cpu_ms"].items())
        print(f"{row['messages']:>9} {row['per_second']:>7.0f} {row['p99_ms']:>9.1f}", " " * 18, columns, flush=True)
