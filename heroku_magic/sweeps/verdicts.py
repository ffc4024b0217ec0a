"""Verdicts: a run that is over, or a call in it -> how its combination ended; whether it is tried again is not said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.errors import InvalidParameters, ResultIncomplete, TaskFailed
from heroku_magic.protocol.dataframe import contradiction
from heroku_magic.runs.failures import describe_failure

if TYPE_CHECKING:
    from heroku_magic.protocol.records import Call
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.launcher import Job
    from heroku_magic.sweeps.outcomes import Outcome

LOG_LINES = 5  # of a failed run that are kept


def of_call(blank: Outcome, job: Job, run: Run, call: Call) -> Outcome:
    """Fill in how one of several combinations in a dyno ended: what it sent is whole, whatever the others do."""
    told = call.told
    price = job.order.price(run.size, told.seconds)
    own = {"exit_status": told.status, "seconds": told.seconds, "dollars": price, "verified": True}
    blank.facts, blank.parts, blank.files = {**run.facts(), **own}, call.parts, call.files
    blank.error = _failure(run, call) if told.status else _contradiction(blank)
    return blank


def of_run(blank: Outcome, job: Job, run: Run) -> Outcome:
    """Fill in how a combination ended whose run is over."""
    blank.facts, blank.parts, blank.files = run.facts(), None if job.makes_calls else run.parts, run.files
    blank.error = run.exception()
    if blank.error is not None:
        blank.log = _last_words(run)
    elif job.makes_calls:
        blank.error = ResultIncomplete(f"{run.task} ended without a word of this combination.", run)
    else:
        blank.error = _contradiction(blank)
    return blank


def _failure(run: Run, call: Call) -> TaskFailed:
    text = describe_failure(run.task, call.told.status, call.failure, [], time_limit=None, dyno=run.dyno or "")
    return TaskFailed(text, run)


def _contradiction(outcome: Outcome) -> InvalidParameters | None:
    """What is wrong with rows that tell of other parameters than the run was made with."""
    found = contradiction(outcome.parts or (), outcome.parameters)
    return InvalidParameters([found]) if found else None


def _last_words(run: Run) -> list[str]:
    """The last lines that a failed task printed before its traceback: the error itself is told elsewhere."""
    printed = [line.message for line in run.latest_lines if line.source == "app"]
    begins = next((at for at, text in enumerate(printed) if text.startswith("Traceback (most recent call last)")), None)
    return printed[:begins][-LOG_LINES:]
