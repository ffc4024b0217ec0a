"""The same function has the same hash in every process, and another function has another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from heroku_magic.bundle.pickle_hash import stable_hash
from heroku_magic.bundle.pickler import pickle_function

CLASS = """
class Base:
    unit = {unit!r}

class Box(Base):
    def __init__(self, content):
        self.content = content

    def size(self):
        return len(self.content)

def f(x):
    return Box(x).size(), Box.unit
"""
DATACLASS = """
from dataclasses import dataclass

@dataclass
class Point:
    x: int = {unit!r}

def f(x):
    return Point(x)
"""
ENUM = """
from enum import Enum

class Colour(Enum):
    RED = {unit!r}

def f(x):
    return Colour.RED
"""
SET = """
WORDS = {{"alpha", "beta", "gamma", {unit!r}}}

def f(x, others=frozenset(["delta", "epsilon", ("zeta", 1), {unit!r}])):
    return x in WORDS or x in others or x in {{"eta", "theta", {unit!r}}}
"""
LOOP = """
loop = [{unit!r}]
loop.append((loop, 1, 2, 3, 4))
KNOWN = {{"a", "b"}}

def f(x):
    return f(x - 1) if x else (loop, KNOWN)
"""
SOURCES = {"class": CLASS, "dataclass": DATACLASS, "enum": ENUM, "set": SET, "loop": LOOP}
DIGEST = "d41d8cd98f00b204e9800998ecf8427e"


def _hash(source, unit):
    names = {"__name__": "__main__"}
    exec(source.format(unit=unit), names)
    return stable_hash(pickle_function(names["f"]).data)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_definition_that_runs_again_has_the_same_hash_and_a_changed_one_has_not(source):
    assert _hash(source, "unit") == _hash(source, "unit")
    hashes = {_hash(source, unit) for unit in ("unit", "other", DIGEST, DIGEST[::-1], 1, 1.0, True, None, b"unit")}
    assert len(hashes) == 9


def test_a_set_of_many_items_has_one_hash_whatever_their_order():
    numbers = [str(n) for n in range(2_500)]

    def hash_of(items):
        known = set()
        for item in items:
            known.add(item)
        return stable_hash(pickle_function(lambda x: x in known).data)

    assert hash_of(numbers) == hash_of(numbers[::-1]) != hash_of(numbers[1:])


def test_the_hash_is_the_same_in_another_process(processes):
    program = (
        "import json, sys\nfrom heroku_magic.bundle.pickle_hash import stable_hash\n"
        "from heroku_magic.bundle.pickler import pickle_function\n"
        "for source in json.loads(sys.argv[1]):\n"
        "    names = {'__name__': '__main__'}\n    exec(source.format(unit='unit'), names)\n"
        "    print(stable_hash(pickle_function(names['f']).data))\n"
    )

    def hashes(seed):
        command = [sys.executable, "-c", program, json.dumps([*SOURCES.values()])]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()

    first = hashes("1")
    assert hashes("2") == first
    assert len(set(first)) == len(SOURCES)
