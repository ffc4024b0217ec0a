"""Tests of heroku_magic.sweeps.journal."""

from __future__ import annotations

import base64
import json
import math
import os
import signal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import HerokuMagicError, InvalidOptions
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import read_table
from heroku_magic.sweeps.journal import AxisRecord, Journal, JournalHeader, OutcomeRecord, detached_path, read
from heroku_magic.sweeps.outcomes import Outcome

HEADER = JournalHeader(
    "hs-0123abcd",
    "https://api.heroku.com",
    "shop",
    "simulate",
    axes=[AxisRecord(["n"], [1, 2], are_rows=False)],
    in_step=False,
    indices=None,
    env={"method": "fast"},
    secrets=["token"],
    size="standard-1x",
    timeout=60,
    takes_rows=True,
    is_detached=False,
    options={"jobs": 2},
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


OPEN = []


@pytest.fixture(autouse=True)
def closed():
    yield
    while OPEN:
        OPEN.pop().close()


def test_git_ignores_the_file_of_a_detached_sweep_and_no_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, saved = detached_path("hs-0123abcd"), tmp_path / "results" / "sweep.jsonl"
    begin(own), begin(saved)
    assert (tmp_path / ".heroku" / ".gitignore").read_text() == "*\n"
    assert [*saved.parent.iterdir()] == [saved]


def begin(path):
    OPEN.append(Journal(path).create(HEADER))
    return OPEN[-1]


def outcome(place=0, state="done", **more):
    return Outcome(place, {"n": place}, state, 1, {"run": "hm-00000000", "seconds": 1.5}, **more)


def same(one, other):
    return json.dumps(one) == json.dumps(other)  # NaN is NaN there


@pytest.mark.large
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4))
def test_rows_are_read_back_unchanged(tmp_path_factory, rows):
    journal = begin(tmp_path_factory.mktemp("journal") / "s.jsonl")
    journal.record_outcome(outcome(parts=[Rows(rows)]))
    (outcome_read,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert same([row for part in outcome_read.parts for row in part.rows], rows)
    assert (outcome_read.place, outcome_read.state, outcome_read.attempts, outcome_read.facts) == (
        0,
        "done",
        1,
        outcome().facts,
    )


def test_tables_and_files_are_read_back_byte_by_byte(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    column = {"name": "x", "coding": "numbers", "dtype": "float64", "numbers": "float64"}
    part = read_table({"rows": 2, "columns": [column], "sizes": [16]}, bytes(range(16)))
    journal.record_outcome(outcome(parts=[Rows([{"x": math.nan}]), part], files={"a.png": b"\x89PNG"}))
    (outcome_read,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert outcome_read.parts[1] == part
    assert outcome_read.files == {"a.png": b"\x89PNG"}


def test_tables_with_half_characters_and_huge_integers_are_read_back(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    values = b'["\\ud83d",1180591620717411303424,NaN]'
    head = {"name": "1", "label": ["json", 1], "coding": "json"}
    part = read_table({"rows": 3, "columns": [head], "sizes": [len(values)]}, values)
    journal.record_outcome(outcome(parts=[part]))
    (outcome_read,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert outcome_read.parts[0].columns["1"].head == part.columns["1"].head
    assert outcome_read.parts[0].columns["1"].values[:2] == ["\ud83d", 2**70]
    assert math.isnan(outcome_read.parts[0].columns["1"].values[2])


def test_a_table_that_an_earlier_version_wrote_is_read(tmp_path):
    column = {"name": "x", "coding": "numbers", "dtype": "float64", "numbers": "float64"}
    part = read_table({"rows": 2, "columns": [column], "sizes": [16]}, bytes(range(16)))
    packed = base64.b64encode(msgspec.msgpack.encode(part)).decode()
    record = OutcomeRecord(0, "done", 1, {}, parts=[packed])
    assert record.outcome({}).parts == [part]


def test_the_header_runs_and_errors_are_read_back(tmp_path):
    journal = begin(tmp_path / "deep" / "s.jsonl")
    journal.record_start([0, 1], "hm-00000001")
    journal.record_outcome(outcome(1, "failed", error=HerokuMagicError("bad\nvery")))
    contents = read(journal.path)
    assert contents.header == HEADER
    assert contents.runs == {"hm-00000001": [0, 1]}
    (outcome_read,) = contents.outcomes(lambda place: {"n": place})
    assert (outcome_read.state, str(outcome_read.error)) == ("failed", "bad\nvery")
    assert outcome_read.parts is None


def test_only_its_owner_can_read_a_journal(tmp_path):
    assert begin(tmp_path / "s.jsonl").path.stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_never_overwritten(tmp_path):
    (tmp_path / "s.jsonl").write_text("mine")
    with pytest.raises(InvalidOptions, match=r"already exists\. Resume its sweep with %heroku resume .*s\.jsonl"):
        begin(tmp_path / "s.jsonl")
    assert (tmp_path / "s.jsonl").read_text() == "mine"


def test_a_journal_has_one_writer_at_a_time(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    with pytest.raises(InvalidOptions, match="is in use: its sweep is still running"):
        Journal(journal.path).reopen()
    journal.close()
    OPEN.append(Journal(journal.path))
    OPEN[-1].reopen()


def test_an_incomplete_last_line_is_ignored(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    journal.record_outcome(outcome(0))
    journal.record_outcome(outcome(1))
    journal.close()
    text = journal.path.read_text()
    journal.path.write_text(text[:-9])
    assert [*read(journal.path).ended] == [0]
    journal.close()
    again = Journal(journal.path)
    OPEN.append(again)
    assert [*again.reopen().ended] == [0]
    again.record_outcome(outcome(2))
    assert [*read(journal.path).ended] == [0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not contain a sweep"),
        ("no json\n", "line 1: this is not the file of a sweep"),
        ('{"a": 1}\n', "line 1: this is not the file of a sweep"),
        (None, r"s\.jsonl cannot be read \(No such file or directory\)\. Expected the file of --save\.$"),
    ],
)
def test_a_file_that_is_not_a_journal_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(InvalidOptions, match=message):
        read(tmp_path / "s.jsonl")


def test_an_edited_line_is_reported_by_number(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    with journal.path.open("a") as file:
        file.write("[1]\n")
    with pytest.raises(InvalidOptions, match="line 2"):
        read(journal.path)


def test_lone_surrogates_in_rows_are_kept(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    journal.record_outcome(outcome(parts=[Rows([{"file": "caf\udce9.txt"}])]))
    (outcome_read,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert outcome_read.parts[0].rows == [{"file": "caf\udce9.txt"}]


def test_a_change_of_folder_does_not_move_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = begin(Path("s.jsonl"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    journal.record_outcome(outcome(1))
    assert [*read(tmp_path / "s.jsonl").ended] == [1]
    assert not (tmp_path / "elsewhere" / "s.jsonl").exists()


def test_a_file_that_was_begun_on_a_full_disk_is_removed(tmp_path, monkeypatch):
    def full(_, outcome):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "record_outcome", full)
    path = tmp_path / "s.jsonl"
    with pytest.raises(InvalidOptions, match=r"s\.jsonl cannot be written: No space left on device\.$"):
        Journal(path).create(HEADER, [outcome()])
    assert not path.exists()


def test_a_fork_holds_the_file_no_longer_than_its_parent(tmp_path, processes):
    journal = begin(tmp_path / "s.jsonl")
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.write(tell, b".")
        signal.pause()
    try:
        os.read(told, 1)
        journal.record_start([0], "hm-00000001")
        journal.close()
        OPEN.append(again := Journal(journal.path))
        assert again.reopen().runs == {"hm-00000001": [0]}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize(("name", "reason"), [("x" * 300, "File name too long"), ("a\0b", "embedded null byte")])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name, reason):
    with pytest.raises(InvalidOptions, match=rf"cannot be written: {reason}\.$"):
        Journal(tmp_path / name).create(HEADER)
    with pytest.raises(InvalidOptions, match=rf"cannot be read \({reason}\)"):
        read(tmp_path / name)


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidOptions, match="cannot be written"):
        begin(tmp_path / "file" / "s.jsonl")
