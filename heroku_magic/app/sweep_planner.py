"""Plans a sweep: makes its grid, checks each value once, and returns the Plan with the spec of every run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from heroku_magic.app.attached_input import on_attached_dyno, refuse_detached
from heroku_magic.app.budget import second_price
from heroku_magic.app.function import declared_arguments, misfits
from heroku_magic.app.planner import check_before_prompts, check_single_program, encode, encode_all, python_task
from heroku_magic.bundle.build import Bundle
from heroku_magic.bundle.packages import bytes_for
from heroku_magic.errors import InputTooLarge, InvalidOptions, InvalidParameters
from heroku_magic.protocol.environ import to_env, with_calls
from heroku_magic.protocol.helper import helper_task
from heroku_magic.protocol.task import check
from heroku_magic.protocol.task_values import split
from heroku_magic.runs.registry import mean_duration
from heroku_magic.runs.spec import OF_EACH_DYNO
from heroku_magic.sweeps.cost import Estimate
from heroku_magic.sweeps.grid import Axis, Grid, grid, refuse_too_many, reservoir
from heroku_magic.sweeps.plan import Plan
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heroku_magic.app.planner import Planner
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.options import RunOptions, SweepOptions
    from heroku_magic.runs.spec import RunSpec

MANY = 50_000  # values whose check takes seconds


class SweepPlanner:
    """Plans the sweeps of one app. planner: of its runs."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner

    def plan(
        self,
        task: str | None,
        each: Mapping[str, Any],
        parameters: Mapping[str, Any],
        options: RunOptions,
        sweep_options: SweepOptions,
    ) -> Plan:
        """Return the plan of a sweep. Raises as Planner.plan does."""
        options = replace(options, max_cost=None)  # the budget is for all runs together
        plan = check_before_prompts(options, lambda: self._plan(task, each, parameters, options, sweep_options))
        return replace(plan, first=self.planner.with_request(plan.first, task, parameters, options))

    def _plan(
        self,
        task: str | None,
        each: Mapping[str, Any],
        parameters: Mapping[str, Any],
        options: RunOptions,
        sweep_options: SweepOptions,
    ) -> Plan:
        if options.code is not None:
            check_single_program(task, options)
            made, indices = combinations(each, declared_arguments(options.code), sweep_options)
            if not isinstance(function := options.code, str):
                _refuse_twice(made, parameters)
                misfits_of = cache(partial(misfits, function))  # whatever the values are
                _check_each(lambda values, _: misfits_of((*parameters, *values)), made, indices)
            bundle = self.planner.bundle(options.code, parameters, made.names, options)
            arguments = {} if isinstance(options.code, str) else parameters
            return self.of_bundle(bundle, made, indices, options, chunk=sweep_options.chunk_size, arguments=arguments)
        fixed = {**parameters, **self.planner.secrets(options, {**parameters, **each})}
        chosen = self.planner.task(task, options)
        declared = None if chosen.schema is None else [one.name for one in chosen.parameters]
        made, indices = combinations(each, declared, sweep_options)
        return self._of_task(chosen, made, indices, fixed, options=options, chunk=sweep_options.chunk_size)

    def plan_again(
        self,
        task: str,
        made: Grid,
        indices: Sequence[int],
        fixed: Mapping[str, Any],
        *,
        options: RunOptions,
        chunk: int,
        arguments: Mapping[str, Any],
    ) -> Plan:
        """Return the plan of a sweep whose grid and encoded parameters come from a journal.

        arguments: those of a function that do not differ.
        """
        values = {**fixed, **self.planner.secrets(options, {**fixed, **dict.fromkeys(made.names)})}
        if "RUN_CODE" in fixed:
            bundle = Bundle(task, values)
            return self.of_bundle(bundle, made, indices, options, chunk=chunk, arguments=arguments)
        return self._of_task(self.planner.task(task, options), made, indices, values, options=options, chunk=chunk)

    def _of_task(
        self,
        task: Task,
        made: Grid,
        indices: Sequence[int],
        fixed: Mapping[str, Any],
        *,
        options: RunOptions,
        chunk: int,
    ) -> Plan:
        refuse_too_many(len(indices), chunk)
        if chunk != 1 and not task.takes_calls and not options.dry_run:
            raise InvalidOptions(
                f"--chunk calls a task many times in one dyno, but {task.name} does not support that: it is not a task "
                "of heroku_task, or its app has an older heroku_task.py (copy the newer one into it and deploy)."
            )
        _refuse_twice(made, fixed)
        count = min(sum(len(axis.values) for axis in made.axes), len(indices) * len(made.axes))
        if count > MANY:
            notify(f"Checking {count:,} values before the first dyno starts")
        refused = "--detach" if options.detach else "--chunk" if chunk != 1 else ""
        _check_each(lambda values, part: _issues(task, {**fixed, **values}, part, refused), made, indices)
        first = self.planner.plan(task.name, {**fixed, **made[indices[0]]}, replace(options, secrets=()))
        shared = {name: value for name, value in first.env.items() if name not in made.names}
        attached = {} if first.values is None else first.values.values
        in_env = {name: value for name, value in fixed.items() if name not in attached}

        def make_spec(chosen: Sequence[Mapping[str, Any]], makes_calls: bool) -> RunSpec:
            if makes_calls:
                return replace(first, env=with_calls(shared, [to_env(one, task.schema) for one in chosen]))
            with suppress(InputTooLarge):
                if attached.keys().isdisjoint(made.names) and not split(task, chosen[0])[1]:
                    return replace(first, env={**encode({**in_env, **chosen[0]}, task, []), **_own(first)})
            env, values = encode_all({**fixed, **chosen[0]}, task, [], options)
            return on_attached_dyno(replace(first, env=env, module=python_task(task, "--warm")), values)

        swept = (part for axis in made.axes for part in _used(axis, made, indices))
        all_attached = frozenset(attached).union(*(split(task, part)[1] for part in swept))
        return Plan(first, made, indices, make_spec, self.planner.most_at_once, all_attached)

    def of_bundle(
        self,
        bundle: Bundle,
        made: Grid,
        indices: Sequence[int],
        options: RunOptions,
        *,
        chunk: int,
        arguments: Mapping[str, Any],
    ) -> Plan:
        """Return the plan of a sweep of a cell or a function. arguments: those of a function that do not differ."""
        refuse_too_many(len(indices), chunk)
        _refuse_twice(made, arguments)
        _check_each(lambda one, _: _bundle_issues(bundle, {**arguments, **one}, options, chunk), made, indices)
        first = self.planner.bundle_spec(bundle, {**arguments, **made[indices[0]]}, options)
        reserved = bytes_for(first.packages)

        def make_spec(chosen: Sequence[Mapping[str, Any]], makes_calls: bool) -> RunSpec:
            calls = [{**arguments, **one} for one in chosen]
            if makes_calls:
                return replace(first, env={**bundle.build_batch_env(calls), **_own(first)})
            try:
                env = bundle.build_env(calls[0], reserved=reserved, explains=False)
                return replace(first, env={**env, **_own(first)}, values=None)
            except InputTooLarge:
                env, spool = bundle.build_call(calls[0])
                return on_attached_dyno(replace(first, env=env), spool)

        return Plan(first, made, indices, make_spec, self.planner.most_at_once)


def _refuse_twice(made: Grid, fixed: Mapping[str, Any]) -> None:
    """Raise InvalidParameters for a parameter that differs and is also given once for all runs."""
    if twice := [name for name in made.names if name in fixed]:
        raise InvalidParameters([f"{name} is given twice, once by --each: give each parameter once." for name in twice])


def estimate(plan: Plan, options: SweepOptions, requests_left: int, answered: int = 0) -> Estimate:
    """Return the time and cost of a sweep. answered: combinations that do not run.

    Raises InvalidParameters if the budget is known to be too small.
    """
    spec = plan.first
    at_once = options.jobs or plan.most_at_once(spec.size)
    count = len(plan) - answered
    made = Estimate(spec, count, options.chunk_size, at_once, mean_duration(spec), requests_left)
    if options.max_cost is not None:
        second_price(spec)
        if refusal := made.refuses(options.max_cost):
            raise InvalidParameters([refusal])
    return made


def _own(spec: RunSpec) -> dict[str, str | Secret]:
    return {name: value for name, value in spec.env.items() if name in OF_EACH_DYNO}


def combinations(
    each: Mapping[str, Any], declared: Sequence[str] | None, options: SweepOptions
) -> tuple[Grid, Sequence[int]]:
    """The grid, and which of its combinations are run."""
    # A single axis may be endless: only the sample is held.
    draw = reservoir(options.sample, options.seed) if options.sample and len(each) == 1 else None
    made = grid(each, declared, in_step=options.zip, draw=draw)
    if options.sample:
        return made, made.sample(options.sample, options.seed)
    refuse_too_many(made.size, options.chunk_size)
    return made, range(made.size)


def _check_each(
    issues_of: Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]], made: Grid, indices: Sequence[int]
) -> None:
    """Check each value once, not each combination. Raises InvalidParameters listing every problem.

    issues_of: gets a combination, and the part of it that is new.
    """
    first, issues = made[indices[0]], dict[str, None]()
    for axis in made.axes:
        others = {name: value for name, value in first.items() if name not in axis.names}
        for part in _used(axis, made, indices):
            issues.update(dict.fromkeys(issues_of({**others, **part}, part)))
    if issues:
        raise InvalidParameters([*issues])


def _used(axis: Axis, made: Grid, indices: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """Yield the values of an axis that are run: a sample may leave out most of them."""
    if len(indices) == made.size:
        yield from map(axis.__getitem__, range(len(axis.values)))
        return
    for index in indices:
        combination = made[index]
        yield {name: combination[name] for name in axis.names if name in combination}


def _bundle_issues(bundle: Bundle, values: Mapping[str, Any], options: RunOptions, chunk: int) -> list[str]:
    """The faults of one run's values. Raises InvalidOptions or InputTooLarge if an option allows none that large."""
    try:
        bundle.build_env(values, reserved=bytes_for(tuple(options.packages)), explains=options.detach)
    except InputTooLarge as excess:  # its run may use an attached dyno
        refuse_detached(options, excess)
        if chunk != 1:
            raise InvalidOptions(
                "--chunk sends the inputs of its calls in the environment of one dyno, and these are too large for it. "
                "Leave out --chunk: with --warm, each of a few dynos makes many of the calls."
            ) from None
    except InvalidParameters as error:
        return error.issues
    return []


def _issues(task: Task, parameters: Mapping[str, Any], part: Mapping[str, Any], refused: str) -> list[str]:
    """The faults of one run's parameters: they do not fit the task, cannot be encoded, or must not differ.

    refused: an option that allows no files, bytes and DataFrames.
    """
    in_env, beside = split(task, parameters)
    if refused and (names := [name for name in part if name in beside]):
        return [f"--each {name}: it travels over a connection to the dyno. Leave out {refused}." for name in names]
    try:
        env = encode(in_env, task, check(task, parameters))
    except InputTooLarge as error:  # its run may use an attached dyno
        if helper_task(task.command) is None:
            return error.issues
        return [f"{issue} Without {refused} it may be of any size." for issue in error.issues] if refused else []
    except InvalidParameters as error:
        return error.issues
    secrets = [name for name in part if isinstance(env.get(name), Secret)]
    return [f"--each {name}: a secret must be the same in every run of a sweep." for name in secrets]
