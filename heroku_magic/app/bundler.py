"""Makes bundles of a cell's code or a function, and checks their syntax against the Python of the app's dynos.

That Python is known from the last run on the current release. `.python-version` in a served folder says what a
deployment to Heroku will get.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.build import Bundle
from heroku_magic.bundle.closure import read_function
from heroku_magic.bundle.program import find_unsupported_syntax, read_cell
from heroku_magic.errors import InvalidParameters
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from heroku_magic.app.catalog import Catalog
    from heroku_magic.app.connection import AppConnection
    from heroku_magic.bundle.program import Program
    from heroku_magic.runs.run import Run

_VERSION = re.compile(r"(?:python-)?3\.(\d{1,2})(?:\.\d+)?")


class Bundler:
    """Bundles code for one app."""

    def __init__(self, connection: AppConnection, catalog: Catalog) -> None:
        self._connection = connection
        self._catalog = catalog
        self._seen: tuple[int | None, tuple[int, int]] | None = None  # a release, and the Python of its dynos

    def bundle(
        self,
        code: str | Callable[..., Any],
        values: Mapping[str, Any],
        names: Iterable[str],
        secrets: Mapping[str, Secret],
    ) -> Bundle:
        """Return the bundle of a cell's text or of a function, with everything that its runs share.

        values: a cell's variables. names: the parameters in which the runs differ; those of a function are its
        arguments. Raises InvalidParameters listing every problem.
        """
        if not isinstance(code, str):
            return self._function_bundle(code, names, secrets)
        hidden = {name: value for name, value in values.items() if isinstance(value, Secret)}
        shown = {name: value for name, value in values.items() if name not in hidden}
        return Bundle(self._checked(self._read(code)), shown, names, {**secrets, **hidden})

    def _read(self, code: str) -> Program:
        try:
            return read_cell(code)
        except InvalidParameters:
            if self._seen is None or self._seen[1] <= sys.version_info[:2] or not self._is_current(self._seen[0]):
                raise
        return read_cell(code, is_final=False)  # only the dyno's newer Python can judge the syntax

    def _function_bundle(self, code: Callable[..., Any], names: Iterable[str], secrets: Mapping[str, Secret]) -> Bundle:
        program, values = read_function(code)
        checked = self._checked(program)
        try:
            return Bundle(checked, values, names, secrets)
        except InvalidParameters as error:
            if not values:
                raise
            issues = [f"{issue} Or create it inside {program.name}." for issue in error.issues]
        raise InvalidParameters(issues)

    def learn(self, run: Run) -> None:
        """Remember the Python version that a finished run reported."""
        version = _VERSION.fullmatch(run.declaration.python) if run.declaration else None
        if version:
            self._seen = (run.release, (3, int(version[1])))

    def _checked(self, program: Program) -> Program:
        folder = self._connection.settings.worker
        wanted = _required_python(folder) if folder else None
        if wanted and (fault := find_unsupported_syntax(program, wanted)):
            notify(f"This code cannot run on Heroku, because .python-version requires {_dotted(wanted)}: {fault}")
        if (
            self._seen
            and (fault := find_unsupported_syntax(program, self._seen[1]))
            and self._is_current(self._seen[0])
        ):
            where = f"{self._connection.app_name} has Python {_dotted(self._seen[1])}, as its last run reported."
            raise InvalidParameters([f"{fault}\n{where}"])
        return program

    def _is_current(self, version: int | None) -> bool:
        """Whether this is the app's current release: another one may have another Python."""
        release = self._catalog.release()
        return release is not None and release.version == version


def _required_python(folder: Path) -> tuple[int, int] | None:
    """The Python version that a folder requires: https://devcenter.heroku.com/articles/python-runtimes."""
    try:
        text = (folder / ".python-version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    version = _VERSION.fullmatch(lines[0]) if lines else None
    return (3, int(version[1])) if version else None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
