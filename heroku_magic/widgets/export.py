"""Writes the form of a task into a file for people without a notebook."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.app.management import shown
from heroku_magic.errors import InvalidOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heroku_magic.app.heroku import Heroku

PAGE = ".html"


def export_form(
    task: str | None,
    file: str | os.PathLike[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    heroku: Heroku | None = None,
    secrets: Iterable[str] = (),
    api_url: str | None = None,
    size: str | None = None,
    timeout: int | None = None,
    any_type: bool = False,
    force: bool = False,
) -> Path:
    """Write the form of a task as a web page, which runs the task from any browser.

    The page is one file that needs no server and no Python. It asks for an app and a key, and contains neither a key
    nor a secret.

    Parameters
    ----------
    task : str or None
        The task's name; None for `task`, or the only candidate.
    file : str or path-like
        The file to write, such as `page.html`.
    parameters : mapping, optional
        What the form starts with, or what to choose from, as in `form`.
    heroku : Heroku, optional
        The app, from `connect()`; by default `connect()`.
    secrets : iterable of str, optional
        Parameters that are secrets, although the task does not say so.
    api_url : str, optional
        The address of an embedded Heroku, such as `http://127.0.0.1:5001`; by default Heroku's.
    size : str, optional
        The dyno size.
    timeout : int, optional
        Seconds after which Heroku ends the dyno of a run; 600 by default.
    any_type : bool, optional
        Accept a process type that is not a task, such as `web`.
    force : bool, optional
        Replace a file that exists.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InvalidOptions
        If the file exists, or its name or the address is not valid.
    InvalidParameters
        If a value does not fit what the task declares.

    Examples
    --------
    ::

        heroku_magic.export_form("simulate", "page.html", {"n": (1, 100)})
    """
    from heroku_magic.app.connect import connect
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.widgets.web_page import TIME_LIMIT, check_api_url, web_page

    path = _path(file, force=force)
    url = check_api_url(api_url)
    limit = RunOptions(timeout=timeout).timeout or TIME_LIMIT
    connection = heroku or connect()
    declared = connection.task(task, any_type=any_type)
    settings = connection.settings
    page = web_page(
        declared,
        _inputs(declared, parameters, secrets),
        app="" if settings.is_local else connection.app_name,
        api_url=url,
        size=size or settings.size,
        seconds=limit,
    )
    _refuse_secrets(page, connection)
    return _write(path, page, force=force)


def message(file: Path, heroku: Heroku) -> str:
    """Return what to do with a page that was written."""
    size = f"{file.stat().st_size / 1000:.0f} kB"
    lines = [f"{shown(file)} ({size}) runs the task from any browser. Whoever opens it needs a key of Heroku."]
    if heroku.settings.is_local:
        served = shlex.quote(f"demo={heroku.settings.worker}")
        lines += [
            "To try it without an account, paste this into a terminal; it prints the key:",
            f"  python -m heroku_magic.emulator --app {served} --port 5001 --allow-origin null",
            f"and open {file.resolve().as_uri()}?api-url=http://127.0.0.1:5001 with the app demo.",
        ]
    return "\n".join(lines)


def _inputs(task: Any, parameters: Mapping[str, Any] | None, secrets: Iterable[str]) -> Any:
    from heroku_magic.widgets.form_inputs import FormInputs

    return FormInputs(task, parameters or {}, secrets, lambda _: "prompt")


def _path(file: str | os.PathLike[str], *, force: bool) -> Path:
    """Return the file to write. Raises InvalidOptions if it must not or cannot be written."""
    path = Path(file).expanduser()
    if path.suffix.lower() != PAGE:
        raise InvalidOptions(f'"{path}" is not the name of a page. Expected a name that ends in {PAGE}.')
    if os.path.lexists(path) and not force:
        raise InvalidOptions(f'"{path}" exists. Choose another name, or replace the file with --force (force=True).')
    return path


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
