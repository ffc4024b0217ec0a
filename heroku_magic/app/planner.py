"""Ordering: a task's name, parameters and options -> checked Orders, of one run or of a sweep; it starts nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.accounts.secret_sources import find
from heroku_magic.api import dyno_sizes
from heroku_magic.app.bundling import Bundling
from heroku_magic.app.preflight import Preflight
from heroku_magic.bundle.build import COMMAND, Bundle
from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.protocol.environ import refused, to_env, with_calls
from heroku_magic.protocol.task import check
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.grid import Grid, grid, refuse_too_many, reservoir
from heroku_magic.sweeps.plan import Plan
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from heroku_magic.app.catalog import Catalogue, Place
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.options import RunOptions, SweepOptions
    from heroku_magic.runs.run import Run

MANY = 50_000  # values whose check takes seconds
_UNASKED = Secret("not asked for")
_NO_CALLS = (
    "--chunk calls a task many times in one dyno: {task} is no task of heroku_task, or its app has an older "
    "heroku_task.py (copy the newer one into it and deploy)."
)


class Ordering:
    """The orders for one app."""

    def __init__(self, place: Place, catalogue: Catalogue) -> None:
        self._place = place
        self._catalogue = catalogue
        self._preflight = Preflight(place.client, place.app)
        self._config_names: dict[str, frozenset[str]] = {}
        self._bundling = Bundling(place, catalogue)

    def order(self, task: str | None, parameters: Mapping[str, Any], options: RunOptions) -> RunSpec:
        """Return what one run needs. Raises InvalidOptions, InvalidParameters with every fault, or SettingsError."""
        if options.code is not None:
            _refuse_both(task, options)
            return self._shipped_order(options.code, parameters, options)
        given = {**parameters, **self._secrets(options, parameters)}
        if options.command is not None:
            if task is not None:
                raise InvalidOptions("A task and a command were both given: one run runs one of them.")
            return self._made(_title(options.command), options.command, to_env(given), options)
        chosen, env = self._checked(task, given, options)
        return self._made(chosen.name, chosen.name, env, options)

    def sweep(
        self,
        task: str | None,
        each: Mapping[str, Any],
        parameters: Mapping[str, Any],
        options: RunOptions,
        sweep_options: SweepOptions,
    ) -> Plan:
        """Return the plan of a sweep, each of its values checked once."""
        options, chunk = replace(options, max_cost=None), sweep_options.chunk_size  # the budget is the whole sweep's
        if options.code is not None:
            _refuse_both(task, options)
            made, places = _combinations(each, None, sweep_options)
            return self._shipped(
                self._bundle(options.code, parameters, made.names, options), made, places, options, chunk
            )
        fixed = {**parameters, **self._secrets(options, {**parameters, **each})}
        chosen = self._task(task, options)
        declared = None if chosen.schema is None else [one.name for one in chosen.parameters]
        made, places = _combinations(each, declared, sweep_options)
        return self._plan(chosen, made, places, fixed, options=options, chunk=chunk)

    def again(
        self, task: str, made: Grid, places: Sequence[int], fixed: Mapping[str, Any], *, options: RunOptions, chunk: int
    ) -> Plan:
        """Return what a sweep is of that was begun before."""
        if "RUN_CODE" in fixed:
            bundle = Bundle.again(task, {**fixed, **self._secrets(options, {**fixed, **dict.fromkeys(made.names)})})
            return self._shipped(bundle, made, places, options, chunk)
        fixed = {**fixed, **self._secrets(options, {**fixed, **dict.fromkeys(made.names)})}
        return self._plan(self._task(task, options), made, places, fixed, options=options, chunk=chunk)

    def _plan(
        self,
        chosen: Task,
        made: Grid,
        places: Sequence[int],
        fixed: Mapping[str, Any],
        *,
        options: RunOptions,
        chunk: int,
    ) -> Plan:
        refuse_too_many(len(places), chunk)
        if chunk != 1 and not chosen.takes_calls and not options.dry_run:
            raise InvalidOptions(_NO_CALLS.format(task=chosen.name))
        if twice := [name for name in made.names if name in fixed]:
            raise InvalidParameters(
                [f"{name} is given twice, once by --each: give each parameter once." for name in twice]
            )
        count = min(sum(len(axis.values) for axis in made.axes), len(places) * len(made.axes))
        if count > MANY:
            notify(f"Checking {count:,} values before the first dyno starts")
        _check_axes(chosen, made, places, fixed)
        first = self.order(chosen.name, {**fixed, **made[places[0]]}, replace(options, secrets=()))
        added = {name: value for name, value in first.env.items() if name == "RUN_PACE"}
        shared = {name: value for name, value in first.env.items() if name not in made.names}

        def of(combinations: Sequence[Mapping[str, Any]], makes_calls: bool) -> RunSpec:
            if not makes_calls:
                return replace(first, env={**_encoded({**fixed, **combinations[0]}, chosen, []), **added})
            return replace(first, env=with_calls(shared, [to_env(one, chosen.schema) for one in combinations]))

        return Plan(first, made, places, of, self.most_at_once)

    def learn(self, run: Run) -> None:
        """A run is over that may tell what there is on the app's dynos."""
        self._bundling.learn(run)

    def _shipped_order(
        self, code: str | Callable[..., Any], parameters: Mapping[str, Any], options: RunOptions
    ) -> RunSpec:
        """One run of what brings its own code: no task of the app is asked for."""
        if isinstance(code, str):
            return self._carried(self._bundle(code, parameters, (), options), {}, options)
        return self._carried(self._bundle(code, {}, parameters, options), parameters, options)

    def _shipped(self, bundle: Bundle, made: Grid, places: Sequence[int], options: RunOptions, chunk: int) -> Plan:
        """A sweep of what brings its own code."""
        refuse_too_many(len(places), chunk)
        _check_each(lambda values, _: _issues_of(bundle, values), made, places)
        first = self._carried(bundle, made[places[0]], options)
        added = {name: value for name, value in first.env.items() if name == "RUN_PACE"}

        def of(combinations: Sequence[Mapping[str, Any]], makes_calls: bool) -> RunSpec:
            env = bundle.calls(combinations) if makes_calls else bundle.env(combinations[0])
            return replace(first, env={**env, **added})

        return Plan(first, made, places, of, self.most_at_once)

    def _carried(self, bundle: Bundle, values: Mapping[str, Any], options: RunOptions) -> RunSpec:
        env = bundle.env(values)
        secrets = {name: value for name, value in env.items() if isinstance(value, Secret)}
        if issues := self._clashes(secrets, frozenset(options.override)):
            raise InvalidParameters(issues)
        return self._made(bundle.name, COMMAND, env, options)

    def _bundle(
        self, code: str | Callable[..., Any], values: Mapping[str, Any], names: Iterable[str], options: RunOptions
    ) -> Bundle:
        secrets = self._secrets(options, {**values, **dict.fromkeys(names)})
        return self._bundling.bundle(code, values, names, secrets)

    def _secrets(self, options: RunOptions, parameters: Mapping[str, Any]) -> dict[str, Secret]:
        """The values of secret parameters; where nothing will run nobody is asked for them."""
        return _found(options.secrets, parameters, (lambda _: _UNASKED) if options.dry_run else find)

    def _task(self, name: str | None, options: RunOptions) -> Task:
        return self._catalogue.task(name, any_type=options.any_type, may_run=not options.dry_run)

    def most_at_once(self, size: str | None) -> int:
        """Return how many dynos of a size an app may run at once; the embedded Heroku two a processor.

        One, as long as nobody knows which size Heroku will give.
        """
        if self._place.settings.is_local:
            return 2 * (os.cpu_count() or 1)
        return dyno_sizes.most_at_once(size) if size else 1

    def forget(self) -> None:
        """The app's config vars may be others now."""
        self._config_names.clear()

    def _checked(
        self, name: str | None, parameters: Mapping[str, Any], options: RunOptions
    ) -> tuple[Task, dict[str, str | Secret]]:
        """The task, and the environment that carries its parameters."""
        chosen = self._task(name, options)
        issues = check(chosen, parameters)
        if issues:
            self._catalogue.forget()  # the code may be newer than what we knew: look once more before refusing
            chosen = self._task(name, options)
            issues = check(chosen, parameters)
        if chosen.schema is None:
            issues += self._clashes(parameters, frozenset(options.override))
        env = _encoded(parameters, chosen, issues)
        for fault in chosen.faults:
            notify(f"What {chosen.name} declares: {fault}")
        return chosen, env

    def _made(self, task: str, command: str, env: Mapping[str, str | Secret], options: RunOptions) -> RunSpec:
        settings = self._place.settings
        limit = settings.timeout if options.timeout is None else options.timeout
        if options.detach and settings.is_local:
            raise InvalidOptions(
                "The embedded Heroku and its dynos end with this kernel: detach needs an app on Heroku, or an emulator "
                "started by itself (python -m heroku_magic.emulator) and named by HEROKU_HOST."
            )
        if not settings.is_local:
            env = {**env, "RUN_PACE": str(settings.pace)}
            if warning := self._preflight.check(limit):
                notify(warning)
        made = RunSpec(
            self._place.app,
            self._place.app_name,
            task,
            command,
            env,
            size=options.size or settings.size,
            timeout=limit,
            takes_rows=options.rows,
            is_detached=options.detach,
            is_local=settings.is_local,
            prices=settings.prices,
        )
        return made if options.max_cost is None else _within(made, options.max_cost)

    def _clashes(self, parameters: Mapping[str, Any], override: frozenset[str]) -> list[str]:
        """For a task that declares nothing: its parameters may not replace the app's config vars unnoticed."""
        if not parameters:
            return []
        release = self._catalogue.release()
        key = release.id if release else ""
        if key not in self._config_names:
            self._config_names = {key: frozenset(self._place.client.config_vars(self._place.app))}
        clashing = sorted(self._config_names[key] & parameters.keys() - override)
        return [
            f"{name} is a config var of {self._place.app_name}: --override {name} replaces it for this run."
            for name in clashing
        ]


def _combinations(
    each: Mapping[str, Any], declared: Sequence[str] | None, options: SweepOptions
) -> tuple[Grid, Sequence[int]]:
    """The grid, and the places of it that are run."""
    # Of a single endless axis only the sample is held.
    sample, seed = options.sample, options.seed
    draw = reservoir(sample, seed) if sample and len(each) == 1 else None
    made = grid(each, declared, in_step=options.zip, draw=draw)
    return made, made.sample(sample, seed) if sample else range(len(made))


def _refuse_both(task: str | None, options: RunOptions) -> None:
    if task is not None or options.command is not None:
        raise InvalidOptions("Code was given, and a task or a command, too: one run runs one of them.")


def _encoded(parameters: Mapping[str, Any], task: Task, issues: list[str]) -> dict[str, str | Secret]:
    """The environment to send; raises with every fault of checking and encoding at once."""
    try:
        env = to_env(parameters, task.schema)
    except InvalidParameters as error:
        issues = issues + [issue for issue in error.issues if issue not in issues]
    if issues:
        raise InvalidParameters(issues)
    return env


def second_price(order: RunSpec) -> float:
    """Return what a second of such a dyno costs. Raises InvalidOptions where that is not known in dollars."""
    price = order.price(order.size, 1.0)
    if price is None and order.size is None:
        raise InvalidOptions("--max-cost needs a size whose price is known: give --size, such as --size standard-1x.")
    if price is None:
        raise InvalidOptions(
            f"--max-cost: the price of {order.size} is not known in dollars (Eco draws on a pool of hours, Private and "
            "enterprise prices are a contract's): %config HerokuMagics.prices = {'" + str(order.size) + "': DOLLARS} "
            "gives dollars a month."
        )
    return price


def _within(order: RunSpec, dollars: float) -> RunSpec:
    """The order, with a life as long as the dollars pay for, at most."""
    price = second_price(order)
    if price * 1 > dollars:
        raise InvalidOptions(
            f"--max-cost {dollars:g}: not even one second of {order.size} (${price:.2g}) is paid by it."
        )
    return replace(order, timeout=min(order.timeout, int(dollars / price))) if price else order


def _found(
    secrets: Iterable[str], parameters: Mapping[str, Any], find: Callable[[str], Secret] = find
) -> dict[str, Secret]:
    """The values of secret parameters, asked for once nothing else is wrong with their names."""
    names = list(secrets)
    if twice := sorted({name for name in names if name in parameters or names.count(name) > 1}):
        raise InvalidOptions(f"{', '.join(twice)}: given twice, once as a secret. Give each parameter once.")
    if issues := refused(names):
        raise InvalidParameters(issues)
    return {name: find(name) for name in names}


def _check_axes(task: Task, made: Grid, places: Sequence[int], fixed: Mapping[str, Any]) -> None:
    """Check each value that is used once, not each combination. Raises InvalidParameters with every fault."""
    _check_each(lambda values, part: _issues(task, {**fixed, **values}, part), made, places)


def _check_each(
    issues_of: Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]], made: Grid, places: Sequence[int]
) -> None:
    """Raise InvalidParameters with what is wrong with each value: issues_of a combination, of which a part is new."""
    first, issues = made[places[0]], dict[str, None]()
    is_whole = len(places) == len(made)
    for axis in made.axes:
        used = (axis[place] for place in range(len(axis.values))) if is_whole else _used(axis.names, made, places)
        for part in used:
            issues.update(dict.fromkeys(issues_of({**first, **part}, part)))
    if issues:
        raise InvalidParameters([*issues])


def _issues_of(bundle: Bundle, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of one run of what brings its own code."""
    try:
        bundle.env(values)
    except InvalidParameters as error:
        return error.issues
    return []


def _used(names: Sequence[str], made: Grid, places: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The values of an axis in some combinations."""
    for place in places:
        combination = made[place]
        yield {name: combination[name] for name in names if name in combination}


def _issues(task: Task, parameters: Mapping[str, Any], part: Mapping[str, Any]) -> list[str]:
    """What is wrong with the parameters of one run: for the task, for the way there, or for a part that differs."""
    try:
        env = _encoded(parameters, task, check(task, parameters))
    except InvalidParameters as error:
        return error.issues
    secrets = [name for name in part if isinstance(env.get(name), Secret)]
    return [f"--each {name}: a secret is the same in every run of a sweep." for name in secrets]


def _title(command: str) -> str:
    return command if len(command) <= 40 else f"{command[:39]}…"
