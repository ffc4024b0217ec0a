"""Form: a task's parameters with their values, and at most one run or sweep at a time; it works with nobody looking.

Who looks is told of every change by `on_change`. A run is submitted in a thread of its own, for that
may take a while; where its log goes is the stage's business. Where a field is swept, a run is a sweep.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.errors import HerokuMagicError, InvalidParameters, SettingsError
from heroku_magic.text.sanitize import clean, clean_line
from heroku_magic.widgets.cell_source import cell
from heroku_magic.widgets.form_record import outcome
from heroku_magic.widgets.form_state import Answers, Row
from heroku_magic.widgets.sweep_values import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep

# Seconds between the click and the run. A front end holds back what was typed last until the kernel has
# taken what was typed before, but no click: the click may be there first.
SETTLE = 0.25

READY, STARTING, RUNNING, STOPPING = "ready", "starting", "running", "stopping"


class Submit(Protocol):
    """How a form starts a run; it may take seconds."""

    def __call__(
        self, values: Mapping[str, Any], sources: Mapping[str, str], each: Mapping[str, Sequence[Any]], /
    ) -> Run | Sweep:
        """Start a run with these values, or a sweep over `each`; sources: where each secret comes from.

        Raises HerokuMagicError.
        """


class Price(Protocol):
    """How a form says what runs are expected to cost."""

    def __call__(self, runs: int, last: Run | Sweep | None, /) -> str:
        """Return the price of so many runs in a few words, empty where it is not known; last: what ran before."""


class Stage(Protocol):
    """Where a form's runs are shown, one after the other."""

    def show(self, run: Run | Sweep) -> None:
        """Show a run until it is over."""


class Form:
    """A form of a task, with a face for code: `value`, `each`, `run()`, `stop()`, `result`, `cell`.

    given: what it starts with, as a cell's body would give it; each: over what it sweeps at first.
    make_stage makes the place for its runs in the cell that runs now. secrets: names of parameters that
    come from elsewhere; find_source tells from where at first. options: those of the line, for `cell`.
    in_step, sample, chunk: how a sweep is made of its lists.
    """

    def __init__(
        self,
        task: Task,
        given: Mapping[str, Any],
        submit: Submit,
        make_stage: Callable[[], Stage],
        *,
        each: Mapping[str, Any] | None = None,
        in_step: bool = False,
        sample: int | None = None,
        chunk: int = 1,
        price: Price = lambda *_: "",
        secrets: Iterable[str] = (),
        find_source: Callable[[str], str] = lambda _: "prompt",
        options: Mapping[str, Any] | None = None,
        where: str = "",
    ) -> None:
        self.task = task
        self.where = where
        self.answers = Answers(task, given, secrets, find_source, each, in_step=in_step, sample=sample, chunk=chunk)
        self.state = READY
        self.message = ""
        self.make_stage = make_stage
        self.stage: Stage | None = None
        self.shown_in: int | None = None
        self.last: Run | Sweep | None = None
        self.ended = ""
        self._submit = submit
        self._price = price
        self._options = dict(options or {})
        self._is_stop_asked = False
        self._lock = threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        swept = [f"each {name} of {values!r}" for name, values in self.each.items()]
        values = ", ".join([*(f"{name}={value!r}" for name, value in self.value.items()), *swept])
        return clean_line(f"<Form {self.task.name}({values}) {self.state}>")

    @property
    def value(self) -> dict[str, Any]:
        """The values as they are now, by name, without secrets and without what is swept.

        Setting some leaves the others as they are, and sweeps over these no more.
        """
        return self.answers.given

    @value.setter
    def value(self, values: Mapping[str, Any]) -> None:
        self.answers.update(values)
        self._changed()

    @property
    def each(self) -> dict[str, Sequence[Any]]:
        """What is swept: names and values, the first varies slowest. Setting it sweeps over these and no others."""
        return self.answers.each

    @each.setter
    def each(self, each: Mapping[str, Any]) -> None:
        self.answers.sweep_over(each)
        self._changed()

    @property
    def offer(self) -> str:
        """What the button does now: `Stop`, `Run`, or `Run 24 runs` and what they cost where that is known."""
        if self.is_busy:
            return "Stop"
        if not self.each or self.answers.faults:
            return "Run"
        runs = self.answers.runs
        return " · ".join(filter(None, [f"Run {counted(runs, 'run')}", self._price(runs, self.last)]))

    @property
    def result(self) -> pd.DataFrame | None:
        """The rows of the run or sweep that was started last, as far as they came; None if there is no table."""
        return None if self.last is None else self.last.partial

    @property
    def cell(self) -> str:
        """The `%%heroku` cell that does the same as the button."""
        return cell(self.task.name, self.value, self.answers.sources, self._options, self.each)

    @property
    def is_busy(self) -> bool:
        """Whether there is a run, one that is being started or one that is being stopped."""
        return self.state != READY

    def run(self) -> Run | Sweep:
        """Start a run or a sweep as the button does and return it at once; in a cell, secrets are asked for here.

        Raises InvalidParameters where values do not fit, and whatever `submit()` raises.
        """
        self._begin()
        return self._start(may_ask=True)

    def stop(self) -> None:
        """Ask Heroku to stop the dynos and return at once; what is not there yet never will be."""
        with self._lock:
            if self.state not in {STARTING, RUNNING}:
                return
            run = self.last if self.state == RUNNING else None
            self.state, self.message, self._is_stop_asked = STOPPING, "", True
        if run is not None:
            run.cancel()
        self._changed()

    def show(self) -> None:
        """Show the form in the cell that runs now, with a place below it for its log and its table."""
        from heroku_magic.widgets.form_view import show

        show(self)

    def _ipython_display_(self) -> None:
        from heroku_magic.widgets.form_view import show_again

        show_again(self)

    # -- what a panel tells and asks ------------------------------------------------------------------

    def put(self, name: str, content: Any) -> None:
        """Take over what the user put into the control of a field."""
        self.answers.contents[name] = content
        self._changed()

    def put_series(self, name: str, content: Any) -> None:
        """Take over what the user put into the control of a field that is swept."""
        self.answers.swept[name] = self.answers.swept[name].put(content)
        self._changed()

    def sweep(self, name: str, *, is_swept: bool) -> None:
        """Let a field have several values, or one again."""
        self.answers.sweep(name, is_swept=is_swept)
        self._changed()

    def put_rows(self, rows: Iterable[tuple[str, str] | Row]) -> None:
        """Take over the rows of a task that declares nothing."""
        self.answers.rows = [Row(*row) for row in rows]
        self._changed()

    def press(self) -> None:
        """Do what the button says, run or stop, and return at once; what goes wrong is said in `message`."""
        if self.is_busy:
            self.stop()
            return
        self._begin()
        self._aside(self._run_quietly)

    def tell(self, message: str) -> None:
        """Show the user a sentence, beside the button."""
        self.message = clean(message)
        self._changed()

    def on_change(self, watcher: Callable[[], None]) -> None:
        """Call `watcher()` after every change, in whatever thread that happens."""
        self._watchers.append(watcher)

    # -- from the button to the result ----------------------------------------------------------------

    def _begin(self) -> None:
        with self._lock:
            if self.state != READY:
                raise SettingsError(f"{self.task.name} is {self.state} in this form: form.stop() stops it.")
            self.state, self.message, self._is_stop_asked = STARTING, "", False
        self._changed()

    def _run_quietly(self) -> None:
        """Start the run where nobody could catch what goes wrong: it is said."""
        time.sleep(SETTLE)
        try:
            self._start(may_ask=False)
        except HerokuMagicError as error:
            self.tell(str(error))
        except Exception as error:  # noqa: BLE001 - a thread that dies silently leaves a form that says nothing
            self.tell(clean_line(f"{type(error).__name__}: {error}"))

    def _start(self, *, may_ask: bool) -> Run | Sweep:
        try:
            self._refuse(may_ask=may_ask)
            run = self._submit(self.value, self.answers.sources, self.each)
        except BaseException:
            self._end()
            raise
        with self._lock:
            self.last, self.ended, is_unwanted = run, "", self._is_stop_asked
            self.state = STOPPING if is_unwanted else RUNNING
        if is_unwanted:
            run.cancel()
        self._changed()
        self._aside(lambda: self._watch(run))
        return run

    def _watch(self, run: Run | Sweep) -> None:
        try:
            if self.stage is not None:
                self.stage.show(run)
            run.wait()
            self.ended = outcome(run)
        except HerokuMagicError as error:  # the rows of a sweep do not go together
            self.ended = f"✗ {clean(str(error))}"
        finally:
            run.wait()
            self._end()

    def _end(self) -> None:
        with self._lock:
            self.state, self.message = READY, ""
        self._changed()

    def _refuse(self, *, may_ask: bool) -> None:
        """Refuse values that do not fit; and secrets to be asked for after a click, for only a cell can ask."""
        if faults := self.answers.faults:
            raise InvalidParameters([*faults.values()])
        asked = [name for name, source in self.answers.sources.items() if source == "prompt"]
        if asked and not may_ask:
            raise SettingsError(
                f"{', '.join(asked)}: only a running cell can ask for it. Copy this form as a cell and run that, or "
                "run form.run() in a cell; or choose another source."
            )

    def _aside(self, work: Callable[[], None]) -> None:
        """Do it without keeping the kernel. What a thread changes is not drawn in Colab, so there it is kept.

        https://github.com/googlecolab/colabtools/issues/3373
        """
        if "google.colab" in sys.modules:
            work()
        else:
            threading.Thread(target=work, name="heroku_magic form", daemon=True).start()

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()
