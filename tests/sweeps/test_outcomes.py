"""Tests of heroku_magic.sweeps.outcomes."""

from __future__ import annotations

import sys
import threading

import pytest

from heroku_magic.errors import HerokuMagicError
from heroku_magic.protocol.records import Rows
from heroku_magic.sweeps.outcomes import CANCELLED, RETRIED, STATES, Outcome, SweepState, count_states


def outcome(place, state="done", attempts=1, **more):
    return Outcome(place, {"n": place}, state, attempts, {"seconds": 1.0, "dyno": "run.1"}, **more)


def states(sweep):
    return [STATES[code] for code in sweep.states]


def test_a_combination_is_queued_then_started_then_settled():
    sweep = SweepState(3)
    sweep.begin([0, 1])
    sweep.settle(outcome(1))
    assert states(sweep) == ["starting", "done", "queued"]
    assert [sweep.attempts(place) for place in range(3)] == [1, 1, 0]
    assert count_states(sweep.states) == {"queued": 1, "starting": 1, "done": 1}


def test_a_withdrawn_attempt_does_not_count():
    sweep = SweepState(2)
    sweep.begin([0, 1])
    sweep.withdraw([0, 1])
    assert states(sweep) == ["queued", "queued"]
    assert sweep.attempts(0) == 0
    assert sweep.retried == 0


def test_repeated_attempts_are_counted():
    sweep = SweepState(2)
    sweep.begin([0])
    sweep.mark([0], RETRIED)
    assert states(sweep) == ["retried", "queued"]
    sweep.begin([0])
    assert sweep.retried == 1
    sweep.withdraw([0])
    assert states(sweep)[0] == "retried"


def test_outcomes_are_listed_in_the_grids_order_and_in_order_of_completion():
    sweep = SweepState(4)
    for place in (3, 0, 2):
        sweep.settle(outcome(place, "failed" if place == 2 else "done"))
    sweep.mark([1], CANCELLED)
    assert [one.place for one in sweep.done()] == [0, 3]
    assert [one.place for one in sweep.failed] == [2]
    assert [one.place for one in sweep.finished] == [3, 0, 2]
    assert states(sweep) == ["done", "cancelled", "failed", "done"]


def test_failures_are_in_the_grids_order_and_the_slowest_success_is_known():
    sweep = SweepState(4)
    for place, seconds in ((3, 5.0), (1, 9.0), (2, 1.0), (0, 7.0)):
        state = "failed" if place in {1, 3} else "done"
        sweep.settle(Outcome(place, {}, state, 1, {"seconds": seconds}))
    assert [one.place for one in sweep.failed] == [1, 3]
    assert sweep.slowest.place == 0


def test_earlier_successes_are_kept_and_the_rest_is_queued():
    sweep = SweepState(3, [outcome(0), outcome(1, "failed", attempts=2), outcome(2, "cancelled")])
    assert states(sweep) == ["done", "queued", "queued"]
    assert sweep.attempts(1) == 2


def test_a_combination_takes_one_byte():
    assert len(SweepState(10**6).states) == 10**6
    assert not SweepState(10**6).outcomes


def test_an_outcome_returns_its_rows_or_raises_its_error():
    assert outcome(0, parts=[Rows([{"x": 1}])]).result()["x"].tolist() == [1]
    assert outcome(0).result() is None
    with pytest.raises(HerokuMagicError, match="bad"):
        outcome(0, error=HerokuMagicError("bad")).result()
    assert (outcome(0).dyno, outcome(0).seconds, outcome(0).exception()) == ("run.1", 1.0, None)


@pytest.mark.large
def test_the_state_can_be_read_while_it_is_written():
    sweep = SweepState(200_000)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer = threading.Thread(target=lambda: [sweep.begin([place]) for place in range(200_000)])
        writer.start()
        while writer.is_alive():
            assert sweep.retried == 0
    finally:
        sys.setswitchinterval(before)
