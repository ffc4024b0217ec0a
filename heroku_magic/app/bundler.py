"""Makes bundles of cells and functions, and refuses functions that another Python than the dynos' has pickled.

That Python is known from the last run on the current release. The files of a served folder say what a deployment to
Heroku will get.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.build import Bundle, CallBundle, CellBundle
from heroku_magic.bundle.program import find_unsupported_syntax, read_cell
from heroku_magic.deploy.buildpack import VERSION_FILES, requested_python
from heroku_magic.deploy.findings import AppFiles
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.helper import shipped_worker
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


@dataclass(frozen=True)
class _Seen:
    """What a run reported about the dynos of a release."""

    release: int | None
    python: tuple[int, int]
    has_cloudpickle: bool


class Bundler:
    """Bundles code for one app."""

    def __init__(self, connection: AppConnection, catalog: Catalog) -> None:
        self._connection = connection
        self._catalog = catalog
        self._last: _Seen | None = None
        self._warned: set[tuple[int, int]] = set()  # versions of Python

    def bundle(
        self,
        code: str | Callable[..., Any],
        values: Mapping[str, Any],
        names: Iterable[str],
        secrets: Mapping[str, Secret],
        *,
        allow_pickle: bool = False,
    ) -> Bundle:
        """Return the bundle of a cell's text or of a function, with everything that its runs share.

        values: a cell's variables. names: the parameters in which the runs differ. allow_pickle: whether a function's
        result may be pickled. Raises InvalidParameters listing every problem.
        """
        if not isinstance(code, str):
            return self._call_bundle(code, secrets, allow_pickle=allow_pickle)
        hidden = {name: value for name, value in values.items() if isinstance(value, Secret)}
        shown = {name: value for name, value in values.items() if name not in hidden}
        return CellBundle(self._checked(self._read(code)), shown, names, {**secrets, **hidden})

    @property
    def python(self) -> tuple[int, int]:
        """The app's minor version of Python: that of the last run, else what a served folder requests, or this one."""
        known = self._known() if self._last else None
        return known.python if known else _requested_python(self._connection.settings.worker)[1]

    def learn(self, run: Run) -> None:
        """Remember what a finished run reported about its dyno."""
        declared = run.declaration
        version = _VERSION.fullmatch(declared.python) if declared else None
        if declared and version:
            has_cloudpickle = bool(declared.cloudpickle) or bool((known := self._known()) and known.has_cloudpickle)
            self._last = _Seen(run.release, (3, int(version[1])), has_cloudpickle)

    def _call_bundle(
        self, function: Callable[..., Any], secrets: Mapping[str, Secret], *, allow_pickle: bool
    ) -> CallBundle:
        known, here = self._known(), sys.version_info[:2]
        if known and known.python != here:
            name = getattr(function, "__name__", type(function).__name__)
            issue = (
                f'"{name}" cannot be sent: functions need the same minor version of Python on both sides. Here it is '
                f"{_dotted(here)}, and {self._connection.app_name} has Python {_dotted(known.python)}, as its last run "
                f"reported. Deploy the app with a .python-version file that says {_dotted(here)}, or use a %%dyno "
                "cell, which runs on any Python from 3.9 on."
            )
            raise InvalidParameters([issue])
        folder = self._connection.settings.worker
        source, requested = _requested_python(folder)
        if requested != here and folder != shipped_worker() and requested not in self._warned:
            self._warned.add(requested)
            notify(
                f"This function cannot run on Heroku: {source} requires {_dotted(requested)}, and functions need the "
                f"Python that sends them, {_dotted(here)}."
            )
        return CallBundle(
            function,
            secrets,
            hidden=[self._connection.client.token.reveal()],
            allow_pickle=allow_pickle,
            has_cloudpickle=bool(known and known.has_cloudpickle),
        )

    def _read(self, code: str) -> Program:
        try:
            return read_cell(code)
        except InvalidParameters:
            known = self._known()
            if known is None or known.python <= sys.version_info[:2]:
                raise
        return read_cell(code, is_final=False)  # only the dyno's newer Python can judge the syntax

    def _checked(self, program: Program) -> Program:
        source, requested = _requested_python(self._connection.settings.worker)
        if source and (fault := find_unsupported_syntax(program, requested)):
            notify(f"This code cannot run on Heroku, because {source} requires {_dotted(requested)}: {fault}")
        last = self._last
        if last and (fault := find_unsupported_syntax(program, last.python)) and self._known():
            where = f"{self._connection.app_name} has Python {_dotted(last.python)}, as its last run reported."
            raise InvalidParameters([f"{fault}\n{where}"])
        return program

    def _known(self) -> _Seen | None:
        """What the last run reported, if it ran the app's current release: another one may have another Python."""
        release = self._catalog.release() if self._last else None
        return self._last if self._last and release and release.version == self._last.release else None


def _requested_python(folder: Path | None) -> tuple[str, tuple[int, int]]:
    """Return the file in a folder that requests a Python and the version, or this Python if there is none."""
    texts = {}
    for name in VERSION_FILES if folder else ():
        with suppress(OSError), open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - Path is slow
            texts[name] = file.read()
    return requested_python(AppFiles(frozenset(texts), texts)) or ("", sys.version_info[:2])


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
