"""Answers sweeps from the ledger: single combinations, or all of them before anything is planned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from heroku_magic.api.client import HerokuClient
from heroku_magic.app.function import declared_arguments
from heroku_magic.app.run_cache import is_only_declared, possible_bases
from heroku_magic.app.run_request import describe_request_again, kind_of
from heroku_magic.app.sweep_planner import combinations
from heroku_magic.errors import InvalidParameters
from heroku_magic.ledger.answers import MOST_AT_ONCE, answered_outcome, find_answers, request_of
from heroku_magic.ledger.cache_key import digest_of, full_key
from heroku_magic.ledger.location import caches_declared
from heroku_magic.ledger.recorded_sweep import ended_plan
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.journal import new_id
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.resources import Release
    from heroku_magic.ledger.answers import Answer
    from heroku_magic.runs.options import RunOptions, SweepOptions
    from heroku_magic.runs.request import RunRequest
    from heroku_magic.sweeps.grid import Grid
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.plan import Plan


def answered_outcomes(plan: Plan, options: RunOptions) -> list[Outcome]:
    """Return the combinations of a planned sweep that earlier runs answer."""
    request = plan.first.request
    may_use = options.wants_cache or (options.cache is None and request.may_cache and caches_declared())
    if options.refresh or not request.base or not may_use:
        return []
    by_key: dict[str, list[int]] = {}
    combinations_ = map(plan.__getitem__, range(len(plan)))
    for place, key in enumerate(_keys(request.base, request.kind, request.hashes, combinations_)):
        by_key.setdefault(key, []).append(place)
    answers = find_answers(by_key, options.max_age)
    found = [(answer, place) for key, answer in answers.items() for place in by_key[key]]
    return [answered_outcome(answer, place, plan[place]) for answer, place in found]


def find_sweep(  # noqa: PLR0917
    call: tuple[str | None, Mapping[str, Any], Mapping[str, Any]],
    options: RunOptions,
    sweep_options: SweepOptions,
    settings: Settings,
    release: Callable[[], Release | None],
    client: HerokuClient | None = None,
) -> Sweep | None:
    """Return a sweep of which earlier runs answer every combination, and which is yet to start; None if one is missing.

    Only the ledger is read. call: the task, the values that differ and the parameters that do not. release: requests
    the app's current release. client: the connection to the app, if there is one.
    """
    task, each, parameters = call
    if sweep_options.save or options.detach or any(isinstance(values, Iterator) for values in each.values()):
        return None  # a journal needs the plan, and an iterator can be read only once
    bases = possible_bases(task, parameters, options, settings, release)
    readings = _readings(each, options, sweep_options) if bases else ()
    for (grid, places), base in product(readings, bases):
        answers = _all_answers(_keys_of_grid(base, parameters, grid, places, options), options.max_age)
        request = _request(answers[0], each, grid, options) if answers else None
        if request is not None:
            of_runs = replace(options, max_cost=None)  # the budget is for all runs together
            request = describe_request_again(request, parameters, of_runs, settings)
            plan = ended_plan(_spec(answers[0], request, options, settings), grid, places)
            known = [answered_outcome(answer, place, plan[place]) for place, answer in enumerate(answers)]
            client = client or HerokuClient(answers[0].details.host, Secret(""))
            return Sweep(client, plan, sweep_options, id=new_id(), known=known)
    return None


def _keys_of_grid(
    base: str, parameters: Mapping[str, Any], grid: Grid, places: Sequence[int], options: RunOptions
) -> Iterator[str]:
    if parameters.keys() & {*grid.names}:  # planning refuses it
        return iter(())
    fixed = {name: digest_of(value, kind_of(options)) for name, value in parameters.items()}
    return _keys(base, kind_of(options), fixed, map(grid.__getitem__, places))


def _readings(
    each: Mapping[str, Any], options: RunOptions, sweep_options: SweepOptions
) -> Iterator[tuple[Grid, Sequence[int]]]:
    """Yield the grids that values may mean: whether rows are one parameter or several is up to a task's declaration."""
    with suppress(InvalidParameters):  # planning reports it
        spread = combinations(each, declared_arguments(options.code or ""), sweep_options)
        if kind_of(options) == "task" and any(axis.are_rows for axis in spread[0].axes):
            yield combinations(each, [*each], sweep_options)
        yield spread


def _request(answer: Answer, each: Mapping[str, Any], grid: Grid, options: RunOptions) -> RunRequest | None:
    """Return the request behind an answer; None if the task's declaration may rule the answer out."""
    request = request_of(answer)
    if request is None or (is_only_declared(options) and not request.may_cache):
        return None
    rows = {name for name, axis in zip(each, grid.axes, strict=True) if axis.are_rows}
    if request.kind != "task" or not rows:
        return request
    return request if request.declared is not None and rows.isdisjoint(request.declared) else None


def _all_answers(keys: Iterator[str], max_age: float | None) -> list[Answer]:
    """Return the answer for each key; none as soon as one is missing."""
    found: list[Answer] = []
    while some := [*islice(keys, MOST_AT_ONCE)]:
        answers = find_answers({*some}, max_age)
        if answers.keys() != {*some}:
            return []
        found += [answers[key] for key in some]
    return found


def _keys(base: str, kind: str, fixed: Mapping[str, str], combinations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the key of each combination. fixed: the hashes of the parameters that do not differ."""
    for one in combinations:
        yield full_key(base, {**fixed, **{name: digest_of(value, kind) for name, value in one.items()}})


def _spec(answer: Answer, request: RunRequest, options: RunOptions, settings: Settings) -> RunSpec:
    return RunSpec(
        request.app,
        answer.entry.app,
        answer.entry.task,
        answer.entry.task,
        {},
        size=options.size or settings.size,
        is_local=settings.is_local,
        request=request,
        prices=settings.prices,
    )
