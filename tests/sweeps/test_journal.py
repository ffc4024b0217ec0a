"""journal: a sweep in a file, and back, with all that its rows hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import HerokuMagicError, InvalidOptions
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.tables import table
from heroku_magic.sweeps.journal import Journal, Written, WrittenAxis, read
from heroku_magic.sweeps.outcomes import Outcome

WRITTEN = Written(
    "hs-0123abcd",
    "https://api.heroku.com",
    "shop",
    "simulate",
    axes=[WrittenAxis(["n"], [1, 2], are_rows=False)],
    in_step=False,
    places=None,
    env={"method": "fast"},
    secrets=["token"],
    size="standard-1x",
    timeout=60,
    takes_rows=True,
    outlives=False,
    terms={"jobs": 2},
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


def begin(path):
    OPEN.append(Journal(path).open(WRITTEN))
    return OPEN[-1]


def outcome(place=0, state="done", **more):
    return Outcome(place, {"n": place}, state, 1, {"run": "hm-00000000", "seconds": 1.5}, **more)


def same(one, other):
    return json.dumps(one) == json.dumps(other)  # NaN is NaN there


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4))
def test_rows_come_back_as_they_were(tmp_path_factory, rows):
    journal = begin(tmp_path_factory.mktemp("journal") / "s.jsonl")
    journal.ended(outcome(parts=[Rows(rows)]))
    (back,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert same([row for part in back.parts for row in part.rows], rows)
    assert (back.place, back.state, back.attempts, back.facts) == (0, "done", 1, outcome().facts)


def test_tables_and_files_come_back_byte_by_byte(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    column = {"name": "x", "coding": "numbers", "dtype": "float64", "numbers": "float64"}
    part = table({"rows": 2, "columns": [column], "sizes": [16]}, bytes(range(16)))
    journal.ended(outcome(parts=[Rows([{"x": math.nan}]), part], files={"a.png": b"\x89PNG"}))
    (back,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert back.parts[1] == part
    assert back.files == {"a.png": b"\x89PNG"}


def test_what_the_sweep_is_of_comes_back(tmp_path):
    journal = begin(tmp_path / "deep" / "s.jsonl")
    journal.began([0, 1], "hm-00000001")
    journal.ended(outcome(1, "failed", error=HerokuMagicError("bad\nvery")))
    told = read(journal.path)
    assert told.written == WRITTEN
    assert told.began == {"hm-00000001": [0, 1]}
    (back,) = told.outcomes(lambda place: {"n": place})
    assert (back.state, str(back.error)) == ("failed", "bad\nvery")
    assert back.parts is None


def test_only_its_owner_may_read_it(tmp_path):
    assert begin(tmp_path / "s.jsonl").path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    (tmp_path / "s.jsonl").write_text("mine")
    with pytest.raises(InvalidOptions, match=r"is there already: %heroku resume .*s\.jsonl goes on"):
        begin(tmp_path / "s.jsonl")
    assert (tmp_path / "s.jsonl").read_text() == "mine"


def test_two_cannot_write_one_file_at_a_time(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    with pytest.raises(InvalidOptions, match="is in use: the sweep that writes it is not over"):
        Journal(journal.path).reopen()
    journal.close()
    OPEN.append(Journal(journal.path))
    OPEN[-1].reopen()


def test_a_last_line_that_was_cut_is_none(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    journal.ended(outcome(0))
    journal.ended(outcome(1))
    journal.close()
    text = journal.path.read_text()
    journal.path.write_text(text[:-9])
    assert [*read(journal.path).ended] == [0]
    journal.close()
    again = Journal(journal.path)
    OPEN.append(again)
    assert [*again.reopen().ended] == [0]
    again.ended(outcome(2))
    assert [*read(journal.path).ended] == [0, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no sweep"),
        ("no json\n", "line 1: this is not the file of a sweep"),
        ('{"a": 1}\n', "line 1: this is not the file of a sweep"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_journal_is_said(tmp_path, text, said):
    if text is not None:
        (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(InvalidOptions, match=said):
        read(tmp_path / "s.jsonl")


def test_a_line_that_was_changed_is_named(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    with journal.path.open("a") as file:
        file.write("[1]\n")
    with pytest.raises(InvalidOptions, match="line 2"):
        read(journal.path)


def test_half_a_character_in_a_row_or_an_error_is_kept(tmp_path):
    journal = begin(tmp_path / "s.jsonl")
    journal.ended(outcome(parts=[Rows([{"file": "caf\udce9.txt"}])]))
    (back,) = read(journal.path).outcomes(lambda place: {"n": place})
    assert back.parts[0].rows == [{"file": "caf\udce9.txt"}]


def test_the_file_stays_where_it_was_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = begin(Path("s.jsonl"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    journal.ended(outcome(1))
    assert [*read(tmp_path / "s.jsonl").ended] == [1]
    assert not (tmp_path / "elsewhere" / "s.jsonl").exists()


def test_a_file_that_cannot_be_written_is_said_before_anything_starts(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidOptions, match="cannot be written"):
        begin(tmp_path / "file" / "s.jsonl")
