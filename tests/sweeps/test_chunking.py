"""chunking: how many combinations share a dyno."""

from __future__ import annotations

from heroku_magic.sweeps.chunking import LONGEST, MEASURED, Chunking


def measured(boot, work, count=MEASURED):
    chunking = Chunking(0)
    for _ in range(count):
        chunking.note(boot + work, [work])
    return chunking


def test_a_number_is_kept():
    assert [Chunking(7).next(left, 50) for left in (1000, 3)] == [7, 7]


def test_auto_looks_at_single_runs_first():
    assert measured(5.0, 0.1, MEASURED - 1).next(1000, 10) == 1


def test_auto_takes_as_many_as_make_the_boot_a_tenth():
    assert measured(5.0, 0.5).next(10**6, 10) == 90


def test_auto_shares_when_the_boot_is_nothing_beside_the_work():
    assert measured(1.0, 60.0).next(10**6, 10) == 1


def test_no_dyno_is_idle_at_the_end():
    assert measured(5.0, 0.01).next(100, 10) == 10


def test_no_dyno_gets_more_work_than_may_be_lost():
    assert measured(10_000.0, 60.0).next(10**6, 1) == int(LONGEST / 60.0)


def test_calls_of_chunks_are_measured_too():
    chunking = measured(5.0, 0.5)
    chunking.note(5.0 + 45.0, [0.5] * 90)
    assert chunking.next(10**6, 10) == 90
