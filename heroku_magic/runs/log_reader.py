"""Reads the log lines of one run's dyno: events, the result, and what is missing from it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.api.error_codes import lost, sentence
from heroku_magic.api.log_lines import PIECE, LogLine
from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import Declaration
from heroku_magic.runs.command_mark import without_mark
from heroku_magic.runs.lifecycle import Lifecycle, was_run_twice
from heroku_magic.text.redact import NO_MASK, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.api.resources import Dyno
    from heroku_magic.protocol.records import RunKey
    from heroku_magic.runs.events import Event

CLOCK_SKEW = timedelta(seconds=5)  # by which Heroku's clocks may differ
MANY = 20  # lines in one batch from which on they are checked together
GAP = 2.0  # seconds after which a missing record is no longer just late


class LogUpdate(NamedTuple):
    """What a batch of lines brought: events in order, states of the run, messages to the user."""

    events: list[Event]
    states: list[str]
    notes: list[str]


class RunLog:
    """What one dyno's log says: `decoder` has the result, `life` knows when the run is over.

    exited_at: when the dyno exited, as Heroku's log writes it; empty while unknown.
    """

    def __init__(self, key: RunKey, *, takes_rows: bool, mask: Mask = NO_MASK, allow_pickle: bool = False) -> None:
        self.decoder = RecordDecoder(key, mask, allow_pickle=allow_pickle)
        self.life = Lifecycle()
        self.declaration: Declaration | None = None
        self.troubles: dict[str, str] = {}
        self.has_printed = False
        self.exited_at = ""
        self._key = key
        self._mask = mask | Mask([key.secret])
        self._takes_rows = takes_rows
        if not takes_rows:
            self.decoder.close()  # a line of JSON is text then
        self._dyno = self._size = self._oldest = self._created = ""
        self._lost_lines = self._lost_in_stream = 0
        self._was_run_twice = self._was_interrupted = self._is_cut = False
        self._gap_since: float | None = None
        self._looked_for: set[tuple[int, int]] = set()

    def begin(self, dyno: Dyno) -> None:
        """Choose the dyno; older lines of its name belong to another, as Heroku reuses names."""
        created = datetime.fromisoformat(dyno.created_at.replace("Z", "+00:00"))
        self._created = created.isoformat(timespec="microseconds")
        self._oldest = (created - CLOCK_SKEW).isoformat(timespec="microseconds")
        self._dyno, self._size = dyno.name, dyno.size

    def take(self, lines: Sequence[LogLine]) -> LogUpdate:
        """Read lines as they arrive."""
        update = LogUpdate([], [], [])
        if self._are_plain_text(lines):
            self.has_printed = True
            update.events.extend(lines)
            lines = ()
        for line in lines:
            if line.timestamp < self._oldest:
                continue
            if line.source == "app":
                update.events.extend(self._read_output(line))
            else:
                update.events.append(line.redacted(self._mask))
                self._read_system_line(line, update)
        self.life.lines_arrived(time.monotonic(), end=self.decoder.end)
        return update

    def needs_backlog(self) -> bool:
        """Return whether a record has been missing for so long that the backlog should be read."""
        if set(self.decoder.missing()) <= self._looked_for:
            self._gap_since = None
            return False
        self._gap_since = self._gap_since or time.monotonic()
        return time.monotonic() - self._gap_since >= GAP

    @property
    def exit_status(self) -> int | None:
        """The exit line's status; the task's own report where it is missing, or where two processes ran."""
        end = self.decoder.end
        has_exit_line = self.life.exit_status is not None and not self.decoder.was_started_twice
        return self.life.exit_status if has_exit_line or end is None else end.status

    def is_complete(self) -> bool:
        """Return whether nothing is missing, after the end, that the backlog could have."""
        has_result = self.decoder.end is not None or not self._takes_rows
        return has_result and self.life.exit_status is not None

    def fill(self, backlog: Sequence[LogLine], *, at_end: bool, gaps: int = 0) -> list[Event]:
        """Take what is missing from the backlog of the whole app, as Heroku reports lost lines for the app.

        gaps: how often the stream was interrupted and continued without the lines in between.
        """
        lines = [line for line in backlog if line.timestamp >= self._oldest]
        ours = [line for line in lines if line.dyno == self._dyno]
        events: list[Event] = []
        for line in ours:
            if line.source == "heroku":
                self._read_state(line)
            elif "@hm" in line.message:
                events += self.decoder.feed(line.message)[1]
        self._looked_for.update(self.decoder.missing())
        if at_end and self._takes_rows and not self.decoder.is_signed:
            self._check_unnumbered(lines, ours, gaps)
        return events

    def loss_message(self) -> str | None:
        """Return a sentence, before the end, about records that the backlog did not bring back."""
        gaps = self.decoder.missing()
        if not gaps or set(gaps) - self._looked_for:
            return None
        return (
            f"{sum(last - first + 1 for first, last in gaps)} lines of the result are lost and no longer in Heroku's "
            f"log history, so the result will be incomplete. {self.decoder.row_count or 0:,} rows in the first "
            f"{gaps[0][0]:,} lines are safe."
        )

    def problem(self) -> str | None:
        """Return what is wrong with the result of a task that has ended, or None."""
        if not self._takes_rows:
            return None
        if problem := self.decoder.problem():
            return problem
        if self._lost_lines:
            return f"{self._lost_lines} lines of its log were lost, and they may have contained rows"
        if self._was_interrupted:
            return "its log stream was interrupted, and Heroku did not keep all the lines in between"
        if self._was_run_twice:
            return "Heroku ran it twice, and only rows sent with heroku_task could be told apart"
        return None

    def _are_plain_text(self, lines: Sequence[LogLine]) -> bool:
        """Return whether all lines are shown unchanged: true of most large outputs, and checked at once."""
        if len(lines) < MANY or self._is_cut or {line.source for line in lines} != {"app"}:
            return False
        messages = [line.message for line in lines]
        if max(map(len, messages)) >= PIECE // 4 or min({line.timestamp for line in lines}) < self._oldest:
            return False
        text = "\n".join(messages)
        return "@hm" not in text and "{" not in text and self._mask.text(without_mark(text, self._key.run)) == text

    def _read_output(self, line: LogLine) -> list[Event]:
        """Separate the records in a line of the task's output from the text."""
        self.has_printed = True
        text, records = self.decoder.feed(line.message)
        for record in records:
            if isinstance(record, Declaration):
                self.declaration = record
        if text is None:
            return [*records]
        text = self._hide_secrets(text)
        shown = line if text == line.message else LogLine(line.timestamp, line.source, line.dyno, text)
        return [shown, *records]

    def _hide_secrets(self, text: str) -> str:
        """Mask the run's key and the secrets, which Heroku's cut of a long line may have split."""
        was_cut, self._is_cut = self._is_cut, len(text) >= PIECE // 4 and len(text.encode("utf-8", "replace")) >= PIECE
        text = without_mark(text, self._key.run)
        return self._mask.text(text, begins=not was_cut, ends=not self._is_cut)

    def _read_system_line(self, line: LogLine, update: LogUpdate) -> None:
        """Read a line of Heroku's own: states, lost lines, error codes."""
        update.states.extend(self._read_state(line))
        self._lost_in_stream += lost(line.message)
        trouble = sentence(line.message, self._size)
        if trouble and trouble[0] not in self.troubles:
            self.troubles[trouble[0]] = trouble[1]
            update.notes.append(trouble[1])

    def _read_state(self, line: LogLine) -> list[str]:
        """Return the states that a line announces; one before the creation is about another dyno of that name."""
        if line.timestamp < self._created:
            return []
        had_exited = self.life.exit_status is not None
        states = self.life.read(line.message, time.monotonic())
        if not had_exited and self.life.exit_status is not None:
            self.exited_at = line.timestamp
        return states

    def _check_unnumbered(self, lines: list[LogLine], ours: list[LogLine], gaps: int) -> None:
        """Read rows without numbers from the backlog, which is authoritative if it is complete."""
        since = lines[lines.index(ours[0]) :] if ours else lines  # earlier losses concern other runs
        self._lost_lines = sum(lost(line.message) for line in since if line.dyno == "log-shuttle")
        self._was_run_twice = was_run_twice(line.message for line in ours if line.source == "heroku")
        if any(line.source == "heroku" and line.message.endswith("to up") for line in ours):
            self.decoder.replace_plain_rows(line.message for line in ours if line.source == "app")
        else:
            self._lost_lines += self._lost_in_stream
            self._was_interrupted = gaps > 0
