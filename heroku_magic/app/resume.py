"""Writes a sweep into the first line of its journal, and plans from a journal what is still missing."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from heroku_magic.app.run_cache import environment_of
from heroku_magic.app.run_request import recorded_values
from heroku_magic.bundle.payload import parse_raw_text
from heroku_magic.errors import InvalidOptions, InvalidParameters, NotFound
from heroku_magic.ledger.recorded_sweep import RecordedSweep
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.protocol.values import RawText
from heroku_magic.runs import detached
from heroku_magic.runs.command_mark import run_id
from heroku_magic.runs.options import RunOptions, SweepOptions
from heroku_magic.runs.registry import running_runs
from heroku_magic.runs.spec import OF_EACH_DYNO
from heroku_magic.sweeps import journal
from heroku_magic.sweeps.axis_record import read_axis, write_axis
from heroku_magic.sweeps.grid import Grid
from heroku_magic.sweeps.journal import Journal, JournalHeader
from heroku_magic.sweeps.launcher import Job
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from heroku_magic.app.connection import AppConnection
    from heroku_magic.app.sweep_planner import SweepPlanner
    from heroku_magic.sweeps.journal import JournalContents
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.plan import Plan

_NOT_WRITTEN = frozenset({"zip", "sample", "seed", "save"})  # options whose effect is in the grid, or the file itself
# Errors raised when reading a journal whose values were edited.
_MISFITS = (AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError)


class ResumePlan(NamedTuple):
    """A sweep to start or continue: known combinations have ended, live jobs still run."""

    id: str
    plan: Plan
    options: SweepOptions
    journal: Journal | None
    known: Sequence[Outcome]
    live: Sequence[Job]


def open_journal(
    sweep: str, connection: AppConnection, plan: Plan, options: SweepOptions, known: Sequence[Outcome]
) -> Journal | None:
    """Create the journal of a sweep that is saved or detached; None for any other. known: what has ended."""
    path = _path(options.save) if options.save else journal.detached_path(sweep) if plan.first.is_detached else None
    return Journal(path).create(_header(sweep, connection, plan, options), known) if path else None


def plan_resume(save: str | os.PathLike[str] | Sweep, connection: AppConnection, planner: SweepPlanner) -> ResumePlan:
    """Return what is missing of a sweep, given itself, its file or its id. Raises InvalidOptions."""
    if isinstance(save, RecordedSweep):
        raise InvalidOptions(
            f"{save.id} comes from the history, which cannot continue it: %heroku rerun {save.id} runs it again, and "
            "%heroku resume FILE continues a sweep with --save FILE."
        )
    if isinstance(save, Sweep):
        save = latest(save)
        if not save.done():
            raise InvalidOptions(f"{save.id} has not ended. Wait for it, or stop it first (cancel()).")
        if save.journal is not None:
            save.journal.reopen()
        return ResumePlan(save.id, save.plan, save.options, save.journal, save.known(), ())
    path = _path(save)
    content = journal.read(path)
    if any(run.running() and run.id in content.runs for run in running_runs()):
        raise InvalidOptions(
            f"{content.header.sweep} is still running in this kernel. Wait for it, or stop it first (cancel())."
        )
    file = Journal(path)
    content = file.reopen()
    try:
        plan, options = _plan(content.header, connection, planner), _read_options(content.header.options)
        known, live = content.outcomes(plan.__getitem__), _live_jobs(content, plan)
        if any(outcome.state == "done" for outcome in known):
            _report_changed_folder(content.header, connection)
        _stop_others(content, live, connection)
    except _MISFITS as error:
        file.close()
        raise InvalidOptions(
            f"{path} was changed: its values do not fit together ({type(error).__name__}). Use an unchanged copy."
        ) from None
    except BaseException:
        file.close()
        raise
    return ResumePlan(content.header.sweep, plan, options, file, known, live)


def latest(sweep: Sweep) -> Sweep:
    """Return a sweep, or the one that has continued it last."""
    while sweep.continued_by is not None:
        sweep = sweep.continued_by
    return sweep


def home(save: str | os.PathLike[str] | Sweep) -> tuple[str, str]:
    """Return the base URL of the API and the app that a sweep ran on."""
    if isinstance(save, Sweep):
        return save.host, save.plan.first.app
    header = journal.read(_path(save)).header
    return header.host, header.app


def _path(save: str | os.PathLike[str]) -> Path:
    """Return the path of a journal, given itself or the id of a detached sweep. Raises InvalidOptions."""
    if not isinstance(save, str | os.PathLike):
        raise InvalidOptions(f"save is {save!r:.80}: expected the path of a file, such as 'sweep.jsonl'.")
    return journal.detached_path(save) if isinstance(save, str) and journal.ID.fullmatch(save) else expanded(save)


def _header(sweep: str, connection: AppConnection, plan: Plan, options: SweepOptions) -> JournalHeader:
    """Return what the first line says. Raises InvalidParameters for values that no line can hold."""
    if plan.attached:
        reason = "is a file, bytes, a DataFrame or a long text, which --save does not keep. Leave out --save."
        raise InvalidParameters([f"The sweep cannot be saved: {name} {reason}" for name in sorted(plan.attached)])
    first, names = plan.first, set(plan.grid.names)
    shared = {name: text for name, text in first.env.items() if name not in names | OF_EACH_DYNO}
    kept = {name: value for name, value in vars(options).items() if name not in _NOT_WRITTEN}
    return JournalHeader(
        sweep,
        connection.client.base_url,
        first.app,
        first.task,
        axes=[write_axis(axis, is_exact="RUN_CODE" in first.env) for axis in plan.grid.axes],
        in_step=plan.grid.in_step,
        indices=None if isinstance(plan.indices, range) else [*plan.indices],
        env={name: text for name, text in shared.items() if not isinstance(text, Secret)},
        secrets=[name for name, text in shared.items() if isinstance(text, Secret)],
        size=first.size,
        timeout=first.timeout,
        takes_rows=first.takes_rows,
        packages=[*first.packages],
        warm=first.keeps_dyno and not first.falls_back,  # otherwise the setting or the size decides
        isolate=not first.keeps_state,
        allow_pickle=first.allow_pickle,
        is_detached=first.is_detached,
        options={**kept, "chunk": options.chunk_size},
        request=first.request,
    )


def _read_options(written: Mapping[str, Any]) -> SweepOptions:
    try:
        return SweepOptions(**{**written, "chunk": written["chunk"] or "auto"})
    except InvalidOptions as error:
        raise ValueError(str(error)) from None


def _plan(header: JournalHeader, connection: AppConnection, planner: SweepPlanner) -> Plan:
    """The plan of a journal. Raises InvalidOptions if its sweep is of another app."""
    target = (connection.client.base_url, connection.app)
    if not connection.settings.is_local and (header.host, header.app) != target:
        raise InvalidOptions(
            f"{header.sweep} is a sweep on {header.app} at {header.host}: choose it with --app {header.app}."
        )
    made = Grid(tuple(map(read_axis, header.axes)), header.in_step)
    options = RunOptions(
        secrets=header.secrets,
        size=header.size,
        timeout=header.timeout,
        any_type=True,
        override=[*header.env, *made.names],
        rows=header.takes_rows,
        packages=header.packages,
        warm=header.warm,
        isolate=header.isolate,
        allow_pickle=header.allow_pickle,
        detach=header.is_detached,
    )
    places = range(len(made)) if header.indices is None else header.indices
    fixed = {name: RawText(text) for name, text in header.env.items()}
    arguments = _arguments(header)
    chunk = header.options["chunk"]
    plan = planner.plan_again(header.task, made, places, fixed, options=options, chunk=chunk, arguments=arguments)
    return replace(plan, first=replace(plan.first, request=header.request))


def _report_changed_folder(header: JournalHeader, connection: AppConnection) -> None:
    """Report that a served folder has other files than before: each embedded Heroku counts its releases anew."""
    settings, before = connection.settings, header.request.slug
    now = environment_of(settings, None, is_wanted=False) if settings.is_local and header.request.folder else ""
    if now and before and now != before:
        notify(
            f"{header.sweep} began with other files or another Python: its rows come from those and {settings.worker}."
        )


def _arguments(header: JournalHeader) -> dict[str, Any]:
    """Return the arguments of a function that do not differ. Raises InvalidOptions if the file does not hold them."""
    request = header.request
    if request.kind != "function":
        return {}
    if missing := [name for name in request.hashes if name not in request.values]:
        raise InvalidOptions(
            f"{header.sweep} cannot be continued from its file, which lacks the argument {', '.join(missing)}. "
            "Arrays, tables and large values are not written. Continue the sweep itself, or start it again."
        )
    return {name: parse_raw_text(value) for name, value in recorded_values(request).items()}


def _live_jobs(content: JournalContents, plan: Plan) -> list[Job]:
    """The jobs of detached runs that may still run and have not delivered all their combinations."""
    jobs: dict[tuple[int, ...], Job] = {}
    for run, places in content.runs.items():
        found = detached.find(run)
        if found is not None and not content.ended.keys() >= set(places):
            makes_calls = content.header.options["chunk"] != 1
            spec = replace(plan.make_spec([plan[place] for place in places], makes_calls), is_detached=True)
            jobs[tuple(places)] = Job(spec, tuple(places), makes_calls, found)
    return [*jobs.values()]


def _stop_others(content: JournalContents, live: Sequence[Job], connection: AppConnection) -> None:
    """Stop the dynos of a killed process that no job follows: their combinations are run again."""
    left = content.runs.keys() - {job.detached.run for job in live if job.detached}
    for dyno in connection.client.dynos(connection.app):
        if run_id(dyno.command) in left:
            with suppress(NotFound):  # it has ended in the meantime
                connection.client.stop_dyno(connection.app, dyno.id)
                notify(f"{dyno.name} was left running by the process that started {content.header.sweep}: stopped.")
