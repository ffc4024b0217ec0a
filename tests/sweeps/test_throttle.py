"""pacing: how many dynos may run at once, and when the next one may be asked for."""

from __future__ import annotations

import pytest

from heroku_magic.sweeps.throttle import LONGEST_WAIT, REFILL, RESERVE, SHORTEST_WAIT, Pace, Room


def test_a_room_that_was_never_refused_takes_as_many_as_are_wanted():
    assert Room().limit(50) == 50


def test_a_refusal_takes_the_limit_down_to_what_runs_and_never_below_one():
    room = Room()
    room.refused(7)
    assert (room.limit(50), room.limit(3)) == (7, 3)
    room.refused(0)
    assert room.limit(50) == 1


def test_the_limit_grows_by_one_after_two_rounds_of_runs():
    room = Room()
    room.refused(2)
    limits = []
    for _ in range(12):
        room.ended()
        limits.append(room.limit(50))
    assert limits == [2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4]


def test_runs_that_end_before_any_refusal_are_no_reason_to_start_more():
    room = Room()
    for _ in range(100):
        room.ended()
    assert room.limit(5) == 5


def test_with_requests_to_spare_nothing_waits():
    pace = Pace()
    assert [pace.delay(now, RESERVE + 1) for now in (0.0, 0.0, 0.1)] == [0.0, 0.0, 0.0]


def test_near_the_reserve_one_run_starts_as_fast_as_requests_come_back():
    pace = Pace()
    assert pace.delay(10.0, RESERVE) == 0.0
    assert pace.delay(10.0, RESERVE) == pytest.approx(1 / REFILL)
    assert pace.delay(10.0 + 1 / REFILL, RESERVE) == 0.0


def test_while_all_room_is_others_each_wait_is_twice_as_long():
    pace = Pace()
    waits = []
    for _ in range(8):
        pace.refused(0.0)
        waits.append(pace.delay(0.0, 4500))
    assert waits[:3] == [SHORTEST_WAIT, 2 * SHORTEST_WAIT, 4 * SHORTEST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    pace.accepted()
    pace.refused(100.0)
    assert pace.delay(100.0, 4500) == SHORTEST_WAIT


def test_what_heroku_says_to_wait_is_waited():
    pace = Pace()
    pace.refused(5.0, 37.0)
    assert pace.delay(5.0, 4500) == 37.0
