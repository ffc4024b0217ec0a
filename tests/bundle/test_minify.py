"""The minified source of a module keeps the behaviour of the requested names."""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path

import pytest

from heroku_magic.bundle.minify import minify, parse, shorten_names, to_text, unparse
from heroku_magic.bundle.shipped import cloudpickle_source, sources

ROOT = Path(__file__).resolve().parents[2]
SOURCE = '''
"""A module."""
from __future__ import annotations
import os, json.decoder
from glob import glob as find, iglob
import socket
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
LIMIT: int = 3  # why
COUNT: int

def used(n: int, *, k: str = "a") -> int:
    """Doc."""
    return inner(n) + LIMIT + len(os.sep + find(k))

def inner(n):
    "Only a docstring."

class Unused(Exception):
    """Doc."""

def unused():
    return Unused

if __name__ == "__main__":
    unused()
'''


def test_only_the_dependencies_of_a_name_are_kept():
    text = minify(SOURCE, ["used"])

    names = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert names == {"used", "inner"}
    assert "LIMIT = 3" in text
    assert "import os" in text
    assert "from glob import glob as find, iglob" in text
    assert "socket" not in text


def test_docstrings_annotations_and_comments_are_removed():
    text = minify(SOURCE)

    assert "Doc" not in text
    assert "why" not in text
    assert ": int" not in text
    assert "->" not in text
    assert "TYPE_CHECKING:" not in text
    assert "__main__" not in text
    assert "class Unused" in text


def test_a_body_that_is_only_a_docstring_remains_valid():
    namespace = {}
    exec(minify("def f():\n    'Doc.'\nclass C:\n    'Doc.'\n    x: int\n"), namespace)

    assert namespace["f"]() is None
    assert namespace["C"]


REMOTE = [
    "worker/heroku_task.py",
    "heroku_magic/bundle/remote/driver.py",
    "heroku_magic/bundle/remote/output.py",
    "heroku_magic/protocol/columns.py",
    "heroku_magic/bundle/remote/packages.py",
    "heroku_magic/protocol/typed_decoder.py",
    "heroku_magic/protocol/typed_json.py",
]


@pytest.mark.large
@pytest.mark.parametrize("path", REMOTE)
def test_the_remote_modules_parse_on_python_3_9(path):
    parse(minify((ROOT / path).read_text()), feature_version=(3, 9))


@pytest.mark.large
@pytest.mark.parametrize("path", REMOTE)
def test_narrow_indentation_does_not_change_the_code(path):
    text = minify((ROOT / path).read_text())
    assert ast.dump(parse(text)) == ast.dump(parse(ast.unparse(parse(text))))
    assert minify(text) == text


ONE = """
import two
_limit = _other = 3
_named = 4
def _inner(n, _limit=1): return n + _other
class _Kind:
    def _method(self): return _inner(_named)
def outer():
    global _named
    _local = two._shared
    return _Kind()._method() + _local + getattr(two, "_by_text")
_a = 5
"""
TWO = """
_shared = 10
_by_text = 20
def _unshared(): return _shared + _by_text
VALUE = _unshared()
"""


def test_private_names_that_only_their_module_has_are_shortened(monkeypatch):
    trees = [ast.parse(ONE), ast.parse(TWO)]
    shorten_names(trees)
    values = []
    for texts in ((ONE, TWO), tuple(map(to_text, trees))):
        two, one = types.ModuleType("two"), {}
        exec(texts[1], vars(two))
        monkeypatch.setitem(sys.modules, "two", two)
        exec(texts[0], one)
        values.append((one["outer"](), two.VALUE))
    assert values == [(37, 30)] * 2
    left = {word for tree in trees for word in re.findall(r"\b_\w{2,}", to_text(tree))}
    assert left == {"_limit", "_named", "_shared", "_by_text", "_method", "_local"}


F_STRINGS = """
f"[{', '.join(words)}]"
f"{', '.join(words)!r:>{width}}{{{n}}}"
f"{'é' if n else b'b'}{n:{'>9'}}{n:04d}"
f"{f'{n}' + 'a'!s}{words[0]}"
f"{n:{width}}{words!r}"
"""


@pytest.mark.parametrize("source", F_STRINGS.strip().split("\n"))
def test_f_strings_nest_no_quotes_as_older_pythons_cannot_read_them(source):
    names = {"words": ["a", "b"], "width": 20, "n": 7}
    text = unparse(ast.parse(source, mode="eval"))
    assert eval(text, names) == eval(source, names)
    assert not nested_texts(text)
    assert unparse(ast.parse("f'{n:>{width}} {n!r}'")) == "f'{n:>{width}} {n!r}'"


@pytest.mark.parametrize("kind", ["RemoteCell", "RemoteCall", "RemoteServer"])
def test_what_travels_nests_no_quotes(kind):
    texts = [*sources(kind).values(), *(cloudpickle_source(can_pickle=one) for one in (True, False))]
    assert not [nested for text in texts for nested in nested_texts(text)]


def nested_texts(source):
    """Return the f-strings of a source that have text in their expressions."""
    expressions = [one.value for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FormattedValue)]
    inner = [one for expression in expressions for one in ast.walk(expression)]
    return [
        one for one in inner if isinstance(getattr(one, "value", None), str | bytes) or isinstance(one, ast.JoinedStr)
    ]
