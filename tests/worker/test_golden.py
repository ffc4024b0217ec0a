"""The wire format, byte for byte: the helper writes these samples, the notebook's side reads them."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest

from heroku_magic.records import RecordDecoder, RunKey

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "samples" / "records"
NONCE = "00c0ffee"
ROWS = [
    {"i": 0, "text": "é😀\u2028"},
    {"i": 1, "text": None, "nested": {"a": [1.5, True]}},
    {"i": 2, "x": float("inf")},
]
LONG = [{"long": "x" * 9000}]


@pytest.fixture(scope="module")
def helper():
    spec = importlib.util.spec_from_file_location("heroku_task_under_test", ROOT / "worker" / "heroku_task.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(helper, script):
    """What a sender with a fixed key and nonce writes."""
    read, written = os.pipe()
    sender = helper._Sender(f"hm-0123abcd:{'00' * 32}", NONCE)
    keep = os.dup(1)
    os.dup2(written, 1)
    try:
        script(sender)
    finally:
        os.dup2(keep, 1)
        os.close(keep)
        os.close(written)
    with os.fdopen(read, "rb") as pipe:
        return pipe.read().decode("ascii")


def rows(sender):
    sender.start("t", None)
    sender.progress(0, 3, None)
    sender.send("rows", ROWS)
    sender.send("end", {"status": 0, "rows": 3})


def long_row(sender):
    sender.is_keyed = True
    sender.send("rows", LONG)


@pytest.mark.parametrize("script", [rows, long_row], ids=["rows", "parts"])
def test_the_helper_writes_the_samples(helper, script, capfd):
    sample = SAMPLES / f"{script.__name__}.log"

    assert write(helper, script) == sample.read_text()


@pytest.mark.parametrize(("name", "expected"), [("rows", ROWS), ("long_row", LONG)])
def test_the_notebooks_side_reads_the_samples(name, expected):
    decoder = RecordDecoder(RunKey("hm-0123abcd", bytes(32)))
    for line in (SAMPLES / f"{name}.log").read_text().splitlines():
        assert decoder.feed(line)[0] is None

    assert decoder.rows()[0] == expected
    assert decoder.missing() == []


def test_the_readmes_example_is_signed_as_it_says():
    lines = re.findall(r"^    (@hm1 00c0ffee .*)$", (ROOT / "worker" / "README.md").read_text(), re.MULTILINE)
    decoder = RecordDecoder(RunKey("hm-0123abcd", bytes(32)))
    for line in lines:
        decoder.feed(line)

    assert len(lines) == 3
    assert decoder.rows() == ([{"i": 0}], True)
