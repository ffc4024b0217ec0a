"""Heroku: the verbs for one app in Python, `run`, `sweep`, `deploy` and all others; it chooses no app."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

from heroku_magic.accounts.apps import Account, describe_drains, unless_forbidden
from heroku_magic.accounts.config_vars import ConfigVars
from heroku_magic.accounts.secret_sources import find
from heroku_magic.api.log_stream import backlog
from heroku_magic.app import resume as resumption
from heroku_magic.app.catalog import Catalogue
from heroku_magic.app.function import Decorator, bound, value
from heroku_magic.app.planner import Ordering, second_price
from heroku_magic.app.resume import Rest
from heroku_magic.deploy.archive import pack
from heroku_magic.deploy.checks import problems
from heroku_magic.deploy.deploy import Deploy
from heroku_magic.errors import (
    DeployRefused,
    Interrupted,
    InvalidOptions,
    InvalidParameters,
    NotFound,
)
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.records import RUN_ID
from heroku_magic.runs import detached as detached_
from heroku_magic.runs.options import RunOptions, SweepOptions, check_count, pick, split
from heroku_magic.runs.registry import mean_duration, running_runs
from heroku_magic.runs.run import Run
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.cost import Estimate
from heroku_magic.sweeps.executor import DynoExecutor
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.notifier import notifies_owner, notify
from heroku_magic.text.redact import Mask
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pandas as pd

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import App, Dyno, Release
    from heroku_magic.deploy.deploy import Deployed
    from heroku_magic.protocol.task import Task
    from heroku_magic.sweeps.plan import Plan
    from heroku_magic.text.notifier import MessageCallback
    from heroku_magic.text.secret import Secret

EMBEDDED = "embedded"

_MARK = re.compile(rf"#({RUN_ID})$")


@contextmanager
def shipped(heroku: Heroku, folder: str | os.PathLike[str], allow: Iterable[str]) -> Iterator[Heroku]:
    """Deploy a folder to an app for the time of a `with`; it is destroyed in the end, whatever happens."""
    try:
        heroku.deploy(folder, allow=allow)
        yield heroku
    finally:
        heroku.account.discard(heroku.app)


def connected(owner: Account, app: App, settings: Settings) -> Heroku:
    """Return a connection to an app that was just created."""
    chosen = replace(settings, app=app.name, app_source="create", worker=None, is_embedded=owner.is_embedded)
    return Heroku(owner.client, app.name, chosen, owner.on_message)


@notifies_owner
class Heroku:
    """The verbs for one app: run, submit, tasks, dynos, stop, logs. Made by `connect()`."""

    def __init__(self, client: HerokuClient, app: str, settings: Settings, on_message: MessageCallback = print) -> None:
        self.app = app
        self.settings = settings
        self.client = client
        self.on_message = on_message  # of whoever connected last: connections are shared
        self._catalogue = Catalogue(self)
        self._ordering = Ordering(self, self._catalogue)
        self._hidden: set[Secret] = set()  # what no log that is read again may show

    @property
    def account(self) -> Account:
        """The account that the app is used with."""
        return Account(self.client, is_embedded=self.settings.is_local, on_message=self.on_message)

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
        return _result(self.submit(task, parameters, **options))

    def submit(
        self,
        task: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        command: str | None = None,
        code: str | Callable[..., Any] | None = None,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        rows: bool = True,
        detach: bool = False,
        max_cost: float | None = None,
    ) -> Run:
        """Start a run of a task and return it at once, as `concurrent.futures` does.

        task: a process type; left out, `task` or the only candidate. command: any command instead. code:
        Python of yours instead, as `%%dyno` ships it: a text that finds the parameters as its names, or a
        function that takes them.
        secrets: names of parameters whose values come from the environment, the keyring or a hidden
        prompt; they, and parameters that are a Secret, are hidden in whatever the task prints.
        size: a dyno size; timeout: seconds of the dyno's longest life, boot included. any_type:
        take process types that are no tasks, too. override: names that may replace config vars.
        rows: False takes no rows. detach: the run goes on when this process ends, for `attach()`.
        max_cost: dollars at list price, which make the dyno's longest life.
        Raises InvalidParameters before anything starts.
        """
        options = pick(RunOptions, locals())
        return self._started(self._ordering.order(task, parameters or {}, options))

    def _started(self, order: RunSpec) -> Run:
        self._hidden.update(order.secrets.values())
        run = Run(self.client, order).start()
        run.add_done_callback(self._ordering.learn)
        _remember(run)
        return run

    def sweep(
        self,
        task: str | None,
        each: Mapping[str, Any],
        parameters: Mapping[str, Any] | None = None,
        *,
        code: str | Callable[..., Any] | None = None,
        zip: bool = False,  # noqa: A002 - it does what `zip` does
        jobs: int | None = None,
        chunk: int | Literal["auto"] = 1,
        sample: int | None = None,
        seed: int | None = None,
        retries: int = 0,
        retry_tasks: bool = False,
        fail_fast: bool = False,
        save: str | os.PathLike[str] | None = None,
        max_cost: float | None = None,
        detach: bool = False,
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
        in every run. jobs: most runs at once. chunk: combinations that share a dyno, one after another, so
        that its boot is paid once; "auto" judges by what it measures. sample, seed: that many
        combinations, drawn by chance. retries: more tries of a run that the platform failed;
        retry_tasks: and of one whose task did. fail_fast: stop at the first failure. save: a file that
        `resume()` goes on from. max_cost: dollars at list price, refused before or stopped at. The
        others are submit()'s. Raises InvalidParameters before anything starts.
        """
        options, run_options = pick(SweepOptions, locals()), pick(RunOptions, locals())
        plan = self._ordering.sweep(task, each, parameters or {}, run_options, options)
        self._estimated(plan, options)
        name = f"hs-{token_hex(4)}"
        return self._swept(Rest(name, plan, options, resumption.begin(name, self, plan, options), (), ()))

    def resume(self, save: str | os.PathLike[str] | Sweep) -> Sweep:
        """Go on with a sweep that ended early: only what is missing is run. save: it, its file, or its id.

        Runs that `detach` left alive are taken up again, as far as the app's last 1,500 log lines reach.
        Its budget begins anew.
        """
        rest = resumption.rest(save, self, self._ordering)
        if budget := rest.options.max_cost:
            notify(f"The ${budget:.4g} of --max-cost are counted from here on: what it cost before is not in them.")
        return self._swept(rest)

    def _swept(self, rest: Rest) -> Sweep:
        self._hidden.update(rest.plan.first.secrets.values())
        sweep = Sweep(
            self.client,
            rest.plan,
            rest.options,
            id=rest.id,
            journal=rest.journal,
            known=rest.known,
            live=rest.live,
        ).start()
        _remember(sweep)
        return sweep

    def estimate(
        self,
        task: str | None = None,
        each: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Estimate:
        """Return what runs would take and cost, without starting one; the arguments are sweep()'s or submit()'s.

        Raises InvalidParameters as they do, for a budget that is too small, too.
        """
        run_options, sweep_options = split(options)
        run_options = replace(run_options, dry_run=True)
        if each:
            plan = self._ordering.sweep(task, each, parameters or {}, run_options, sweep_options)
            return self._estimated(plan, sweep_options)
        order = self._ordering.order(task, parameters or {}, run_options)
        return Estimate(order, measured=mean_duration(order), requests_left=self.client.requests_left)

    def _estimated(self, plan: Plan, options: SweepOptions) -> Estimate:
        """Estimate a sweep. Raises InvalidParameters if its budget is known to be too small."""
        order = plan.first
        at_once = options.jobs or plan.most_at_once(order.size)
        seconds, left = mean_duration(order), self.client.requests_left
        made = Estimate(order, len(plan), options.chunk_size, at_once, seconds, left)
        if options.max_cost is not None:
            second_price(order)
            if refusal := made.refuses(options.max_cost):
                raise InvalidParameters([refusal])
        return made

    def executor(
        self,
        task: str | None = None,
        *,
        jobs: int | None = None,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        rows: bool = True,
    ) -> DynoExecutor:
        """Return a `concurrent.futures.Executor` whose calls run on dynos: of functions, or of `executor.task`.

        Without a task it ships functions, as `function()` does. With one, a call's arguments are the task's
        parameters, in the order in which it declares them or by name; its value is the DataFrame. jobs: most
        dynos at once. The others are submit()'s.
        """
        check_count("jobs", jobs)
        options = pick(RunOptions, locals())
        most = self._ordering.most_at_once

        def most_at_once(given: str | None) -> int:
            return jobs or most(given or size)

        def shipped(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
            return self._ordering.order(None, bound(function, args, kwargs), replace(options, code=function, rows=True))

        if task is None:
            return DynoExecutor(self.client, shipped, value, task=None, most_at_once=most_at_once)
        named = self._catalogue.task(task, any_type=any_type)

        def called(*args: Any, **kwargs: Any) -> pd.DataFrame | None:
            return _result(self._started(order(called, args, kwargs)))

        def order(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RunSpec:
            if function is not called:
                raise InvalidOptions(
                    f"This executor runs the task {named.name}: give executor.task to submit() or map()."
                )
            made = self._ordering.order(named.name, named.bound(args, kwargs), options)
            self._hidden.update(made.secrets.values())
            return made

        called.__name__ = called.__qualname__ = named.name
        return DynoExecutor(self.client, order, lambda run: run.partial, task=called, most_at_once=most_at_once)

    @property
    def function(self) -> Decorator:
        """What decorates a function whose calls run on dynos of this app: `@heroku.function`."""
        return Decorator(lambda: self)

    def attach(self, run: str) -> Run | Sweep:
        """Take up a run or a sweep that `detach` left, by its id, from any process in the folder where it was started.

        Its log and rows are whole as long as the app's last 1,500 log lines hold them; else the run
        ends with what is missing. Once it was read it cannot be attached again.
        """
        if resumption.ID.fullmatch(run):
            return self.resume(run)
        detached = detached_.load(run, self.client.base_url, self.app)
        order = RunSpec(
            self.app,
            self.app_name,
            detached.task,
            detached.command,
            {name: find(name) for name in detached.secrets},
            timeout=detached.timeout,
            takes_rows=detached.takes_rows,
            is_local=self.settings.is_local,
            is_detached=True,
        )
        attached = Run(self.client, order, detached).start()
        _remember(attached)
        return attached

    def task(self, name: str | None = None, *, any_type: bool = False) -> Task:
        """Return the task that a run of this name would run, with its declared parameters."""
        return self._catalogue.task(name, any_type=any_type)

    def tasks(self) -> list[Task]:
        """Return the app's tasks with their declared parameters (asks `describe` where there is one)."""
        return self._catalogue.tasks()

    def known_tasks(self) -> list[Task]:
        """Return the app's tasks as far as they are known already: nobody is asked, nothing runs."""
        return self._catalogue.known_tasks()

    def dynos(self) -> list[Dyno]:
        """Return the app's dynos that are there now, ours and others."""
        return self.client.dynos(self.app)

    def our_dynos(self) -> list[str]:
        """Return the names of the app's dynos that carry a run's id."""
        return [dyno.name for dyno in self.dynos() if run_id(dyno)]

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
        mask = Mask(self._hidden)
        return [line.redacted(mask) for line in backlog(self.client, self.app, dyno)]

    def create(self, name: str | None = None, *, region: str | None = None, stack: str | None = None) -> Heroku:
        """Create an app in the same account and return a connection to it; nothing runs there before it is deployed."""
        app = self.account.create(name, region=region, stack=stack)
        return connected(self.account, app, self.settings)

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
        with shipped(connected(self.account, app, self.settings), folder, allow) as heroku:
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
            folder = shown(self.settings.worker or shipped_worker())
            raise InvalidOptions(
                f"The embedded Heroku serves {folder} live: there is nothing to deploy. "
                "%heroku create makes an app to deploy to."
            )
        archive = pack(Path(folder).expanduser().resolve(), allow=allow)
        if issues := problems(archive.names, archive.texts):
            raise DeployRefused(issues)
        self._catalogue.forget()
        return Deploy(self.client, self.app, self.app_name, archive).start()

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
        self._catalogue.forget()
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
        return ConfigVars(self.client, self.app, self.app_name)

    def _forget_release(self) -> None:
        self._catalogue.forget()
        self._ordering.forget()

    def check(self) -> str:
        """Return the app's name, once the API says that it is there."""
        try:
            return self.client.app(self.app).name
        except NotFound:
            pass
        raise self._catalogue.unknown_app()

    def status(self) -> dict[str, str]:
        """Return what a user wants to know: app, release, dynos, drains, and the facts of the account."""
        ours = [dyno for dyno in self.dynos() if run_id(dyno)]
        where = f"serving {shown(self.settings.worker)}" if self.settings.worker else f"from {self.settings.app_source}"
        return {
            "app": f"{self.app_name} ({where})",
            "release": unless_forbidden(self._version),
            "our dynos": ", ".join(f"{dyno.name} ({dyno.state})" for dyno in ours) or "none",
            "log drains": unless_forbidden(lambda: describe_drains(self.client.log_drains(self.app))),
            **self.account.status(),
        }

    def _version(self) -> str:
        release = self._catalogue.release()
        return f"v{release.version}" if release else "none: nothing is deployed"


def run_id(dyno: Dyno) -> str | None:
    """Return the id of the run that a dyno carries, or None if heroku_magic did not start it."""
    match = _MARK.search(dyno.command)
    return match[1] if match else None


def last() -> Run | Sweep | None:
    """Return the run or the sweep that was started last in this process."""
    return _last


def _result(run: Run) -> pd.DataFrame | None:
    """Wait for a run's rows; an interrupt stops its dyno, and waits until it is gone."""
    try:
        return run.result()
    except KeyboardInterrupt:
        run.cancel()
        return run.result()


_last: Run | Sweep | None = None


def _remember(run: Run | Sweep) -> None:
    global _last  # noqa: PLW0603 - `heroku_magic.last` is one value a process, by design
    _last = run


def shown(folder: Path) -> str:
    """Return a folder as a user would write it."""
    if folder == shipped_worker():
        return "the shipped worker"
    try:
        return f"./{folder.relative_to(Path.cwd())}"
    except ValueError:
        return str(folder)
