"""Resumption: a sweep -> the first line of its journal, and back -> what is missing of it; it starts none."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from heroku_magic.errors import InvalidOptions, NotFound
from heroku_magic.protocol.values import Typed, plain
from heroku_magic.runs import detached
from heroku_magic.runs.options import RunOptions, SweepOptions
from heroku_magic.runs.registry import running_runs
from heroku_magic.sweeps import journal
from heroku_magic.sweeps.grid import Axis, Grid
from heroku_magic.sweeps.journal import AxisRecord, Journal, JournalHeader
from heroku_magic.sweeps.launcher import Job
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from heroku_magic.app.catalog import Place
    from heroku_magic.app.planner import Ordering
    from heroku_magic.sweeps.journal import JournalContents
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.plan import Plan

ID = re.compile(r"hs-[0-9a-f]{8}")
_OF_THE_GRID = frozenset({"zip", "sample", "seed", "save"})  # options that the other lines of the file stand for
# What Python says of values that are none of a journal's.
_MISFITS = (AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError)


class Rest(NamedTuple):
    """What a sweep that goes on needs: what it is of, where it is written down, what ended, what still runs."""

    id: str
    plan: Plan
    options: SweepOptions
    journal: Journal | None
    known: Sequence[Outcome]
    live: Sequence[Job]


def begin(sweep: str, place: Place, plan: Plan, options: SweepOptions) -> Journal | None:
    """Begin the journal of a sweep that is saved, or goes on when this process ends; None for any other."""
    path = Path(options.save) if options.save else journal.detached_path(sweep) if plan.first.is_detached else None
    return Journal(path).create(_written(sweep, place, plan, options)) if path else None


def rest(save: str | os.PathLike[str] | Sweep, place: Place, ordering: Ordering) -> Rest:
    """Return what is missing of a sweep, by itself, its file or its id. Raises InvalidOptions."""
    if isinstance(save, Sweep):
        if not save.done():
            raise InvalidOptions(f"{save.id} is not over: wait for it, or stop it first (cancel()).")
        if save.journal is not None:
            save.journal.reopen()
        return Rest(save.id, save.plan, save.options, save.journal, save.known(), ())
    path = journal.detached_path(save) if isinstance(save, str) and ID.fullmatch(save) else Path(save).expanduser()
    told = journal.read(path)
    if any(run.running() and run.id in told.runs for run in running_runs()):
        raise InvalidOptions(f"{told.header.sweep} runs in this kernel: wait for it, or stop it first (cancel()).")
    book = Journal(path)
    told = book.reopen()
    try:
        return _rest(told, book, place, ordering)
    except _MISFITS as error:
        book.close()
        raise InvalidOptions(
            f"{path} was changed: what it says does not fit together ({type(error).__name__})."
        ) from None
    except BaseException:
        book.close()
        raise


def _rest(told: JournalContents, book: Journal, place: Place, ordering: Ordering) -> Rest:
    plan, options = _plan(told.header, place, ordering), _read_options(told.header.options)
    known, live = told.outcomes(plan.__getitem__), _still_live(told, plan)
    _stop_others(told, live, place)
    return Rest(told.header.sweep, plan, options, book, known, live)


def _written(sweep: str, place: Place, plan: Plan, options: SweepOptions) -> JournalHeader:
    first, names = plan.first, set(plan.grid.names)
    shared = {name: text for name, text in first.env.items() if name not in names and name != "RUN_PACE"}
    return JournalHeader(
        sweep,
        place.client.base_url,
        first.app,
        first.task,
        axes=[_written_axis(axis) for axis in plan.grid.axes],
        in_step=plan.grid.in_step,
        indices=None if isinstance(plan.indices, range) else [*plan.indices],
        env={name: text for name, text in shared.items() if not isinstance(text, Secret)},
        secrets=[name for name, text in shared.items() if isinstance(text, Secret)],
        size=first.size,
        timeout=first.timeout,
        takes_rows=first.takes_rows,
        is_detached=first.is_detached,
        options=_written_options(options),
    )


def _written_axis(axis: Axis) -> AxisRecord:
    rows = [{name: plain(value) for name, value in axis[at].items()} for at in range(len(axis.values))]
    typed = [(at, name) for at, row in enumerate(rows) for name, value in row.items() if isinstance(value, Typed)]
    for at, name in typed:
        rows[at][name] = str(rows[at][name])
    values = rows if axis.are_rows else [row[axis.names[0]] for row in rows]
    return AxisRecord([*axis.names], values, axis.are_rows, typed)


def _read_axis(told: AxisRecord) -> Axis:
    values = [*told.values]
    for at, name in told.typed:
        if told.are_rows:
            values[at] = {**values[at], name: Typed(values[at][name])}
        else:
            values[at] = Typed(values[at])
    return Axis(tuple(told.names), values, told.are_rows)


def _written_options(options: SweepOptions) -> dict[str, Any]:
    kept = {name: value for name, value in vars(options).items() if name not in _OF_THE_GRID}
    return {**kept, "chunk": options.chunk_size}


def _read_options(written: Mapping[str, Any]) -> SweepOptions:
    try:
        return SweepOptions(**written)
    except InvalidOptions as error:
        raise ValueError(str(error)) from None


def _plan(told: JournalHeader, place: Place, ordering: Ordering) -> Plan:
    """What a sweep is of that was written down; it must have been of this app."""
    if not place.settings.is_local and (told.host, told.app) != (place.client.base_url, place.app):
        raise InvalidOptions(f"{told.sweep} is a sweep on {told.app} at {told.host}: choose it with --app {told.app}.")
    made = Grid(tuple(map(_read_axis, told.axes)), told.in_step)
    options = RunOptions(
        secrets=told.secrets,
        size=told.size,
        timeout=told.timeout,
        any_type=True,
        override=[*told.env, *made.names],
        rows=told.takes_rows,
        detach=told.is_detached,
    )
    places = range(len(made)) if told.indices is None else told.indices
    fixed = {name: Typed(text) for name, text in told.env.items()}
    return ordering.again(told.task, made, places, fixed, options=options, chunk=told.options["chunk"])


def _still_live(told: JournalContents, plan: Plan) -> list[Job]:
    """Jobs for the runs that another process left alive; of some combinations nothing else is known."""
    jobs: dict[tuple[int, ...], Job] = {}
    for run, places in told.runs.items():
        found = detached.find(run)
        if found is not None and not told.ended.keys() >= set(places):
            makes_calls = told.header.options["chunk"] != 1
            order = replace(plan.make_spec([plan[place] for place in places], makes_calls), is_detached=True)
            jobs[tuple(places)] = Job(order, tuple(places), makes_calls, found)
    return [*jobs.values()]


def _stop_others(told: JournalContents, live: Sequence[Job], place: Place) -> None:
    """Stop the dynos that a killed process left and nobody takes up: what they were at is run again."""
    left = told.runs.keys() - {job.detached.run for job in live if job.detached}
    for dyno in place.client.dynos(place.app):
        if dyno.command.rpartition(" #")[2] in left:
            with suppress(NotFound):  # it ended by itself meanwhile
                place.client.stop_dyno(place.app, dyno.id)
                notify(f"{dyno.name} was left running by the process that began {told.header.sweep}: stopped.")
