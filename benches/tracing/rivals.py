#!/usr/bin/env python3
"""What tracing costs: one program that does little but allocate, under each tracer, in turns.

    benches/tracing/rivals.py                          all of them
    benches/tracing/rivals.py --only tracemalloc,dhat  these
    benches/tracing/rivals.py --list                   what there is

Builds a program for each into target/tracing, and prints user and system time of the whole process,
what it writes at its end included (the least of --rounds, interleaved), peak resident memory of one
thread, and the size of what it wrote. A ratio is to the same allocator, built the same way, with
nothing traced. A tracer that is not here, or does not build, is a line on standard error.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
TARGET = os.path.join(
    os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(REPOSITORY, "target"))),
    "tracing",
)
# What takes longer is run once: its ratio is no matter of percents.
SLOW_SECONDS = 8
# CPython does less of the work: it takes much longer.
PYTHON_SHARE = 10

# A program: the features it is built with, and whether with frame pointers.
Program = namedtuple("Program", "features pointers", defaults=[False])
# A line of the table. `mode` is the program's, None where nothing is traced; `before` stands before
# the command, with OUTPUT in it for the file.
Row = namedtuple("Row", "name program mode environment before", defaults=[None, {}, ()])

HEAPTRACK = ("heaptrack", "-o", "OUTPUT")
KIB_512 = str(512 << 10)

# The first row of each group is what the others are held against.
GROUPS = {
    "tracemalloc, stacks by unwind tables": [
        Row("built without the hooks", Program("pymalloc")),
        Row("compiled in, off", Program("tracemalloc")),
        Row("sampled, 512 KiB", Program("tracemalloc"), "sample:512k"),
        Row("exact, 32 frames", Program("tracemalloc"), "tables:32"),
    ],
    "tracemalloc, stacks by frame pointers": [
        Row("built without the hooks", Program("pymalloc", True)),
        Row("compiled in, off", Program("tracemalloc", True)),
        Row("sampled, 512 KiB", Program("tracemalloc", True), "sample:512k"),
        Row("exact, 32 frames", Program("tracemalloc", True), "pointers:32"),
        Row("exact, 1 frame", Program("tracemalloc", True), "pointers:1"),
    ],
    "the system's allocator: dhat, heaptrack": [
        Row("nothing traced", Program("")),
        Row("dhat, off", Program("dhat")),
        Row("dhat, exact", Program("dhat"), "exact"),
        Row("heaptrack --raw", Program(""), None, {}, HEAPTRACK + ("--raw",)),
        Row("heaptrack", Program(""), None, {}, HEAPTRACK),
    ],
    "the system's allocator: pprof-alloc, frame pointers": [
        Row("nothing traced", Program("", True)),
        Row("off", Program("pprof-alloc", True), None, {"PPROF_ALLOC_SAMPLE_RATE": "0"}),
        Row(
            "sampled, 512 KiB",
            Program("pprof-alloc", True),
            "as set",
            {"PPROF_ALLOC_SAMPLE_RATE": KIB_512},
        ),
        Row("exact", Program("pprof-alloc", True), "as set", {"PPROF_ALLOC_SAMPLE_RATE": "1"}),
    ],
    "jemalloc": [
        Row("built without profiling", Program("jemalloc")),
        Row("compiled in, off", Program("jemalloc-prof")),
        Row(
            "sampled, 512 KiB",
            Program("jemalloc-prof"),
            "as set",
            {"_RJEM_MALLOC_CONF": "prof:true,lg_prof_sample:19"},
        ),
        Row(
            "exact",
            Program("jemalloc-prof"),
            "as set",
            {"_RJEM_MALLOC_CONF": "prof:true,lg_prof_sample:0"},
        ),
    ],
    "mimalloc-pprof, frame pointers": [
        Row("built without profiling", Program("mimalloc", True)),
        Row("compiled in, off", Program("mimalloc-pprof", True)),
        Row("sampled, 512 KiB", Program("mimalloc-pprof", True), KIB_512),
        Row("exact", Program("mimalloc-pprof", True), "1"),
    ],
    "CPython's tracemalloc, a tenth of the documents": [
        Row("off", None),
        Row("1 frame", None, "1"),
        Row("32 frames", None, "32"),
    ],
}


class Failed(Exception):
    """Why a row has no numbers."""


def say(text):
    print("\r%-70s" % text, file=sys.stderr)


def progress(text):
    print("\r%-70s" % text, end="", file=sys.stderr, flush=True)


def build(program):
    """Where the program is."""
    name = "-".join(filter(None, [program.features or "system", "pointers" * program.pointers]))
    flags = "-C force-frame-pointers=yes" if program.pointers else ""
    folder = os.path.join(TARGET, "pointers" if program.pointers else "plain")
    progress("building %s" % name)
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", folder]
    command += ["--manifest-path", os.path.join(HERE, "Cargo.toml")]
    command += ["--features", program.features]
    built = subprocess.run(
        command,
        env=dict(os.environ, RUSTFLAGS=flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    if built.returncode:
        lines = built.stdout.splitlines()
        told = [line for line in lines if line.startswith("error")] or lines or ["cargo failed"]
        raise Failed("%s does not build: %s" % (name, told[0]))
    binary = os.path.join(TARGET, "bin", name)
    os.makedirs(os.path.dirname(binary), exist_ok=True)
    shutil.copy2(os.path.join(folder, "release", "tracing-cost"), binary)
    return binary


def command_of(row, binary, threads, options, output):
    if row.program is None:
        traced = ["-X", "tracemalloc=" + row.mode] if row.mode else []
        work = [os.path.join(HERE, "work.py"), str(options.documents // PYTHON_SHARE)]
        return [options.python, *traced, *work] + ([output] if row.mode else [])
    before = [output if word == "OUTPUT" else word for word in row.before]
    command = before + [binary, str(threads), str(options.documents)]
    return command + ([row.mode, output] if row.mode else [])


def kill(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        # It has just ended.
        pass


def measure(row, binary, threads, options):
    """Seconds, bytes of memory, bytes written."""
    foreign = re.compile("PYTHON|LD_|PPROF_ALLOC|.*MALLOC")
    environment = {k: v for k, v in os.environ.items() if not foreign.match(k)}
    environment.update(row.environment, PYTHONHASHSEED="0")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        written = os.path.join(folder, "written")
        os.mkdir(written)
        command = command_of(row, binary, threads, options, os.path.join(written, "trace"))
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=said, stderr=said, start_new_session=True
        )
        timer = threading.Timer(options.timeout, kill, [process.pid])
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        is_late = not timer.is_alive() and os.WIFSIGNALED(status)
        timer.cancel()
        process.returncode = status
        said.seek(0)
        text = said.read().decode(errors="replace")
        if is_late:
            raise Failed("takes more than %d seconds" % options.timeout)
        peak = re.search(r"^peak (\d+) KiB$", text, re.MULTILINE)
        if status or not peak:
            raise Failed("fails: %s" % (text.splitlines() or ["status %d" % status])[-1])
        files = [os.path.join(written, name) for name in os.listdir(written)]
        size = sum(map(os.path.getsize, files))
        if not size and (row.mode or row.before):
            raise Failed("has written nothing")
    return usage.ru_utime + usage.ru_stime, int(peak[1]) * 1024, size


def prepare(groups):
    """Where each row's program is; rows that cannot be run are missing."""
    built, binaries = {}, {}
    for group, rows in groups.items():
        for row in rows:
            try:
                if row.before and not shutil.which(row.before[0]):
                    raise Failed("%s is not here; apt-get install it" % row.before[0])
                if row.program not in built:
                    try:
                        built[row.program] = row.program and build(row.program)
                    except Failed as failed:
                        built[row.program] = failed
                if isinstance(built[row.program], Failed):
                    raise built[row.program]
                binaries[group, row.name] = built[row.program]
            except Failed as failed:
                say("%s: %s: left out: %s" % (group, row.name, failed))
    return binaries


def run(groups, binaries, options):
    """The least of what was measured, by group, row and number of threads."""
    least, over = {}, set()
    for turn in range(options.rounds):
        for threads in options.threads:
            for group, row in ((group, row) for group in groups for row in groups[group]):
                key = group, row.name, threads
                is_single = row.program is None and threads > 1
                if key[:2] not in binaries or key in over or is_single:
                    continue
                where = (turn + 1, options.rounds, threads, group, row.name)
                progress("round %d of %d, %d threads: %s: %s" % where)
                try:
                    now = measure(row, binaries[key[:2]], threads, options)
                except Failed as failed:
                    say("%s: %s: left out with %d threads: %s" % (*key, failed))
                    least.pop(key, None)
                    # What one thread cannot do in time is not asked of two.
                    over.update((*key[:2], more) for more in options.threads if more >= threads)
                    continue
                if now[0] > SLOW_SECONDS:
                    over.add(key)
                least[key] = tuple(map(min, now, least.get(key, now)))
    progress("")
    print("\r", end="", file=sys.stderr)
    return least


def table(groups, least, options):
    heads = ["%10s%8s" % ("%d thread%s" % (n, "s"[: n - 1]), "ratio") for n in options.threads]
    print("%-32s%s%10s%8s%11s" % ("", "".join(heads), "peak MB", "ratio", "output KB"))
    for group, rows in groups.items():
        print(group)
        base = rows[0].name
        for row in rows:
            cells = []
            for threads in options.threads:
                one = least.get((group, row.name, threads))
                first = least.get((group, base, threads))
                cells.append("%10s" % ("%.3f" % one[0] if one else "-"))
                cells.append("%8s" % ("%.3f" % (one[0] / first[0]) if one and first else "-"))
            one = least.get((group, row.name, options.threads[0]))
            first = least.get((group, base, options.threads[0]))
            cells.append("%10s" % ("%.2f" % (one[1] / 1e6) if one else "-"))
            cells.append("%8s" % ("%.3f" % (one[1] / first[1]) if one and first else "-"))
            cells.append("%11s" % ("%.0f" % (one[2] / 1e3) if one and one[2] else "-"))
            print("  %-30s%s" % (row.name, "".join(cells)))


def first_line(*command):
    try:
        said = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, check=True)
        return said.stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "not here"


def versions(options):
    with open(os.path.join(HERE, "Cargo.lock")) as lock:
        found = dict(re.findall(r'name = "(\S+)"\nversion = "(\S+)"', lock.read()))
    for crate in ["dhat", "pprof-alloc", "tikv-jemallocator", "mimalloc-pprof"]:
        yield "%s %s" % (crate, found[crate])
    yield first_line("heaptrack", "--version")
    yield first_line(options.python, "--version")
    yield first_line("rustc", "--version")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="of each; the least counts (5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(1 2)")
    parser.add_argument("--documents", type=int, default=1500, help="of each thread (1500)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds of a run (120)")
    parser.add_argument("--only", help="groups with one of these texts in their name")
    parser.add_argument("--python", default=sys.executable, help="for CPython's rows (this one)")
    parser.add_argument("--list", action="store_true", help="print the rows, and do nothing")
    options = parser.parse_args()
    if options.rounds < 1 or min(options.threads) < 1 or options.documents < PYTHON_SHARE:
        parser.error("rounds and threads are 1 at least, documents %d" % PYTHON_SHARE)
    texts = options.only.split(",") if options.only else [""]
    groups = {name: rows for name, rows in GROUPS.items() if any(text in name for text in texts)}
    if not groups:
        parser.error("no group has such a name; see --list")
    if options.list:
        for group, rows in groups.items():
            print("%s: %s" % (group, "; ".join(row.name for row in rows)))
        return
    binaries = prepare(groups)
    load = os.getloadavg()[0]
    least = run(groups, binaries, options)
    counts = (os.cpu_count(), load, options.rounds)
    print("%d processors, load %.1f before, least of %d rounds" % counts)
    table(groups, least, options)
    print("\n" + ", ".join(versions(options)))


if __name__ == "__main__":
    main()
