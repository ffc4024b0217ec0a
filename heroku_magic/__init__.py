"""Serverless functions from a notebook cell: `%load_ext heroku_magic`, then `%%heroku --arg n=10`.

In Python the same is `heroku_magic.connect().run("task", {"n": 10})`. Everything here is imported
when it is first used, so that loading costs a notebook next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.accounts.login import login, logout
    from heroku_magic.app.connect import account, connect, function, temporary_app
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.deploy.scaffold import init
    from heroku_magic.display.recorded import get_run
    from heroku_magic.errors import (
        ApiError,
        BuildFailed,
        DeployRefused,
        HerokuMagicError,
        InvalidOptions,
        InvalidParameters,
        LogStreamError,
        ResultIncomplete,
        RunCancelled,
        SettingsError,
        SweepFailed,
        TaskFailed,
    )
    from heroku_magic.ledger.history import history
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.text.secret import Secret
    from heroku_magic.widgets.export import export_form
    from heroku_magic.widgets.form_factory import form

    last: Run | Sweep | None

__version__ = "0.1.0"

_HOMES = {
    "ApiError": "errors",
    "BuildFailed": "errors",
    "DeployRefused": "errors",
    "Heroku": "app.heroku",
    "HerokuMagicError": "errors",
    "InvalidOptions": "errors",
    "InvalidParameters": "errors",
    "LogStreamError": "errors",
    "ResultIncomplete": "errors",
    "Run": "runs.run",
    "RunCancelled": "errors",
    "Secret": "text.secret",
    "SettingsError": "errors",
    "Sweep": "sweeps.sweep",
    "SweepFailed": "errors",
    "TaskFailed": "errors",
    "account": "app.connect",
    "connect": "app.connect",
    "function": "app.connect",
    "get_run": "display.recorded",
    "history": "ledger.history",
    "init": "deploy.scaffold",
    "login": "accounts.login",
    "logout": "accounts.login",
    "temporary_app": "app.connect",
    "export_form": "widgets.export",
    "form": "widgets.form_factory",
}

__all__ = [
    "ApiError",
    "BuildFailed",
    "DeployRefused",
    "Heroku",
    "HerokuMagicError",
    "InvalidOptions",
    "InvalidParameters",
    "LogStreamError",
    "ResultIncomplete",
    "Run",
    "RunCancelled",
    "Secret",
    "SettingsError",
    "Sweep",
    "SweepFailed",
    "TaskFailed",
    "account",
    "connect",
    "export_form",
    "form",
    "function",
    "get_run",
    "history",
    "init",
    "last",
    "load_ipython_extension",
    "login",
    "logout",
    "temporary_app",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; `last` is the run or sweep that was started last, or None."""
    if name == "last":
        from heroku_magic.app.recorded_app import last

        return last()
    if name in _HOMES:
        return getattr(importlib.import_module(f"heroku_magic.{_HOMES[name]}"), name)
    message = f"module 'heroku_magic' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register `%heroku` and `%%heroku`: what `%load_ext heroku_magic` calls."""
    from heroku_magic.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo everything that loading added: what `%unload_ext heroku_magic` calls."""
    from heroku_magic.magics import unload

    unload(shell)
