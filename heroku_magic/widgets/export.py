"""Writes the form of a task into a file for people without a notebook: a web page, or an app that Voila serves."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, Any

from heroku_magic.app.budget import second_price
from heroku_magic.app.connection import bare_spec
from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.protocol.environ import name_faults
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.runs.options import DEFAULT_TIMEOUT, split
from heroku_magic.widgets.field_factory import sound
from heroku_magic.widgets.form_factory import at_most
from heroku_magic.widgets.form_inputs import FormInputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.runs.spec import RunSpec

PAGE, NOTEBOOK = ".html", ".ipynb"
_OF_PAGES = frozenset({"size", "timeout", "any_type"})


def export_form(
    task: str | None,
    file: str | os.PathLike[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    each: Mapping[str, Any] | None = None,
    heroku: Heroku | None = None,
    secrets: Iterable[str] = (),
    api_url: str | None = None,
    force: bool = False,
    **options: Any,
) -> Path:
    """Write the form of a task as a web page (`.html`), or as an app that Voila serves (`.ipynb`).

    The web page needs no server and no Python: it asks for an app and a key, and runs the task from any browser.
    The app runs on the account of its server for everybody who can open it, so `max_cost` limits what one session
    may cost. Neither file contains a key or a secret.

    Parameters
    ----------
    task : str or None
        The task's name; None for `task`, or the only candidate.
    file : str or path-like
        The file to write, such as `page.html` or `app.ipynb`.
    parameters : mapping, optional
        What the form starts with, or what to choose from, as in `form`.
    each : mapping, optional
        What the form of an app sweeps over at first.
    heroku : Heroku, optional
        The app, from `connect()`; by default `connect()`.
    secrets : iterable of str, optional
        Parameters that are secrets, although the task does not say so.
    api_url : str, optional
        The embedded Heroku that a page uses, such as `http://127.0.0.1:5001`; by default Heroku.
    force : bool, optional
        Replace a file that exists.
    **options
        For an app the options of `form`. For a page `size`, `any_type` and `timeout`, which is 600 s by default.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InvalidOptions
        If the file exists, if its name or an option is not valid, or if a value looks like a token.
    InvalidParameters
        If a value does not fit what the task declares, or no variable can carry a parameter that it declares.

    Examples
    --------
    ::

        heroku_magic.export_form("simulate", "page.html", {"n": (1, 100)})
        heroku_magic.export_form("simulate", "app.ipynb", max_cost=0.50)
    """
    from heroku_magic.app.connect import connect
    from heroku_magic.widgets.web_page import TIME_LIMIT, check_api_url, web_page

    path = _path(file, force=force)
    run_options, sweep_options = split(options)
    _check_options(path, each, api_url, options)
    url, connection = check_api_url(api_url), heroku or connect()
    settings = connection.settings
    declared = connection.task(task, any_type=run_options.any_type)
    hidden = list(secrets)
    inputs = FormInputs(declared, parameters or {}, hidden, lambda _: "prompt", each=each, sweep_options=sweep_options)
    if issues := name_faults(inputs.fields):
        raise InvalidParameters(issues)
    if path.suffix.lower() == PAGE:
        app = "" if settings.is_local else connection.app_name
        size, seconds = run_options.size or settings.size, run_options.timeout or TIME_LIMIT
        text = web_page(declared, inputs, app=app, api_url=url, size=size, seconds=seconds)
    else:
        _check_budget(run_options.max_cost, bare_spec(connection, declared.name, run_options.size))
        more = {"each": inputs.each, "secrets": hidden, **options}
        text = _app_notebook(inputs, parameters or {}, _place(settings, path.parent), more)
    _refuse_secrets(text, connection)
    return _write(path, text, force=force)


def message(file: Path, heroku: Heroku, max_cost: float | None) -> str:
    """Return what to do with a file that was written."""
    name, settings = shlex.quote(str(file)), heroku.settings
    if file.suffix.lower() == NOTEBOOK:
        cost = "" if max_cost is None else f", for {at_most(max_cost)}"
        account = "the embedded Heroku of this computer" if settings.is_local else "your account"
        lines = [
            f"{file} is an app. To serve it (after pip install voila):",
            f"  voila {name}",
            f"It runs on {account} for everybody who can open it{cost}.",
        ]
    else:
        size = f"{file.stat().st_size / 1000:.0f} kB"
        lines = [f"{file} ({size}) runs the task from any browser.", "Whoever opens it needs a Heroku API key."]
        if settings.is_local:
            served = shlex.quote(f"demo={settings.worker or 'FOLDER'}")
            lines += [
                "To try it without an account, paste this into a terminal; it prints the key:",
                f"  python -m heroku_magic.emulator --app {served} --port 5001 --allow-origin null",
                "and open this address with the app demo:",
                f"  {file.resolve().as_uri()}?api-url=http://127.0.0.1:5001",
            ]
    return "\n".join(lines)


def _path(file: str | os.PathLike[str], *, force: bool) -> Path:
    """Return the file to write. Raises InvalidOptions if it must not be written."""
    path = expanded(file)
    if path.suffix.lower() not in {PAGE, NOTEBOOK}:
        raise InvalidOptions(
            f'"{path}" is neither a page nor a notebook. Expected a name that ends in {PAGE} or {NOTEBOOK}.'
        )
    if os.path.lexists(path) and not force:
        raise InvalidOptions(f'"{path}" exists. Choose another name, or replace the file with --force (force=True).')
    return path


def _check_options(path: Path, each: Mapping[str, Any] | None, api_url: str | None, options: Mapping[str, Any]) -> None:
    """Raise InvalidOptions for an option that has no effect on this kind of file."""
    if path.suffix.lower() == NOTEBOOK:
        ignored, kind = ["api_url"] if api_url is not None else [], "an app: it runs where its server says"
    else:
        ignored, kind = [*(["each"] if each else []), *(options.keys() - _OF_PAGES)], "a page"
    if ignored:
        raise InvalidOptions(f"--{min(ignored).replace('_', '-')} has no effect on {kind}. Leave it out.")


def _check_budget(budget: float | None, spec: RunSpec) -> None:
    """Raise InvalidOptions unless there is a limit, which can be kept, of what a session on a real app may cost."""
    if budget is None and not spec.is_local:
        raise InvalidOptions(
            "An app runs on the account of its server for everybody who can open it. "
            "Limit what a session may cost with --max-cost DOLLARS (max_cost=...)."
        )
    if budget is not None:
        second_price(spec)


def _refuse_secrets(text: str, heroku: Heroku) -> None:
    """Raise InvalidOptions if a text that others will read contains the account's token or what looks like one."""
    from heroku_magic.deploy.credentials import secret_in

    found = secret_in("page.html", text.encode())
    token = heroku.client.token.reveal()
    if (token and token in text) or (found and found.is_certain):
        raise InvalidOptions(
            "A value of the form looks like a token, and everybody who has the file could read it. "
            "Name its parameter with --secret NAME (secrets=[...]): then the form asks for it."
        )


def _write(path: Path, text: str, *, force: bool) -> Path:
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise InvalidOptions(f'"{path}" cannot be written: {error.strerror}.') from None
    return path


# -- an app for Voila ---------------------------------------------------------------------------------


def _app_notebook(inputs: FormInputs, values: Mapping[str, Any], place: str, options: Mapping[str, Any]) -> str:
    """Return the notebook. values: what the form starts with; place: arguments of `connect`; options: of `form`."""
    given = {name: _literal(inputs, name, value) for name, value in values.items()}
    arguments = [repr(inputs.task.name)]
    arguments += [repr(given)] if given else []
    arguments += [f"heroku=heroku_magic.connect({place})"]
    arguments += [f"{name}={value!r}" for name, value in options.items() if value not in (None, (), [], {}, False)]
    source = "import heroku_magic\n\nheroku_magic.form(\n" + "".join(f"    {one},\n" for one in arguments) + ")"
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "form",
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _literal(inputs: FormInputs, name: str, value: Any) -> Any:
    """Return a value as one that Python's `repr` writes; several to choose from stay a tuple, a range or a list."""
    if isinstance(value, RawText):
        return sound(inputs.fields[name].parameter, value) if name in inputs.fields else str(value)
    if isinstance(value, range):
        return value
    return tuple(map(plain, value)) if isinstance(value, tuple) else plain(value)


def _place(settings: Settings, folder: Path) -> str:
    """Return the arguments of `connect` for the same app, or for the same worker as seen from the notebook's folder."""
    if settings.is_embedded:
        raise InvalidOptions(
            f"{settings.app} ends with this kernel, so no other notebook can run on it. "
            "Choose its folder (%heroku use ./FOLDER) or an app on Heroku first."
        )
    if not settings.is_local:
        words = [repr(settings.app)]
    elif settings.worker is None or settings.worker == shipped_worker():
        words = ["local=True"]
    else:
        words = [f"worker={os.path.relpath(settings.worker, folder.resolve())!r}"]
    words += [f"size={settings.size!r}"] if settings.size else []
    words += [f"timeout={settings.timeout}"] if settings.timeout != DEFAULT_TIMEOUT else []
    return ", ".join(words)
