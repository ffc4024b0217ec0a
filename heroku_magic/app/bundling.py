"""Bundling: a cell's code, or a function, and its values -> a bundle that any app with Python runs; it orders nothing.

What is known of the dyno's Python, from the last run on the same release or from `.python-version` in
the folder that is served, is compared with the syntax.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.build import Bundle
from heroku_magic.bundle.closure import program_of
from heroku_magic.bundle.program import read_cell, too_new
from heroku_magic.errors import InvalidParameters
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from heroku_magic.app.catalog import Catalogue, Place
    from heroku_magic.bundle.program import Program
    from heroku_magic.runs.run import Run

_VERSION = re.compile(r"(?:python-)?3\.(\d{1,2})(?:\.\d+)?")


class Bundling:
    """What goes to one app with its own code."""

    def __init__(self, place: Place, catalogue: Catalogue) -> None:
        self._place = place
        self._catalogue = catalogue
        self._seen: tuple[int | None, tuple[int, int]] | None = None  # a release, and the Python of its dynos

    def bundle(
        self,
        code: str | Callable[..., Any],
        values: Mapping[str, Any],
        names: Iterable[str],
        secrets: Mapping[str, Secret],
    ) -> Bundle:
        """Return a cell's text, or a function, with what all its runs share.

        values: what a cell finds there. names: in which the runs differ; a function's are its arguments.
        Raises InvalidParameters with every fault.
        """
        if not isinstance(code, str):
            return self._of_function(code, names, secrets)
        hidden = {name: value for name, value in values.items() if isinstance(value, Secret)}
        shown = {name: value for name, value in values.items() if name not in hidden}
        return Bundle(self._checked(self._read(code)), shown, names, {**secrets, **hidden})

    def _read(self, code: str) -> Program:
        try:
            return read_cell(code)
        except InvalidParameters:
            if not self._is_newer_there():
                raise
        return read_cell(code, is_final=False)

    def _of_function(self, code: Callable[..., Any], names: Iterable[str], secrets: Mapping[str, Secret]) -> Bundle:
        program, values = program_of(code)
        checked = self._checked(program)
        try:
            return Bundle(checked, values, names, secrets)
        except InvalidParameters as error:
            if not values:
                raise
            issues = [f"{issue} Or make it inside of {program.name}." for issue in error.issues]
        raise InvalidParameters(issues)

    def learn(self, run: Run) -> None:
        """Take note of the Python that a run's dyno had."""
        version = _VERSION.fullmatch(run.declaration.python) if run.declaration else None
        if version:
            self._seen = (run.release, (3, int(version[1])))

    def _checked(self, program: Program) -> Program:
        """Compare the syntax with what is known of the dyno's Python."""
        folder = self._place.settings.worker
        wanted = _of_folder(folder) if folder else None
        if wanted and (fault := too_new(program, wanted)):
            notify(f"On Heroku this cannot run, for .python-version asks for {_dotted(wanted)}: {fault}")
        if self._seen and (fault := too_new(program, self._seen[1])) and self._is_release(self._seen[0]):
            where = f"{self._place.app_name} has Python {_dotted(self._seen[1])}, as its last run told."
            raise InvalidParameters([f"{fault}\n{where}"])
        return program

    def _is_newer_there(self) -> bool:
        """Whether the dyno's Python is known to be newer than this one, which then cannot judge its syntax."""
        return self._seen is not None and self._seen[1] > sys.version_info[:2] and self._is_release(self._seen[0])

    def _is_release(self, version: int | None) -> bool:
        """Whether the app still has this release: another one may have another Python."""
        release = self._catalogue.release()
        return release is not None and release.version == version


def _of_folder(folder: Path) -> tuple[int, int] | None:
    """The Python that a folder asks Heroku for: https://devcenter.heroku.com/articles/python-runtimes."""
    try:
        text = (folder / ".python-version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    version = _VERSION.fullmatch(lines[0]) if lines else None
    return (3, int(version[1])) if version else None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
