"""The wire format, byte for byte: the helper writes these samples and the notebook reads them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd

from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import Rows, RunKey

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "samples" / "records"
NONCE = "00c0ffee"
ROWS = [
    {"i": 0, "text": "é😀\u2028"},
    {"i": 1, "text": None, "nested": {"a": [1.5, True]}},
    {"i": 2, "x": float("inf")},
]


def every_type():
    """The table of the sample `table.log`: columns of each coding, with null and NaN."""
    when = pd.Series(pd.to_datetime(["2026-01-01 12:00", None, "2026-07-01 12:00", None]))
    return pd.DataFrame(
        {
            "i": [1, 2, 3, 4],
            "n": pd.array([1, None, -3, 4], dtype="Int16"),
            "F": pd.array([0.5, None, 1.5, 2.5], dtype="Float64"),
            "f": [0.1, float("nan"), float("inf"), -0.0],
            "b": [True, False, True, True],
            "when": when.astype("datetime64[us]").dt.tz_localize("Europe/Berlin"),
            "took": pd.to_timedelta([1, None, 3, 4], unit="s").astype("timedelta64[ms]"),
            "c": pd.Categorical(["lo", "hi", "lo", None], categories=["lo", "mid", "hi"], ordered=True),
            "st": pd.array(["é😀", None, "b", "c"], dtype="string"),
            "word": ["yes", "yes", "yes", "yes"],
            "json": [{"a": [1.5, True]}, None, "text", 7],
        }
    )


def write(helper, script):
    """Return what a sender with a fixed key and nonce writes."""
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
    sender.metric("loss", 0.25, 3)
    sender.row_count = 3
    sender.end(0)


def test_the_helper_writes_the_sample(helper):
    assert write(helper, rows) == (SAMPLES / "rows.log").read_text()


def read(name):
    decoder = RecordDecoder(RunKey("hm-0123abcd", bytes(32)))
    for line in (SAMPLES / f"{name}.log").read_text().splitlines():
        assert decoder.feed(line)[0] is None
    return decoder


def test_the_notebook_reads_the_sample_of_rows():
    decoder = read("rows")

    assert decoder.parts == [Rows(ROWS)]
    assert decoder.is_verified


def test_the_notebook_reads_the_sample_of_a_table_and_a_file():
    decoder = read("table")
    df = frame(decoder.parts, {})

    assert decoder.is_verified
    assert decoder.files == {"square.bin": bytes(range(256)) * 16}
    pd.testing.assert_frame_equal(df, every_type(), check_dtype=False)
    assert [*map(str, df.dtypes[["i", "n", "F", "when", "c", "st"]])] == [
        "int64",
        "Int16",
        "Float64",
        "datetime64[us, Europe/Berlin]",
        "category",
        "string",
    ]


def test_the_example_in_the_readme_has_valid_macs():
    lines = re.findall(r"^    (@hm1 00c0ffee .*)$", (ROOT / "worker" / "README.md").read_text(), re.MULTILINE)
    decoder = RecordDecoder(RunKey("hm-0123abcd", bytes(32)))
    for line in lines:
        decoder.feed(line)

    assert len(lines) == 3
    assert (decoder.parts, decoder.is_verified) == ([Rows([{"i": 0}])], True)
