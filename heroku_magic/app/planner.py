"""Plans a run: checks a task's parameters and options, and returns the RunSpec that carries them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from heroku_magic.accounts.secret_sources import find
from heroku_magic.app import emulator_process
from heroku_magic.app.attached_input import attached_spec, refuse_detached
from heroku_magic.app.budget import within_budget
from heroku_magic.app.bundler import Bundler
from heroku_magic.app.function import misfits
from heroku_magic.app.packages import THIS_COMPUTER, Target, resolve
from heroku_magic.app.preflight import Preflight
from heroku_magic.app.run_cache import environment_of
from heroku_magic.app.run_request import cache_base, describe_request, hash_code
from heroku_magic.bundle.packages import add_packages, bytes_for
from heroku_magic.bundle.payload import all_chunks
from heroku_magic.bundle.shipped import COMMAND
from heroku_magic.errors import ApiError, InputTooLarge, InvalidOptions, InvalidParameters
from heroku_magic.platform_facts import dyno_sizes
from heroku_magic.protocol.environ import name_faults, to_env
from heroku_magic.protocol.helper import helper_task, runs_helper_only, starts_task
from heroku_magic.protocol.spool import Spool
from heroku_magic.protocol.task import DEFAULT_TASK, NOT_LOOKED_UP, check
from heroku_magic.protocol.task_values import add_values, move_long_texts, split
from heroku_magic.protocol.typed_json import Encoder
from heroku_magic.protocol.values import MAX_ENV_BYTES, RawText
from heroku_magic.runs.options import ExactVersions, RunOptions
from heroku_magic.runs.spec import RunSpec
from heroku_magic.text.notifier import discard, notifications_to, notify
from heroku_magic.text.sanitize import clean_line, short
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heroku_magic.app.catalog import Catalog
    from heroku_magic.app.connection import AppConnection
    from heroku_magic.bundle.build import Bundle
    from heroku_magic.protocol.task import Task

T = TypeVar("T")
_looks_up_secrets: ContextVar[bool] = ContextVar("heroku_magic_looks_up_secrets", default=True)


class Planner:
    """Plans the runs of one app."""

    def __init__(self, connection: AppConnection, catalog: Catalog) -> None:
        self._connection = connection
        self._catalog = catalog
        self._config_names: dict[str, frozenset[str]] = {}
        self._last_environment = ""
        self.preflight = Preflight(connection.client, connection.app)
        self.bundler = Bundler(connection, catalog)

    def plan(self, task: str | None, parameters: Mapping[str, Any], options: RunOptions) -> RunSpec:
        """Return the spec of a run.

        Raises InvalidOptions, SettingsError, or InvalidParameters listing every problem.
        """
        return self.with_request(self.plan_call(task, parameters, options), task, parameters, options)

    def plan_call(self, task: str | None, parameters: Mapping[str, Any], options: RunOptions) -> RunSpec:
        """Return the spec of a run that gets no entry of its own in the ledger. Raises as `plan` does."""
        return check_before_prompts(options, lambda: self._plan(task, parameters, options))

    def with_request(
        self, spec: RunSpec, task: str | None, parameters: Mapping[str, Any], options: RunOptions
    ) -> RunSpec:
        """Return a spec that says what was requested, for the ledger. Raises InvalidOptions."""
        if unknown := sorted({*options.inputs} - parameters.keys()):
            raise InvalidOptions(
                f'inputs: "{unknown[0]}" is not among the parameters. Expected names of parameters whose values the '
                "history must not keep."
            )
        is_task = options.code is options.command is None
        declared = self._catalog.declared(spec.task) if is_task else None
        is_declared = declared is not None and declared.schema is not None
        if is_task and options.wants_cache and not (is_declared or options.dry_run):
            raise InvalidOptions(
                f"{spec.task} declares no parameters, so its runs cannot be cached: leave out --cache, or declare them "
                "with a task of heroku_task or a file NAME.schema.json."
            )
        environment, code_hash = self._environment(options), hash_code(options)
        is_cacheable = not spec.secrets and (is_declared or not is_task)
        name = DEFAULT_TASK if is_task and spec.task == DEFAULT_TASK else task
        request = describe_request(
            task,
            parameters,
            options,
            spec,
            self._connection.settings,
            **self._code_facts(environment, options),
            code_hash=code_hash,
            base=cache_base(name, options, environment, code_hash) if is_cacheable else "",
            declared=[one.name for one in declared.parameters] if declared is not None and is_declared else None,
            may_cache=declared is not None and declared.may_cache,
            is_kept=options.history and (declared is None or declared.keeps_history),
        )
        return replace(spec, request=request)

    def code_facts(self, options: RunOptions) -> dict[str, Any]:
        """Return what a request says about the code that a run will find."""
        return self._code_facts(self._environment(options), options)

    def _environment(self, options: RunOptions) -> str:
        """Return what identifies the code that a run will find; empty if it is not known."""
        settings = self._connection.settings
        if settings.app is not None and self._catalog.known_release is None and _is_recorded(options):
            with suppress(ApiError):  # the run does without
                self._catalog.release()
        environment = environment_of(settings, self._catalog.known_release, is_wanted=options.wants_cache)
        if settings.app is None and environment != self._last_environment:  # the change of a folder is a release
            self._last_environment = environment
            self._catalog.expire()
        return environment

    def _code_facts(self, environment: str, options: RunOptions) -> dict[str, Any]:
        release, is_folder = self._catalog.known_release, self._connection.settings.app is None
        slug = environment if is_folder else self._catalog.checksum() if _is_recorded(options) else ""
        return {"slug": slug, "release": release.version if release else 0}

    def _plan(self, task: str | None, parameters: Mapping[str, Any], options: RunOptions) -> RunSpec:
        if options.warm:
            self.refuse_without_python()
        if options.code is not None:
            check_single_program(task, options)
            if isinstance(options.code, str):
                return self.bundle_spec(self.bundle(options.code, parameters, (), options), {}, options)
            if issues := misfits(options.code, parameters):
                raise InvalidParameters(issues)
            return self.bundle_spec(self.bundle(options.code, {}, parameters, options), parameters, options)
        values = {**parameters, **self.secrets(options, parameters)}
        if options.command is not None:
            if options.warm:
                raise InvalidOptions("A warm dyno runs tasks, cells and functions, not commands: leave out --warm.")
            if options.packages:
                raise InvalidOptions("Packages are for tasks, cells and functions, not for commands: leave out --with.")
            if task is not None:
                raise InvalidOptions("Give either a task or a command, not both.")
            spec = self._spec(_title(options.command), options.command, to_env(values), options, is_python=False)
            return replace(_of_command(spec, options.command), accepts_packages=False)
        chosen, env, spool = self._checked(task, values, options)
        command = f"python -m heroku_task {python_task(chosen, '--with')}" if options.packages else chosen.name
        is_python = helper_task(chosen.command) is not None
        spec = self._spec(chosen.name, command, env, options, is_python=is_python)
        if spool is not None or spec.is_warm:
            return attached_spec(replace(spec, module=python_task(chosen, "--warm")), spool)
        return replace(_of_command(spec, chosen.command), accepts_packages=is_python)

    def bundle(
        self, code: str | Callable[..., Any], values: Mapping[str, Any], names: Iterable[str], options: RunOptions
    ) -> Bundle:
        """Return the bundle of code and of the values that its runs share; names: the parameters that differ."""
        secrets = self.secrets(options, {**values, **dict.fromkeys(names)})
        return self.bundler.bundle(code, values, names, secrets, allow_pickle=options.allow_pickle)

    def bundle_spec(self, bundle: Bundle, values: Mapping[str, Any], options: RunOptions) -> RunSpec:
        """Return the spec of a run of a bundle."""
        try:
            reserved = bytes_for(tuple(options.packages))
            env, spool = bundle.build_env(values, reserved=reserved, explains=options.detach), None
        except InputTooLarge as excess:
            refuse_detached(options, excess)
            env, spool = bundle.build_call(values)
        secrets = {name: value for name, value in env.items() if isinstance(value, Secret)}
        if issues := self._clashes(secrets, options):
            raise InvalidParameters(issues)
        return attached_spec(self._spec(bundle.name, COMMAND, env, options), spool)

    def secrets(self, options: RunOptions, parameters: Mapping[str, Any]) -> dict[str, Secret]:
        """Return the values of the secret parameters; a dry run looks none up."""
        names = list(options.secrets)
        if twice := sorted({name for name in names if name in parameters or names.count(name) > 1}):
            raise InvalidOptions(f"{', '.join(twice)}: given twice, once as a secret. Give each parameter once.")
        if issues := name_faults(names):
            raise InvalidParameters(issues)
        is_known = _looks_up_secrets.get() and not options.dry_run
        return {name: find(name) if is_known else NOT_LOOKED_UP for name in names}

    def task(self, name: str | None, options: RunOptions) -> Task:
        """Return a task by name, or the default one for None. A dry run does not run `describe`."""
        return self._catalog.task(name, any_type=options.any_type, may_run=not options.dry_run)

    def with_packages(self, options: RunOptions) -> RunOptions:
        """Return options whose packages are exact versions. Raises InvalidOptions if there are none."""
        if isinstance(options.packages, ExactVersions):
            return options
        return replace(options, packages=resolve(options.packages, self._target()))

    def _target(self) -> Target:
        return THIS_COMPUTER if self._connection.settings.is_local else Target(self.bundler.python, is_here=False)

    def refuse_without_python(self) -> None:
        """Raise InvalidOptions if the app's code was built without Python, which a warm dyno needs."""
        self._catalog.release()  # it may have changed
        slug = self._catalog.code()
        if slug is None:
            return
        built = f"{slug.buildpack_provided_description or 'python'} {' '.join(slug.process_types.values())}"
        if "python" not in built.lower():
            raise InvalidOptions(
                f"{self._connection.app_name} was built for {slug.buildpack_provided_description}, without Python, "
                "which a warm dyno needs. Add the buildpack heroku/python and deploy again, or leave out --warm and "
                "run a command: %heroku run -- COMMAND"
            )

    def most_at_once(self, size: str | None) -> int:
        """Return how many dynos of a size may run at the same time: one while the size is unknown."""
        if self._connection.settings.is_local:
            return emulator_process.MOST_AT_ONCE
        return dyno_sizes.most_at_once(size) if size else 1

    def invalidate(self) -> None:
        """Forget the names of the config vars, which may have changed."""
        self._config_names.clear()

    def _checked(
        self, name: str | None, parameters: Mapping[str, Any], options: RunOptions
    ) -> tuple[Task, dict[str, str | Secret], Spool | None]:
        """The task, the environment that carries its parameters, and the values beside it, if any."""
        chosen = self.task(name, options)
        if issues := _typed_secrets(chosen, parameters):
            raise InvalidParameters(issues)
        issues = check(chosen, parameters)
        if issues:
            self._catalog.invalidate()  # there may be a newer release: look once more before the refusal
            chosen = self.task(name, options)
            issues = check(chosen, parameters)
        if chosen.schema is None:
            issues += self._clashes(parameters, options)
        env, spool = encode_all(parameters, chosen, issues, options)
        for fault in chosen.faults:
            notify(f"The declaration of {chosen.name} is invalid: {fault}")
        if chosen.is_unlisted and parameters:
            notify(f"{chosen.name}: {chosen.unchecked_reason}")
        return chosen, env, spool

    def _spec(
        self, task: str, command: str, env: Mapping[str, str | Secret], options: RunOptions, *, is_python: bool = True
    ) -> RunSpec:
        """Return a spec. is_python: a warm dyno can run it, and does where that is the connection's default."""
        settings = self._connection.settings
        timeout = math.ceil(settings.timeout if options.timeout is None else options.timeout)
        if options.detach and settings.is_local:
            raise InvalidOptions(
                "The embedded Heroku and its dynos end with this kernel: detach needs an app on Heroku, or an emulator "
                "started by itself (python -m heroku_magic.emulator) and named by HEROKU_HOST."
            )
        if not settings.is_local:
            env = {**env, "RUN_PACE": str(settings.pace)}
            if warning := self.preflight.check(timeout):
                notify(warning)
        python = self._target().dotted if options.packages else ""
        command, env = add_packages(command, env, [*options.packages], python)
        falls_back = settings.warm and is_python and not (options.warm or options.detach)
        spec = RunSpec(
            self._connection.app,
            self._connection.app_name,
            task,
            command,
            env,
            size=options.size or settings.size,
            timeout=timeout,
            takes_rows=options.rows,
            is_detached=options.detach,
            is_local=settings.is_local,
            sends_records=True,
            allow_pickle=options.allow_pickle,
            is_warm=options.warm or falls_back,
            falls_back=falls_back,
            keeps_state=not options.isolate,
            packages=tuple(options.packages),
            python=python,
            requirements=self._connection.requirements,
            prices=settings.prices,
        )
        return spec if options.max_cost is None else within_budget(spec, options.max_cost, self._connection.warm_idle)

    def _clashes(self, parameters: Mapping[str, Any], options: RunOptions) -> list[str]:
        """The parameters that would silently replace the app's config vars, as nothing declares them."""
        if not parameters:
            return []
        release = self._catalog.release()
        key = release.id if release else ""
        if key not in self._config_names:
            self._config_names = {key: frozenset(self._connection.client.config_vars(self._connection.app))}
        return [
            f"{name} is a config var of {self._connection.app_name}: --override {name} replaces it for this run."
            for name in sorted(self._config_names[key] & parameters.keys() - set(options.override))
        ]


def _is_recorded(options: RunOptions) -> bool:
    return options.history and not options.dry_run


def _typed_secrets(task: Task, parameters: Mapping[str, Any]) -> list[str]:
    """Return a message for each declared secret whose value is on the line of a cell."""
    return [
        f"{one.name} is a secret, and a value on the line stays in the notebook and in the history. Remove it, and "
        f"replace the secret. --secret {one.name} prompts for it without showing it."
        for one in task.parameters
        if one.is_secret and isinstance(parameters.get(one.name), RawText)
    ]


def named(argument: str, given: Any) -> Mapping[str, Any]:
    """Return what an argument gives by name; nothing for None. Raises InvalidParameters unless it is a dict."""
    if given is None or isinstance(given, Mapping):
        return given or {}
    example = "{'n': [1, 2]}" if argument == "each" else "{'n': 10}"
    raise InvalidParameters([f"{argument} is {short(given)}: expected a dict of parameters, such as {example}."])


def check_before_prompts(options: RunOptions, plan: Callable[[], T]) -> T:
    """Return the plan, made once without the values of secrets to refuse wrong parameters before a prompt."""
    if options.secrets and not options.dry_run:
        token = _looks_up_secrets.set(False)
        try:
            with notifications_to(discard):
                plan()
        finally:
            _looks_up_secrets.reset(token)
    return plan()


def check_single_program(task: str | None, options: RunOptions) -> None:
    """Raise InvalidOptions for code together with a task or a command."""
    if task is not None or options.command is not None:
        raise InvalidOptions("Give only one of these: code, a task or a command.")


def python_task(task: Task, option: str) -> str:
    """Return the module of a task in Python. Raises InvalidOptions for another one, which cannot have an option."""
    if (module := helper_task(task.command)) is None:
        raise InvalidOptions(
            f"{task.name} runs `{clean_line(task.command[:80])}`. {option} is for Python tasks whose command is "
            f"`python -m heroku_task NAME`: leave out {option}."
        )
    return module


def encode_all(
    parameters: Mapping[str, Any], task: Task, issues: list[str], options: RunOptions
) -> tuple[dict[str, str | Secret], Spool | None]:
    """Return the dyno's environment, and what travels beside it. Raises InvalidParameters with all issues."""
    small, beside = split(task, parameters)
    spool = Spool()
    issues = issues + add_values(
        task, beside, spool, lambda value, name, into: Encoder(all_chunks, into).encode(value, name)
    )
    try:
        env = encode(small, task, issues)
    except InputTooLarge as excess:
        refuse_detached(options, excess)
        if helper_task(task.command) is None:
            raise
        env = to_env(small, task.schema, most=float("inf"))
        move_long_texts(env, spool, MAX_ENV_BYTES)
    if beside and options.detach:
        raise InvalidOptions(f"{', '.join(beside)} travels over a connection to the dyno: leave out --detach.")
    return env, spool if spool.values else None


def encode(parameters: Mapping[str, Any], task: Task, issues: list[str]) -> dict[str, str | Secret]:
    """Return the dyno's environment. Raises InvalidParameters with these issues and those of the encoding."""
    try:
        env = to_env(parameters, task.schema)
    except InputTooLarge:
        if not issues:
            raise
    except InvalidParameters as error:
        issues = issues + [issue for issue in error.issues if issue not in issues]
    if issues:
        raise InvalidParameters(issues)
    return env


def _of_command(spec: RunSpec, command: str) -> RunSpec:
    """Return a spec with what its command line says about the helper."""
    return replace(spec, is_compound=not runs_helper_only(command), sends_records=starts_task(command))


def _title(command: str) -> str:
    return command if len(command) <= 40 else f"{command[:39]}…"
