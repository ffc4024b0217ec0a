"""Tests of heroku_magic.sweeps.queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.sweeps.queue import LONGEST, MEASURED, ChunkSizer, WorkQueue


def test_repeated_combinations_come_before_fresh_ones():
    queue = WorkQueue(range(4), 4, 1)
    assert queue.take(9) == [0]
    queue.repeat([0])
    assert [queue.take(9) for _ in range(5)] == [[0], [1], [2], [3], []]


def test_fresh_combinations_are_drawn_one_by_one():
    drawn = []
    queue = WorkQueue((drawn.append(place) or place for place in range(10**6)), 10**6, 3)
    assert queue.take(50) == [0, 1, 2]
    assert drawn == [0, 1, 2]
    assert (len(queue), queue.dynos) == (999_997, 333_333)


def test_a_chunk_that_did_not_fit_halves_the_largest_chunk():
    queue = WorkQueue(range(10), 10, 8)
    queue.shrink(queue.take(1))
    assert [queue.take(1) for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_split_chunk_comes_first_in_two_dynos():
    queue = WorkQueue(range(7), 7, 5)
    queue.split(queue.take(1))
    assert (len(queue), queue.dynos) == (7, 3)
    assert [queue.take(1) for _ in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]


@given(
    st.integers(0, 40), st.integers(1, 9), st.lists(st.sampled_from(["take", "repeat", "shrink", "split"]), max_size=60)
)
def test_no_combination_is_lost_or_duplicated(count, chunk, steps):
    queue, out = WorkQueue(range(count), count, chunk), []
    for step in steps:
        if step == "repeat" and out:
            queue.repeat([out.pop()])
        else:
            taken = queue.take(3)
            if step in {"shrink", "split"} and len(taken) > 1:
                (queue.shrink if step == "shrink" else queue.split)(taken)
            else:
                out += taken
        assert len(queue) + len(out) == count
    while taken := queue.take(3):
        out += taken
    assert sorted(out) == [*range(count)]
    assert len(queue) == 0


# -- how many combinations share a dyno ---------------------------------------------------------


def measured(boot, work, count=MEASURED):
    chunking = ChunkSizer(0)
    for _ in range(count):
        chunking.measure(boot + work, [work])
    return chunking


def test_a_fixed_chunk_size_is_kept():
    assert [ChunkSizer(7).next(left, 50) for left in (1000, 3)] == [7, 7]


def test_auto_measures_single_runs_first():
    assert measured(5.0, 0.1, MEASURED - 1).next(1000, 10) == 1


def test_auto_makes_the_boot_a_tenth_of_the_dynos_time():
    assert measured(5.0, 0.5).next(10**6, 10) == 90


def test_auto_uses_one_combination_per_dyno_when_the_boot_is_short_compared_with_the_work():
    assert measured(1.0, 60.0).next(10**6, 10) == 1


def test_auto_keeps_all_dynos_busy_until_the_end():
    assert measured(5.0, 0.01).next(100, 10) == 10


def test_auto_limits_the_work_that_can_be_lost_with_a_dyno():
    assert measured(10_000.0, 60.0).next(10**6, 1) == int(LONGEST / 60.0)


def test_auto_measures_the_calls_of_chunks_too():
    chunking = measured(5.0, 0.5)
    chunking.measure(5.0 + 45.0, [0.5] * 90)
    assert chunking.next(10**6, 10) == 90
