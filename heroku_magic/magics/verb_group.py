"""What all verbs need: the shell, the notebook's settings, and a connection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from IPython.core.magic import Magics
from traitlets import Bool, Dict, Float, Int, Unicode, Union

from heroku_magic.runs.options import DEFAULT_PACE, DEFAULT_TIMEOUT, LONGEST_TIMEOUT
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.accounts.settings import Choice
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.display.listing import Listing
    from heroku_magic.magics.parser import ParsedLine


class VerbGroup(Magics):
    """A group of verbs. The method of a verb is its name after an underscore, and takes the parsed line."""

    app = Unicode(None, allow_none=True, help="The app whose tasks cells run; `%heroku use NAME` sets it.").tag(
        config=True
    )
    local = Bool(default_value=False, help="Always use the embedded Heroku, never an app.").tag(config=True)
    worker = Unicode(None, allow_none=True, help="The folder that the embedded Heroku serves.").tag(config=True)
    size = Unicode(None, allow_none=True, help="Dyno size of runs without --size.").tag(config=True)
    timeout = Int(
        DEFAULT_TIMEOUT, min=1, max=LONGEST_TIMEOUT, help="Longest life of a dyno in seconds, boot included."
    ).tag(config=True)
    pace = Int(DEFAULT_PACE, min=0, help="Most records per second that a task may print; 0 for no limit.").tag(
        config=True
    )
    prices = Dict(
        key_trait=Unicode(),
        value_trait=Float(),
        help="Dollars per month by dyno size, where you do not pay Heroku's list price.",
    ).tag(config=True)
    history = Union(
        [Bool(), Unicode()],
        default_value=None,
        allow_none=True,
        help="False: remember no runs. A folder: remember them in its folder .heroku. True: also in the home folder.",
    ).tag(config=True)
    warm = Bool(
        default_value=False, help="Keep the dynos of cells for the next ones, which then need no boot, as --warm does."
    ).tag(config=True)
    cache = Bool(
        default_value=False, help="Answer calls of what declares cache=True from earlier runs, without --cache."
    ).tag(config=True)
    quiet = Bool(default_value=False, help="Show no log and no status of runs that succeed.").tag(config=True)
    verbose = Bool(default_value=False, help="Show Heroku's own log lines, timestamps and full tracebacks.").tag(
        config=True
    )

    _default_worker: Path | None = None  # the folder that `--worker` or `init` named last

    @property
    def _shell(self) -> InteractiveShell:
        return cast("InteractiveShell", self.shell)  # `load` passes one

    def _connect(self, line: ParsedLine, *, is_typed: bool = True) -> Heroku:
        """Return the app that a line names. is_typed: its folder becomes the one that cells use."""
        from heroku_magic.app.connect import connect

        where: dict[str, Any] = {name: line.options.get(name) for name in ("app", "remote", "worker")}
        settings = {name: getattr(self, name) for name in ("size", "timeout", "pace", "prices", "warm")}
        heroku = connect(**where, **settings, local=bool(line.options.get("local")), config=self._choice())
        if is_typed and "worker" in line.options and heroku.settings.worker:
            self._serve_by_default(heroku.settings.worker)
        return heroku

    def _serve_by_default(self, folder: Path) -> None:
        """Let the embedded Heroku serve this folder from now on, unless an app is chosen."""
        from heroku_magic.app.management import shown

        if self.app or os.environ.get("HEROKU_APP") or folder == self._default_worker:
            return
        self._default_worker = folder
        if self.worker:
            self.worker = str(folder)
        notify(f"Cells without --worker or --app use {shown(folder)} from now on.")

    def _choice(self) -> Choice:
        """Return what the notebook's settings choose to run on."""
        from heroku_magic.accounts.settings import Choice

        return Choice(
            app=self.app,
            local=self.local,
            worker=self.worker,
            source="%config HerokuMagics.app",
            default_worker=self._default_worker,
        )

    def _run_on(self, app: str) -> None:
        """Let cells run on this app."""
        self.app, self.local, self.worker = app, False, None
        notify(f"Cells run on {app} from now on.")

    def _open_apps(self, line: ParsedLine) -> list[Heroku]:
        """Return the app that a line names, or the chosen one and all others that this kernel uses."""
        from heroku_magic.accounts.settings import NoApp
        from heroku_magic.app.connect import open_apps

        if line.options.keys() & {"app", "remote", "worker"}:
            return [self._connect(line)]
        others = open_apps()
        try:
            return [*dict.fromkeys([self._connect(line), *others])]
        except NoApp:
            if others:
                return others
            raise

    def _is_set(self, line: ParsedLine, name: str) -> bool:
        """Return whether a flag is on the line or in the notebook's settings."""
        return bool(line.options.get(name) or getattr(self, name))


def table(columns: str, rows: Iterable[Sequence[Any]], **options: Any) -> Listing:
    """Return a table that shows itself; columns: their names, separated by blanks; options: of `Listing.of`."""
    from heroku_magic.display.listing import Listing
    from heroku_magic.protocol import dataframe

    names = columns.split()
    frame = dataframe.table([dict(zip(names, row, strict=True)) for row in rows], names)
    return Listing.of(frame, **options)
