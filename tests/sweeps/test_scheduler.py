"""Tests of heroku_magic.sweeps.scheduler."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from heroku_magic.errors import InvalidParameters, TaskFailed
from heroku_magic.protocol.records import Call, Return, Rows
from heroku_magic.runs.dyno_guard import GuardedDyno
from heroku_magic.runs.failures import NOT_INSTALLED
from heroku_magic.runs.options import SweepOptions
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.grid import Axis, Grid
from heroku_magic.sweeps.launcher import Job
from heroku_magic.sweeps.outcomes import STATES, Outcome, SweepState
from heroku_magic.sweeps.plan import Plan
from heroku_magic.sweeps.scheduler import Scheduler
from heroku_magic.text.notifier import notifications_to

ORDER = RunSpec("shop", "shop", "step", "step", {}, size="basic", prices={"basic": 2_592_000})  # a dollar a second


class Ended:
    """A run whose end the test controls."""

    id = "hm-00000000"
    dyno = "run.1"
    task = "step"
    size = "basic"
    started_at = up_at = 100.0
    state = "up"
    latest_lines = ()
    files = latest_metrics = {}  # noqa: RUF012 - nobody writes it
    was_evicted = died_mid_task = False
    exit_status = 0

    def __init__(self, calls=(), error=None, seconds=10.0):
        self.calls, self.error, self.seconds = [*calls], error, seconds
        self.parts = [Rows([{"x": 1}])]
        self.is_cancelled = False
        self.guard = Guard()

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


class Guard:
    """What a run may have left behind: sizes and seconds of extra dynos, and dynos that could not be stopped."""

    def __init__(self, *extras, settled=True, left=()):
        self.extras, self.settled, self.remaining = extras, settled, left

    def is_settled(self):
        return self.settled

    def extra_dynos(self):
        return [GuardedDyno(None, 0.0) for _ in self.extras]

    def extra_seconds(self):
        return [*self.extras]

    def left(self):
        return [*self.remaining]


def call(number, status=0):
    return Call(Return(number, status, 1, 1.0), [Rows([{"x": number}])], {}, None)


def scheduler_of(count, *, fits=100, known=(), live=(), journal=None, idle_dollars=0.0, **options):
    def of(combinations, makes_calls):
        if len(combinations) > fits:
            raise InvalidParameters(["too large"])
        return ORDER

    plan = Plan(ORDER, Grid((Axis(("n",), range(count)),)), range(count), of, lambda _: 50)
    changed = threading.Condition()
    return Scheduler(
        plan,
        SweepOptions(**options),
        SweepState(count, known),
        live=live,
        journal=journal,
        idle_dollars=idle_dollars,
        changed=changed,
        when_finished=lambda: None,
    )


def begun(scheduler, run=None):
    job = scheduler.next_job()
    job.run = run or Ended()
    scheduler.on_start(job)
    return job


def states(scheduler):
    return [STATES[code] for code in scheduler.state.states]


def test_an_oversized_chunk_is_halved_without_losing_or_repeating_combinations():
    scheduler = scheduler_of(7, fits=2, chunk=7)
    assert scheduler.remaining() == 1
    places = []
    while not scheduler.is_finished():
        job = begun(scheduler)
        places += job.indices
        job.run.calls = [call(number) for number in range(len(job.indices))]
        scheduler.on_end(job)
    assert places == [*range(7)]
    assert [one.place for one in scheduler.state.done()] == [*range(7)]
    assert {scheduler.state.attempts(place) for place in range(7)} == {1}


def test_a_combination_too_large_for_a_dyno_fails_without_an_attempt():
    scheduler = scheduler_of(3, fits=0)
    assert scheduler.next_job() is None
    assert states(scheduler) == ["failed"] * 3
    assert [one.attempts for one in scheduler.state.failed] == [0, 0, 0]
    assert scheduler.is_finished()


def test_a_refused_job_is_queued_again_and_does_not_count_as_an_attempt():
    scheduler = scheduler_of(2, chunk=2)
    job = begun(scheduler)
    scheduler.on_refusal(job)
    assert states(scheduler) == ["queued", "queued"]
    again = begun(scheduler)
    assert again.indices == job.indices
    assert again is not job
    assert scheduler.state.attempts(0) == 1


def test_a_run_that_starts_during_a_stop_is_cancelled_too():
    scheduler = scheduler_of(2)
    job = scheduler.next_job()
    job.run = Ended()
    scheduler.stop()
    scheduler.on_start(job)
    assert job.run.is_cancelled
    assert scheduler.next_job() is None


def test_one_combination_of_a_chunk_is_at_work_until_all_have_ended():
    scheduler = scheduler_of(3, chunk=3)
    job = begun(scheduler)
    assert scheduler.at_work() == [0]
    job.run.calls = [call(0), call(1)]
    scheduler.poll()
    assert scheduler.at_work() == [2]
    job.run.calls.append(call(2))
    scheduler.poll()
    assert scheduler.at_work() == []
    assert states(scheduler) == ["done"] * 3


def test_the_remaining_time_is_derived_from_dynos_that_ended():
    scheduler = scheduler_of(4, chunk=2)
    first = begun(scheduler, Ended([call(0)], seconds=8.0))
    scheduler.poll()
    assert scheduler.seconds_to_come() is None, "its dyno still runs for an unknown time"
    first.run.calls.append(call(1))
    scheduler.on_end(first)
    assert scheduler.seconds_to_come() == pytest.approx(8.0)
    second = begun(scheduler, Ended([call(0)]))
    scheduler.poll()
    assert scheduler.seconds_to_come() == pytest.approx(8.0), "the dyno of the finished call still runs"
    second.run.calls.append(call(1))
    scheduler.on_end(second)
    assert scheduler.seconds_to_come() == 0.0


def test_earlier_outcomes_do_not_affect_the_remaining_time():
    known = [Outcome(place, {"n": place}, "done", 1, {"seconds": 1.0}) for place in range(90)]
    scheduler = scheduler_of(100, known=known)
    assert scheduler.seconds_to_come() is None
    scheduler.on_end(begun(scheduler, Ended(seconds=10.0)))
    assert scheduler.seconds_to_come() == pytest.approx(90.0)


def test_a_run_that_the_platform_ended_is_retried():
    scheduler = scheduler_of(1, retries=1)
    run = Ended()
    run.error, run.was_evicted = TaskFailed("killed", run), True
    scheduler.on_end(begun(scheduler, run))
    assert states(scheduler) == ["retried"]
    scheduler.on_end(begun(scheduler))
    assert states(scheduler) == ["done"]
    assert scheduler.state.retried == 1


def broken(*calls):
    run = Ended(calls)
    run.error, run.died_mid_task = TaskFailed("killed", run), True
    return run


def test_the_combination_that_kills_its_dyno_is_isolated_and_the_others_succeed():
    scheduler = scheduler_of(6, chunk=6)
    scheduler.on_end(begun(scheduler, broken(call(0))))
    assert states(scheduler) == ["done", *["retried"] * 5]
    while not scheduler.is_finished():
        job = scheduler.next_job()
        job.run = broken() if 3 in job.indices else Ended([call(at) for at in range(len(job.indices))])
        scheduler.on_start(job)
        scheduler.on_end(job)
    assert states(scheduler) == ["done", "done", "done", "failed", "done", "done"]
    assert [scheduler.state.attempts(place) for place in range(6)] == [1, 3, 3, 3, 2, 2]


def test_a_chunk_whose_helper_fails_before_the_first_call_fails_as_a_unit():
    scheduler = scheduler_of(3, chunk=3)
    run = Ended()
    run.error = TaskFailed("no module", run)
    scheduler.on_end(begun(scheduler, run))
    assert states(scheduler) == ["failed"] * 3


def test_attempts_of_an_earlier_sweep_do_not_reduce_the_retries():
    scheduler = scheduler_of(1, known=[Outcome(0, {"n": 0}, "failed", 3, {})], retries=1)
    run = Ended()
    run.error, run.was_evicted = TaskFailed("killed", run), True
    scheduler.on_end(begun(scheduler, run))
    assert states(scheduler) == ["retried"]
    assert scheduler.state.attempts(0) == 4


def test_a_full_disk_is_reported_and_the_sweep_goes_on(tmp_path):
    class Full:
        path = tmp_path / "s.jsonl"

        def record_start(self, *_):
            raise OSError(28, "No space left on device")

        def close(self):
            raise AssertionError("the journal was given up")

    scheduler = scheduler_of(2, journal=Full())
    with notifications_to((messages := []).append):
        scheduler.on_end(begun(scheduler))
        scheduler.on_end(begun(scheduler))
        scheduler.on_finish()
    assert states(scheduler) == ["done", "done"]
    assert messages == [f"{Full.path} cannot be written (No space left on device). Further results are not saved."]


def test_a_chunk_that_was_never_taken_up_keeps_what_it_has_done():
    scheduler = scheduler_of(
        2, known=[Outcome(0, {"n": 0}, "done", 1, {})], live=[Job(ORDER, (0, 1), makes_calls=True)]
    )
    scheduler.stop()
    scheduler.on_finish()
    assert states(scheduler) == ["done", "cancelled"]


def test_nothing_waits_after_an_internal_error():
    scheduler = scheduler_of(3)
    scheduler.plan = replace(scheduler.plan, make_spec=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scheduler.next_job()
    scheduler.stop()
    scheduler.on_finish()
    assert states(scheduler) == ["cancelled"] * 3


def test_jobs_are_compared_by_identity():
    assert Job(ORDER, (1,)) != Job(ORDER, (1,))


def test_extra_dynos_of_lost_create_requests_are_billed_and_counted():
    scheduler = scheduler_of(1)
    job = begun(scheduler)
    job.run.guard = Guard(("basic", 7.0))
    assert scheduler.cost.so_far([job.run]) == 7.0
    scheduler.on_end(job)
    assert (scheduler.cost.seconds, scheduler.cost.dollars) == (17.0, 17.0)
    assert [span.state for span in scheduler.cost.spans] == ["up", "stopping"]
    assert scheduler.cost.so_far([]) == 17.0


def test_extra_dynos_of_a_run_that_was_refused_or_never_had_a_dyno_are_billed():
    scheduler = scheduler_of(2)
    refused = begun(scheduler)
    refused.run.guard = Guard(("basic", 3.0))
    scheduler.on_refusal(refused)
    failed = begun(scheduler, Ended(error=TaskFailed("lost", None)))
    failed.run.dyno, failed.run.guard = None, Guard(("basic", 4.0))
    scheduler.on_end(failed)
    assert scheduler.cost.dollars == 7.0


def test_a_dyno_that_appears_after_the_end_of_its_run_is_billed():
    scheduler = scheduler_of(1)
    job = begun(scheduler)
    job.run.guard = guard = Guard(settled=False)
    scheduler.on_end(job)
    assert scheduler.cost.dollars == 10.0
    guard.extras = [("basic", 5.0)]
    assert scheduler.cost.dollars == 15.0


@pytest.mark.parametrize(("facts", "notes"), [({"cached": "hm-1"}, 0), ({}, 1)])
def test_an_answer_from_another_release_is_not_taken_for_a_deploy(facts, notes, monkeypatch):
    known = [Outcome(0, {"n": 0}, "done", 1, {"release": 1, **facts})]
    scheduler, said = scheduler_of(2, known=known), []
    monkeypatch.setattr(Ended, "facts", lambda _: {"release": 2})
    with notifications_to(said.append):
        scheduler.on_end(begun(scheduler))
    assert said == ["The app was deployed during the sweep: its rows come from releases v1 and v2."] * notes
    assert scheduler.state.releases == {1, 2}


def test_extra_dynos_count_towards_the_cost_limit():
    scheduler = scheduler_of(5, max_cost=12.0)
    job = begun(scheduler, Ended(seconds=5.0))
    job.run.done = lambda: True
    scheduler.poll()
    assert not scheduler.is_stopping
    job.run.guard = Guard(("basic", 12.0))
    scheduler.poll()
    assert scheduler.stop_reason == "It has cost $12, the limit set by --max-cost"


def test_the_wait_of_a_warm_dyno_counts_towards_the_cost_limit_that_the_user_has_set():
    scheduler = scheduler_of(5, max_cost=12.0, idle_dollars=7.0)
    job = begun(scheduler, Ended(seconds=4.0))
    job.run.done = lambda: True
    scheduler.poll()
    assert not scheduler.is_stopping
    job.run.guard = Guard(("basic", 5.0))
    scheduler.poll()
    assert scheduler.stop_reason == "It has cost $12, the limit set by --max-cost"


def test_the_wait_of_a_warm_dyno_leaves_less_for_another_run():
    scheduler = scheduler_of(5, max_cost=26.0, idle_dollars=7.0)
    scheduler.on_end(begun(scheduler))
    assert scheduler.next_job() is None
    assert scheduler.stop_reason == ("One more dyno would raise the cost to $27, more than the $26 of --max-cost")


@pytest.mark.parametrize("chunk", [1, 3])
def test_packages_that_cannot_be_installed_are_tried_again_and_then_stop_the_sweep(chunk):
    scheduler = scheduler_of(9, retries=1, chunk=chunk)
    scheduler.plan = replace(scheduler.plan, first=replace(ORDER, packages=("gonepack==1.0",)))
    dynos = 0
    while not scheduler.is_finished():
        run = Ended()
        run.exit_status, run.died_mid_task = NOT_INSTALLED, True
        run.error = TaskFailed("The dyno cannot install gonepack==1.0", run)
        scheduler.on_end(begun(scheduler, run))
        dynos += 1
    assert dynos <= 9 // chunk + chunk + 1
    assert scheduler.stop_reason == "It stopped because the other runs would fail in the same way"
    assert [one.attempts for one in scheduler.state.failed][:1] == [2]


def test_a_task_that_ends_with_the_same_status_does_not_stop_the_sweep():
    scheduler = scheduler_of(2)
    run = Ended()
    run.exit_status = NOT_INSTALLED
    run.error = TaskFailed("step ended with exit status 7", run)
    scheduler.on_end(begun(scheduler, run))
    assert not scheduler.is_finished()
