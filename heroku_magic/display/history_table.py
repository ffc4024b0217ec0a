"""The history as a table: in a notebook its entries expand to their log, rows and pictures."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from heroku_magic.display.attachments import AttachmentEncoder
from heroku_magic.display.listing import aligned, shown_cell
from heroku_magic.display.run_view import RunView
from heroku_magic.display.words import duration
from heroku_magic.errors import HerokuMagicError
from heroku_magic.ledger import history
from heroku_magic.ledger.history import nothing_found, recorded_job
from heroku_magic.sweeps.sweep import Sweep
from heroku_magic.text.plural import quantity
from heroku_magic.text.sanitize import clean_line, clipped, mask_emails
from heroku_magic.text.wrapping import WIDTH

MOST = 20  # entries that are drawn
LINES, ROWS = 20, 5  # of the log and of the table of an entry
_LONGEST_CELL = 22  # characters, in a terminal
MAX_COLUMNS = 20  # of the table of an entry
PICTURE_BYTES = 1_333_333  # of all pictures together, encoded
# An error has a line of its own.
COLUMNS = tuple(name for name in history.COLUMNS if name not in {"app", "error"})


class HistoryTable(pd.DataFrame):
    """The table of entries of `as_table`, whose last line sums their seconds and dollars."""

    def total(self) -> str:
        """Return the number of entries and what they took, as `3 runs · 41.2 s · $0.0012`."""
        return f"{quantity(len(self), 'run')} · {duration(self['seconds'].sum())} · ${self['dollars'].sum():.4f}"

    def __repr__(self) -> str:
        if self.empty:
            return nothing_found()
        columns, rows = self._shown()
        heading, *lines = aligned([columns, *([clipped(cell, _LONGEST_CELL) for cell in row] for row in rows)])
        shown = [heading, *map(_with_error, lines, self["error"]), self._more(), self.total()]
        return "\n".join(filter(None, shown))

    def _repr_html_(self) -> str:
        from heroku_magic.display.html import template

        if self.empty:
            return nothing_found()
        encoder = AttachmentEncoder(PICTURE_BYTES)
        columns, rows = self._shown()
        shown = [(*row, _Content.of(row[0], encoder)) for row in rows]
        return template("history.html.j2").render(columns=columns, rows=shown, total=self.total(), more=self._more())

    def _shown(self) -> tuple[list[str], list[list[str]]]:
        """Return the names of the columns that are shown, and the cells of the first rows."""
        columns = [name for name in COLUMNS if name != "cached" or self["cached"].any()]
        rows = self.head(MOST)[columns].itertuples(index=False, name=None)
        return columns, [[*map(shown_cell, columns, row)] for row in rows]

    def _more(self) -> str:
        return f"and {len(self) - MOST:,} more" if len(self) > MOST else ""


class _Content(NamedTuple):
    """What an entry expands to."""

    lines: list[str]
    error: str
    table: str
    pictures: list[str]

    @classmethod
    def of(cls, run: str, encoder: AttachmentEncoder) -> _Content:
        try:
            job = recorded_job(run)
        except HerokuMagicError as error:  # it was deleted since, or is damaged
            return cls([], _first_line(error), "", [])
        frame = job.partial
        table = "" if frame is None else frame.head(ROWS).to_html(border=0, max_cols=MAX_COLUMNS)
        if isinstance(job, Sweep):
            counts = ", ".join(f"{count:,} {state}" for state, count in job.counts().items())
            return cls([counts], _first_line(job.exception()), table, [])
        view = RunView.of(job)
        pictures = filter(None, map(encoder.picture, view.files.values()))
        return cls(view.lines(LINES), _first_line(job.exception()), table, [*pictures])


def _with_error(line: str, error: Any) -> str:
    return line if pd.isna(error) or not error else f"{line}\n    {clipped(_first_line(error), WIDTH - 4)}"


def _first_line(error: Any) -> str:
    return clean_line(mask_emails(str(error).partition("\n")[0])) if error else ""
