"""frames: rows become a DataFrame with its facts beside it."""

from __future__ import annotations

from heroku_magic.frames import frame, table
from heroku_magic.records import Rows


def test_columns_come_in_the_order_of_their_first_appearance():
    df = frame([Rows([{"b": 1, "a": 2}]), Rows([{"c": 3, "a": 4}])], {})

    assert list(df.columns) == ["b", "a", "c"]
    assert df.loc[1, "c"] == 3


def test_no_rows_are_an_empty_table():
    df = frame([Rows([])], {"run": "hm-1"})

    assert df.shape == (0, 0)
    assert df.attrs["heroku"] == {"run": "hm-1"}


def test_the_facts_stay_through_a_step_and_are_the_frames_own():
    facts = {"run": "hm-1"}
    df = frame([Rows([{"a": 1}])], facts)
    facts["run"] = "changed"

    assert df.head().attrs["heroku"] == {"run": "hm-1"}


def test_a_table_has_its_columns_without_rows():
    assert list(table([], ["dyno", "state"]).columns) == ["dyno", "state"]
