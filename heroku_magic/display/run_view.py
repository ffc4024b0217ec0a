"""What there is to see of a run, built from its events in order, with a bounded part of the log.

Visible are the lines of the dyno's own process, and those of Heroku's lines that report something (an
error code, a stop); with `verbose` all lines. The run itself keeps the whole log.
"""

from __future__ import annotations

import re
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from heroku_magic.api.log_lines import LogLine
from heroku_magic.display.attachments import MOST_FILES, AttachmentEncoder, picture_type
from heroku_magic.display.value_scale import sparkline
from heroku_magic.protocol.helper_records import RECEIVED
from heroku_magic.protocol.records import Failure, File, Metric, Progress, Rows
from heroku_magic.protocol.tables import Table
from heroku_magic.runs.events import FINAL, StateChange
from heroku_magic.text import sgr
from heroku_magic.text.sanitize import clean, clean_line, mask_emails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heroku_magic.runs.events import Event
    from heroku_magic.runs.run import Run

# A notebook is not a log file. Lengths are in characters.
MAX_LINES = 1_000
MAX_LINE_LENGTH = 2_000
# Of a log that is the result itself, the first lines are shown, and the others are folded.
OPEN_LINES = 20
_MAX_NOTES = 4
_MAX_NOTE_LENGTH = 500
_MAX_FACT_LENGTH = 100
_MAX_ACTIVITY_LENGTH = 150
_MAX_ERROR_LENGTH = 6_000
_SPARKS = 20  # values of a metric that are drawn
_MAX_METRICS = 8

# The lines of Heroku's own that a user should see: https://devcenter.heroku.com/articles/error-codes
_NOTABLE = re.compile(r"Error [A-Z]\d|Stopping |.*\bcode=[A-Z]\d")
# The longest e-mail address that is masked, before and after its @.
_BEFORE_AT, _AFTER_AT = 64, 640


class RunView:
    """What there is to see of one run; feed it the events in order.

    Its facts are the latest of all StateChanges. `line_count` counts all visible log lines, of which the
    last 1,000 are kept. Stored texts are untrusted: read them through `lines`, `fact`, `notes` and
    `error`. clock: seconds since 1970. timer: seconds that no change of the computer's time affects.
    """

    def __init__(
        self,
        *,
        verbose: bool = False,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.verbose = verbose
        self.clock, self._timer = clock, timer
        self.event_count = self.line_count = self.last_line_changes = 0
        self.state = "requested"
        self.exit_status: int | None = None
        self.verified: bool | None = None
        self.rows: int | None = None
        self.rows_left = 0
        self.release: int | None = None
        self.ends_at: float | None = None
        self.cached = ""
        self.progress: Progress | None = None
        self.first_progress = self.last_progress = (0.0, 0)
        self.files: dict[str, bytes] = {}
        self._metrics: dict[str, deque[float]] = {}
        self._facts: dict[str, str] = {}
        self._dyno: str | None = None
        self._began: float | None = None
        self._seconds: float | None = None
        self._notes: deque[str] = deque(maxlen=_MAX_NOTES)
        self._error = ""
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._first_lines: list[str] = []
        self._traceback: list[str] = []

    @classmethod
    def of(cls, run: Run) -> RunView:
        """Return what there is to see of a run by now."""
        view = cls()
        for event in run.past_events():
            view.feed(event)
        return view

    def feed(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, LogLine):
            if self.verbose or self._is_notable(event):
                self._keep(event)
        elif isinstance(event, StateChange):
            self._change(event)
        elif isinstance(event, Progress):
            self._advance(event)
        elif isinstance(event, Rows):
            self.rows = (self.rows or 0) + len(event.rows)
        elif isinstance(event, Table):
            self.rows, self.rows_left = (self.rows or 0) + event.length, event.left
        elif isinstance(event, File):
            self.progress = None if self.progress and self.progress.text == RECEIVED else self.progress
            self.files[event.name] = event.content
        elif isinstance(event, Failure):
            self._traceback = [self._cut(sgr.last_state(line)) for line in event.traceback.split("\n")]
        elif isinstance(event, Metric) and (event.name in self._metrics or len(self._metrics) < _MAX_METRICS):
            self._metrics.setdefault(event.name, deque(maxlen=_SPARKS)).append(event.value)
        # Counted last: after an interrupt in between, the event is fed again rather than skipped.
        self.event_count += 1

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self.state in FINAL

    @property
    def succeeded(self) -> bool:
        """Whether the run is over and succeeded."""
        return self.state == "done"

    @property
    def has_failed(self) -> bool:
        """Whether an exception is known to have ended the task."""
        return bool(self._traceback)

    @property
    def log_is_result(self) -> bool:
        """Whether the run succeeded and its log is all that it returned: no rows and no picture."""
        return self.succeeded and self.rows is None and not any(map(picture_type, self.files.values()))

    @property
    def needs_attention(self) -> bool:
        """Whether even a quiet user wants to see the run."""
        return bool(self._notes) or (self.is_final and not (self.succeeded and self.exit_status == 0))

    @property
    def seconds(self) -> float | None:
        """The time from the request to the end, or until now."""
        if self._seconds is not None or self._began is None:
            return self._seconds
        return self._timer() - self._began

    @property
    def notes(self) -> list[str]:
        """The latest sentences for the user, safe to show."""
        return [self._safe(note) for note in self._notes]

    @property
    def error(self) -> str:
        """The text of the failure, which may have several lines, safe to show; empty if there is none."""
        return clean(self._error if self.verbose else mask_emails(self._error))

    def fact(self, name: str) -> str:
        """Return the task, app, dyno, size or the progress's text, safe to show; empty if unknown."""
        return self._facts.get(name, "")

    @property
    def metrics(self) -> list[str]:
        """The newest value of each metric after a line of bars of the latest ones, as `loss █▄▁ 0.25`, safe to show."""
        return [
            f"{self._safe(self._cut(name, _MAX_FACT_LENGTH))} {f'{sparkline(values)} ' if len(values) > 1 else ''}"
            f"{values[-1]:.6g}"
            for name, values in self._metrics.items()
        ]

    @property
    def file_names(self) -> list[str]:
        """The received files with their sizes, safe to show."""
        named = [str(one) for one in AttachmentEncoder(0).encode(self.files, with_pictures=False)]
        return [*named, f"and {self.more_files} more"] if self.more_files else named

    @property
    def more_files(self) -> int:
        """How many files are not listed."""
        return max(0, len(self.files) - MOST_FILES)

    def lines(self, last: int = MAX_LINES) -> list[str]:
        """Return the last lines of the log, oldest first, safe to show, without colours."""
        return [*map(sgr.plain, islice(self.latest(), last))][::-1]

    def latest(self) -> Iterator[str]:
        """Yield the last lines of the log, newest first; only `sgr` makes them safe to show."""
        return map(self._masked, reversed(self._lines))

    def first_lines(self) -> list[str]:
        """Return the first lines of the log; only `sgr` makes them safe to show."""
        return [*map(self._masked, self._first_lines)]

    def _is_notable(self, line: LogLine) -> bool:
        if line.source == "app":
            # `app[api]` lines come from the Platform API, for example who started the dyno.
            return line.dyno == self._dyno or (self._dyno is None and line.dyno != "api")
        return _NOTABLE.match(line.message) is not None

    def _keep(self, line: LogLine) -> None:
        is_overwriting = line.message.startswith(("\r", sgr.OVERWRITES))
        message = line.message.removeprefix(sgr.OVERWRITES)
        message = sgr.last_state(message) if "\r" in message else message
        if self.verbose:
            text = str(line.with_message(message))
        elif line.source != "app":
            text = f"{line.source}: {message}"
        else:
            text = message
            if is_overwriting and self._lines:
                self._replace_last(self._cut(message))
                return
        self._lines.append(self._cut(text))
        self.line_count += 1
        if self.line_count <= OPEN_LINES:
            self._first_lines.append(self._lines[-1])
        self._drop_traceback()

    def _replace_last(self, text: str) -> None:
        """Overwrite the last line, as a carriage return does on a terminal."""
        self._lines[-1] = text
        self.last_line_changes += 1
        if self.line_count <= OPEN_LINES:
            self._first_lines[-1] = text

    def _drop_traceback(self) -> None:
        """Remove the lines of the traceback, between which others may stand: the error shows what matters."""
        if self.state != "failed" or not self._traceback:
            return
        kept, wanted = [], [line for line in self._traceback if line]
        for line in reversed(self._lines):
            if wanted and line == wanted[-1]:
                wanted.pop()
            elif line or not wanted:
                kept.append(line)
        if wanted:
            return
        self.line_count -= len(self._lines) - len(kept)
        self._lines = deque(kept[::-1], maxlen=MAX_LINES)
        if self.line_count <= MAX_LINES:
            self._first_lines = [*islice(self._lines, OPEN_LINES)]
        self._traceback = []

    def _cut(self, text: str, length: int = MAX_LINE_LENGTH) -> str:
        """Truncate a long text, but not inside an e-mail address, whose rest would not be masked."""
        if len(text) <= length:
            return text
        kept = text[: length + _AFTER_AT]
        if not self.verbose:
            kept = mask_emails(kept)
            before, at, after = kept.rpartition("@")
            kept = before[:-_BEFORE_AT] if at and len(after) < _AFTER_AT else kept
        return f"{kept[:length]} … truncated, {len(text):,} characters in total"

    def _safe(self, line: str) -> str:
        return clean_line(self._masked(line))

    def _masked(self, line: str) -> str:
        line = line.rstrip("\r\n")
        return line if self.verbose else mask_emails(line)

    def _change(self, change: StateChange) -> None:
        if change.state not in {self.state, "stopping", *FINAL}:
            self.progress = None  # it belongs to the previous step; a final state keeps it, to show how far the run got
        self.state = change.state
        if self._began is None:  # the request may be older than the view
            self._began = self._timer() - max(0.0, self.clock() - change.at)
        self._dyno = change.dyno or self._dyno
        self.cached = change.cached or self.cached
        self._facts["activity"] = self._safe(self._cut(change.activity or "", _MAX_ACTIVITY_LENGTH))
        for name in ("task", "app", "dyno", "size"):
            if value := getattr(change, name):
                self._facts[name] = self._safe(self._cut(value, _MAX_FACT_LENGTH))
        for name in ("exit_status", "verified", "rows", "release", "ends_at"):
            if (value := getattr(change, name)) is not None:
                setattr(self, name, value)
        self._note(change)

    def _note(self, change: StateChange) -> None:
        if change.seconds is not None or change.is_final:
            self._seconds = self.seconds if change.seconds is None else change.seconds
        if change.note and (note := self._cut(change.note, _MAX_NOTE_LENGTH)) not in self._notes:
            self._notes.append(note)
        if change.error:
            self._error = self._cut(change.error, _MAX_ERROR_LENGTH)
            kept = (note for note in self._notes if note not in self._error and note != change.withdraws)
            self._notes = deque(kept, maxlen=_MAX_NOTES)
        self._drop_traceback()

    def _advance(self, progress: Progress) -> None:
        now = (self._timer(), progress.done)
        if self.progress is None:
            self.first_progress = now
        self.last_progress = now
        self.progress = progress
        self._facts["progress"] = self._safe(self._cut(progress.text or "", _MAX_FACT_LENGTH))
