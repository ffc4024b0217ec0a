"""waiting: which combinations are still to be run, and how many the next dyno gets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.sweeps.queue import Waiting


def test_what_is_tried_again_goes_before_what_is_fresh():
    waiting = Waiting(range(4), 4, 1)
    assert waiting.take(9) == [0]
    waiting.again([0])
    assert [waiting.take(9) for _ in range(5)] == [[0], [1], [2], [3], []]


def test_a_million_fresh_ones_are_drawn_one_by_one():
    drawn = []
    waiting = Waiting((drawn.append(place) or place for place in range(10**6)), 10**6, 3)
    assert waiting.take(50) == [0, 1, 2]
    assert drawn == [0, 1, 2]
    assert (len(waiting), waiting.dynos) == (999_997, 333_333)


def test_what_did_not_fit_once_is_not_tried_again_at_that_size():
    waiting = Waiting(range(10), 10, 8)
    waiting.halve(waiting.take(1))
    assert [waiting.take(1) for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_what_is_divided_goes_first_in_two_dynos():
    waiting = Waiting(range(7), 7, 5)
    waiting.divide(waiting.take(1))
    assert (len(waiting), waiting.dynos) == (7, 3)
    assert [waiting.take(1) for _ in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]


def test_the_rest_waits_no_more():
    waiting = Waiting(range(3), 3, 1)
    waiting.again(waiting.take(1))
    assert waiting.rest() == [0, 1, 2]
    assert len(waiting) == 0
    assert waiting.take(1) == []


@given(
    st.integers(0, 40), st.integers(1, 9), st.lists(st.sampled_from(["take", "again", "halve", "divide"]), max_size=60)
)
def test_nothing_is_lost_and_nothing_doubled(count, chunk, steps):
    waiting, out = Waiting(range(count), count, chunk), []
    for step in steps:
        if step == "again" and out:
            waiting.again([out.pop()])
        else:
            taken = waiting.take(3)
            if step in {"halve", "divide"} and len(taken) > 1:
                (waiting.halve if step == "halve" else waiting.divide)(taken)
            else:
                out += taken
        assert len(waiting) + len(out) == count
    assert sorted([*out, *waiting.rest()]) == [*range(count)]
