"""desk: which combinations are run next, and what comes of each run, without a single dyno."""

from __future__ import annotations

import threading

import pytest

from heroku_magic.errors import InvalidParameters, TaskFailed
from heroku_magic.protocol.records import Call, Return, Rows
from heroku_magic.runs.options import SweepOptions
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.grid import Axis, Grid
from heroku_magic.sweeps.launcher import Job
from heroku_magic.sweeps.outcomes import STATES, Board, Outcome
from heroku_magic.sweeps.plan import Plan
from heroku_magic.sweeps.scheduler import SweepDesk
from heroku_magic.text.notifier import notifications_to

ORDER = RunSpec("shop", "shop", "step", "step", {}, size="basic", prices={"basic": 2_592_000})  # a dollar a second


class Ended:
    """A run that ends when it is told to."""

    id = "hm-00000000"
    dyno = "run.1"
    task = "step"
    size = "basic"
    started_at = up_at = 100.0
    state = "up"
    latest_lines = ()
    files = {}  # noqa: RUF012 - nobody writes it
    was_evicted = died_mid_task = False

    def __init__(self, calls=(), error=None, seconds=10.0):
        self.calls, self.error, self.seconds = [*calls], error, seconds
        self.parts = [Rows([{"x": 1}])]
        self.is_cancelled = False

    def exception(self):
        return self.error

    def facts(self):
        return {"run": "hm-00000000", "dyno": self.dyno, "size": self.size, "verified": True}

    def cancel(self):
        self.is_cancelled = True

    def done(self):
        return True

    def forget(self):
        pass


def call(number, status=0):
    return Call(Return(number, status, 1, 1.0), [Rows([{"x": number}])], {}, None)


def desk(count, *, fits=100, known=(), journal=None, **options):
    def of(combinations, makes_calls):
        if len(combinations) > fits:
            raise InvalidParameters(["too large"])
        return ORDER

    plan = Plan(ORDER, Grid((Axis(("n",), range(count)),)), range(count), of, lambda _: 50)
    changed = threading.Condition()
    return SweepDesk(
        plan,
        SweepOptions(**options),
        Board(count, known),
        journal=journal,
        changed=changed,
        on_over=lambda: None,
    )


def begun(made, run=None):
    job = made.take()
    job.run = run or Ended()
    made.began(job)
    return job


def states(made):
    return [STATES[code] for code in made.board.states]


def test_a_chunk_that_is_too_large_is_halved_and_nothing_is_lost_or_counted_twice():
    made = desk(7, fits=2, chunk=7)
    assert made.left() == 1
    places = []
    while not made.is_finished():
        job = begun(made)
        places += job.places
        job.run.calls = [call(number) for number in range(len(job.places))]
        made.ended(job)
    assert places == [*range(7)]
    assert [one.place for one in made.board.done()] == [*range(7)]
    assert {made.board.attempts(place) for place in range(7)} == {1}


def test_what_fits_into_no_dyno_fails_untried_and_alone():
    made = desk(3, fits=0)
    assert made.take() is None
    assert states(made) == ["failed"] * 3
    assert [one.attempts for one in made.board.failed] == [0, 0, 0]
    assert made.is_finished()


def test_what_was_put_back_is_no_try_and_comes_again():
    made = desk(2, chunk=2)
    job = begun(made)
    made.put_back(job)
    assert states(made) == ["queued", "queued"]
    again = begun(made)
    assert again.places == job.places
    assert again is not job
    assert made.board.attempts(0) == 1


def test_a_run_that_begins_while_all_are_stopped_is_stopped_too():
    made = desk(2)
    job = made.take()
    job.run = Ended()
    made.stop()
    made.began(job)
    assert job.run.is_cancelled
    assert made.take() is None


def test_of_a_chunk_one_is_at_work_and_none_when_all_have_ended():
    made = desk(3, chunk=3)
    job = begun(made)
    assert made.at_work() == [0]
    job.run.calls = [call(0), call(1)]
    made.look()
    assert made.at_work() == [2]
    job.run.calls.append(call(2))
    made.look()
    assert made.at_work() == []
    assert states(made) == ["done"] * 3


def test_what_is_to_come_is_judged_by_dynos_that_are_over():
    made = desk(4, chunk=2)
    first = begun(made, Ended([call(0)], seconds=8.0))
    made.look()
    assert made.seconds_to_come() is None, "its dyno is still there, and nobody knows for how long"
    first.run.calls.append(call(1))
    made.ended(first)
    assert made.seconds_to_come() == pytest.approx(8.0)
    second = begun(made, Ended([call(0)]))
    made.look()
    assert made.seconds_to_come() == pytest.approx(8.0), "the dyno of one that is over goes on"
    second.run.calls.append(call(1))
    made.ended(second)
    assert made.seconds_to_come() == 0.0


def test_what_was_known_before_says_nothing_of_what_a_dyno_costs():
    known = [Outcome(place, {"n": place}, "done", 1, {"seconds": 1.0}) for place in range(90)]
    made = desk(100, known=known)
    assert made.seconds_to_come() is None
    made.ended(begun(made, Ended(seconds=10.0)))
    assert made.seconds_to_come() == pytest.approx(90.0)


def test_retries_are_for_what_the_platform_ended():
    made = desk(1, retries=1)
    run = Ended()
    run.error, run.was_evicted = TaskFailed("killed", run), True
    made.ended(begun(made, run))
    assert states(made) == ["retried"]
    made.ended(begun(made))
    assert states(made) == ["done"]
    assert made.board.retried == 1


def broken(*calls):
    run = Ended(calls)
    run.error, run.died_mid_task = TaskFailed("killed", run), True
    return run


def test_when_a_dyno_breaks_off_the_one_that_ends_it_is_found_and_the_others_are_done():
    made = desk(6, chunk=6)
    made.ended(begun(made, broken(call(0))))
    assert states(made) == ["done", *["retried"] * 5]
    while not made.is_finished():
        job = made.take()
        job.run = broken() if 3 in job.places else Ended([call(at) for at in range(len(job.places))])
        made.began(job)
        made.ended(job)
    assert states(made) == ["done", "done", "done", "failed", "done", "done"]
    assert [made.board.attempts(place) for place in range(6)] == [1, 3, 3, 3, 2, 2]


def test_a_helper_that_ends_by_its_own_word_before_any_call_fails_them_all():
    made = desk(3, chunk=3)
    run = Ended()
    run.error = TaskFailed("no module", run)
    made.ended(begun(made, run))
    assert states(made) == ["failed"] * 3


def test_tries_of_an_earlier_sweep_take_no_retries_away():
    made = desk(1, known=[Outcome(0, {"n": 0}, "failed", 3, {})], retries=1)
    run = Ended()
    run.error, run.was_evicted = TaskFailed("killed", run), True
    made.ended(begun(made, run))
    assert states(made) == ["retried"]
    assert made.board.attempts(0) == 4


def test_a_full_disk_is_said_and_the_sweep_goes_on(tmp_path):
    class Full:
        path = tmp_path / "s.jsonl"

        def began(self, *_):
            raise OSError(28, "No space left on device")

        def close(self):
            raise AssertionError("nobody uses it any more")

    made = desk(2, journal=Full())
    with notifications_to((notes := []).append):
        made.ended(begun(made))
        made.ended(begun(made))
        made.over()
    assert states(made) == ["done", "done"]
    assert notes == [f"{Full.path} cannot be written (No space left on device): what ends from now on is not saved."]


def test_a_job_is_compared_by_itself():
    assert Job(ORDER, (1,)) != Job(ORDER, (1,))
