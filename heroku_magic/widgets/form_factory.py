"""Creates the form of a task, connected to the app that runs it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.accounts.secret_sources import find, likely_source
from heroku_magic.app.connection import bare_spec
from heroku_magic.app.planner import named
from heroku_magic.errors import InvalidOptions, SettingsError
from heroku_magic.runs.options import RunOptions, option_names, split
from heroku_magic.runs.registry import mean_duration
from heroku_magic.sweeps.cost import Estimate
from heroku_magic.text.notifier import notifications_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from heroku_magic.app.heroku import Heroku
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.widgets import Form

# Options that the equal cell expresses differently, or that would make it unequal.
_NOT_IN_A_CELL = frozenset({"form", "secret", "bg"})


def form(
    task: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    each: Mapping[str, Any] | None = None,
    heroku: Heroku | None = None,
    secrets: Iterable[str] = (),
    on_success: Callable[[Run | Sweep], None] | None = None,
    verbose: bool = False,
    line: Mapping[str, Any] | None = None,
    **options: Any,
) -> Form:
    """Create the form of a task; it shows itself where it is the value of a cell.

    Parameters
    ----------
    task : str, optional
        The task's name; by default `task`, or the only candidate.
    parameters : mapping, optional
        What the form starts with, or what to choose from: `(1, 100)` is a range, a list holds choices.
    each : mapping, optional
        What the form sweeps over at first, as in `Heroku.sweep`.
    heroku : Heroku, optional
        The app, from `connect()`; by default `connect()`.
    secrets : iterable of str, optional
        Parameters whose values come from the environment, the keyring or a hidden prompt.
    on_success : callable, optional
        Called with each run or sweep that succeeds.
    verbose : bool, optional
        Show every log line, with its time and source.
    line : mapping, optional
        The options of the equal `%%heroku` line, for `Form.cell`.
    **options
        The options of `Heroku.submit` and `Heroku.sweep`; `max_cost` counts for all runs of the form together.

    Returns
    -------
    Form
        The form; `Form.run` starts it from code.

    Raises
    ------
    InvalidParameters
        If a value does not fit what the task declares.

    Examples
    --------
    ::

        form = heroku_magic.form("simulate", {"n": (1, 100), "method": ["naive", "fast"]})
        form.run().result()
    """
    from heroku_magic.app.connect import connect
    from heroku_magic.widgets import Form
    from heroku_magic.widgets.form import FormBackend
    from heroku_magic.widgets.form_view import is_voila, show

    connection = heroku or connect()
    run_options, sweep_options = split(options)
    declared = connection.task(task, any_type=run_options.any_type)
    budget = Budget(run_options.max_cost)

    def submit(
        values: Mapping[str, Any], sources: Mapping[str, str], swept: Mapping[str, Sequence[Any]]
    ) -> Run | Sweep:
        parameters = {**values, **{name: find(name, source) for name, source in sources.items()}}
        with notifications_to(created.notify), budget.spending():
            run = _start(connection, declared.name, parameters, swept, options | budget.options())
        budget.add(run)
        if on_success is not None:
            run.add_done_callback(on_success)
        return run

    backend = FormBackend(
        submit,
        price=partial(_price, connection, declared, run_options.size),
        find_source=likely_source,
        show=partial(show, verbose=verbose),
        app_name=connection.app_name,
        budget=budget.text,
        can_ask=not is_voila(),
    )
    created = Form(
        declared,
        named("parameters", parameters),
        backend,
        each=named("each", each),
        sweep_options=sweep_options,
        secrets=secrets,
        options={name: value for name, value in (line or {}).items() if name not in _NOT_IN_A_CELL},
    )
    return created


class Budget:
    """Dollars that all runs of one form together may cost, at list price; None: any."""

    def __init__(self, dollars: float | None) -> None:
        self._dollars = dollars
        self._runs: list[Run | Sweep] = []

    @property
    def text(self) -> str:
        """The limit, as a form shows it; empty if there is none."""
        return "" if self._dollars is None else at_most(self._dollars)

    def add(self, run: Run | Sweep) -> None:
        """Count a run."""
        self._runs.append(run)

    def options(self) -> dict[str, Any]:
        """Return what is left as the option of a run. Raises SettingsError if nothing is."""
        if self._dollars is None:
            return {}
        left = self._dollars - sum(run.dollars or 0.0 for run in self._runs)
        if left <= 0:
            raise self._spent()
        return {"max_cost": left}

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Say that the budget is spent where a later run is refused because too little is left."""
        try:
            yield
        except InvalidOptions as error:
            if self._runs and "--max-cost" in str(error):
                raise self._spent() from None
            raise

    def _spent(self) -> SettingsError:
        return SettingsError(f"The runs of this session have cost their limit, {self.text}. Nothing was started.")


def at_most(dollars: float) -> str:
    """Return what a session may cost, with all its digits.

    >>> at_most(0.5), at_most(0.0045)
    ('at most $0.50 per session', 'at most $0.0045 per session')
    """
    text = f"{dollars:,.10f}"
    return f"at most ${text[:-8]}{text[-8:].rstrip('0')} per session"


def _start(
    connection: Heroku,
    task: str,
    parameters: Mapping[str, Any],
    swept: Mapping[str, Sequence[Any]],
    options: Mapping[str, Any],
) -> Run | Sweep:
    """Start a sweep if a parameter is swept, and a run otherwise; a run ignores the options of sweeps."""
    if swept:
        return connection.sweep(task, swept, parameters, **options)
    of_a_run = option_names(RunOptions) & options.keys()
    return connection.submit(task, parameters, **{name: options[name] for name in of_a_run})


def _price(connection: Heroku, task: Task, size: str | None, runs: int, last: Run | Sweep | None) -> str:
    """Seconds and list price of so many runs, judged by the earlier runs of this process.

    Before the first run, it is the price of an hour. Without a chosen size, the last run shows which one Heroku uses.
    """
    spec = bare_spec(connection, task.name, size or connection.settings.size or (last.size if last else None))
    estimate = Estimate(spec, runs, measured=mean_duration(spec))
    seconds = "" if estimate.measured is None else f"about {_seconds(estimate.measured * runs)}"
    if spec.is_local:
        return f"{seconds}, free".removeprefix(", ")
    hour = spec.price(spec.size, 3600)
    if hour is None:
        return seconds
    price = f"{_dollars(hour)} per hour" if estimate.dollars is None or not seconds else _dollars(estimate.dollars)
    return f"{seconds}, {price} on {spec.size}".removeprefix(", ")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _dollars(dollars: float) -> str:
    if 0 < dollars < 0.0001:
        return "less than $0.0001"
    return f"${dollars:.4f}" if dollars < 1 else f"${dollars:,.2f}"
