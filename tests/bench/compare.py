"""What the benchmarks of servers share: runs that alternate between servers, and their tables.

A server has a `name`, an `address`, `processes()` ({column: pid}), `mark()`, `delivered(mark, count)`
and `close()`. A cell is one row of the table: `columns` ({heading: value}) and `messages(most)`.
"""

import json
import statistics
import sys
import time

import cpu


def numbers(text):
    return [int(part) for part in text.split(",")]


def add_options(parser, messages):
    parser.add_argument("--messages", type=int, default=messages, help="a run; a quarter with one client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")


def measure(server, count, generate, more_pids=None):
    """The figures of one run. `generate()` brings `count` messages and returns when it began, when the
    last was accepted (both by the clock), and more figures."""
    pids = {**server.processes(), **(more_pids or {})}
    before = {name: cpu.seconds(pid) for name, pid in pids.items()}
    mark = server.mark()
    begin, accepted, more = generate()
    server.delivered(mark, count)
    end = accepted if mark is None else max(accepted, time.time())
    time.sleep(0.3)  # what is written behind
    spent = {name: (cpu.seconds(pid) - before[name]) * 1000 / count for name, pid in pids.items()}
    # Names in brackets are shown and not counted: the site's resolver.
    spent["total"] = sum(ms for name, ms in spent.items() if not name.startswith("("))
    return {"per_second": count / (end - begin), "cpu_ms": spent, **more}


def _median(values):
    return ({name: statistics.median(value[name] for value in values) for name in values[0]}
            if isinstance(values[0], dict) else statistics.median(values))


def run_all(cells, servers, rounds, run):
    """The rows; each cell's runs alternate between the servers, so that a drift hits all. `run(server,
    cell)` returns the figures of one."""
    runs = {}
    for number in range(rounds):
        for cell in cells:
            for server in servers:
                one = run(server, cell)
                runs.setdefault((server.name, cell), []).append(one)
                print(f"round {number + 1}: {server.name}: {cell.columns}: {one['per_second']:.0f}/s,"
                      f" {one['cpu_ms']['total']:.2f} ms", file=sys.stderr)
    return [{"server": name, **cell.columns, **{key: _median([one[key] for one in several]) for key in several[0]},
             "runs": several} for (name, cell), several in runs.items()]


def ratios(results, cells, pairs):
    """Rows that divide one server's figures by another's, of the same round; the median over the rounds."""
    runs = {(row["server"], *(row[heading] for heading in cells[0].columns)): row["runs"] for row in results}
    found = []
    for one, other in pairs:
        for cell in cells:
            place = cell.columns.values()
            both = list(zip(runs.get((one, *place), ()), runs.get((other, *place), ())))
            if both:
                found.append({"server": one, "of": other, **cell.columns,
                              "cpu": statistics.median(a["cpu_ms"]["total"] / b["cpu_ms"]["total"] for a, b in both),
                              "per_second": statistics.median(a["per_second"] / b["per_second"] for a, b in both)})
    return found


def show(results, cells, more=(), processes=True):
    """`more`: figures beside the rate, by name."""
    headings = list(cells[0].columns)
    for server in dict.fromkeys(row["server"] for row in results):
        rows = [row for row in results if row["server"] == server]
        names = [name for name in rows[0]["cpu_ms"] if processes or name == "total" or name.startswith("(")]
        print(f"\n{server}: median of {len(rows[0]['runs'])}\n")
        print(" ".join(f"{heading:>9}" for heading in headings), f"{'msg/s':>7}",
              " ".join(f"{name:>9}" for name in more), " CPU ms a message: " + "  ".join(names))
        for row in rows:
            columns = "  ".join(f"{row['cpu_ms'][name]:>{max(4, len(name))}.2f}" for name in names)
            print(" ".join(f"{row[heading]:>9}" for heading in headings), f"{row['per_second']:>7.0f}",
                  " ".join(f"{row[name]:>9.1f}" for name in more), " " * 18, columns)


def show_ratios(found, cells):
    headings = list(cells[0].columns)
    for pair in dict.fromkeys((row["server"], row["of"]) for row in found):
        print(f"\n{pair[0]} / {pair[1]}\n")
        print(" ".join(f"{heading:>9}" for heading in headings), f"{'CPU':>7} {'msg/s':>7}")
        for row in found:
            if (row["server"], row["of"]) == pair:
                print(" ".join(f"{row[heading]:>9}" for heading in headings),
                      f"{row['cpu']:>7.3f} {row['per_second']:>7.2f}")


def write(path, benchmark, results, **more):
    if path:
        with open(path, "w", encoding="ascii") as out:
            json.dump({"benchmark": benchmark, "results": results, **more}, out, indent=1)
