"""The age of a run depends on a monotonic clock alone."""

from __future__ import annotations

import pytest

from heroku_magic.runs import run_clock
from heroku_magic.runs.run_clock import RunClock, seconds_between


def test_a_changed_wall_clock_changes_no_age(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(run_clock.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(run_clock.time, "time", lambda: 0.0)
    clock = RunClock(60)
    assert clock.age() is None
    assert not clock.is_late()
    clock.start()
    now[0] += 48.5
    assert clock.age() == 48.5
    assert clock.age(at=110.0) == 10
    assert clock.is_late()
    assert not clock.reaches_limit(clock.age())
    assert clock.reaches_limit(59.5)


@pytest.mark.parametrize(("age", "expected"), [(7.0, 7.0), (-7.0, 0.0)])
def test_a_run_of_another_process_is_older_but_never_younger(monkeypatch, age, expected):
    monkeypatch.setattr(run_clock.time, "monotonic", lambda: 100.0)
    clock = RunClock(60)
    clock.start(age=age)
    assert clock.age() == expected


def test_seconds_between_two_timestamps():
    assert seconds_between("2026-01-01T00:00:01Z", "2026-01-01T00:00:03.500000+00:00") == 2.5
    assert seconds_between("2026-01-01T00:00:03Z", "2026-01-01T00:00:01Z") == 0
