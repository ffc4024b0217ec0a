"""When a run is over, for every order in which Heroku's lines have been observed."""

from __future__ import annotations

import pytest

from heroku_magic.protocol.records import End
from heroku_magic.runs.lifecycle import GRACE, Lifecycle

EXIT = "Process exited with status 3"
COMPLETE = "State changed from up to complete"
UP = "State changed from starting to up"


def after(*lines, end=None, gone=False):
    life = Lifecycle()
    for line in lines:
        life.read(line, 10.0)
    life.lines_arrived(10.0, end)
    if gone:
        life.mark_gone(10.0)
    return life


@pytest.mark.parametrize(
    ("life", "at_once", "after_grace"),
    [
        (after(UP), False, False),
        (after(EXIT), False, False),
        (after(COMPLETE), False, False),
        (after(end=End(0, 0, "")), False, False),
        (after(EXIT, end=End(3, 0, "")), True, True),
        (after(EXIT, COMPLETE), False, True),
        (after(COMPLETE, EXIT), False, True),
        (after(COMPLETE, end=End(0, 0, "")), False, True),
        (after(gone=True), False, True),
    ],
)
def test_the_end_of_a_run_needs_evidence(life, at_once, after_grace):
    assert life.is_over(10.0) == at_once
    assert life.is_over(10.0 + GRACE) == after_grace
    assert life.patience(10.0, 60) == (GRACE if after_grace else 60) or at_once


def test_a_line_in_the_grace_period_restarts_it():
    life = after(EXIT, COMPLETE)
    life.lines_arrived(10.0 + GRACE / 2, None)

    assert not life.is_over(10.0 + GRACE)
    assert life.is_over(10.0 + 1.5 * GRACE)


def test_the_exit_status_comes_from_the_exit_line_alone():
    assert after(EXIT).exit_status == 3
    assert after(COMPLETE).exit_status is None


def test_system_lines_announce_states():
    life = Lifecycle()

    assert life.read(UP, 0) == ["up"]
    assert life.read("Stopping all processes with SIGTERM", 0) == ["stopping"]
    assert life.read("Starting process with command `x`", 0) == []


def test_the_first_sign_of_the_end_sets_its_time():
    life = Lifecycle()
    life.read(EXIT, 4.0)
    life.read(COMPLETE, 5.0)

    assert life.ended_at == 4.0


def test_a_cancelled_run_does_not_wait_for_late_lines():
    life = after(EXIT)
    life.skip_late_lines()
    assert not life.is_over(10.0), "its dyno may still be there"

    life.read(COMPLETE, 10.0)

    assert life.is_over(10.0)
    assert life.patience(10.0, longest=5.0) == 0
