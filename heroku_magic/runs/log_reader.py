"""RunLog: the log lines of one run's dyno -> events, and what they leave open; it asks nobody for more."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.api.error_codes import lost, sentence
from heroku_magic.api.log_lines import PIECE, LogLine
from heroku_magic.protocol.records import Declaration, RecordDecoder
from heroku_magic.runs.lifecycle import Lifecycle, was_run_twice
from heroku_magic.text.redact import NO_MASK, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.api.resources import Dyno
    from heroku_magic.protocol.records import RunKey
    from heroku_magic.runs.events import Event

CLOCK_SKEW = timedelta(seconds=5)  # that Heroku's clocks may differ from each other
MANY = 20  # lines that came at once, of which all are looked at together
GAP = 2.0  # seconds after which a record that is missing is no longer just late


class LogUpdate(NamedTuple):
    """What lines brought: events in their order, the states that the dyno has been in, sentences for the user."""

    events: list[Event]
    states: list[str]
    notes: list[str]


class RunLog:
    """What one dyno's log says: `decoder` has the result, `life` knows when it is over.

    exited_at: when the dyno exited by Heroku's own clock, as its log writes it; empty as long as that is unknown.
    """

    def __init__(self, key: RunKey, *, takes_rows: bool, mask: Mask = NO_MASK) -> None:
        self.decoder = RecordDecoder(key, mask)
        self._key = key
        self._mask = mask
        self.life = Lifecycle()
        self.declaration: Declaration | None = None
        self.troubles: dict[str, str] = {}
        self.has_printed = False
        self._takes_rows = takes_rows
        if not takes_rows:
            self.decoder.close()  # a line of JSON is a line
        self._dyno = self._size = self._oldest = self._created = ""
        self.exited_at = ""
        self._lost_lines = self._lost_here = 0
        self._was_run_twice = self._was_interrupted = self._is_cut = False
        self._gap_since: float | None = None
        self._asked_for: set[tuple[int, int]] = set()

    def begin(self, dyno: Dyno) -> None:
        """These are the dyno whose lines are taken; older ones are another's, for names are used again."""
        created = datetime.fromisoformat(dyno.created_at.replace("Z", "+00:00"))
        self._created = created.isoformat(timespec="microseconds")
        self._oldest = (created - CLOCK_SKEW).isoformat(timespec="microseconds")
        self._dyno, self._size = dyno.name, dyno.size

    def take(self, lines: Sequence[LogLine]) -> LogUpdate:
        """Read lines as they come."""
        news = LogUpdate([], [], [])
        if self._are_mere_text(lines):
            self.has_printed = True
            news.events.extend(lines)
            lines = ()
        for line in lines:
            if line.timestamp < self._oldest:
                continue
            if line.source == "app":
                news.events.extend(self._read(line))
            else:
                news.events.append(line)
                self._heed(line, news)
        self.life.news(time.monotonic(), end=self.decoder.end)
        return news

    def asks_for_backlog(self) -> bool:
        """Whether a record is missing for so long that it has to be looked for, and was not yet."""
        gaps = set(self.decoder.missing())
        if not gaps - self._asked_for:
            self._gap_since = None
            return False
        self._gap_since = self._gap_since or time.monotonic()
        return time.monotonic() - self._gap_since >= GAP

    @property
    def exit_status(self) -> int | None:
        """What the exit line says; the task's own word where none came, or where two processes had one each."""
        end = self.decoder.end
        is_told = self.life.exit_status is not None and not self.decoder.started_twice
        return self.life.exit_status if is_told or end is None else end.status

    def is_whole(self) -> bool:
        """Whether a dyno that is over left nothing open that the backlog could tell."""
        result = self.decoder.end is not None or not self._takes_rows
        return result and self.life.exit_status is not None

    def fill(self, backlog: Sequence[LogLine], *, at_end: bool, gaps: int = 0) -> list[Event]:
        """Take what is missing from the backlog of the whole app: who tells of lost lines is not the dyno.

        gaps: how often the stream went on without the lines between.
        """
        lines = [line for line in backlog if line.timestamp >= self._oldest]
        ours = [line for line in lines if line.dyno == self._dyno]
        events: list[Event] = []
        for line in ours:
            if line.source == "heroku":
                self._live(line)
            elif "@hm" in line.message:
                events += self.decoder.feed(line.message)[1]
        self._asked_for.update(self.decoder.missing())
        if at_end and self._takes_rows and not self.decoder.keyed:
            self._compare(lines, ours, gaps)
        return events

    def lost_for_good(self) -> str | None:
        """Say before the end what the backlog did not bring back, and how far the result is whole."""
        gaps = self.decoder.missing()
        if not gaps or set(gaps) - self._asked_for:
            return None
        return (
            f"{sum(last - first + 1 for first, last in gaps)} lines of the result are lost, and Heroku's log does not "
            f"hold them any more: it will be incomplete. {self.decoder.row_count or 0:,} rows are whole so far, in "
            f"{gaps[0][0]:,} lines."
        )

    def problem(self) -> str | None:
        """Say what is known to be wrong with the result of a task that is over, or None."""
        if not self._takes_rows:
            return None
        if problem := self.decoder.problem():
            return problem
        if self._lost_lines:
            return f"{self._lost_lines} lines of its log were lost, and rows may have been among them"
        if self._was_interrupted:
            return "its log broke off, and Heroku did not keep all the lines until it went on"
        if self._was_run_twice:
            return "Heroku ran it twice, and nothing tells the rows of one from the other's (rows of heroku_task do)"
        return None

    def _are_mere_text(self, lines: Sequence[LogLine]) -> bool:
        """Whether all are shown as they are: most of a flood, and quick to tell of many lines at once."""
        if len(lines) < MANY or self._is_cut or {line.source for line in lines} != {"app"}:
            return False
        messages = [line.message for line in lines]
        if max(map(len, messages)) >= PIECE // 4 or min({line.timestamp for line in lines}) < self._oldest:
            return False
        text = "\n".join(messages)
        return "@hm" not in text and "{" not in text and self._mask.text(self._key.hide(text)) == text

    def _read(self, line: LogLine) -> list[Event]:
        """Turn what the task printed into events, records apart from text."""
        self.has_printed = True
        text, records = self.decoder.feed(line.message)
        for record in records:
            if isinstance(record, Declaration):
                self.declaration = record
        if text is None:
            return [*records]
        text = self._hidden(text)
        shown = line if text == line.message else LogLine(line.timestamp, line.source, line.dyno, text)
        return [shown, *records]

    def _hidden(self, text: str) -> str:
        """A message without the run's key and the secrets; a long one may have been cut in the middle of them."""
        was_cut, self._is_cut = self._is_cut, len(text) >= PIECE // 4 and len(text.encode("utf-8", "replace")) >= PIECE
        return self._mask.text(self._key.hide(text), begins=not was_cut, ends=not self._is_cut)

    def _heed(self, line: LogLine, news: LogUpdate) -> None:
        """Read Heroku's own line: what it says of the run, and of trouble."""
        news.states.extend(self._live(line))
        self._lost_here += lost(line.message)
        told = sentence(line.message, self._size)
        if told and told[0] not in self.troubles:
            self.troubles[told[0]] = told[1]
            news.notes.append(told[1])

    def _live(self, line: LogLine) -> list[str]:
        """What a line says of the dyno's life; one before its creation speaks of another dyno of that name."""
        if line.timestamp < self._created:
            return []
        knew = self.life.exit_status is not None
        states = self.life.heroku_line(line.message, time.monotonic())
        if not knew and self.life.exit_status is not None:
            self.exited_at = line.timestamp
        return states

    def _compare(self, lines: list[LogLine], ours: list[LogLine], gaps: int) -> None:
        """Rows that nobody numbered: what the log kept is what counts, if it kept everything."""
        since = lines[lines.index(ours[0]) :] if ours else lines  # what was lost before is other runs'
        self._lost_lines = sum(lost(line.message) for line in since if line.dyno == "log-shuttle")
        self._was_run_twice = was_run_twice(line.message for line in ours if line.source == "heroku")
        if any(line.source == "heroku" and line.message.endswith("to up") for line in ours):
            self.decoder.read_again(line.message for line in ours if line.source == "app")
        else:
            self._lost_lines += self._lost_here
            self._was_interrupted = gaps > 0
