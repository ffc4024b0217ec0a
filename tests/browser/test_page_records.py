"""The program of an exported page decodes records as the notebook does: exactly, in order, and nothing that is forged."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from pathlib import Path

import pytest
from web_page import served

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from signed_records import KEY, end_of, record  # noqa: E402 - the folder has to be on the path

MODULES = ROOT / "heroku_magic" / "widgets" / "templates" / "page"
# Decodes messages with the key of the tests, and returns what a page would show of them.
DECODE = """async ([messages, text, joins]) => {
  const { RecordDecoder, RunKey } = await import("/records.js");
  const { csvOf } = await import("/results.js");
  const key = new RunKey();
  key.run = text.split(":")[0];
  const bytes = Uint8Array.from(text.split(":")[1].match(/../g), pair => parseInt(pair, 16));
  key.signer = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const decoder = new RecordDecoder(key, { joins });
  const log = [];
  for (const message of messages) log.push(await decoder.feed(message));
  return {
    log: log.filter(text => text !== null),
    csv: decoder.parts.length ? csvOf(decoder.parts, text => text).split("\\r\\n").slice(0, -1) : null,
    problem: decoder.problem, status: decoder.status, isComplete: decoder.isComplete,
    files: [...decoder.files.keys()], metrics: [...decoder.metrics], failure: decoder.failure,
  };
}"""


@pytest.fixture
def decode(web_page):
    with served(MODULES) as origin:
        web_page.page.goto(origin)
        yield lambda messages, *, joins=False: web_page.page.evaluate(DECODE, [messages, KEY.env(), joins])


def packed(head, body=b""):
    return base64.b64encode(zlib.compress(json.dumps(head).encode() + b"\n" + body)).decode()


def task(*records, status=0, rows=0):
    """The records of a task, from its declaration to its end record; each is (kind, data)."""
    lines = [record(0, "task", {"task": "t", "parameters": None})]
    lines += [record(number, kind, data) for number, (kind, data) in enumerate(records, 1)]
    return [*lines, end_of(lines, status, rows)]


def test_rows_in_parts_and_out_of_order_are_joined(decode):
    rows = json.dumps([{"i": 1}, {"j": "é 😀"}])
    lines = task(
        ("rows+", rows[:7]),
        ("rows+", rows[7:9]),
        ("rows", rows[9:]),
        ("metric", {"name": "loss", "value": 0.5, "step": 1}),
        rows=2,
    )
    found = decode([lines[3], "hello", lines[0], f"text before {lines[2]}", lines[1], lines[1], *lines[4:]])

    assert found["log"] == ["hello", "text before "]
    assert found["csv"] == ["i,j", "1,", ",é 😀"]
    assert (found["problem"], found["status"], found["isComplete"]) == ("", 0, True)
    assert found["metrics"] == [["loss", 0.5]]


def test_numbers_of_any_length_and_those_that_are_not_finite_are_exact(decode):
    rows = '[{"a": 9007199254740993, "b": -12345678901234567890123, "c": NaN, "d": -Infinity, "e": 0.1, "f": 1e400, "g": [9007199254740993, null], "h": "\\u0000NaN", "i": "12345678901234567890"}]'
    found = decode(task(("rows", rows), rows=1))
    assert found["csv"][1] == (
        '9007199254740993,-12345678901234567890123,NaN,-Infinity,0.1,Infinity,"[9007199254740993,null]",\0NaN,12345678901234567890'
    )


@pytest.mark.parametrize(
    "forged",
    [
        record(1, "rows", [{"i": 2}], key=bytes(32)),
        record(1, "rows", [{"i": 2}], run="hm-00000000"),
        record(1, "rows", [{"i": 1}]).replace('"i":1', '"i":2'),
        record(2, "rows", [{"i": 2}]).replace(" 2 rows ", " 1 rows "),
    ],
)
def test_a_record_with_a_wrong_mac_is_only_log(decode, forged):
    lines = task(("rows", [{"i": 1}]), rows=1)
    found = decode([lines[0], forged, *lines[1:]])
    assert found["log"] == [forged]
    assert found["csv"] == ["i", "1"]
    assert found["problem"] == ""


def test_what_is_missing_or_damaged_is_reported(decode):
    lines = task(*[("rows", [{"i": number}]) for number in range(6)], rows=6)
    assert decode([*lines[:2], *lines[4:6], lines[7]])["problem"] == (
        "records 2-3, 6 are missing, and the log does not contain them"
    )
    assert decode(lines[:-1])["problem"] == "the end record is missing, so some rows may be missing"
    wrong = task(("rows", [{"i": 1}]), rows=2)
    assert decode(wrong)["problem"] == "the rows do not match the count and checksum of the end record"
    damaged = task(
        (
            "table",
            packed(
                {
                    "rows": 2,
                    "columns": [{"name": "a", "coding": "numbers", "dtype": "int8", "numbers": "int8"}],
                    "sizes": [1],
                },
                b"1",
            ),
        ),
        rows=2,
    )
    assert decode(damaged)["problem"] == "records 1 cannot be read"
    assert "version 2" in decode([record(0, "task", {}, version=2)])["problem"]


def test_one_of_two_processes_is_the_result_unless_they_are_joined(decode):
    def process(nonce, value, *, is_complete=True):
        lines = [
            record(0, "task", {"task": "t", "parameters": None}, nonce=nonce),
            record(1, "rows", [{"i": value}], nonce=nonce),
        ]
        return [*lines, *([end_of(lines, 0, 1, nonce=nonce)] if is_complete else [])]

    begun, complete = process("00000001", 1, is_complete=False), process("00000002", 2)
    assert decode([*begun, *complete])["csv"] == ["i", "2"]
    assert decode([*process("00000001", 1), *complete], joins=True)["csv"] == ["i", "1", "2"]


def test_a_file_arrives_in_parts_under_a_name_without_folders(decode):
    head = {"name": "../a/plot<1>.png", "parts": 2, "size": 4}
    lines = task(("file", packed({**head, "part": 0}, b"ab")), ("file", packed({**head, "part": 1}, b"cd")))
    assert decode(lines)["files"] == ["plot_1_.png"]
    assert (
        decode(task(("file", packed({**head, "part": 0, "parts": 1}, b"ab"))))["problem"] == "records 1 cannot be read"
    )


def test_files_of_different_names_stay_apart_when_their_names_are_made_valid(decode):
    sent = ("a/plot.tar.gz", "b/plot.tar.gz", "plot.tar.gz", "b/plot.tar.gz")
    files = [("file", packed({"name": name, "part": 0, "parts": 1, "size": 1}, b"x")) for name in sent]
    assert decode(task(*files))["files"] == ["plot.tar.gz", "plot-2.tar.gz", "plot-3.tar.gz"]


def test_names_that_every_object_has_are_names_like_others(decode):
    rows = '[{"constructor": 1, "__proto__": {"x": 2}}, {"toString": "a", "\\u0000n": 3}]'
    assert decode(task(("rows", rows), rows=2))["csv"] == [
        "constructor,__proto__,toString,\0n", '1,"{""x"":2}",,', ",,a,3",
    ]  # fmt: skip
    assert decode(['{"valueOf": 1}', '{"i": 2}'])["csv"] == ["valueOf,i", "1,", ",2"]


@pytest.mark.parametrize(
    "damaged",
    [
        ("rows", [None]), ("rows", ["text"]), ("rows", {"i": 1}), ("rows", "[" * 9000 + "]" * 9000), ("metric", {"name": "m", "value": "high"}),
        ("progress", {"done": "half", "total": 2}), ("failure", {"type": "E", "message": "m", "frames": "none"}),
        ("failure", {"type": "E"}), ("file", {"name": 7, "part": 0, "parts": 1, "size": 0}),
        ("table", packed({"rows": 10**9, "columns": [], "sizes": []})), ("table", packed({"rows": -1, "columns": [], "sizes": []})),
        ("table", packed({"rows": 1, "columns": [{"name": "a", "coding": "numbers", "dtype": "datetime64[years]", "numbers": "int64"}], "sizes": [8]}, bytes(8))),
        ("table", packed({"rows": 1, "columns": [{"name": "a", "coding": "numbers", "dtype": "int8", "numbers": "constructor"}], "sizes": [1]}, b"1")),
        ("table", packed({"rows": 1, "columns": [{"name": "a", "coding": "json"}] * 2, "sizes": [3, 3]}, b"[1][2]")),
    ],
)  # fmt: skip
def test_a_signed_record_that_cannot_be_shown_is_damaged(decode, damaged):
    assert decode(task(damaged))["problem"] == "records 1 cannot be read"


def test_numbers_beyond_those_of_javascript_are_progress_and_metrics_too(decode):
    found = decode(task(("progress", {"done": 1, "total": 2**60}), ("metric", {"name": "m", "value": 2**60})))
    assert found["problem"] == ""


def test_printed_rows_that_are_lost_are_reported(decode):
    cut = '{"text": "' + "x" * 9990
    assert decode(['{"i": 1}', cut, "{no row}"])["problem"] == (
        "1 of them were cut, because a log line holds at most 10,000 bytes"
    )
    nested = '{"a": ' + "[" * 4900 + "]" * 4900 + "}"
    assert decode([nested, '{"i": 1}'])["problem"] == "1 of the printed rows have too many levels"


def test_what_a_page_shows_escapes_the_marks_that_a_notebook_escapes(decode, web_page):
    from heroku_magic.text.sanitize import escape

    decode([])
    text = "a\u202eb\U000e0041\x9b\n\t\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"
    script = """async text => {
      const { clean } = await import("/results.js");
      const codes = Array.from({ length: 0x110000 }, (_, code) => code);
      return [codes.filter(code => clean(String.fromCodePoint(code)) !== String.fromCodePoint(code)), clean(text)];
    }"""
    assert web_page.page.evaluate(script, text) == [
        [code for code in range(0x110000) if escape(chr(code)) != chr(code)], escape(text),
    ]  # fmt: skip


TABLE = """
import sys, numpy as np, pandas as pd
sys.path.insert(0, %r)
import heroku_task
f = pd.DataFrame({
    "i8": np.array([1, -2, 3], "int8"), "u64": np.array([2**64 - 1, 0, 1], "uint64"), "f32": np.array([0.1, np.nan, 2], "float32"),
    "f16": np.array([0.5, 65504, 6e-8], "float16"), "f64": [0.1, 1e300, np.inf], "b": [True, False, True],
    "n": pd.array([1, None, 2**60], "Int64"), "nb": pd.array([True, None, False], "boolean"),
    "t": pd.to_datetime(["2024-01-31 12:00:00.500", None, "1969-12-31 23:59:59.000"]).astype("datetime64[ns]"),
    "z": pd.to_datetime(["2024-07-01", "2024-01-01", None]).tz_localize("Europe/Berlin"),
    "o": pd.to_datetime(["2024-07-01"] * 3).tz_localize("UTC").tz_convert("+05:30"),
    "d": pd.to_timedelta([90061.25, -1, None], unit="s").astype("timedelta64[ms]"), "p": pd.PeriodIndex(["2024-02", "1969-12", "2024-03"], freq="M"),
    "q": pd.PeriodIndex(["2024Q2", "1969Q4", "1970Q1"], freq="Q"), "c": pd.Categorical(["x", None, "y"]),
    "s": ["a", None, "b,c"], (1, "k"): [1, 2, 3], 5: [1, 2, 3], "5": [4, 5, 6], pd.Interval(0, 1): [1, 2, 3],
})
sender = heroku_task._Sender(%r)
sender.start("t", None)
sender.table(f)
sender.end(0)
"""


@pytest.mark.usefixtures("processes")
def test_a_dataframe_arrives_with_its_values(decode):
    import subprocess

    script = TABLE % (str(ROOT / "worker"), KEY.env())
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    found = decode(printed.splitlines())

    assert found["problem"] == ""
    assert found["csv"] == [
        'i8,u64,f32,f16,f64,b,n,nb,t,z,o,d,p,q,c,s,"(1, k)",5,5,"(0, 1]"',
        "1,18446744073709551615,0.1,0.5,0.1,true,1,true,2024-01-31 12:00:00.500000000,2024-07-01 00:00:00+02:00,2024-07-01 05:30:00+05:30,1 days 01:01:01.250,2024-02,2024Q2,x,a,1,1,4,1",
        "-2,0,NaN,65504,1e+300,false,,,,2024-01-01 00:00:00+01:00,2024-07-01 05:30:00+05:30,-1 days 23:59:59,1969-12,1969Q4,,,2,2,5,2",
        '3,1,2,5.9605e-8,Infinity,true,1152921504606846976,false,1969-12-31 23:59:59,,2024-07-01 05:30:00+05:30,,2024-03,1970Q1,y,"b,c",3,3,6,3',
    ]


def test_an_error_of_heroku_that_its_log_repeats_is_noted_once(web_page):
    script = """async lines => {
      const { Run } = await import("/run.js");
      const run = new Run({}, { seconds: 600 }, text => text, () => {});
      Object.assign(run, { dyno: { name: "run.1" }, decoder: { isComplete: false } });
      for (const message of lines) await run.take({ text: message, source: "heroku", dyno: "run.1", message });
      return run.notes;
    }"""
    lines = ["Error R14 (Memory quota exceeded)", "Error R12 (Exit timeout)", "Error R14 (Memory quota exceeded)"]
    with served(MODULES) as origin:
        web_page.page.goto(origin)
        assert web_page.page.evaluate(script, lines) == lines[:2]
