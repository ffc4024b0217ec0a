"""Finds earlier runs that answer a call."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from heroku_magic.errors import InvalidOptions
from heroku_magic.ledger.database import UnreadableLedger
from heroku_magic.ledger.entry import DamagedEntry, Details, Entry, Payload, pack
from heroku_magic.ledger.history import database, details_of, with_program, with_sweep
from heroku_magic.ledger.recorded_run import RecordedRun
from heroku_magic.ledger.recorded_sweep import recorded_outcome
from heroku_magic.ledger.recorder import recorder
from heroku_magic.platform_facts.dyno_sizes import precise_money
from heroku_magic.protocol.records import RunKey
from heroku_magic.text.notifier import notify
from heroku_magic.text.plural import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.outcomes import Outcome

MOST_AT_ONCE = 500  # parameters of one query


class Answer(NamedTuple):
    """An earlier run with everything that it returned."""

    entry: Entry
    details: Details
    payload: Payload


def find_answers(keys: Iterable[str], max_age: float | None = None) -> dict[str, Answer]:
    """Return the newest complete run for each key that has one. max_age: seconds since its start, at most.

    A ledger that cannot be read has no answers, and a message says so.
    """
    try:
        return _find_answers(keys, max_age)
    except UnreadableLedger as error:
        notify(f"The cache is not used. {error}")
        return {}


def _find_answers(keys: Iterable[str], max_age: float | None) -> dict[str, Answer]:
    ledger, wanted = database(), [key for key in keys if key]
    if ledger is None:
        return {}
    since = 0.0 if max_age is None else time.time() - max_age
    found: dict[str, Answer] = {}
    for start in range(0, len(wanted), MOST_AT_ONCE):
        some = wanted[start : start + MOST_AT_ONCE]
        where = f"key IN ({', '.join('?' * len(some))}) AND key != '' AND started >= ?"
        entries = ledger.select(where, (*some, since))
        payloads = ledger.payloads(entry.identity for entry in entries)
        for entry in entries:
            payload = payloads.get(entry.identity) or Payload()
            if entry.rows is None or payload.rows:
                with suppress(DamagedEntry):
                    found.setdefault(entry.key, Answer(entry, details_of(entry), payload))
    return found


def request_of(answer: Answer) -> RunRequest | None:
    """Return the request behind an answer with its code, which for a sweep's runs is in the entry of the sweep."""
    with suppress(InvalidOptions):
        return with_program(with_sweep(answer.entry)).request
    return None


def answered_run(answer: Answer, seconds: float, *, is_kept: bool) -> Run:
    """Return an earlier run as the answer of a call that took some seconds. is_kept: the ledger keeps the call."""
    entry, details, payload = answer
    began = time.time() - seconds
    facts = {**details.facts, "cached": entry.run}
    updated = msgspec.structs.replace(details, facts=facts, source=entry.identity, cached=describe_saving(entry, began))
    hit = msgspec.structs.replace(
        entry,
        run=RunKey.new().run,
        sweep="",
        place=-1,
        started=began,
        seconds=seconds,
        dollars=0.0,
        cached=entry.run,
        key="",
        program=_program_of(entry),
        details=pack(updated),
    )
    if is_kept:
        recorder.add(hit)
    return RecordedRun(msgspec.structs.replace(entry, run=hit.run, dollars=0.0), updated, payload)


def _program_of(entry: Entry) -> str:
    """Return the hash of the program of a run, which for a sweep's runs is in the entry of the sweep."""
    with suppress(InvalidOptions):
        return with_sweep(entry).program
    return ""


def answered_outcome(answer: Answer, place: int, parameters: Mapping[str, Any]) -> Outcome:
    """Return an earlier run as a combination of a sweep."""
    entry, details, payload = answer
    facts = {**details.facts, "cached": entry.run}
    updated = msgspec.structs.replace(details, facts=facts, attempts=0)
    outcome = recorded_outcome(msgspec.structs.replace(entry, place=place), updated, payload, parameters)
    outcome.source = entry.identity
    return outcome


def describe_saving(entry: Entry, now: float) -> str:
    """Return where an answer comes from, as `from hm-7f3a2c90 3 days ago · saved 41 s, $0.0004`."""
    saved = [] if entry.seconds is None else [f"{entry.seconds:.{0 if entry.seconds >= 9.95 else 1}f} s"]
    saved += [] if entry.dollars is None else [precise_money(entry.dollars)]
    return f"from {entry.run} {age_in_words(now - entry.started)} · saved {', '.join(saved)}"


def age_in_words(seconds: float) -> str:
    """Return how long ago something was.

    >>> age_in_words(5), age_in_words(3700), age_in_words(3 * 86400)
    ('5 seconds ago', '1 hour ago', '3 days ago')
    """
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((one for one in units if seconds >= one[0]), units[-1])
    count = max(int(seconds // size), 0)
    return f"{quantity(count, unit)} ago"
