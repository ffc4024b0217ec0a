"""A task of an app -> its form in a notebook: where widgets, display and runs meet; it shows nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.accounts.secret_sources import find, likely_source
from heroku_magic.runs import measured
from heroku_magic.runs.options import RunOptions, option_names, split
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.cost import Estimate
from heroku_magic.text.notifier import notifications_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.app.heroku import Heroku
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.widgets import Form

# What the equal cell has in another form, or what would keep it from being the equal one.
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
    """Return a form of a task, which shows itself where it is a cell's value.

    task: a process type; left out, `task` or the only candidate. parameters: what it starts with, or
    from what to choose: `(1, 100)` is a range, a list are choices. each: what it sweeps over at first, as
    `sweep()` takes it. heroku: from `connect()`. secrets: names whose values come from the environment,
    the keyring or a hidden prompt. on_success: called with each run or sweep that went well. line: the
    options for `form.cell`; the others are those of `submit()` and `sweep()`.
    Raises InvalidParameters where the start does not fit what the task declares.
    """
    from heroku_magic.app.connect import connect
    from heroku_magic.display.slot import OutputSlot
    from heroku_magic.widgets import Form

    connection = heroku or connect()

    def submit(
        values: Mapping[str, Any], sources: Mapping[str, str], swept: Mapping[str, Sequence[Any]]
    ) -> Run | Sweep:
        given = {**values, **{name: find(name, source) for name, source in sources.items()}}
        run: Run | Sweep
        with notifications_to(made.tell):
            if swept:
                run = connection.sweep(declared.name, swept, given, **options)
            else:
                run = connection.submit(declared.name, given, **of_a_run)
        if on_success is not None:
            run.add_done_callback(on_success)
        return run

    run_options, sweep_options = split(options)
    of_a_run = {name: value for name, value in options.items() if name in option_names(RunOptions)}
    declared = connection.task(task, any_type=run_options.any_type)
    made = Form(
        declared,
        parameters or {},
        submit,
        lambda: OutputSlot(verbose=verbose),
        each=each,
        in_step=sweep_options.zip,
        sample=sweep_options.sample,
        chunk=sweep_options.chunk_size,
        price=lambda runs, last: _price(connection, declared, run_options.size, runs, last),
        secrets=secrets,
        find_source=likely_source,
        options={name: value for name, value in (line or {}).items() if name not in _NOT_IN_A_CELL},
        where=connection.app_name,
    )
    return made


def _price(connection: Heroku, task: Task, size: str | None, runs: int, last: Run | Sweep | None) -> str:
    """What so many runs cost at list price, if each takes as long as those that this process saw; else nothing.

    Which size Heroku gives where none was chosen, the last run knows.
    """
    settings = connection.settings
    order = RunSpec(
        connection.app,
        connection.app_name,
        task.name,
        task.name,
        {},
        size=size or settings.size or (last.size if last else None),
        is_local=settings.is_local,
        prices=settings.prices,
    )
    expected = Estimate(order, runs, measured=measured.seconds(order))
    if order.is_local:
        return "free"
    if expected.measured is None or expected.dollars is None:
        return ""
    if expected.dollars < 0.0001:
        return "under $0.0001"
    return f"about ${expected.dollars:.4f}" if expected.dollars < 1 else f"about ${expected.dollars:,.2f}"
