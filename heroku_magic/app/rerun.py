"""Runs again what the ledger remembers: the recorded code and parameters on today's release."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.accounts.secret_sources import find
from heroku_magic.app.run_request import describe_values, recorded_values
from heroku_magic.bundle.build import RecordedCall
from heroku_magic.bundle.payload import parse_raw_text
from heroku_magic.errors import InvalidOptions
from heroku_magic.ledger.cache_key import digest_of
from heroku_magic.ledger.history import database, details_of, with_program, with_sweep
from heroku_magic.ledger.recorded_sweep import recorded_plan
from heroku_magic.protocol.environ import to_env
from heroku_magic.runs.options import ExactVersions, RunOptions, pick, split
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.app.heroku import Heroku
    from heroku_magic.app.planner import Planner
    from heroku_magic.app.sweep_planner import SweepPlanner
    from heroku_magic.ledger.entry import Details, Entry
    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.run import Run
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.sweeps.plan import Plan
    from heroku_magic.sweeps.sweep import Sweep


def where(entry: Entry) -> dict[str, Any]:
    """Return the arguments of `connect()` that lead to where a run ran."""
    request = details_of(entry).request
    return {"worker": request.folder} if request.folder else {"app": request.app or entry.app}


def rerun(heroku: Heroku, entry: Entry, changes: Mapping[str, Any], variables: Mapping[str, Any]) -> Run | Sweep:
    """Start a run or a sweep again. changes: parameters with new values. variables: where inputs are looked up.

    Raises InvalidOptions naming the inputs that have changed, or if it cannot be repeated.
    """
    whole = with_sweep(entry)
    details = with_program(whole)
    request, is_sweep = details.request, entry.run.startswith("hs-")
    _check_repeatable(entry, details, changes)
    combination = _combination(entry, whole, details) if entry.sweep else {}
    parameters = {**_parameters(entry, request, changes, variables), **combination, **changes}
    options: dict[str, Any] = {**request.options, "secrets": [name for name in request.secrets if name not in changes]}
    options["packages"] = ExactVersions(request.options.get("packages", ()))
    options["inputs"] = [name for name in request.hashes if name not in request.values]
    options |= {"refresh": True} if request.base else {"cache": False}
    at = datetime.fromtimestamp(entry.started).astimezone()
    notify(
        f"Running {entry.task} again with the code{' and parameters' if parameters or is_sweep else ''} of {entry.run} "
        f"({at:%Y-%m-%d %H:%M}), on {heroku.describe_code()}."
    )
    if is_sweep:
        return _sweep_again(heroku, entry, details, parameters, options)
    if request.kind == "function":
        chosen = pick(RunOptions, options)
        return heroku.start_planned(lambda planner: _function_spec(planner, entry.task, request, parameters, chosen))
    code = request.code if request.kind == "cell" else None
    command = request.code if request.kind == "command" else None
    return heroku.submit(request.task, parameters, code=code, command=command, **options)


def _check_repeatable(entry: Entry, details: Details, changes: Mapping[str, Any]) -> None:
    """Raise InvalidOptions if a run or a sweep is not repeated as it was recorded, or not with these changes."""
    request = details.request
    if request.is_masked:
        raise InvalidOptions(f"{entry.run} cannot be repeated: its code contained a secret, which is not kept.")
    if request.kind == "function" and not request.bundle:
        raise InvalidOptions(
            f"{entry.run} cannot be repeated: {entry.task}, with the variables that it uses, was too large to keep. "
            "Call it again."
        )
    if request.kind == "pool":
        raise InvalidOptions(
            f"{entry.run} cannot be repeated, because the history only counts the calls of a pool. Call them again."
        )
    if details.lost_axes:
        raise InvalidOptions(
            f"{entry.run} cannot be repeated, because the values of {', '.join(details.lost_axes)} are not kept: they "
            "contained a secret, have no exact form, or are too large. Start the sweep again with these values."
        )
    swept = [name for axis in details.axes for name in axis.names if name in changes]
    if swept and entry.run.startswith("hs-"):
        raise InvalidOptions(
            f"{entry.run} cannot be repeated with one value for {', '.join(swept)}, which differs from run to run. "
            "Repeat one of its runs, or start the sweep again with other values."
        )
    then, here = details.versions.get("python", ""), platform.python_version()
    if request.kind == "function" and then.split(".")[:2] != here.split(".")[:2]:
        raise InvalidOptions(f'"{entry.task}" was sent by Python {then}, but this is {here}. Call the function again.')


def _combination(entry: Entry, whole: Entry, details: Details) -> Mapping[str, Any]:
    """Return the parameters that only one run of a sweep has. whole: the sweep."""
    ledger = database()
    if ledger is not None and len(ledger.select("run = ? AND sweep = ?", (entry.run, entry.sweep))) > 1:
        raise InvalidOptions(
            f"{entry.run} ran several combinations of {entry.sweep}: %heroku rerun {entry.sweep} repeats them all."
        )
    return recorded_plan(whole, details)[entry.place]


def _parameters(
    entry: Entry, request: RunRequest, changes: Mapping[str, Any], variables: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the recorded parameters, and inputs from variables of the same content."""
    found = recorded_values(request)
    issues = []
    for name, digest in request.hashes.items():
        is_file = isinstance(found.get(name), Path)
        if name in changes or (digest and name in found and not is_file):
            continue
        if digest and is_file:
            if digest_of(found[name], request.kind) != digest:
                issues.append(f'the file of "{name}" has changed since')
        elif name in found:
            issues.append(f'"{name}" contained a secret, which is not kept')
        elif not digest:
            issues.append(f'"{name}" was too large for a hash, or has no exact form')
        elif name not in variables:
            issues.append(f'"{name}" is known only by its hash, and there is no variable of that name')
        elif digest_of(variables[name], request.kind) != digest:
            issues.append(f'the variable "{name}" has changed since')
        else:
            found[name] = variables[name]
    if issues:
        raise InvalidOptions(
            f"{entry.run} cannot be repeated: {'; '.join(issues)}. --arg NAME={{NAME}} passes it as it is now."
        )
    return found


def _sweep_again(
    heroku: Heroku, entry: Entry, details: Details, parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> Sweep:
    request = details.request
    plan = recorded_plan(entry, details)
    if request.kind == "function":
        chosen, of_sweep = split({**details.sweep_options, **options})
        return heroku.start_planned_sweep(
            lambda planner: _function_plan(planner, plan, parameters, chosen, of_sweep.chunk_size), of_sweep
        )
    grid = plan.grid
    if details.indices is not None or any(axis.are_rows for axis in grid.axes):
        each, in_step = {"the combinations": [plan[place] for place in range(len(plan))]}, False  # no parameter's name
    else:
        each, in_step = {axis.names[0]: [*axis.values] for axis in grid.axes}, grid.in_step
    code = request.code if request.kind == "cell" else None
    more = msgspec.to_builtins(details.sweep_options)
    return heroku.sweep(request.task, each, parameters, code=code, zip=in_step, **more, **options)


def _function_spec(
    planner: Planner, name: str, request: RunRequest, parameters: Mapping[str, Any], options: RunOptions
) -> RunSpec:
    """Return the spec of a function as the ledger has it, with these arguments."""
    arguments = {one: parse_raw_text(value) for one, value in parameters.items()}
    spec = planner.bundle_spec(_bundle(name, request, options), arguments, options)
    return replace(spec, request=_request(planner, request, arguments, options))


def _function_plan(
    planner: SweepPlanner, recorded: Plan, parameters: Mapping[str, Any], options: RunOptions, chunk: int
) -> Plan:
    """Return the plan of a sweep of a function as the ledger has it. parameters: the arguments that do not differ."""
    spec = recorded.first
    arguments = {one: parse_raw_text(value) for one, value in parameters.items()}
    bundle = _bundle(spec.task, spec.request, options)
    plan = planner.of_bundle(bundle, recorded.grid, recorded.indices, options, chunk=chunk, arguments=arguments)
    request = _request(planner.planner, spec.request, arguments, options)
    return replace(plan, first=replace(plan.first, request=request))


def _bundle(name: str, request: RunRequest, options: RunOptions) -> RecordedCall:
    secrets = {one: find(one) for one in options.secrets}
    return RecordedCall(name, {"RUN_CODE": request.bundle, **to_env(secrets)})


def _request(planner: Planner, request: RunRequest, arguments: Mapping[str, Any], options: RunOptions) -> RunRequest:
    """Return the request of a recorded function on today's code, which only the same code lets answer later calls."""
    code = planner.code_facts(options)
    is_same = code == {"slug": request.slug, "release": request.release}
    described = describe_values(arguments, request.kind, options)
    return msgspec.structs.replace(request, **described, **code, base=request.base if is_same else "")
