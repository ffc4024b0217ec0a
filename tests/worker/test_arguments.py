"""The helper converts environment variables to the declared types of the arguments."""

from __future__ import annotations

import datetime as dt
import enum

import pytest
from worker_app import python_of

pytestmark = pytest.mark.usefixtures("processes")

HEAD = """
class Method(Enum):
    NAIVE = "naive"
    FAST = "fast"
"""


class Method(enum.Enum):
    NAIVE = "naive"
    FAST = "fast"


@pytest.fixture
def read(declared, helper, monkeypatch):
    """Return the argument that a task receives for a text: `read("int", "5")`."""

    def argument_of(annotation, text):
        monkeypatch.setenv("v", text)
        return helper._read_arguments(declared(f"v: {annotation}", head=HEAD), {"Method": Method})["v"]

    return argument_of


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("date", "2026-01-31", dt.date(2026, 1, 31)),
        ("datetime", "2026-01-31T12:30:00", dt.datetime.fromisoformat("2026-01-31T12:30")),
        ("datetime", "2026-01-31 12:30", dt.datetime.fromisoformat("2026-01-31T12:30")),
        ("datetime", "2026-01-31", dt.datetime.fromisoformat("2026-01-31")),
        ("datetime", "2026-01-31T12:30:00.5Z", dt.datetime(2026, 1, 31, 12, 30, 0, 500_000, dt.timezone.utc)),
        ("datetime", "2026-01-31T12:30:00.123456789+01:00",
         dt.datetime(2026, 1, 31, 12, 30, 0, 123_456, dt.timezone(dt.timedelta(hours=1)))),
        ("date | None", "null", None),
        ("date | None", "2026-01-31", dt.date(2026, 1, 31)),
        ("list[date]", '["2026-01-31"]', [dt.date(2026, 1, 31)]),
        ("Method", "fast", Method.FAST),
        ("Optional[Method]", "naive", Method.NAIVE),
        ("Optional[Method]", "null", None),
        ("dict[str, list[Method]]", '{"a":["fast"]}', {"a": [Method.FAST]}),
        ("Annotated[int, {'minimum': 1, 'maximum': 3}]", "3", 3),
        ("Annotated[float, {'multipleOf': 0.1}]", "0.3", 0.3),
        ("Annotated[int, {'enum': [1, 2]}]", "2", 2),
        ("Annotated[str, {'enum': ['1', '2']}]", "2", "2"),
        ("Annotated[int | None, {'minimum': 1}]", "null", None),
        ("Annotated[float, {'multipleOf': 0.1}] | str", "inf", "inf"),
        ("Secret", "null", "null"),
        ("int | str", "[" * 100_000, "[" * 100_000),
        ("Secret | None", "12345", "12345"),
    ],
)  # fmt: skip
def test_text_becomes_a_value_of_the_declared_type(read, annotation, text, value):
    found = read(annotation, text)

    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        ("date", "31.1.2026", "a date (YYYY-MM-DD)"),
        ("date", "2026-02-30", "a date (YYYY-MM-DD)"),
        ("date", "20260131", "a date (YYYY-MM-DD)"),
        ("datetime", "2026-01-31T25:00", "a time (YYYY-MM-DDTHH:MM:SS)"),
        ("datetime", "noon", "a time (YYYY-MM-DDTHH:MM:SS)"),
        ("Method", "slow", "one of 'naive', 'fast'"),
        ("Annotated[int, {'minimum': 1, 'maximum': 3}]", "4", "a whole number from 1 up to 3"),
        ("Annotated[float, {'exclusiveMinimum': 0}]", "0", "a number above 0"),
        ("Annotated[float, {'exclusiveMaximum': 1}]", "nan", "a number below 1"),
        ("Annotated[float, {'multipleOf': 0.1}]", "0.35", "a number in steps of 0.1"),
        ("Annotated[float, {'multipleOf': 0.1}]", "inf", "a number in steps of 0.1"),
        ("Annotated[int, {'multipleOf': 3}]", "4", "a whole number in steps of 3"),
        ("Annotated[int, {'enum': [1, 2]}]", "3", "one of 1, 2"),
        (
            "Annotated[str, {'minLength': 2, 'maxLength': 3}]",
            "a",
            "text of at least 2 characters of at most 3 characters",
        ),
        ("Annotated[list[int], {'maxItems': 1}]", "[1,2]", "a list (each a whole number) of at most 1 items"),
        ("list[Annotated[int, {'minimum': 1}]]", "[0]", "a list (each a whole number from 1)"),
        ("Annotated[int | None, {'minimum': 1}]", "0", "a whole number from 1 or null"),
    ],
)
def test_an_invalid_value_is_reported_with_the_expected_type(read, helper, annotation, text, expected):
    with pytest.raises(helper.TaskError) as caught:
        read(annotation, text)

    assert str(caught.value) == f"v is {text!r}: expected {expected}"


def test_a_secret_appears_in_no_repr_and_no_error(read, helper):
    assert repr(read("Secret", "hunter22")) == "Secret(***)"
    with pytest.raises(helper.TaskError, match=r"^v is a secret: expected text of at least 20 characters$"):
        read("Annotated[Secret, {'minLength': 20}]", "hunter22")


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_python_converts_arguments_alike(app, version):
    python = python_of(version)
    app.task("""
        from __future__ import annotations
        from datetime import date, datetime
        from enum import Enum
        from typing import Annotated, Optional
        from heroku_task import Secret, task

        class Method(Enum):
            FAST = "fast"

        @task
        def job(n: Annotated[int, {"minimum": 1}], d: date, t: datetime, m: Optional[Method] = None, s: Secret = ""):
            return {"n": n, "d": d, "t": repr(t), "m": repr(m), "s": repr(s)}
        """)
    result = app.run(python=python, n="1", d="2026-01-31", t="2026-01-31T12:00:00.5Z", m="fast", s="geheim")

    assert result.rows == [
        {
            "n": 1,
            "d": "2026-01-31",
            "t": "datetime.datetime(2026, 1, 31, 12, 0, 0, 500000, tzinfo=datetime.timezone.utc)",
            "m": "<Method.FAST: 'fast'>",
            "s": "Secret(***)",
        }
    ]
