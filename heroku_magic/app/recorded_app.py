"""The part of `Heroku` that writes what it runs to the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.app.management import shown
from heroku_magic.app.run_cache import find_answer
from heroku_magic.app.sweep_cache import find_sweep
from heroku_magic.app.warm_app import WarmApp
from heroku_magic.display import job_display
from heroku_magic.ledger.recorder import recorder
from heroku_magic.runs.run import Run
from heroku_magic.runs.started_by_call import cancelled_on_error
from heroku_magic.text.notifier import notifies_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.app.planner import Planner
    from heroku_magic.runs.options import RunOptions, SweepOptions
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.sweeps.sweep import Sweep


@notifies_owner
class RecordedApp(WarmApp):
    """An app whose runs are remembered."""

    def _start(self, spec: RunSpec) -> Run:
        self._hidden.update(spec.secrets.values())
        with cancelled_on_error():
            run = Run(self.client, spec, runner=self._runner(spec)).start()
            if not spec.packages:  # a dyno with other packages says nothing about the app's
                run.call_when_done(self._planner.bundler.learn)
            self._remember(run)
            return run

    def _answer(self, task: str | None, parameters: Mapping[str, Any], options: RunOptions) -> Run | None:
        """Return an earlier run that answers a call; None if there is none."""
        run = find_answer(task, parameters, options, self.settings, self._catalog.release)
        if run is not None:
            show_as_last(run)
        return run

    def _answer_sweep(
        self, call: tuple[str | None, Mapping[str, Any], Mapping[str, Any]], options: RunOptions, more: SweepOptions
    ) -> Sweep | None:
        """Return a sweep that earlier runs answer as a whole; None if a combination is missing."""
        sweep = find_sweep(call, options, more, self.settings, self._catalog.release, self.client)
        if sweep is not None:
            self._remember(sweep.start())
        return sweep

    def start_planned(self, plan: Callable[[Planner], RunSpec]) -> Run:
        """Start the run that a function plans with the planner of this app."""
        return self._start(plan(self._planner))

    def describe_code(self) -> str:
        """Return what a run would run now, in words."""
        if self.settings.app is None and self.settings.worker:
            return f"{shown(self.settings.worker)} as it is now"
        release = self._catalog.release()
        return f"the current release v{release.version} of {self.app_name}" if release else self.app_name

    def _remember(self, job: Run | Sweep) -> None:
        """Write a run or a sweep to the ledger when it ends, and make it the last one of this process."""
        show_as_last(job)
        self._record(job)

    def _record(self, job: Run | Sweep) -> None:
        recorder.follow(job, {self.client.token, *self._hidden})


def show_as_last(job: Run | Sweep) -> None:
    """Make a job the last one of this process, and let it show itself."""
    global _last  # noqa: PLW0603 - `heroku_magic.last` is one value per process, by design
    _last = job
    job.job_display = job_display


def last() -> Run | Sweep | None:
    """Return the run or the sweep that was started last in this process."""
    return _last


_last: Run | Sweep | None = None
