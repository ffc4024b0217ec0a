"""One rule reads a Procfile everywhere: that of Heroku's build system."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.emulator.code import procfile
from heroku_magic.platform_facts.procfile import process_types

HELPER = Path(__file__).parents[2] / "worker" / "heroku_task.py"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web: run", {"web": "run"}),
        ("  \tjob:\t run  it # now", {"job": "run  it # now"}),
        ("a: 1\r\nb: 2\rc: 3\n", {"a": "1", "b": "2", "c": "3"}),
        ("a: 1\nb: 2\na: 3", {"a": "3", "b": "2"}),
        ("job run", {"job": "run"}),
        ("job : run", {"job": ": run"}),
        ("a_b-C9: x: y", {"a_b-C9": "x: y"}),
        ("web:\na: 1\nb: \nc: 2\nd", {"a": "1", "c": "2"}),
        ("job:run\n: run\n# a: 1\n // b\n&&&\nn.m: x", {}),
        ("größe: x\n\ufeffa: 1\nb: 2", {"b": "2"}),
        ("a: echo 'x\ny: z'", {"a": "echo 'x", "y": "z'"}),
        ("a: x\u2028b: y\x0cc: z", {"a": "x\u2028b: y\x0cc: z"}),
        ("", {}),
    ],
)
def test_a_procfile_declares_what_herokus_build_system_finds_in_it(text, expected):
    assert process_types(text) == expected


LINES = st.lists(st.text(alphabet="ab:#-_ \t\r\n\\'\"\ufeffé\x0b\x85", max_size=40), max_size=4).map("\n".join)


@given(LINES)
def test_the_emulator_and_the_helper_read_the_same_types(text):
    rule = ast.literal_eval(re.search(r"(?m)^_PROCFILE_LINE = (.+)$", HELPER.read_text())[1])
    as_read = re.sub("\r\n?", "\n", text)  # a file that is opened as text arrives like this
    assert dict(re.findall(rule, as_read)) == process_types(text)


def test_the_emulator_serves_the_types_that_the_rule_finds(tmp_path):
    content = "\ufeffa: 1\r\n  b: 2\r\nb: 3\r\n"
    (tmp_path / "Procfile").write_bytes(content.encode())
    assert procfile.read(tmp_path) == process_types(content) == {"b": "3"}
