"""The verbs that look at earlier runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.verb_group import VerbGroup
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.protocol.polars_frame import converted
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import polars as pl

    from heroku_magic.magics.parser import ParsedLine
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep


class HistoryVerbs(VerbGroup):
    """`history`, `show`, `diff`."""

    def _history(self, line: ParsedLine) -> pd.DataFrame | None:
        from heroku_magic.display.history_table import HistoryTable
        from heroku_magic.ledger.history import as_table, entries, forget
        from heroku_magic.text.plural import quantity

        options = line.options
        if runs := options.get("forget"):
            notify(f"Deleted {quantity(forget(runs), 'run')} from the history.")
            return None
        since = time.time() - options["since"] if "since" in options else None
        found = entries(
            line.word,
            since=since,
            failed="failed" in options,
            cached="cached" in options,
            limit=options.get("limit", -1),
        )
        return HistoryTable(as_table(found, with_columns=line.word is not None))

    def _show(self, line: ParsedLine) -> pd.DataFrame | pl.DataFrame | None:
        from heroku_magic.display.recorded import get_run, show_again

        job = get_run(line.words[0])
        if name := line.options.get("export"):
            self._write_page(job, expanded(name))
            return None
        frame = converted(show_again(job, verbose=self._is_set(line, "verbose")), line.options.get("as", "pandas"))
        if variable := line.options.get("out"):
            self._shell.user_ns[variable] = frame
            return None
        return frame

    def _diff(self, line: ParsedLine) -> pd.DataFrame | None:
        from heroku_magic.ledger.comparison import compare

        text, cells = compare(*line.words)
        print(text)
        return cells

    def _write_page(self, job: Run | Sweep, path: Path) -> None:
        from heroku_magic.display.recorded import page

        if path.suffix.lower() != ".html":  # a table or a notebook of that name would be lost
            raise InvalidOptions(f'"{path}" is not a page. Expected a name that ends in .html.')
        try:
            path.write_text(page(job), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InvalidOptions(f"{path} cannot be written: {error.strerror or error}.") from None
        notify(f"Wrote {path}.")
