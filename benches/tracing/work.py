#!/usr/bin/env python3
"""The work of src/work.rs, for CPython: work.py DOCUMENTS [OUTPUT].

Under -X tracemalloc=N what was traced is in OUTPUT when the program ends. Prints the most memory
that was resident.
"""

import sys
import tracemalloc


class Random:
    def __init__(self, seed):
        self.state = seed

    def below(self, end):
        state = self.state
        state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 7
        state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
        self.state = state
        return state % end


def build(random, depth):
    kind = random.below(5 if depth else 2)
    if kind == 0:
        return float(random.below(1000))
    if kind == 1:
        return "text %d of %d" % (random.below(10000), depth)
    if kind == 2:
        return [build(random, depth - 1) for _ in range(random.below(8))]
    value = {}
    for _ in range(random.below(8)):
        key = "key %d" % random.below(300)
        value[key] = build(random, depth - 1)
    return value


def count(value, words):
    if isinstance(value, float):
        text = str(value)
        words[text] = words.get(text, 0) + 1
    elif isinstance(value, str):
        for word in value.split(" "):
            words[word] = words.get(word, 0) + 1
    elif isinstance(value, list):
        for each in value:
            count(each, words)
    else:
        for key, each in value.items():
            words[key] = words.get(key, 0) + 1
            count(each, words)


def main():
    random, kept, words = Random(77), [], {}
    for _ in range(int(sys.argv[1])):
        value = build(random, 8)
        count(value, words)
        kept.append(value)
        if len(kept) > 200:
            place = random.below(200)
            kept[place] = kept[-1]
            kept.pop()
    if tracemalloc.is_tracing():
        tracemalloc.take_snapshot().dump(sys.argv[2])
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    print("peak %s KiB" % peak)


main()
