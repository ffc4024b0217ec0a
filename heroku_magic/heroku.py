"""connect() and Heroku, the verbs in Python: settings -> client -> runs; no other module starts the emulator."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic import detached as detached_
from heroku_magic import settings as settings_
from heroku_magic.client import HerokuClient
from heroku_magic.embedded import embedded
from heroku_magic.errors import (
    InvalidOptions,
    InvalidParameters,
    NotFound,
    SettingsError,
)
from heroku_magic.logstream import backlog
from heroku_magic.masking import Mask
from heroku_magic.parameters import refused, to_env
from heroku_magic.preflight import Preflight
from heroku_magic.records import Rows
from heroku_magic.run import Order, Run
from heroku_magic.settings import Choice, NoApp, Settings
from heroku_magic.tasks import Task, check, choose
from heroku_magic.vault import find

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd

    from heroku_magic.loglines import LogLine
    from heroku_magic.resources import Dyno, ProcessType, Release
    from heroku_magic.secret import Secret

Say = Callable[[str], None]

FRESH = 5.0  # seconds: the current release is asked for at most once in this time
DESCRIBE_TIMEOUT = 60  # seconds of life of the dyno that tells what the tasks take
EMBEDDED = "embedded"

_MARK = re.compile(r"#(hm-[0-9a-f]{8})$")
_USES_HELPER = re.compile(r"\bpython[\d.]*\b.* -m heroku_task\b")
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
        self._preflight = Preflight(client, app)
        self._hidden: set[Secret] = set()  # what no log that is read again may show

    def with_say(self, say: Say) -> Heroku:
        """Return the same connection whose words for the user go to `say`."""
        other = copy(self)
        other.say = say
        return other

    @property
    def app_name(self) -> str:
        """What to show: the app's name, or "embedded"."""
        return EMBEDDED if self.settings.is_local else self.app

    def __repr__(self) -> str:
        folder = f" serving {self.settings.worker}" if self.settings.is_local else ""
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
        parameters = {**(parameters or {}), **_found(secrets, parameters or {})}
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
        whole = Order(**{**order, "size": size, "timeout": limit, "takes_rows": rows, "outlives": detach})
        self._hidden.update(whole.secrets.values())
        run = Run(self.client, whole).start()
        _remember(run)
        return run

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
            outlives=True,
        )
        attached = Run(self.client, order, detached).start()
        _remember(attached)
        return attached

    def task(self, name: str | None = None, *, any_type: bool = False) -> Task:
        """Return the task that a run of this name would run, with its declared parameters."""
        return self._task(name, any_type=any_type)

    def tasks(self) -> list[Task]:
        """Return the app's tasks with their declared parameters (asks `describe` where there is one)."""
        snapshot = self._look()
        declared = self._declarations(snapshot)
        names = [name for name, kind in snapshot.types.items() if kind.quantity == 0]
        hidden = {"web", "release", "describe"}
        return [declared.get(name) or _undeclared(snapshot, name) for name in names if name not in hidden]

    def dynos(self) -> list[Dyno]:
        """Return the app's dynos that are there now, ours and others."""
        return self.client.dynos(self.app)

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
        mask = Mask(self._hidden)
        return [mask.line(line) for line in backlog(self.client, self.app, dyno)]

    def check(self) -> str:
        """Return the app's name, once the API says that it is there."""
        try:
            return self.client.app(self.app).name
        except NotFound:
            pass
        raise self._unknown_app()

    def status(self) -> dict[str, str]:
        """Return what a user wants to know of the connection: app, API, account, quota, running dynos."""
        ours = [dyno for dyno in self.dynos() if run_id(dyno)]
        release = self._look().release
        where = (
            f"serving {_shown(self.settings.worker)}" if self.settings.worker else f"from {self.settings.app_source}"
        )
        return {
            "app": f"{self.app_name} ({where})",
            "release": f"v{release.version}" if release else "none: nothing is deployed",
            "API": f"{self.client.base_url} as {self.client.account().email}",
            "token": self.client.token_source,
            "requests left": f"{self.client.rate_limit().remaining} of 4500 this hour",
            "our dynos": ", ".join(f"{dyno.name} ({dyno.state})" for dyno in ours) or "none",
        }

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
        common = {"app": self.app, "app_name": self.app_name}
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
        return {**common, "task": chosen.name, "command": chosen.name, "env": env}

    def _task(self, name: str | None, *, any_type: bool) -> Task:
        snapshot = self._look()
        types = {type_: (kind.command, kind.quantity) for type_, kind in snapshot.types.items()}
        chosen = choose(name, types, any_type=any_type)
        if not _USES_HELPER.search(types[chosen][0]):
            return _undeclared(snapshot, chosen)
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
        run = Run(
            self.client, Order(self.app, self.app_name, "describe", "describe", {}, timeout=DESCRIBE_TIMEOUT)
        ).start()
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


def last() -> Run | None:
    """Return the run that was started last in this process."""
    return _last


_last: Run | None = None
_connections: dict[tuple[str, str, Secret], Heroku] = {}
_announced: set[Path] = set()


def _remember(run: Run) -> None:
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
    return known


def _connect_remote(chosen: Settings, say: Say) -> Heroku:
    url = settings_.base_url()
    token, source = settings_.find_token(url)
    key = (url, chosen.app or "", token)
    known = _connections.get(key)
    if known is None:
        client = HerokuClient(url, token, token_source=source, say=say)
        known = _connections[key] = Heroku(client, chosen.app or "", chosen, say)
    known.settings = chosen
    return known


def _no_app() -> SettingsError:
    """A token or a host is set but no app: list the account's apps."""
    url = settings_.base_url()
    token, source = settings_.find_token(url)
    client = HerokuClient(url, token)
    names = "".join(f"\n  {app.name}" for app in client.apps()) or " none"
    client.close()
    return SettingsError(
        f"A token is set ({source}) but no app. The account's apps:{names}\n"
        "Choose one with `%heroku use NAME` or --app NAME; or --local for the embedded Heroku."
    )


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


def _title(command: str) -> str:
    return command if len(command) <= 40 else f"{command[:39]}…"


def _shown(folder: Path) -> str:
    """A folder as a user would write it."""
    from pathlib import Path

    if folder == settings_.shipped_worker():
        return "the shipped worker"
    try:
        return f"./{folder.relative_to(Path.cwd())}"
    except ValueError:
        return str(folder)
