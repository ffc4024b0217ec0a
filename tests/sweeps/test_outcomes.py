"""outcomes: how each combination of a sweep stands, a byte each."""

from __future__ import annotations

import sys
import threading

import pytest

from heroku_magic.errors import HerokuMagicError
from heroku_magic.protocol.records import Rows
from heroku_magic.sweeps.outcomes import STATES, Board, Outcome, counted


def outcome(place, state="done", attempts=1, **more):
    return Outcome(place, {"n": place}, state, attempts, {"seconds": 1.0, "dyno": "run.1"}, **more)


def states(board):
    return [STATES[code] for code in board.states]


def test_a_combination_is_queued_begun_and_settled():
    board = Board(3)
    board.begin([0, 1])
    board.settle(outcome(1))
    assert states(board) == ["starting", "done", "queued"]
    assert [board.attempts(place) for place in range(3)] == [1, 1, 0]
    assert counted(board.states) == {"queued": 1, "starting": 1, "done": 1}


def test_what_was_refused_was_not_tried():
    board = Board(2)
    board.begin([0, 1])
    board.give_back([0, 1])
    assert states(board) == ["queued", "queued"]
    assert board.attempts(0) == 0
    assert board.retried == 0


def test_what_is_tried_again_is_counted():
    board = Board(2)
    board.begin([0])
    board.retry([0])
    assert states(board) == ["retried", "queued"]
    board.begin([0])
    assert board.retried == 1
    board.give_back([0])
    assert states(board)[0] == "retried"


def test_outcomes_are_listed_in_the_grids_order_and_as_they_came():
    board = Board(4)
    for place in (3, 0, 2):
        board.settle(outcome(place, "failed" if place == 2 else "done"))
    board.cancel([1])
    assert [one.place for one in board.done()] == [0, 3]
    assert [one.place for one in board.failed] == [2]
    assert [one.place for one in board.finished] == [3, 0, 2]
    assert states(board) == ["done", "cancelled", "failed", "done"]


def test_failures_keep_the_grids_order_and_the_slowest_is_known():
    board = Board(4)
    for place, seconds in ((3, 5.0), (1, 9.0), (2, 1.0), (0, 7.0)):
        state = "failed" if place in {1, 3} else "done"
        board.settle(Outcome(place, {}, state, 1, {"seconds": seconds}))
    assert [one.place for one in board.failed] == [1, 3]
    assert board.slowest.place == 0


def test_what_ended_well_before_stays_so_and_the_rest_is_tried_again():
    board = Board(3, [outcome(0), outcome(1, "failed", attempts=2), outcome(2, "cancelled")])
    assert states(board) == ["done", "queued", "queued"]
    assert board.attempts(1) == 2


def test_a_million_combinations_take_a_byte_each():
    assert len(Board(10**6).states) == 10**6
    assert not Board(10**6).outcomes


def test_an_outcome_gives_its_rows_or_raises_what_it_failed_with():
    assert outcome(0, parts=[Rows([{"x": 1}])]).result()["x"].tolist() == [1]
    assert outcome(0).result() is None
    with pytest.raises(HerokuMagicError, match="bad"):
        outcome(0, error=HerokuMagicError("bad")).result()
    assert (outcome(0).dyno, outcome(0).seconds, outcome(0).exception()) == ("run.1", 1.0, None)


def test_it_is_read_while_its_writer_writes():
    board = Board(200_000)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer = threading.Thread(target=lambda: [board.begin([place]) for place in range(200_000)])
        writer.start()
        while writer.is_alive():
            assert board.retried == 0
    finally:
        sys.setswitchinterval(before)
