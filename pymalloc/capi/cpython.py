#!/usr/bin/env python3
"""CPython on its own obmalloc, and with PYTHONMALLOC=malloc on libpymalloc and its rivals.

    pymalloc/capi/cpython.py                            this interpreter
    pymalloc/capi/cpython.py python3.11 python3.13      these
    pymalloc/capi/cpython.py --instructions             counts them too, with valgrind

Prints user and system time, peak resident memory and page faults (the least of --runs each,
interleaved), and, where asked for, instructions; a ratio is to CPython on its own obmalloc. Needs the library
(cargo build --release -p pymalloc-capi) and Debian's libmimalloc2.0, libjemalloc2 and
libtcmalloc-minimal4.
"""

import argparse
import gc
import json
import os
import re
import resource
import subprocess
import sys
import time
from math import exp, log

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


# The work: each takes a number of rounds, and lets go of everything between rounds.


def tuples(rounds):
    for _ in range(rounds):
        [(i, i + 1, (i,)) for i in range(60000)]


def dicts(rounds):
    for _ in range(rounds):
        table = {str(i): "value %d" % i for i in range(40000)}
        {value: key for key, value in table.items()}


def strings(rounds):
    for _ in range(rounds):
        words = " ".join("w%d" % (i * 7919 % 10007) for i in range(40000)).split()
        sorted(word.upper() + word for word in words)


def lists(rounds):
    for _ in range(rounds):
        grown = [[] for _ in range(200)]
        for i in range(400):
            for one in grown:
                one.append(i)


class Node:
    def __init__(self, depth):
        self.left = Node(depth - 1) if depth else None
        self.right = Node(depth - 1) if depth else None


def objects(rounds):
    for _ in range(rounds):
        Node(14)


RECORDS = [
    {"id": i, "name": "n%d" % i, "tags": ["a", "b", str(i)], "x": i * 0.5, "in": {"k": [i, None]}}
    for i in range(4000)
]


def json_dumps(rounds):
    for _ in range(rounds):
        json.dumps(RECORDS)


def json_loads(rounds):
    text = json.dumps(RECORDS)
    for _ in range(rounds):
        json.loads(text)


def gc_collect(rounds):
    """Dead rings of objects, of the kind of pyperformance's gc_collect."""
    for _ in range(rounds):
        ring = [Node(0) for _ in range(20000)]
        for one, other in zip(ring, ring[1:] + ring[:1]):
            one.left, other.right = other, one
        del ring, one, other
        gc.collect()


def gc_traversal(rounds):
    """Live nested lists, of the kind of pyperformance's gc_traversal."""
    top = []
    for _ in range(300):
        top.append([list(range(50)) for _ in range(100)])
        gc.collect()
        if len(top) > rounds * 10:
            break


def churn(rounds):
    """Objects of many sizes that die in random order."""
    slots, state = [None] * 30000, 1
    for _ in range(rounds * 60000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        slots[(state >> 8) % 30000] = bytes(state % 700)


WORK = {
    tuples: 20,
    dicts: 12,
    strings: 12,
    lists: 12,
    objects: 8,
    json_dumps: 12,
    json_loads: 12,
    gc_collect: 8,
    gc_traversal: 6,
    churn: 4,
}


def work(name, scale):
    """In the measured process: does the work, and prints seconds, KiB and page faults."""
    function, rounds = next((f, n) for f, n in WORK.items() if f.__name__ == name)
    start = time.process_time()
    function(max(1, int(rounds * scale)))
    seconds = time.process_time() - start
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    print(seconds, peak, resource.getrusage(resource.RUSAGE_SELF).ru_minflt)


def allocators():
    """Name, and environment, of each."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, check=True)
    known = dict(re.findall(r"(\S+) \(.*?x86-64.*?\) => (\S+)", known.stdout.decode()))
    library = os.path.join(REPOSITORY, "target/release/libpymalloc.so")
    if not os.path.exists(library):
        sys.exit("there is no %s; cargo build --release -p pymalloc-capi" % library)
    found = [("obmalloc", {}), ("glibc", {"PYTHONMALLOC": "malloc"})]
    for name, path, package in [
        ("pymalloc", library, None),
        ("mimalloc", known.get("libmimalloc.so.2"), "libmimalloc2.0"),
        ("jemalloc", known.get("libjemalloc.so.2"), "libjemalloc2"),
        ("tcmalloc", known.get("libtcmalloc_minimal.so.4"), "libtcmalloc-minimal4"),
    ]:
        if path is None:
            sys.exit("%s is not here; apt-get install %s" % (name, package))
        found.append((name, {"PYTHONMALLOC": "malloc", "LD_PRELOAD": path}))
    return found


def child(python, name, scale, environment, before=()):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LD_"))}
    clean.update(environment, PYTHONHASHSEED="0")
    command = [*before, python, os.path.abspath(__file__), "--work", name, str(scale)]
    return subprocess.run(
        command, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True
    )


def measure(python, runs, scale, contenders):
    """Seconds, MB and page faults by row and contender."""
    seconds, megabytes, faults = {}, {}, {}
    for function in WORK:
        name = function.__name__
        print("\r%-20s" % name, end="", file=sys.stderr, flush=True)
        for _ in range(runs):
            for contender, environment in contenders:
                said = child(python, name, scale, environment).stdout.split()
                time_used, peak, faulted = float(said[0]), int(said[1]) * 1024 / 1e6, int(said[2])
                key = name, contender
                seconds[key] = min(seconds.get(key, 1e9), time_used)
                megabytes[key] = min(megabytes.get(key, 1e9), peak)
                faults[key] = min(faults.get(key, 1e9), faulted)
    print("\r%20s\r" % "", end="", file=sys.stderr)
    return seconds, megabytes, faults


def instructions(python, contenders):
    """Millions of instructions by row and contender, start of the interpreter included."""
    counts = {}
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    for function in WORK:
        name = function.__name__
        print("\r%-20s instructions" % name, end="", file=sys.stderr, flush=True)
        for contender, environment in contenders:
            said = child(python, name, 0.1, environment, callgrind).stderr.decode()
            counts[name, contender] = int(re.search(r"Collected : (\d+)", said)[1]) / 1e6
    print("\r%40s\r" % "", end="", file=sys.stderr)
    return counts


def table(title, unit, numbers, contenders, form):
    names = [name for name, _ in contenders]
    print("\n%s\n%-14s%s" % (title, unit, "".join("%10s" % name for name in names)))
    logs = {name: [] for name in names}
    for function in WORK:
        row = function.__name__
        print("%-14s%s" % (row, "".join("%10s" % (form % numbers[row, n]) for n in names)))
        for name in names:
            logs[name].append(log(numbers[row, name] / numbers[row, "obmalloc"]))
    means = (exp(sum(logs[name]) / len(logs[name])) for name in names)
    print("%-14s%s" % ("ratio", "".join("%10.2f" % mean for mean in means)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--runs", type=int, default=7, help="of each; the least counts (7)")
    parser.add_argument("--scale", type=float, default=1, help="of the work (1)")
    parser.add_argument("--instructions", action="store_true", help="count them, with valgrind")
    options = parser.parse_args()
    contenders = allocators()
    load = os.getloadavg()[0]
    print("%d processors, load %.1f before" % (os.cpu_count(), load), end="")
    print(", least of %d runs" % options.runs)
    for python in options.pythons:
        version = subprocess.run(
            [python, "-c", "import sys; print(sys.version.split()[0])"],
            stdout=subprocess.PIPE,
            check=True,
        )
        version = "CPython " + version.stdout.decode().strip()
        seconds, megabytes, faults = measure(python, options.runs, options.scale, contenders)
        scaled = {key: 1000 * value for key, value in seconds.items()}
        table(version + ": user and system time", "ms", scaled, contenders, "%.0f")
        table(version + ": peak resident memory", "MB", megabytes, contenders, "%.1f")
        table(version + ": page faults", "", faults, contenders, "%d")
        if options.instructions:
            counts = instructions(python, contenders)
            table(version + ": instructions", "millions", counts, contenders, "%.0f")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], float(sys.argv[3]))
    else:
        main()
