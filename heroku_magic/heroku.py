"""connect() and Heroku, the verbs in Python: settings -> client -> runs; no other module starts the emulator."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic import detached as detached_
from heroku_magic import settings as settings_
from heroku_magic.accounts import Account
from heroku_magic.client import HerokuClient
from heroku_magic.configvars import ConfigVars
from heroku_magic.deploy import Deploy
from heroku_magic.embedded import embedded, running
from heroku_magic.errors import (
    DeployRefused,
    Interrupted,
    InvalidOptions,
    InvalidParameters,
    NotFound,
)
from heroku_magic.grid import Grid, grid
from heroku_magic.inspection import inspect
from heroku_magic.logstream import backlog
from heroku_magic.masking import Mask
from heroku_magic.packing import pack
from heroku_magic.parameters import refused, to_env
from heroku_magic.preflight import Preflight
from heroku_magic.records import Rows
from heroku_magic.run import Order, Run, running_runs
from heroku_magic.safetext import clean_line
from heroku_magic.settings import Choice, NoApp, Settings
from heroku_magic.status import drains, told
from heroku_magic.sweep import Sweep
from heroku_magic.tasks import NO_TASKS, Task, check, choose
from heroku_magic.tokens import NoToken, find_token
from heroku_magic.transport import say_nothing
from heroku_magic.vault import find

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.deploy import Deployed
    from heroku_magic.embedded import Embedded
    from heroku_magic.loglines import LogLine
    from heroku_magic.resources import App, Dyno, ProcessType, Release
    from heroku_magic.secret import Secret

Say = Callable[[str], None]

FRESH = 5.0  # seconds: the current release is asked for at most once in this time
MOST_RUNS = 10_000  # of one sweep; more are hardly meant
AT_ONCE = {
    "eco": 1,
    "basic": 1,
    "standard-1x": 50,
    "standard-2x": 50,
}  # https://devcenter.heroku.com/articles/one-off-dynos
DESCRIBE_TIMEOUT = 60  # seconds of life of the dyno that tells what the tasks take
EMBEDDED = "embedded"

_MARK = re.compile(r"#(hm-[0-9a-f]{8})$")
_DESCRIBES = re.compile(r"\bpython[\d.]*\b.* -m heroku_task --describe\b")


def connect(
    app: str | None = None,
    *,
    remote: str | None = None,
    local: bool = False,
    worker: str | os.PathLike[str] | None = None,
    size: str | None = None,
    timeout: int | None = None,
    pace: int | None = None,
    config: Choice | None = None,
    say: Say = print,
) -> Heroku:
    """Return a connection to an app on Heroku, or to the embedded Heroku where no app is known.

    app: a name or id; remote: a git remote that names it. local: force the embedded Heroku; worker:
    the folder that it serves (implies local). size, timeout (seconds): for runs that name none.
    pace: records a second that a task prints at most, for Heroku drops the lines of a dyno that prints
    too fast (0: as many as it can; never limited on the embedded Heroku).
    Raises SettingsError where the app or the token is not clear; nothing is guessed.

    >>> heroku = connect(local=True, say=lambda text: None)
    >>> heroku.run("hello", {"NAME": "Daniela"}) is None
    True
    """
    option = Choice(app=app, remote=remote, local=local, worker=worker)
    try:
        chosen = settings_.resolve(option, config, size=size, timeout=timeout, pace=pace)
    except NoApp:
        raise _no_app() from None
    return _connect_local(chosen, say) if chosen.is_local else _connect_remote(chosen, say)


def account(*, say: Say = print) -> Account:
    """Return the account on Heroku where there is a token, else that of the embedded Heroku.

    Apps that are created on the embedded Heroku are there as long as this process is.
    """
    url = settings_.base_url()
    try:
        token, source = find_token(url)
    except NoToken:
        if os.environ.get("HEROKU_HOST"):
            raise
    else:
        return Account(HerokuClient(url, token, token_source=source, say=say))
    server = embedded(settings_.worker_folder(None))
    return Account(HerokuClient(server.url, server.token, token_source=EMBEDDED, say=say), is_embedded=True)


def create_temporary(*, region: str | None = None, stack: str | None = None, say: Say = print) -> Heroku:
    """Return a connection to a new app in the account that is destroyed when this process ends, if not before."""
    owner = account(say=say)
    return _connected(owner, owner.create_temporary(region=region, stack=stack), Settings(), say)


@contextmanager
def temporary_app(
    folder: str | os.PathLike[str] = "worker",
    *,
    region: str | None = None,
    stack: str | None = None,
    allow: Iterable[str] = (),
    say: Say = print,
) -> Iterator[Heroku]:
    """Make an app of a folder for the time of a `with`, and give a connection to it.

    It is destroyed when the block or the process ends, whatever happens; after a crash
    `%heroku status` finds it. allow: as deploy() takes it.
    """
    with _shipped(create_temporary(region=region, stack=stack, say=say), folder, allow) as heroku:
        yield heroku


@contextmanager
def _shipped(heroku: Heroku, folder: str | os.PathLike[str], allow: Iterable[str]) -> Iterator[Heroku]:
    try:
        heroku.deploy(folder, allow=allow)
        yield heroku
    finally:
        heroku.account.discard(heroku.app, say=heroku.say)


def _connected(owner: Account, app: App, settings: Settings, say: Say) -> Heroku:
    """A connection to an app that was just created."""
    chosen = replace(settings, app=app.name, app_source="create", worker=None, is_embedded=owner.is_embedded)
    return Heroku(owner.client, app.name, chosen, say)


@dataclass(frozen=True)
class Snapshot:
    """An app's release and process types, as they were at one moment."""

    release: Release | None
    types: Mapping[str, ProcessType]
    taken_at: float

    @property
    def slug(self) -> str:
        """What the release runs: declarations are remembered by it."""
        if self.release is None:
            return ""
        return self.release.slug.id if self.release.slug else self.release.id


class Heroku:
    """The verbs for one app: run, submit, tasks, dynos, stop, logs. Made by `connect()`."""

    def __init__(self, client: HerokuClient, app: str, settings: Settings, say: Say = print) -> None:
        self.app = app
        self.settings = settings
        self.client = client
        self.say = say
        self._snapshot: Snapshot | None = None
        self._declared: dict[str, dict[str, Task]] = {}
        self._config_names: dict[str, frozenset[str]] = {}
        self.account = Account(client, is_embedded=settings.is_local)
        self._preflight = Preflight(client, app)
        self._mask = Mask()

    @property
    def app_name(self) -> str:
        """What to show: the app's name, "embedded" where it is a folder, or both."""
        if not self.settings.is_local:
            return self.app
        return f"{self.app} ({EMBEDDED})" if self.settings.is_embedded else EMBEDDED

    def __repr__(self) -> str:
        folder = f" serving {self.settings.worker}" if self.settings.worker else ""
        return f"<Heroku {self.app_name}{folder}>"

    def run(
        self, task: str | None = None, parameters: Mapping[str, Any] | None = None, **options: Any
    ) -> pd.DataFrame | None:
        """Run a task and return its rows as a DataFrame (None: it has no table); the options are submit()'s.

        An interrupt (Ctrl-C) stops the dyno, waits until it is gone, and raises RunCancelled.
        """
        run = self.submit(task, parameters, **options)
        try:
            return run.result()
        except KeyboardInterrupt:
            run.cancel()
            return run.result()

    def submit(
        self,
        task: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        command: str | None = None,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        rows: bool = True,
        detach: bool = False,
    ) -> Run:
        """Start a run of a task and return it at once, as `concurrent.futures` does.

        task: a process type; left out, `task` or the only candidate. command: any command instead.
        secrets: names of parameters whose values come from the environment, the keyring or a hidden
        prompt; they, and parameters that are a Secret, are hidden in whatever the task prints.
        size: a dyno size; timeout: seconds of the dyno's longest life, boot included. any_type:
        take process types that are no tasks, too. override: names that may replace config vars.
        rows: False takes no rows. detach: the run goes on when this process ends, for `attach()`.
        Raises InvalidParameters before anything starts.
        """
        order = self._ordered(
            task,
            {**(parameters or {}), **_found(secrets, parameters or {})},
            command=command,
            size=size,
            timeout=timeout,
            any_type=any_type,
            override=override,
            rows=rows,
            detach=detach,
        )
        self._mask |= order.mask
        run = Run(self.client, order).start()
        _remember(run)
        return run

    def sweep(
        self,
        task: str | None,
        each: Mapping[str, Any],
        parameters: Mapping[str, Any] | None = None,
        *,
        zip: bool = False,  # noqa: A002 - it does what `zip` does
        jobs: int | None = None,
        sample: int | None = None,
        seed: int | None = None,
        retries: int = 0,
        retry_tasks: bool = False,
        fail_fast: bool = False,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        rows: bool = True,
    ) -> Sweep:
        """Start a run for each combination of values and return the sweep at once.

        each: values by parameter, all combinations of them (zip: all in step); a table or a list of
        dicts under a name that the task does not declare makes a run of each row. parameters: the same
        in every run. jobs: most runs at once. sample, seed: that many combinations, drawn by chance.
        retries: more tries of a run that the platform failed; retry_tasks: and of one whose task did.
        fail_fast: stop at the first failure. The others are submit()'s. Raises InvalidParameters
        before anything starts.
        """
        fixed = {**(parameters or {}), **_found(secrets, {**(parameters or {}), **each})}
        chosen = self._task(task, any_type=any_type)
        declared = None if chosen.schema is None else [one.name for one in chosen.parameters]
        made = grid(each, declared, in_step=zip)
        places = made.sample(sample, seed) if sample else range(len(made))
        _refuse_too_many(len(places))
        _check_axes(chosen, made, fixed)
        first = self._ordered(
            task,
            {**fixed, **made[places[0]]},
            size=size,
            timeout=timeout,
            any_type=any_type,
            override=override,
            rows=rows,
        )
        self._mask |= first.mask
        added = {name: value for name, value in first.env.items() if name == "RUN_PACE"}
        sweep = Sweep(
            self.client,
            lambda cell: replace(first, env={**_encoded({**fixed, **cell}, chosen, []), **added}),
            made,
            places,
            task=chosen.name,
            jobs=jobs or self._most_at_once(first.size),
            retries=retries,
            retry_tasks=retry_tasks,
            fail_fast=fail_fast,
        ).start()
        _remember(sweep)
        return sweep

    def _most_at_once(self, size: str | None) -> int:
        """How many dynos of a size an app may run at once; the embedded Heroku two a processor."""
        if self.settings.is_local:
            return 2 * (os.cpu_count() or 1)
        return AT_ONCE.get((size or "").lower(), 5)

    def _ordered(
        self,
        task: str | None,
        parameters: Mapping[str, Any],
        *,
        command: str | None = None,
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        rows: bool = True,
        detach: bool = False,
    ) -> Order:
        """What a run needs, checked: nothing has been started yet."""
        order = self._order(task, parameters, command, any_type=any_type, override=frozenset(override))
        limit = self.settings.timeout if timeout is None else timeout
        if not 0 < limit <= settings_.LONGEST_TIMEOUT:
            raise InvalidOptions(
                f"timeout is {limit}: expected seconds from 1 to {settings_.LONGEST_TIMEOUT} (24 hours)."
            )
        if detach and self.settings.is_local:
            raise InvalidOptions(
                "The embedded Heroku and its dynos end with this kernel: detach needs an app on Heroku, or an emulator "
                "started by itself (python -m heroku_magic.emulator) and named by HEROKU_HOST."
            )
        if not self.settings.is_local:
            order["env"] = {**order["env"], "RUN_PACE": str(self.settings.pace)}
            if warning := self._preflight.check(limit):
                self.say(warning)
        size = size or self.settings.size
        return Order(**{**order, "size": size, "timeout": limit, "takes_rows": rows, "outlives": detach})

    def attach(self, run: str) -> Run:
        """Take up a run that `detach` left, by its id, from any process in the folder where it was started.

        Its log and rows are whole as long as the app's last 1,500 log lines hold them; else the run
        ends with what is missing. Once it was read it cannot be attached again.
        """
        detached = detached_.load(run, self.client.base_url, self.app)
        order = Order(
            self.app,
            self.app_name,
            detached.task,
            detached.command,
            {name: find(name) for name in detached.secrets},
            timeout=detached.timeout,
            takes_rows=detached.takes_rows,
            is_local=self.settings.is_local,
            outlives=True,
        )
        attached = Run(self.client, order, detached).start()
        _remember(attached)
        return attached

    def tasks(self) -> list[Task]:
        """Return the app's tasks with their declared parameters (asks `describe` where there is one)."""
        snapshot = self._look()
        return _tasks_of(snapshot, self._declarations(snapshot))

    def known_tasks(self) -> list[Task]:
        """Return the app's tasks as far as they are known already: nobody is asked, nothing runs."""
        known = self._snapshot
        return _tasks_of(known, self._declared.get(known.slug, {})) if known else []

    def dynos(self) -> list[Dyno]:
        """Return the app's dynos that are there now, ours and others."""
        return self.client.dynos(self.app)

    def our_dynos(self) -> list[str]:
        """Return the names of the app's dynos that carry a run's id; whatever is tried again, nothing is said."""
        return [dyno.name for dyno in self.client.with_say(say_nothing).dynos(self.app) if run_id(dyno)]

    def known_dynos(self) -> list[str]:
        """Return the names of the dynos whose runs this process follows: nobody is asked."""
        return sorted(run.dyno for run in running_runs() if run.dyno and run.app == self.app_name)

    def stop(self, dyno: str, *, any_dyno: bool = False) -> str:
        """Stop a dyno by its name (`run.1234`), id or run id, and return its name.

        Only dynos that carry a run's id are stopped, unless `any_dyno`.
        """
        found = next((one for one in self.dynos() if dyno in {one.name, one.id, run_id(one)}), None)
        if found is None:
            raise NotFound(f"{dyno} is not running on {self.app_name}: `%heroku ps` lists what is.", status=404)
        if run_id(found) is None and not any_dyno:
            raise InvalidOptions(
                f"{found.name} was not started by heroku_magic (it runs `{found.command}`): --any stops it too."
            )
        self.client.stop_dyno(self.app, found.id)
        return found.name

    def logs(self, dyno: str) -> list[LogLine]:
        """Return what Heroku still holds of a dyno's log: at most the app's last 1,500 lines.

        Secrets of runs that this process started are hidden.
        """
        return [self._mask.line(line) for line in backlog(self.client, self.app, dyno)]

    def create(self, name: str | None = None, *, region: str | None = None, stack: str | None = None) -> Heroku:
        """Create an app in the same account and return a connection to it; nothing runs there before it is deployed."""
        app = self.account.create(name, region=region, stack=stack)
        return _connected(self.account, app, self.settings, self.say)

    @contextmanager
    def temporary_app(
        self,
        folder: str | os.PathLike[str] = "worker",
        *,
        region: str | None = None,
        stack: str | None = None,
        allow: Iterable[str] = (),
    ) -> Iterator[Heroku]:
        """Make an app of a folder in the same account, for the time of a `with`, as heroku_magic.temporary_app does."""
        app = self.account.create_temporary(region=region, stack=stack)
        with _shipped(_connected(self.account, app, self.settings, self.say), folder, allow) as heroku:
            yield heroku

    def deploy(self, folder: str | os.PathLike[str] = "worker", *, allow: Iterable[str] = ()) -> Deployed:
        """Build a folder at Heroku and release it; wait for it, and return what came of it.

        allow: paths in the folder that are sent although they look like secrets. A folder that the
        app runs already is not built again. Raises DeployRefused before anything is sent, BuildFailed
        with the build's output (the release before goes on), or an ApiError.
        """
        deploy = self.start_deploy(folder, allow=allow)
        try:
            return deploy.result()
        except KeyboardInterrupt:
            raise Interrupted(deploy.give_up()) from None

    def start_deploy(self, folder: str | os.PathLike[str] = "worker", *, allow: Iterable[str] = ()) -> Deploy:
        """Check and pack a folder, and begin to deploy it; its `events()` tell how it goes."""
        if self.settings.app is None:
            folder = _shown(self.settings.worker or settings_.shipped_worker())
            raise InvalidOptions(
                f"The embedded Heroku serves {folder} live: there is nothing to deploy. "
                "%heroku create makes an app to deploy to."
            )
        package = pack(Path(folder).expanduser().resolve(), allow=allow)
        if issues := inspect(package.names, package.texts):
            raise DeployRefused(issues)
        self._snapshot = None
        return Deploy(self.client, self.app, self.app_name, package).start()

    def releases(self) -> list[Release]:
        """Return the app's releases, the newest first."""
        return self.client.releases(self.app)

    def rollback(self, version: str | int) -> Release:
        """Release again what an earlier release ran, such as `v12`, with its config vars."""
        text = str(version)
        number = text.removeprefix("v")
        found = next((one for one in self.releases() if str(one.version) == number), None)
        if found is None:
            raise InvalidOptions(
                f"{self.app_name} has no release {clean_line(text[:20])}: %heroku releases lists them."
            )
        self._snapshot = None
        return self.client.rollback(self.app, found.id)

    def destroy(self, *, confirm: str) -> None:
        """Destroy the app with all that it has, for good; `confirm` must be its name."""
        if self.settings.app is None:
            raise InvalidOptions("The embedded Heroku's app is a folder of yours: it ends with this process.")
        self.account.destroy(self.app, confirm=confirm)

    def config(self) -> list[str]:
        """Return the names of the app's config vars; their values stay where they are."""
        return self._config.names()

    def set_config(self, name: str, value: Secret | None = None) -> None:
        """Set a config var; without a value a hidden prompt asks for it.

        Heroku makes a release of it and restarts what the formation runs; one-off dynos go on.
        """
        self._config.set(name, value)
        self._forget_release()

    def unset_config(self, *names: str) -> None:
        """Remove config vars; a release, too."""
        self._config.unset(*names)
        self._forget_release()

    @property
    def _config(self) -> ConfigVars:
        return ConfigVars(self.client, self.app, self.app_name, self.say)

    def _forget_release(self) -> None:
        self._snapshot = None
        self._config_names.clear()

    def check(self) -> str:
        """Return the app's name, once the API says that it is there."""
        try:
            return self.client.app(self.app).name
        except NotFound:
            pass
        raise self._unknown_app()

    def status(self) -> dict[str, str]:
        """Return what a user wants to know: app, release, dynos, drains, and the facts of the account."""
        ours = [dyno for dyno in self.dynos() if run_id(dyno)]
        where = (
            f"serving {_shown(self.settings.worker)}" if self.settings.worker else f"from {self.settings.app_source}"
        )
        return {
            "app": f"{self.app_name} ({where})",
            "release": told(self._version),
            "our dynos": ", ".join(f"{dyno.name} ({dyno.state})" for dyno in ours) or "none",
            "log drains": told(lambda: drains(self.client.log_drains(self.app))),
            **self.account.status(),
        }

    def _version(self) -> str:
        release = self._look().release
        return f"v{release.version}" if release else "none: nothing is deployed"

    # -- from a task's name to what a run needs ----------------------------------------------------

    def _order(
        self,
        task: str | None,
        parameters: Mapping[str, Any],
        command: str | None,
        *,
        any_type: bool,
        override: frozenset[str],
    ) -> dict[str, Any]:
        common = {"app": self.app, "app_name": self.app_name, "is_local": self.settings.is_local}
        if command is not None:
            if task is not None:
                raise InvalidOptions("A task and a command were both given: one run runs one of them.")
            return {**common, "task": _title(command), "command": command, "env": to_env(parameters)}
        chosen = self._task(task, any_type=any_type)
        issues = check(chosen, parameters)
        if issues:
            self._snapshot = None  # the code may be newer than what we knew: look once more before refusing
            chosen = self._task(task, any_type=any_type)
            issues = check(chosen, parameters)
        if chosen.schema is None:
            issues += self._clashes(parameters, override)
        env = _encoded(parameters, chosen, issues)
        for fault in chosen.faults:
            self.say(f"What {chosen.name} declares: {fault}")
        return {**common, "task": chosen.name, "command": chosen.name, "env": env}

    def _task(self, name: str | None, *, any_type: bool) -> Task:
        snapshot = self._look()
        types = {type_: (kind.command, kind.quantity) for type_, kind in snapshot.types.items()}
        chosen = choose(name, types, any_type=any_type)
        return self._declarations(snapshot).get(chosen) or _undeclared(snapshot, chosen)

    def _look(self) -> Snapshot:
        """The app's release and process types; the release is asked for at most once in `FRESH` seconds."""
        known, now = self._snapshot, time.monotonic()
        if known and now - known.taken_at < FRESH:
            return known
        try:
            release = self.client.current_release(self.app)
            if known and known.release and release and known.release.id == release.id:
                types: Mapping[str, ProcessType] = known.types
            else:
                types = {kind.type: kind for kind in self.client.formation(self.app)}
        except NotFound:
            raise self._unknown_app() from None
        self._snapshot = Snapshot(release, types, now)
        return self._snapshot

    def _unknown_app(self) -> NotFound:
        names = ", ".join(app.name for app in self.client.apps()) or "none"
        return NotFound(
            f"There is no app {self.app!r} (from {self.settings.app_source}), or this account has no access to it. "
            f"The account's apps: {names}.",
            status=404,
        )

    def _declarations(self, snapshot: Snapshot) -> dict[str, Task]:
        """What the app's tasks take: asked once a slug by the process type `describe`, if it is the helper's."""
        if snapshot.slug not in self._declared:
            describe = snapshot.types.get("describe")
            if describe is None or not _DESCRIBES.search(describe.command):
                return {}
            self._declared[snapshot.slug] = self._described(snapshot)
        return self._declared[snapshot.slug]

    def _described(self, snapshot: Snapshot) -> dict[str, Task]:
        if not self.settings.is_local:
            self.say(f"Asking {self.app} what its tasks take (one short dyno, process type `describe`).")
        order = Order(
            self.app,
            self.app_name,
            "describe",
            "describe",
            {},
            timeout=DESCRIBE_TIMEOUT,
            is_local=self.settings.is_local,
        )
        run = Run(self.client, order).start()
        try:
            error = run.exception()
        except KeyboardInterrupt:
            run.cancel()
            raise
        if error is not None:
            self.say(f"The tasks did not tell what they take, so nothing is checked before the start: {error}")
            return {}
        tasks = (
            Task.from_row(row, snapshot.types[row["task"]].command)
            for part in run.parts or []
            for row in (part.rows if isinstance(part, Rows) else [])
            if row.get("task") in snapshot.types
        )
        return {task.name: task for task in tasks}

    def _clashes(self, parameters: Mapping[str, Any], override: frozenset[str]) -> list[str]:
        """For a task that declares nothing: its parameters may not replace the app's config vars unnoticed."""
        if not parameters:
            return []
        slug = self._look().release
        key = slug.id if slug else ""
        if key not in self._config_names:
            self._config_names = {key: frozenset(self.client.config_vars(self.app))}
        clashing = sorted(self._config_names[key] & parameters.keys() - override)
        return [
            f"{name} is a config var of {self.app_name}: --override {name} replaces it for this run."
            for name in clashing
        ]


def run_id(dyno: Dyno) -> str | None:
    """Return the id of the run that a dyno carries, or None if heroku_magic did not start it."""
    match = _MARK.search(dyno.command)
    return match[1] if match else None


def connections() -> list[Heroku]:
    """Return the connections that this process made, that which was used last at the end."""
    return list(_connections.values())


def last() -> Run | Sweep | None:
    """Return the run or the sweep that was started last in this process."""
    return _last


_last: Run | Sweep | None = None
_connections: dict[tuple[str, str, Secret], Heroku] = {}
_announced: set[Path] = set()


def _remember(run: Run | Sweep) -> None:
    global _last  # noqa: PLW0603 - `heroku_magic.last` is one value a process, by design
    _last = run


def _connect_local(chosen: Settings, say: Say) -> Heroku:
    folder = chosen.worker or settings_.shipped_worker()
    server = embedded(folder)
    if folder not in _announced:
        _announced.add(folder)
        why = "No app is set: using" if chosen.app_source == settings_.NOTHING_SET else "Using"
        say(f"{why} the embedded Heroku, serving {_shown(folder)}. A dyno there is a process of yours, no sandbox.")
    key = (server.url, server.app, server.token)
    known = _connections.get(key)
    if known is None:
        client = HerokuClient(server.url, server.token, token_source=EMBEDDED, say=say)
        known = _connections[key] = Heroku(client, server.app, chosen, say)
    known.settings, known.say = chosen, say
    _connections[key] = _connections.pop(key)  # the one used last stands last
    return known


def _connect_remote(chosen: Settings, say: Say) -> Heroku:
    url, app = settings_.base_url(), chosen.app or ""
    try:
        token, source = find_token(url)
    except NoToken:
        server = None if os.environ.get("HEROKU_HOST") else _embedded_with(app)
        if server is None:
            raise
        url, token, source = server.url, server.token, EMBEDDED
        chosen = replace(chosen, is_embedded=True)
    key = (url, app, token)
    known = _connections.get(key)
    if known is None:
        client = HerokuClient(url, token, token_source=source, say=say)
        known = _connections[key] = Heroku(client, app, chosen, say)
    known.settings = chosen
    _connections[key] = _connections.pop(key)
    return known


def _embedded_with(app: str) -> Embedded | None:
    """The embedded Heroku of this process where an app of this name was created."""
    for server in running():
        with suppress(NotFound):
            HerokuClient(server.url, server.token).app(app)
            return server
    return None


def _no_app() -> NoApp:
    """A token or a host is set but no app: list the account's apps."""
    url = settings_.base_url()
    token, source = find_token(url)
    client = HerokuClient(url, token)
    names = "".join(f"\n  {app.name}" for app in client.apps()) or " none"
    client.close()
    return NoApp(
        f"A token is set ({source}) but no app. The account's apps:{names}\n"
        "Choose one with `%heroku use NAME` or --app NAME; or --local for the embedded Heroku."
    )


def _tasks_of(snapshot: Snapshot, declared: Mapping[str, Task]) -> list[Task]:
    names = [name for name, kind in snapshot.types.items() if kind.quantity == 0 and name not in NO_TASKS]
    return [declared.get(name) or _undeclared(snapshot, name) for name in names]


def _undeclared(snapshot: Snapshot, name: str) -> Task:
    return Task(name, snapshot.types[name].command, None)


def _encoded(parameters: Mapping[str, Any], task: Task, issues: list[str]) -> dict[str, str | Secret]:
    """The environment to send; raises with every fault of checking and encoding at once."""
    try:
        env = to_env(parameters, task.schema)
    except InvalidParameters as error:
        issues = issues + [issue for issue in error.issues if issue not in issues]
    if issues:
        raise InvalidParameters(issues)
    return env


def _found(secrets: Iterable[str], parameters: Mapping[str, Any]) -> dict[str, Secret]:
    """The values of secret parameters, asked for once nothing else is wrong with their names."""
    names = list(secrets)
    if twice := sorted({name for name in names if name in parameters or names.count(name) > 1}):
        raise InvalidOptions(f"{', '.join(twice)}: given twice, once as a secret. Give each parameter once.")
    if issues := refused(names):
        raise InvalidParameters(issues)
    return {name: find(name) for name in names}


def _refuse_too_many(count: int) -> None:
    if count > MOST_RUNS:
        remedy = "--sample K draws K of them, or make the lists shorter"
        raise InvalidParameters([f"{count:,} combinations are more than {MOST_RUNS:,} runs: {remedy}."])


def _check_axes(task: Task, made: Grid, fixed: Mapping[str, Any]) -> None:
    """Check each value once, not each combination. Raises InvalidParameters with every fault."""
    first, issues = made[0], dict[str, None]()
    for axis in made.axes:
        for place in range(len(axis.values)):
            issues.update(dict.fromkeys(_issues(task, {**fixed, **first, **axis[place]})))
    if issues:
        raise InvalidParameters([*issues])


def _issues(task: Task, parameters: Mapping[str, Any]) -> list[str]:
    """What is wrong with the parameters of one run: for the task, or for the way there."""
    try:
        _encoded(parameters, task, check(task, parameters))
    except InvalidParameters as error:
        return error.issues
    return []


def _title(command: str) -> str:
    return command if len(command) <= 40 else f"{command[:39]}…"


def _shown(folder: Path) -> str:
    """A folder as a user would write it."""
    if folder == settings_.shipped_worker():
        return "the shipped worker"
    try:
        return f"./{folder.relative_to(Path.cwd())}"
    except ValueError:
        return str(folder)
