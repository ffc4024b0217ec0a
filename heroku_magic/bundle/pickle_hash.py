"""The hash of a pickle that is the same in every process, although the order of sets and the ids of classes are not."""

from __future__ import annotations

import pickletools
import re
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MANY_BYTES = 200_000  # beyond which reading a pickle takes too long
# What makes a pickle differ from process to process: a set, a frozenset, and a class or type variable of cloudpickle.
SIGNS = (b"\x8f", b"\x91", b"_make_")
_TRACKER = re.compile(r"[0-9a-f]{32}")  # cloudpickle's random id of a class
_SETS = frozenset({"EMPTY_SET", "FROZENSET"})
_CHANGES = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
_SILENT = frozenset({"PROTO", "FRAME", "STOP"})


@dataclass(eq=False)
class _Node:
    """An object that a pickle builds. parts: what it is built from."""

    name: str
    argument: Any = None
    parts: list[_Node] = field(default_factory=list)


def stable_hash(data: bytes) -> str:
    """Return the hash of a pickle of protocol 5.

    >>> import pickle
    >>> words = ["a", "b", "c", "d", "e"]
    >>> stable_hash(pickle.dumps(set(words), 5)) == stable_hash(pickle.dumps(set(words[::-1]), 5))
    True
    """
    if len(data) <= MANY_BYTES and any(sign in data for sign in SIGNS):
        with suppress(RecursionError):
            return _digest(_read(data), {}).hex()
    return sha256(data).hexdigest()


def _read(data: bytes) -> _Node:
    """Return the object of a pickle, and what its functions and classes are completed with."""
    stack: list[_Node] = []
    marks: list[int] = []
    memo: list[_Node] = []
    calls: list[_Node] = []  # whose results are dropped: they complete an object
    for code, argument, _ in pickletools.genops(data):
        name = code.name
        if name == "MEMOIZE":
            memo.append(stack[-1])
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(memo[int(argument or 0)])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "POP":
            calls.append(stack.pop())
        elif name == "POP_MARK":  # of a tuple that holds itself
            del stack[marks.pop() :]
        elif name not in _SILENT:
            parts = _take(code, stack, marks)
            if name in _CHANGES:
                parts[0].parts.append(_Node(name, None, parts[1:]))
            stack.append(parts[0] if name in _CHANGES else _Node(name, argument, parts))
            if name == "REDUCE":
                _drop_tracker(*parts)
    return _Node("pickle", None, [stack[-1], *calls])


def _drop_tracker(function: _Node, arguments: _Node) -> None:
    """Forget the random id that cloudpickle gives a class or a type variable."""
    if function.name == "STACK_GLOBAL" and str(function.parts[1].argument).startswith("_make_"):
        for part in arguments.parts:
            if isinstance(part.argument, str) and _TRACKER.fullmatch(part.argument):
                part.argument = ""


def _take(code: pickletools.OpcodeInfo, stack: list[_Node], marks: list[int]) -> list[_Node]:
    """Take from the stack what an instruction uses."""
    used = code.stack_before
    has_mark = pickletools.markobject in used
    begin = marks.pop() - used.index(pickletools.markobject) if has_mark else len(stack) - len(used)
    parts = stack[begin:]
    del stack[begin:]
    return parts


def _digest(node: _Node, seen: dict[_Node, int]) -> bytes:
    """Return the hash of an object. seen: the numbers of hashed objects, as objects may refer to each other."""
    if node in seen:
        return b"object %d" % seen[node]
    if node.parts or node.name.startswith("EMPTY_"):
        seen[node] = len(seen)
    total = sha256(repr((node.name, node.argument)).encode("ascii", "backslashreplace"))
    for part in _ordered(node):
        total.update(_digest(part, seen))
    return total.digest()


def _ordered(node: _Node) -> Iterable[_Node]:
    if node.name not in _SETS:
        return node.parts
    items = node.parts if node.name == "FROZENSET" else [item for change in node.parts for item in change.parts]
    return sorted(items, key=lambda item: _digest(item, {}))
