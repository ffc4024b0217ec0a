"""Writes the form of a task as the only cell of a notebook, which Voila serves as an app."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.runs.options import DEFAULT_TIMEOUT
from heroku_magic.widgets.field_factory import sound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.widgets.form_inputs import FormInputs


def app_notebook(inputs: FormInputs, values: Mapping[str, Any], place: str, options: Mapping[str, Any]) -> str:
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


def place(settings: Settings, folder: Path) -> str:
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
