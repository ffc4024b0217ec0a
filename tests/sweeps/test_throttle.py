"""Tests of heroku_magic.sweeps.throttle."""

from __future__ import annotations

import pytest

from heroku_magic.sweeps.throttle import LONGEST_WAIT, REFILL, RESERVE, SHORTEST_WAIT, ConcurrencyLimit, RateLimiter


def test_without_a_refusal_the_limit_is_the_requested_one():
    assert ConcurrencyLimit().current(50) == 50


def test_a_refusal_lowers_the_limit_to_what_runs_but_not_below_one():
    limit = ConcurrencyLimit()
    limit.refused(7)
    assert (limit.current(50), limit.current(3)) == (7, 3)
    limit.refused(0)
    assert limit.current(50) == 1


def test_the_limit_grows_by_one_after_two_rounds_of_runs():
    limit = ConcurrencyLimit()
    limit.refused(2)
    limits = []
    for _ in range(12):
        limit.run_ended()
        limits.append(limit.current(50))
    assert limits == [2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4]


def test_runs_that_end_before_a_refusal_do_not_raise_the_limit():
    limit = ConcurrencyLimit()
    for _ in range(100):
        limit.run_ended()
    assert limit.current(5) == 5


def test_with_enough_requests_left_there_is_no_delay():
    rate = RateLimiter()
    assert [rate.delay(now, RESERVE + 1) for now in (0.0, 0.0, 0.1)] == [0.0, 0.0, 0.0]


def test_near_the_reserve_runs_start_as_fast_as_requests_are_refilled():
    rate = RateLimiter()
    assert rate.delay(10.0, RESERVE) == 0.0
    assert rate.delay(10.0, RESERVE) == pytest.approx(1 / REFILL)
    assert rate.delay(10.0 + 1 / REFILL, RESERVE) == 0.0


def test_each_refusal_doubles_the_delay():
    rate = RateLimiter()
    waits = []
    for _ in range(8):
        rate.refused(0.0)
        waits.append(rate.delay(0.0, 4500))
    assert waits[:3] == [SHORTEST_WAIT, 2 * SHORTEST_WAIT, 4 * SHORTEST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    rate.accepted()
    rate.refused(100.0)
    assert rate.delay(100.0, 4500) == SHORTEST_WAIT


def test_a_delay_requested_by_heroku_is_respected():
    rate = RateLimiter()
    rate.refused(5.0, 37.0)
    assert rate.delay(5.0, 4500) == 37.0
