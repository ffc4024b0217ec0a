"""One Heroku app in Python: `Heroku.run`, `sweep` and the other methods that start or follow runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from heroku_magic.accounts.secret_sources import find
from heroku_magic.app import resume as resumption
from heroku_magic.app.executor_app import ExecutorApp
from heroku_magic.app.function import Decorator
from heroku_magic.app.planner import named
from heroku_magic.app.resume import ResumePlan
from heroku_magic.app.sweep_cache import answered_outcomes
from heroku_magic.app.sweep_planner import SweepPlanner, estimate
from heroku_magic.app.warm_app import warm_count
from heroku_magic.platform_facts.dyno_sizes import precise_money
from heroku_magic.runs import detached as detached_
from heroku_magic.runs.options import RunOptions, SweepOptions, pick, refuse_unknown, split
from heroku_magic.runs.registry import mean_duration
from heroku_magic.runs.run import Run
from heroku_magic.runs.started_by_call import cancelled_on_error, run_to_end
from heroku_magic.sweeps import journal
from heroku_magic.sweeps.cost import Estimate
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.notifier import notifies_owner, notify

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from heroku_magic.sweeps.plan import Plan


@notifies_owner
class Heroku(ExecutorApp):
    """A connection to one app, on Heroku or on the embedded Heroku. Created by `heroku_magic.connect()`.

    Attributes
    ----------
    app
        The app's name or id.
    app_name
        The name to show: the app's, `"embedded"` for a folder that the embedded Heroku serves, or both.
    settings
        The settings of the connection and where each comes from.
    account
        The account that the app is used with.

    Examples
    --------
    >>> import heroku_magic
    >>> heroku = heroku_magic.connect(local=True, say=lambda message: None)
    >>> "hello" in [task.name for task in heroku.tasks()]
    True
    """

    def run(
        self, task: str | None = None, parameters: Mapping[str, Any] | None = None, **options: Any
    ) -> pd.DataFrame | None:
        """Run a task, wait for it, and return its rows.

        An interrupt (Ctrl-C) stops the dyno, waits until it is gone, and raises RunCancelled.

        Parameters
        ----------
        task, parameters, **options
            As for `submit`.

        Returns
        -------
        pandas.DataFrame or None
            One row per emitted record; None if the task emits no table.

        Raises
        ------
        TaskFailed
            If the task fails; `.partial` holds the rows received before.
        ResultIncomplete
            If rows are missing and cannot be recovered.
        InvalidParameters, InvalidOptions, SettingsError
            Before a dyno is started.

        Examples
        --------
        >>> import heroku_magic
        >>> heroku = heroku_magic.connect(local=True, say=lambda message: None)
        >>> heroku.run(code="[{'square': n * n} for n in range(3)]")["square"].tolist()
        [0, 1, 4]
        """
        refuse_unknown(options, RunOptions)
        return run_to_end(lambda: self.submit(task, parameters, **options)).result()

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
        packages: Iterable[str] = (),
        rows: bool = True,
        detach: bool = False,
        max_cost: float | None = None,
        warm: bool = False,
        isolate: bool = True,
        allow_pickle: bool = False,
        cache: bool | None = None,
        max_age: float | None = None,
        refresh: bool = False,
        history: bool = True,
        inputs: Iterable[str] = (),
    ) -> Run:
        """Start a run of a task and return it at once, like `concurrent.futures.Executor.submit`.

        Parameters
        ----------
        task
            The task's name; None selects `task` or the only candidate.
        parameters
            The task's parameters by name. Values that are a `Secret` are hidden in the task's output.
        command
            A command line to run instead of a task.
        code
            Python code to run instead of a task: the text of a cell, in which the parameters are variables, or a
            function, whose arguments they are.
        secrets
            Names of parameters whose values come from the environment, the keyring or a hidden prompt.
        size
            The dyno size, such as `"standard-2x"`.
        timeout
            The dyno's longest life in seconds, boot included.
        any_type
            Accept a process type that is not a task, such as `web`.
        override
            Names of config vars that parameters may replace.
        packages
            Packages that the dyno installs first, such as `["pandas", "scipy>=1.10"]`. They are resolved here.
        rows
            False collects no rows.
        detach
            The run continues when this process ends; `attach` returns to it.
        max_cost
            Dollars at list price; limits the dyno's life.
        warm
            Run on a dyno that stays for the next calls: the first one boots it. The timeout is then the call's.
        isolate
            False keeps the state of Python from call to call, on warm dynos of their own.
        allow_pickle
            Let a function's value come back as a pickle: whoever can deploy to the app can run code on this computer.
        cache
            Answer from an earlier run that ended well with the same release, code and parameters, if there is one.
            False: neither do that, nor let this run answer a later call. None: if the task declares it and the
            notebook's setting says so.
        max_age
            Accept only a run that started at most this many seconds ago; implies `cache`.
        refresh
            Run in any case, and let the result replace the cached one.
        history
            False keeps the run out of the history.
        inputs
            Names of parameters of which the history keeps only a hash.

        Returns
        -------
        Run
            With `result()`, `cancel()`, `add_done_callback()` and so on.

        Raises
        ------
        InvalidParameters, InvalidOptions, SettingsError
            Before a dyno is started, listing every problem of the parameters.
        """
        options, given = self._planner.with_packages(pick(RunOptions, locals())), named("parameters", parameters)
        return self._answer(task, given, options) or self._start(self._planner.plan(task, given, options))

    def sweep(
        self,
        task: str | None,
        each: Mapping[str, Any],
        parameters: Mapping[str, Any] | None = None,
        *,
        code: str | Callable[..., Any] | None = None,
        zip: bool = False,  # noqa: A002 - as the built-in function
        jobs: int | None = None,
        chunk: int | Literal["auto"] = 1,
        sample: int | None = None,
        seed: int | None = None,
        retries: int = 0,
        retry_tasks: bool = False,
        fail_fast: bool = False,
        save: str | os.PathLike[str] | None = None,
        max_cost: float | None = None,
        plot: str | None = None,
        detach: bool = False,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        any_type: bool = False,
        override: Iterable[str] = (),
        packages: Iterable[str] = (),
        rows: bool = True,
        warm: bool = False,
        isolate: bool = True,
        allow_pickle: bool = False,
        cache: bool | None = None,
        max_age: float | None = None,
        refresh: bool = False,
        history: bool = True,
        inputs: Iterable[str] = (),
    ) -> Sweep:
        """Start a run for each combination of values and return the sweep at once.

        Parameters
        ----------
        task, code, detach, secrets, size, timeout, any_type, override, packages, rows, warm, isolate, allow_pickle
            As for `submit`, for each run. Warm dynos, at most 8 without `jobs`, take one run after the other.
        cache, max_age, refresh, history, inputs
            As for `submit`, for each run.
        each
            Values by parameter. A table or a list of dicts under a name that the task or function does not take makes
            one run per row.
        parameters
            The parameters that are the same in every run.
        zip
            Combine the values in step, instead of all combinations.
        jobs
            Most runs at the same time; None: as many as the app allows.
        chunk
            Combinations that share a dyno, one after another, so that its boot is paid once; `"auto"` adapts this to
            the measured times.
        sample, seed
            Run only that many combinations, drawn at random with this seed.
        retries
            Extra attempts for a run that the platform failed.
        retry_tasks
            Spend these attempts on runs whose task failed, too.
        fail_fast
            Stop at the first failure.
        save
            A file from which `resume` can continue.
        max_cost
            Dollars at list price for all runs together: the sweep is refused, or stopped when it reaches them.
        plot
            The column or metric that colours the runs; None: the first numeric column; `"none"`: their states.

        Returns
        -------
        Sweep
            With `result()`, `as_completed()`, `cancel()` and so on.

        Raises
        ------
        InvalidParameters, InvalidOptions, SettingsError
            Before a dyno is started, listing every problem of the values.
        """
        options = pick(SweepOptions, locals())
        run_options = self._planner.with_packages(pick(RunOptions, locals()))
        each, given = named("each", each), named("parameters", parameters)
        if (answered := self._answer_sweep((task, each, given), run_options, options)) is not None:
            return answered
        plan = self._sweep_planner.plan(task, each, given, run_options, options)
        known = answered_outcomes(plan, run_options)
        estimate(plan, options, self.client.requests_left, len(known))  # refuses a budget that is too small
        name = journal.new_id()
        file = resumption.open_journal(name, self, plan, options, known)
        return self._start_sweep(ResumePlan(name, plan, options, file, known, ()))

    def start_planned_sweep(self, make: Callable[[SweepPlanner], Plan], options: SweepOptions) -> Sweep:
        """Start the sweep that a function plans with the planner of this app."""
        plan = make(self._sweep_planner)
        estimate(plan, options, self.client.requests_left)
        return self._start_sweep(ResumePlan(journal.new_id(), plan, options, None, (), ()))

    def resume(self, save: str | os.PathLike[str] | Sweep) -> Sweep:
        """Continue a sweep that ended early: only the missing combinations are run. Its budget starts again.

        Runs that `detach` left alive are followed again, as far as the app's last 1,500 log lines reach.

        Parameters
        ----------
        save
            The sweep, the file of its `save` option, or its id (`hs-…`) if it was detached.

        Raises
        ------
        InvalidOptions
            If the sweep has not ended, or the file cannot be used.
        """
        missing = resumption.plan_resume(save, self, self._sweep_planner)
        if budget := missing.options.max_cost:
            notify(f"The --max-cost budget of {precise_money(budget)} starts over; the cost so far is not counted.")
        sweep = self._start_sweep(missing)
        if isinstance(save, Sweep):
            resumption.latest(save).continued_by = sweep
        return sweep

    @property
    def _sweep_planner(self) -> SweepPlanner:
        return SweepPlanner(self._planner)

    def _start_sweep(self, missing: ResumePlan) -> Sweep:
        name, plan, options, file, known, live = missing
        self._hidden.update(plan.first.secrets.values())
        try:
            plan, idle_dollars = self._warm_for(plan, options)
        except BaseException:
            if file is not None:
                file.discard()
            raise
        with cancelled_on_error():
            sweep = Sweep(
                self.client,
                plan,
                options,
                id=name,
                journal=file,
                known=known,
                live=live,
                idle_dollars=idle_dollars,
                attached_runner=self._attached_runner,
            ).start()
            if plan.first.keeps_dyno:
                sweep.call_when_done(lambda _: self._warm.forget_sweep(plan.first.kind, warm_count(plan, options)))
            self._remember(sweep)
            return sweep

    def estimate(
        self,
        task: str | None = None,
        each: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Estimate:
        """Return the expected time and cost of a run or a sweep, without starting anything.

        Parameters
        ----------
        task, each, parameters, **options
            As for `sweep`, or without `each` as for `submit`.

        Raises
        ------
        InvalidParameters, InvalidOptions
            As `sweep` and `submit` do, also for a budget that is too small.
        """
        run_options, sweep_options = split(options)
        run_options = self._planner.with_packages(replace(run_options, dry_run=True))
        left, given = self.client.requests_left, named("parameters", parameters)
        if each:
            plan = self._sweep_planner.plan(task, named("each", each), given, run_options, sweep_options)
            return estimate(plan, sweep_options, left)
        spec = self._planner.plan(task, given, run_options)
        return Estimate(spec, measured=mean_duration(spec), requests_left=left)

    @property
    def function(self) -> Decorator:
        """The decorator `@heroku.function`, for functions whose calls can run on dynos of this app."""
        return Decorator(lambda: self)

    def attach(self, run: str) -> Run | Sweep:
        """Return to a run or a sweep that was started with `detach`, in any process in the folder of its start.

        The log and the rows are complete as long as the app's last 1,500 log lines hold them; otherwise the run fails
        and reports what is missing. A run that was read cannot be attached again.

        Parameters
        ----------
        run
            The id of the run (`hm-…`) or of the sweep (`hs-…`).

        Raises
        ------
        InvalidOptions
            If this folder has no such run of the app. The message lists the ones it has.
        """
        if journal.ID.fullmatch(run):
            return self.resume(run)
        detached = detached_.load_of(run, self.client.base_url, self.app)
        secrets = {name: find(name) for name in detached.secrets}
        spec = detached.as_spec(self.app_name, secrets, is_local=self.settings.is_local)
        spec = replace(spec, prices=self.settings.prices)
        self._hidden.update(secrets.values())
        attached = Run(self.client, spec, detached).start()
        self._remember(attached)
        return attached
