"""A task of an app -> its form in a notebook: where widgets, display and runs meet; it shows nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.vault import find, likely_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heroku_magic.heroku import Heroku
    from heroku_magic.run import Run
    from heroku_magic.widgets import Form

# What the equal cell has in another form, or what would keep it from being the equal one.
_NOT_IN_A_CELL = frozenset({"form", "secret", "bg"})


def form(
    task: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    heroku: Heroku | None = None,
    secrets: Iterable[str] = (),
    on_success: Callable[[Run], None] | None = None,
    verbose: bool = False,
    line: Mapping[str, Any] | None = None,
    **options: Any,
) -> Form:
    """Return a form of a task, which shows itself where it is a cell's value.

    task: a process type; left out, `task` or the only candidate. parameters: what it starts with, or
    from what to choose: `(1, 100)` is a range, a list are choices. heroku: from `connect()`. secrets:
    names whose values come from the environment, the keyring or a hidden prompt. on_success: called
    with each run that went well. line: the options for `form.cell`; the others are `submit()`'s.
    Raises InvalidParameters where the start does not fit what the task declares.
    """
    from heroku_magic.display.stage import Stage
    from heroku_magic.heroku import connect
    from heroku_magic.widgets import Form

    connection = heroku or connect()

    def submit(values: Mapping[str, Any], sources: Mapping[str, str]) -> Run:
        hidden = {name: find(name, source) for name, source in sources.items()}
        run = connection.with_say(made.tell).submit(declared.name, {**values, **hidden}, **options)
        if on_success is not None:
            run.add_done_callback(on_success)
        return run

    declared = connection.task(task, any_type=bool(options.get("any_type")))
    made = Form(
        declared,
        parameters or {},
        submit,
        lambda: Stage(verbose=verbose),
        secrets=secrets,
        find_source=likely_source,
        options={name: value for name, value in (line or {}).items() if name not in _NOT_IN_A_CELL},
        where=connection.app_name,
    )
    return made
