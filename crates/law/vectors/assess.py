#!/usr/bin/env python3
"""Computes the scores of the credit files in scores.json from the bytes of a standard and a catalogue, with integers alone.

It shares no code with the library: only the layout and the rules that the documentation of the crate states.
"""

import json
import pathlib
import sys

ONE = 1 << 30
DAY = 86_400


class Reader:
    def __init__(self, text):
        self.bytes, self.at = bytes.fromhex(text), 0

    def number(self, size):
        self.at += size
        return int.from_bytes(self.bytes[self.at - size : self.at], "big")

    def text(self):
        size = self.number(2)
        self.at += size
        return self.bytes[self.at - size : self.at].decode()

    def optional(self, read):
        return read() if self.number(1) else None

    def many(self, read):
        return [read() for _ in range(self.number(2))]

    def hash(self):
        return self.number(32)


def catalogue(text):
    reader = Reader(text)
    version, _previous = reader.number(4), reader.optional(reader.hash)

    def item():
        number, name, _meaning = reader.number(2), reader.text(), reader.text()
        speaks_for, _technical = reader.number(1) == 1, reader.number(1)
        _evidence, kept_days = reader.many(lambda: reader.number(1)), reader.number(2)
        return number, {"name": name, "for": speaks_for, "kept": kept_days * DAY}

    items = dict(reader.many(item))
    assert reader.at == len(reader.bytes)
    return version, items


def standard(text):
    reader = Reader(text)
    two = lambda: reader.number(2)
    version, _previous, of = reader.number(4), reader.optional(reader.hash), reader.number(4)
    base, earned_max, trust = two(), two(), reader.many(two)
    bounds = [two() for _ in range(4)]
    rules = {item: (weight, half_life * DAY, cap) for item, weight, half_life, cap in reader.many(lambda: (two(), two(), two(), two()))}
    assert reader.at == len(reader.bytes)
    return {"version": version, "catalogue": of, "base": base, "earned_max": earned_max, "trust": trust, "bounds": bounds, "rules": rules}


def power(place):
    """2^(-place/256) in 30 binary places, rounded to the nearest: the 256th root of 2^(256·30 - place), found by whole numbers."""
    target = 1 << (256 * 31 - place)
    low, high = 0, 1 << 31
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**256 <= target else (low, middle - 1)
    return (low + 1) // 2


DECAY = [power(place) for place in range(256)]


def decay(age, half_life):
    halves, rest = divmod(age, half_life)
    return DECAY[rest * 256 // half_life] >> halves


def assess(law, items, entries, now):
    counted = {}
    for entry in entries:
        rule, item = law["rules"].get(entry["item"]), items.get(entry["item"])
        if rule is None or item is None or entry["seen"] > now or now - entry["seen"] >= item["kept"]:
            continue
        trust = law["trust"][entry["evidence"]]
        if trust == 0:
            continue
        weight = trust * rule[0] * decay(now - entry["seen"], rule[1]) // 1000
        counted[entry["act"]] = (item["for"], entry["item"], entry["seen"], entry["act"], weight)
    left, earned, terms = ONE, 0, []
    score = lambda: min(1000, law["base"] * left // ONE + earned // ONE)
    before = None
    for speaks_for, item, _seen, act, weight in sorted(counted.values()):
        if item != before:
            share, points, left_before, earned_before, before = ONE, 0, left, earned, item
        was, cap = score(), law["rules"][item][2]
        if speaks_for:
            points += weight
            earned = min(earned_before + min(points, cap * ONE), law["earned_max"] * ONE)
        else:
            share = share * (ONE - weight // 1000) // ONE
            left = left_before * max(share, ONE - cap * ONE // 1000) // ONE
        terms.append([act, score() - was])
    if not terms:
        return None, None, []
    words = ["good", "normal", "watch", "poor", "seriously_dishonest"]
    return score(), words[sum(score() < bound for bound in law["bounds"])], terms


def main():
    vectors = json.loads((pathlib.Path(__file__).parent / "scores.json").read_text())
    (version, items), law = catalogue(vectors["catalogue"]), standard(vectors["standard"])
    assert law["catalogue"] == version
    for number, file in enumerate(vectors["files"]):
        found = assess(law, items, file["entries"], vectors["now"])
        expected = file["score"], file["status"], file["terms"]
        if found != expected:
            sys.exit(f"file {number}: {found} here, {expected} there")
    print(f"{len(vectors['files'])} files agree")


main()
