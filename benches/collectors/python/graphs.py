"""The collectors' rows, and the memory rows, on CPython.

python3 graphs.py ROW [THOUSANDTHS of the work]

The graphs are those of src/rows.rs; the collector is CPython's `gc`, with the
thresholds it starts with. The memory rows call CPython's small-object allocator,
obmalloc, through its C interface: their times would be ctypes' times, so they
say none. Nothing is folded into a checksum: the script asserts what it did.
"""

import array
import ctypes
import gc
import random
import resource
import sys
import time


class Node:
    __slots__ = ("v", "next")

    def __init__(self, v):
        self.v = v
        self.next = []


DEPTH = 14
TREE = (2 << DEPTH) - 1
GRAPH = 1_000_000
BESIDE = 200_000


def alive():
    return sum(type(found) is Node for found in gc.get_objects())


def tree(depth, parent):
    node = Node(depth)
    if parent is not None:
        node.next.append(parent)
    if depth > 0:
        for _ in range(2):
            node.next.append(tree(depth - 1, node if parent is not None else None))
    return node


def ring(length, v):
    first = last = Node(v)
    for _ in range(1, length):
        node = Node(v)
        last.next.append(node)
        last = node
    last.next.append(first)


def graph(count):
    nodes = [Node(v) for v in range(count)]
    below = random.Random(1).randrange
    for n, node in enumerate(nodes):
        node.next += (nodes[(n + 1) % count], nodes[below(count)], nodes[below(count)])
    return nodes[0]


class Clock:
    """Times its body."""

    def __enter__(self):
        self.before = resource.getrusage(resource.RUSAGE_SELF)
        self.wall = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.wall = time.perf_counter() - self.wall
        after = resource.getrusage(resource.RUSAGE_SELF)
        self.user = after.ru_utime - self.before.ru_utime
        self.system = after.ru_stime - self.before.ru_stime


def gc_new(of):
    count = of(10_000_000)
    with Clock() as clock:
        for v in range(count):
            Node(v)
    assert alive() == 0
    return clock, count, {}


def gc_tree(of):
    rounds = of(100)
    with Clock() as clock:
        for _ in range(rounds):
            tree(DEPTH, None)
    assert alive() == 0
    return clock, rounds * TREE, {}


def gc_parents(of):
    rounds = of(50)
    with Clock() as clock:
        for _ in range(rounds):
            root = Node(7)
            for _ in range(2):
                root.next.append(tree(DEPTH - 1, root))
            del root
            gc.collect()
    assert alive() == 0
    return clock, rounds * TREE, {}


def gc_rings(of):
    count = of(2_000_000)
    with Clock() as clock:
        for v in range(count):
            ring(2, v)
        gc.collect()
    assert alive() == 0
    return clock, count, {}


def gc_live(of):
    count = of(GRAPH)
    root = graph(count)
    with Clock() as clock:
        gc.collect()
    assert root.v == 0 and alive() == count
    return clock, count, {"pause_ns": int(clock.wall * 1e9)}


def gc_dead(of):
    count = of(GRAPH)
    # Not before the clock runs: all of them are to die at once.
    gc.disable()
    graph(count)
    with Clock() as clock:
        gc.collect()
    assert alive() == 0
    return clock, count, {}


def gc_churn(of):
    count = of(400_000)
    root = graph(BESIDE)
    gc.collect()
    pause = 0
    with Clock() as clock:
        for v in range(count):
            before = time.perf_counter()
            ring(3, v)
            pause = max(pause, time.perf_counter() - before)
        gc.collect()
    assert root.v == 0 and alive() == BESIDE
    return clock, count, {"pause_ns": int(pause * 1e9)}


def resident_bytes():
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise OSError("no Rss")


def obmalloc():
    """PyObject_Malloc and PyObject_Free of this interpreter."""
    malloc = ctypes.pythonapi.PyObject_Malloc
    malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    free = ctypes.pythonapi.PyObject_Free
    free.argtypes, free.restype = [ctypes.c_void_p], None
    return malloc, free


def million(size):
    malloc, free = obmalloc()
    blocks = array.array("Q", bytes(8 * 1_000_000))
    with Clock() as clock:
        for n in range(len(blocks)):
            blocks[n] = at = malloc(size)
            ctypes.memset(at, 0xA5, size)
        busy = resident_bytes()
        for at in blocks:
            free(at)
    return clock, 1, {"busy_bytes": busy, "after_bytes": resident_bytes()}


def freed(_):
    malloc, free = obmalloc()
    blocks = array.array("Q", bytes(8 * (300_000_000 // 96)))
    with Clock() as clock:
        for n in range(len(blocks)):
            blocks[n] = at = malloc(96)
            ctypes.memset(at, 0xA5, 96)
        busy = resident_bytes()
        for at in blocks:
            free(at)
        del blocks
        time.sleep(2.5)
    return clock, 1, {"busy_bytes": busy, "after_bytes": resident_bytes()}


ROWS = {
    "gc-new": gc_new,
    "gc-tree": gc_tree,
    "gc-parents": gc_parents,
    "gc-rings": gc_rings,
    "gc-live": gc_live,
    "gc-dead": gc_dead,
    "gc-churn": gc_churn,
    "million-24": lambda _: million(24),
    "million-100": lambda _: million(100),
    "freed-300MB": freed,
}


def main():
    row = sys.argv[1] if len(sys.argv) > 1 else ""
    if row not in ROWS:
        print("graphs.py: CPython cannot do", row or "nothing", file=sys.stderr)
        sys.exit(3)
    scale = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    clock, ops, more = ROWS[row](lambda count: max(count * scale // 1000, 1))
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    values = {
        "checksum": 0,
        "ops": ops,
        "user_ns": int(clock.user * 1e9),
        "system_ns": int(clock.system * 1e9),
        "wall_ns": int(clock.wall * 1e9),
        "peak_bytes": peak * 1024,
        "busy_bytes": 0,
        "after_bytes": 0,
        "pause_ns": 0,
    }
    for name, value in (values | more).items():
        print(name, value)


main()
