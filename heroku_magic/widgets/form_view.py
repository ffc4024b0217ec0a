"""Form -> the cell that runs now: its panel where somebody can press it, its text elsewhere; it draws neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.widgets.form_record import bundle, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.widgets.form import Form

_VIEW = "application/vnd.jupyter.widget-view+json"


def show(form: Form) -> None:
    """Show a form in the cell that runs now. What stays in the notebook follows each of its changes."""
    shell = _shell()
    form.shown_in = _cell_number(shell)
    if not hasattr(shell, "kernel"):
        print(text(form, headless=True))  # noqa: T201 - a terminal's display is what is printed
        return
    is_live = has_front_end(shell)
    if is_live:
        _display(_view(form))
    record = _display(bundle(form, headless=not is_live))
    form.on_change(_following(form, record, headless=not is_live))
    form.stage = form.make_stage()


def show_again(form: Form) -> None:
    """Show a form that is a cell's value, unless that cell showed it already."""
    if form.shown_in != _cell_number(_shell()):
        show(form)


def has_front_end(shell: Any) -> bool:
    """Tell whether somebody can press a button: who runs a notebook without one does not let cells ask either.

    https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute
    """
    content = shell.get_parent().get("content", {})
    return bool(content.get("allow_stdin"))


def _view(form: Form) -> dict[str, Any]:
    from heroku_magic.widgets.panel import Panel

    box = Panel(form).box
    model = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    return {
        _VIEW: model,
        "text/plain": f"Form of {form.task.name}, without a kernel: its values and its last run follow.",
    }


def _following(form: Form, record: Any, *, headless: bool) -> Callable[[], None]:
    """What draws the record anew when it is another one than before."""
    drawn = [bundle(form, headless=headless)]

    def follow() -> None:
        now = bundle(form, headless=headless)
        if now != drawn[0]:
            drawn[0] = now
            record.update(now, raw=True)

    return follow


def _display(data: dict[str, Any]) -> Any:
    from IPython.display import display

    return display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no hints in IPython


def _cell_number(shell: Any) -> int:
    return int(getattr(shell, "execution_count", 0))


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()
