"""What the ledger remembers, as tables and as runs."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.errors import InvalidOptions
from heroku_magic.ledger.database import OF_SWEEP, Database
from heroku_magic.ledger.entry import Details, Entry, unpack
from heroku_magic.ledger.location import ledger_path
from heroku_magic.ledger.recorder import recorder
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from heroku_magic.ledger.entry import Payload
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep

COLUMNS = ("run", "task", "app", "started", "seconds", "dollars", "exit_status", "rows", "cached", "error")
_DTYPES = {"seconds": "float64", "dollars": "float64", "exit_status": "Int64", "rows": "Int64", "cached": "bool"}
_NOT_KEPT = "No history is kept here: %config HerokuMagics.history = True starts one."
_BEGINNING = re.compile(r"h[ms]?-?[0-9a-f]{0,8}")
_NEGATIVE = re.compile(r"-\d{1,9}")


def history(task: str | None = None) -> pd.DataFrame:
    """Return the runs and sweeps that this folder's kernels have made, newest first.

    Parameters
    ----------
    task
        Only the runs of this task, with its parameters as columns; a parameter that has the name of another column
        gets the prefix `param_`. Otherwise there is one column `parameters`.

    Returns
    -------
    pandas.DataFrame
        The columns run, task, app, started, seconds, dollars, exit_status, rows, cached and error, and the parameters.

    Examples
    --------
    >>> import heroku_magic
    >>> table = heroku_magic.history()
    >>> [*table.columns[:4]]
    ['run', 'task', 'app', 'started']
    """
    return as_table(entries(task), with_columns=task is not None)


def recorded_job(run: str | int) -> Run | Sweep:
    """Return a run or a sweep as it was at its end. Raises InvalidOptions unless there is exactly one."""
    entry = find(run)
    if entry.run.startswith("hs-"):
        return _sweep(entry)
    from heroku_magic.ledger.recorded_run import RecordedRun

    return RecordedRun(entry, with_program(entry), payload_of(entry))


def entries(
    task: str | None = None,
    *,
    since: float | None = None,
    failed: bool = False,
    cached: bool = False,
    limit: int = -1,
) -> list[Entry]:
    """Return the newest runs and sweeps. since: seconds since 1970. failed, cached: only such ones."""
    ledger = database()
    if ledger is None:
        return []
    conditions: list[tuple[str, list[Any]]] = [("sweep = ''", [])]
    conditions += [("task = ?", [task])] if task is not None else []
    conditions += [("started >= ?", [since])] if since is not None else []
    conditions += [("state NOT IN ('done', 'running')", [])] if failed else []
    conditions += [("cached != ''", [])] if cached else []
    values = [value for _, more in conditions for value in more]
    return ledger.select(" AND ".join(condition for condition, _ in conditions), values, limit)


def nothing_found() -> str:
    """Return a sentence for an empty list of runs."""
    return _NOT_KEPT if database() is None else "The history has no run to show."


def as_table(found: Sequence[Entry], *, with_columns: bool) -> pd.DataFrame:
    """Return entries as a table. with_columns: each parameter has a column."""
    import pandas as pd

    from heroku_magic.protocol.dataframe import table

    facts: list[dict[str, Any]] = [{name: getattr(entry, name) for name in COLUMNS} for entry in found]
    for row, entry in zip(facts, found, strict=True):
        row.update(cached=bool(entry.cached), error=entry.error.partition("\n")[0] if entry.error else None)
        parameters = json.loads(entry.parameters)
        if with_columns:
            row.update({f"param_{name}" if name in COLUMNS else name: value for name, value in parameters.items()})
        else:
            row["parameters"] = parameters
    frame = table(facts, [*COLUMNS, *(() if with_columns else ("parameters",))])
    started = pd.to_datetime(
        pd.Series([entry.started for entry in found], dtype="float64"), unit="s", utc=True, errors="coerce"
    )
    frame["started"] = started.dt.tz_convert(datetime.now().astimezone().tzinfo)
    return frame.astype(_DTYPES)


def find(run: str | int) -> Entry:
    """Return the entry of a run or a sweep. Raises InvalidOptions unless there is exactly one."""
    ledger, text = database(), str(run).strip()
    if ledger is None:
        raise InvalidOptions(_NOT_KEPT)
    if _NEGATIVE.fullmatch(text) and int(text):
        found = ledger.select("sweep = ''", limit=-int(text))
        if len(found) == -int(text):
            return found[-1]
        raise InvalidOptions(f"There is no run {text}: the history has {len(found)}. %heroku history lists them.")
    found = ledger.select("substr(run, 1, ?) = ?", (len(text), text)) if _BEGINNING.fullmatch(text) else []
    found = [entry for entry in found if entry.run == text] or found
    names = [*dict.fromkeys(entry.run for entry in found)]
    shown = clean_line(text[:40])
    if not names:
        raise InvalidOptions(f'There is no run "{shown}" in {ledger.path}. %heroku history lists the runs.')
    if len(names) > 1:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise InvalidOptions(f'"{shown}" matches {len(names)} runs: {", ".join(names[:5])}{more}.')
    return min(found, key=lambda entry: (bool(entry.sweep), entry.place))


def forget(runs: Sequence[str]) -> int:
    """Delete runs and sweeps, or all of them for "all", and return how many."""
    ledger = database()
    if ledger is None:
        return 0
    return ledger.forget(None if [*runs] == ["all"] else [find(run).run for run in runs])


def cost_since(moment: float) -> tuple[int, float]:
    """Return the number of runs and sweeps since then, in seconds since 1970, and what they cost."""
    ledger = database()
    return ledger.cost_since(moment) if ledger else (0, 0.0)


def details_of(entry: Entry) -> Details:
    """Return what else an entry knows."""
    details: Details = unpack(entry.details, Details)
    return details


def with_program(entry: Entry) -> Details:
    """Return what else an entry knows, with the program of a function."""
    details, ledger = details_of(entry), database()
    if not entry.program or ledger is None:
        return details
    request = msgspec.structs.replace(details.request, bundle=ledger.program(entry.program))
    return msgspec.structs.replace(details, request=request)


def with_sweep(entry: Entry) -> Entry:
    """Return the entry of the sweep that a run belongs to, which has the code; of any other run, the entry itself.

    Raises InvalidOptions if the sweep was not written.
    """
    ledger = database() if entry.sweep else None
    if ledger is None:
        return entry
    for sweep in ledger.select("run = ? AND sweep = ''", (entry.sweep,)):
        return sweep
    raise InvalidOptions(f"{entry.sweep}, the sweep of {entry.run}, is not in {ledger.path}.")


def payload_of(entry: Entry) -> Payload | None:
    """Return the rows, log and files of an entry, or of the run that answered it; None if they are no longer kept."""
    ledger = database()
    return ledger.payload(details_of(entry).source or entry.identity) if ledger else None


def _sweep(entry: Entry) -> Sweep:
    from heroku_magic.ledger.recorded_sweep import RecordedSweep, recorded_outcome, recorded_plan

    ledger, details = database(), details_of(entry)
    plan = recorded_plan(entry, details)
    below = [(one, details_of(one)) for one in ledger.select(OF_SWEEP, (entry.run,))] if ledger else []
    payloads = ledger.payloads(its.source or one.identity for one, its in below) if ledger else {}
    kept = [(one, its, payloads.get(its.source or one.identity)) for one, its in below]
    outcomes = [recorded_outcome(one, its, payload, plan[one.place]) for one, its, payload in kept]
    lost = sum(one.rows is not None and (payload is None or not payload.rows) for one, _, payload in kept)
    return RecordedSweep(entry, details, plan, sorted(outcomes, key=lambda one: one.place), lost)


def database() -> Database | None:
    """Return the ledger, after what has ended is written."""
    recorder.flush()
    path = ledger_path()
    return Database(path) if path else None
