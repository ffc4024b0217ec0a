"""The form of a task: its values, and at most one run or sweep at a time. It works without being shown.

Observers are notified of every change. A run is submitted in a separate thread, because that may take
seconds. If a field is swept, the run is a sweep.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.display.job_display import OutputSlot, current_cell
from heroku_magic.display.words import outcome
from heroku_magic.errors import HerokuMagicError, InvalidParameters, SettingsError
from heroku_magic.text.sanitize import clean, clean_line
from heroku_magic.widgets.cell_source import cell
from heroku_magic.widgets.form_inputs import FormInputs, NameValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.options import SweepOptions
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep

# Seconds between the click and the run. A front end sends what was typed last only after the kernel has
# processed what was typed before, but sends a click at once: the click may arrive first.
SETTLE = 0.25

READY, STARTING, RUNNING, STOPPING = "ready", "starting", "running", "stopping"


@dataclass(frozen=True)
class FormBackend:
    """What a form needs of its app and its notebook.

    submit: starts a run with values, the sources of secrets, and what is swept, which may take seconds; raises
    HerokuMagicError. price: describes seconds and dollars of so many runs, given the last one; empty if unknown.
    find_source: where a secret comes from at first. show: shows the form in the current cell. budget: what its runs
    may cost. can_ask: whether the user can run a cell, which asks for secrets.
    """

    submit: Callable[[Mapping[str, Any], Mapping[str, str], Mapping[str, Sequence[Any]]], Run | Sweep]
    price: Callable[[int, Run | Sweep | None], str] = lambda *_: ""
    find_source: Callable[[str], str] = lambda _: "prompt"
    show: Callable[[Form], None] = lambda _: None
    app_name: str = ""
    budget: str = ""
    can_ask: bool = True


class Form:
    """The form of a task, created by `heroku_magic.form()`, `%heroku form` or `--form`.

    As the value of a cell it shows itself with its controls; its attributes do the same from code.

    Parameters
    ----------
    task : Task
        The task whose parameters are asked for.
    values : mapping
        What the form starts with, or what to choose from: a tuple of two or three numbers is a range, a
        list holds choices.
    backend : FormBackend
        How the form starts and shows its runs.
    each : mapping, optional
        Names and values that the form sweeps over at first.
    sweep_options : SweepOptions, optional
        How a sweep combines its lists.
    secrets : iterable of str, optional
        Parameters whose values come from elsewhere.
    options : mapping, optional
        The options of the equal `%%heroku` line, for `cell`.

    Raises
    ------
    InvalidParameters
        If a value does not fit what the task declares.

    Examples
    --------
    ::

        form = heroku_magic.form("simulate", {"n": (1, 100)})
        form.value = {"n": 50}
        form.run().result()
    """

    def __init__(
        self,
        task: Task,
        values: Mapping[str, Any],
        backend: FormBackend,
        *,
        each: Mapping[str, Any] | None = None,
        sweep_options: SweepOptions | None = None,
        secrets: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.task = task
        self.app_name, self.budget = backend.app_name, backend.budget
        self.inputs = FormInputs(
            task, values, secrets, backend.find_source, each=each, sweep_options=sweep_options, can_ask=backend.can_ask
        )
        self.state = READY
        self.message = ""
        self.slot: OutputSlot | None = None
        self.last: Run | Sweep | None = None
        self.ended = ""
        self._backend = backend
        self._options = dict(options or {})
        self._is_stop_requested = False
        self._shown_in: int | None = -1  # no cell
        self._lock = threading.Lock()
        self._observers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        swept = [f"each {name} of {values!r}" for name, values in self.each.items()]
        values = ", ".join([*(f"{name}={value!r}" for name, value in self.value.items()), *swept])
        return clean_line(f"<Form {self.task.name}({values}) {self.state}>")

    @property
    def value(self) -> dict[str, Any]:
        """The current values by name, without secrets and without what is swept.

        Setting some values keeps the others. Fields that are set are no longer swept.

        Raises
        ------
        InvalidParameters
            If a value does not fit; then no value is set.
        """
        return self.inputs.fixed

    @value.setter
    def value(self, values: Mapping[str, Any]) -> None:
        self.inputs.update(values)
        self._notify()

    @property
    def each(self) -> dict[str, Sequence[Any]]:
        """The swept parameters, by name; the first name varies slowest.

        Setting it sweeps over these values and no others.

        Raises
        ------
        InvalidParameters
            If a value does not fit; then nothing changes.
        """
        return self.inputs.each

    @each.setter
    def each(self, each: Mapping[str, Any]) -> None:
        self.inputs.sweep_over(each)
        self._notify()

    @property
    def offer(self) -> str:
        """The label of the button: `Stop`, `Run`, or `Run 24` for a sweep."""
        if self.is_busy:
            return "Stop"
        if not self.each or self.inputs.faults:
            return "Run"
        return f"Run {self.inputs.run_count:,}"

    @property
    def status(self) -> str:
        """What the form is doing, how its last run ended, and what the next one takes, in one line."""
        return " · ".join(filter(None, [self.run_status, self.note]))

    @property
    def run_status(self) -> str:
        """What the form is doing, or how its last run ended."""
        if self.is_busy:
            return f"● {self.state}"
        return "" if self.message else self.ended

    @property
    def note(self) -> str:
        """A message to the user, or else what the next run takes."""
        is_estimated = not (self.is_busy or self.inputs.faults) and (self.each or not self.ended)
        estimate = self._backend.price(self.inputs.run_count, self.last) if is_estimated else ""
        return self.message or estimate

    @property
    def result(self) -> pd.DataFrame | None:
        """The rows of the last run or sweep so far; None if there is no table."""
        return None if self.last is None else self.last.partial

    @property
    def cell(self) -> str:
        """The `%%heroku` cell that does the same as the button."""
        return cell(self.task.name, self.value, self.inputs.sources, self._options, self.each)

    @property
    def prompted(self) -> list[str]:
        """The secrets that only a running cell can ask for."""
        return [name for name, source in self.inputs.sources.items() if source == "prompt"]

    @property
    def is_busy(self) -> bool:
        """Whether a run is starting, running or stopping."""
        return self.state != READY

    def run(self) -> Run | Sweep:
        """Start a run or a sweep as the button does; in a cell, a hidden prompt may ask for secrets.

        Returns
        -------
        Run or Sweep
            At once; `.result()` waits for the rows.

        Raises
        ------
        InvalidParameters
            If values do not fit.
        SettingsError
            If the form is already running.
        HerokuMagicError
            If the run cannot be submitted.
        """
        self._begin()
        return self._start(can_prompt=True)

    def stop(self) -> None:
        """Ask Heroku to stop the dynos, and return at once; a run that is still being requested is stopped, too."""
        with self._lock:
            if self.state not in {STARTING, RUNNING}:
                return
            run = self.last if self.state == RUNNING else None
            self.state, self.message, self._is_stop_requested = STOPPING, "", True
        if run is not None:
            run.cancel()
        self._notify()

    def show(self) -> None:
        """Show the form in the current cell, with outputs below it for the log and the table of its runs."""
        self._shown_in = current_cell()
        self._backend.show(self)

    def _ipython_display_(self) -> None:
        """Show the form as the value of a cell, unless that cell has shown it already."""
        if self._shown_in != current_cell():
            self.show()

    # -- what a panel calls ---------------------------------------------------------------------------

    def put(self, name: str, content: Any) -> None:
        """Set the content of a field."""
        self.inputs.contents[name] = content
        self._notify()

    def put_swept(self, name: str, content: Any) -> None:
        """Set the content of a field that is swept."""
        self.inputs.swept[name] = self.inputs.swept[name].put(content)
        self._notify()

    def sweep(self, name: str, *, is_swept: bool) -> None:
        """Let a field have several values, or one again."""
        self.inputs.sweep(name, is_swept=is_swept)
        self._notify()

    def put_rows(self, rows: Iterable[tuple[str, str] | NameValue]) -> None:
        """Set the rows of an undeclared task."""
        self.inputs.rows = [NameValue(*row) for row in rows]
        self._notify()

    def press(self) -> None:
        """Do what the button says, run or stop, and return at once; errors appear in `message`."""
        if self.is_busy:
            self.stop()
            return
        self._begin()
        _in_background(self._run_quietly)

    def notify(self, message: str) -> None:
        """Show the user a message beside the button."""
        self.message = clean(message)
        self._notify()

    def on_change(self, observer: Callable[[], None]) -> None:
        """Call `observer()` after every change, in whatever thread that happens."""
        self._observers.append(observer)

    # -- from the button to the result ----------------------------------------------------------------

    def _begin(self) -> None:
        with self._lock:
            if self.state != READY:
                raise SettingsError(f"{self.task.name} is {self.state} in this form. form.stop() stops it.")
            self.state, self.message, self._is_stop_requested = STARTING, "", False
        self._notify()

    def _run_quietly(self) -> None:
        """Start the run in a thread, where nobody could catch an exception: show it as a message."""
        time.sleep(SETTLE)
        try:
            self._start(can_prompt=False)
        except HerokuMagicError as error:
            self.notify(str(error))
        except Exception as error:  # noqa: BLE001 - a thread that dies silently leaves the user without a message
            self.notify(clean_line(f"{type(error).__name__}: {error}"))

    def _start(self, *, can_prompt: bool) -> Run | Sweep:
        try:
            self._validate(can_prompt=can_prompt)
            run = self._backend.submit(self.value, self.inputs.sources, self.each)
        except BaseException:
            self._end()
            raise
        with self._lock:
            self.last, self.ended, must_stop = run, "", self._is_stop_requested
            self.state = STOPPING if must_stop else RUNNING
        if must_stop:
            run.cancel()
        self._notify()
        _in_background(lambda: self._watch(run))
        return run

    def _validate(self, *, can_prompt: bool) -> None:
        """Reject values that do not fit; and prompts after a click, because only a running cell can prompt."""
        if faults := self.inputs.faults:
            raise InvalidParameters([*faults.values()])
        if (prompted := self.prompted) and not can_prompt:
            raise SettingsError(
                f"{', '.join(prompted)}: only a running cell can prompt for a secret. Run form.run() in a cell, copy "
                "this form as a cell and run that, or choose another source."
            )

    def _watch(self, run: Run | Sweep) -> None:
        try:
            if self.slot is not None:
                self.slot.show(run)
            run.wait()
            self.ended = outcome(run)
        except HerokuMagicError as error:  # the rows of a sweep contradict each other
            self.ended = f"✗ {clean(str(error))}"
        finally:
            run.wait()
            self._end()

    def _end(self) -> None:
        with self._lock:
            self.state, self.message = READY, ""
        self._notify()

    def _notify(self) -> None:
        for observer in self._observers:
            observer()


def _in_background(work: Callable[[], None]) -> None:
    """Work in a thread. Colab does not draw what a thread changes, so there the kernel is kept busy.

    https://github.com/googlecolab/colabtools/issues/3373
    """
    if "google.colab" in sys.modules:
        work()
    else:
        threading.Thread(target=work, name="heroku_magic form", daemon=True).start()
