"""Reads the log lines of one run's dyno: events, the result, and what is missing from it."""

from __future__ import annotations

import time
from collections import Counter, deque
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.api.error_codes import LOGPLEX, explained_code, is_loss_report, lost
from heroku_magic.api.log_lines import PIECE, LogLine
from heroku_magic.protocol.dataframe import fault
from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.tables import Table
from heroku_magic.runs.command_mark import without_mark
from heroku_magic.runs.lifecycle import Lifecycle
from heroku_magic.runs.log_window import LogWindow, shows_start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.api.resources import Dyno
    from heroku_magic.protocol.records import RunKey
    from heroku_magic.runs.events import Event
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.text.redact import Mask

MANY = 20  # lines; those of a larger batch are checked together
GAP = 2.0  # seconds after which a missing record is no longer just late
MAX_EARLY_LINES = 20_000  # that are kept until the dyno's first line shows whose they are
NO_RECORDS = (
    "nothing that heroku_task sends has arrived. Either it did not start, or the command line redirects its standard "
    "output (`> FILE`, `| COMMAND`). With `--rows none`, only the log of such a run counts"
)
RAN_TWICE = (
    "Heroku ran this dyno's command twice, as it does in very rare instances, so its side effects may have happened "
    "twice. The result is that of one process."
)


class LogUpdate(NamedTuple):
    """What a batch of lines brought: events in order, states of the run, messages to the user."""

    events: list[Event]
    states: list[str]
    notes: list[str]


class RunLog:
    """What one dyno's log says: `decoder` has the result, `life` knows when the run is over.

    exited_at: when the dyno exited, as Heroku's log writes it; empty while unknown. misses_losses: reports of lost
    lines cannot be read.
    """

    def __init__(self, key: RunKey, spec: RunSpec) -> None:
        self.decoder = RecordDecoder(key, spec.mask, allow_pickle=spec.allow_pickle)
        self.decoder.joins = spec.is_compound
        self.life = Lifecycle(is_compound=spec.is_compound)
        self.troubles: dict[str, str] = {}
        self.has_printed = self.misses_losses = False
        self.exited_at = ""
        self._key = key
        self._spec = spec
        if not spec.takes_rows:
            self.decoder.close()  # a line of JSON is text then
        self._window = LogWindow(key.run)
        self._size = ""
        self._early: deque[LogLine] = deque(maxlen=MAX_EARLY_LINES)
        self._times = "", ""  # of the oldest and the newest line that was read
        self._states: dict[tuple[LogLine, int], None] = {}
        self._losses, self._kept_losses = Counter[LogLine](), Counter[LogLine]()
        self._is_whole = self._was_interrupted = self._has_discarded_rows = self._is_cut = False
        self._gap_since: float | None = None
        self._looked_for: set[tuple[int, int]] = set()

    @cached_property
    def _mask(self) -> Mask:
        """What hides the secrets and the key."""
        return self._spec.mask | self._key.mask

    def begin(self, dyno: Dyno) -> None:
        """Choose the dyno; other lines of its name belong to another, as Heroku reuses names."""
        self._window.begin(dyno)
        self._size = dyno.size

    @property
    def began_at(self) -> str:
        """When the dyno started, as Heroku's log writes it; empty while unknown."""
        return self._window.began_at

    def take(self, lines: Sequence[LogLine]) -> LogUpdate:
        """Read lines as they arrive."""
        update = LogUpdate([], [], [])
        if self._are_plain_text(lines):
            self.has_printed = True
            update.events.extend(lines)
            lines = ()
        for line in lines:
            if not self._window.is_named(line):
                self._read_loss(line, update)
                continue
            if line.source == "heroku" and self._window.read(line):
                self._discard_others()
                self._read_line(line, update)
                early, self._early = self._early, deque(maxlen=MAX_EARLY_LINES)
                for held in early:
                    self._read_line(held, update)
            else:
                self._read_line(line, update)
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
        """The exit status, None if unknown: where the exit line and the task's own report differ, the one not 0."""
        shown, own = self.life.exit_status, self.decoder.status
        if self._is_repeated and own is not None:
            return own  # the exit line may be that of the other process
        if own is None and self.decoder.failure is not None:
            return shown or None  # a 0 is not the task's
        return shown or own or (None if shown is own is None else 0)

    def disagreement(self) -> str | None:
        """Return a sentence about an exit line that differs from the task's own report, or None."""
        shown, own = self.life.exit_status, self.decoder.status
        if self._is_repeated or shown is None:
            return None
        if own is not None and own != shown:
            reason = "" if shown else ", as it does more than run the task (`…; …`, `| …`, `|| …`)"
            return f"The task itself ended with exit status {own}, but the dyno's command line with {shown}{reason}."
        if self.decoder.failure is not None and not shown:
            return "The exit status 0 is that of the dyno's command line; the task's own was lost on its way."
        return None

    @property
    def _is_repeated(self) -> bool:
        """Whether several processes are taken for repetitions of one by the platform."""
        return self.decoder.process_count > 1 and not self.decoder.joins

    def is_complete(self) -> bool:
        """Return whether nothing is missing, after the end, that the backlog could have."""
        if self.life.is_compound or self.decoder.process_count > 1 or not self._window.began_at:
            return False
        has_result = self.decoder.end is not None or not self._spec.takes_rows
        return has_result and self.life.exit_status is not None

    def fill(self, backlog: Sequence[LogLine], *, at_end: bool, gaps: int = 0) -> list[Event]:
        """Take what is missing from the backlog of the whole app, as Heroku reports lost lines for the app.

        gaps: how often the stream was interrupted and continued without the lines in between.
        """
        ours = self._own(backlog)
        # A short run may never be `up`: its state changes from `starting` to `complete`, after its output.
        is_up = any(line.source == "heroku" and line.message.endswith("to up") for line in ours)
        self._is_whole = is_up or (bool(ours) and shows_start(self._key.run, filter(self._window.holds, backlog)))
        # Losses before the dyno's first line concern other runs.
        since = backlog[backlog.index(ours[0]) :] if self._is_whole else backlog
        self._kept_losses = Counter(filter(is_loss_report, since))
        events: list[Event] = [
            record
            for line in backlog
            if self._window.is_named(line) and line.source == "app"
            for record in self.decoder.feed_record(line.message, line.timestamp)
        ]
        self._looked_for.update(self.decoder.missing())
        if at_end:
            self._judge_processes()
            self._was_interrupted = gaps > 0
            if self._is_whole and self._spec.takes_rows and not self.decoder.is_signed:
                self.decoder.replace_plain_rows(line.message for line in ours if line.source == "app")
        return events

    def _own(self, backlog: Sequence[LogLine]) -> list[LogLine]:
        """Return the lines of the dyno in a backlog, and read its states."""
        named = [line for line in backlog if self._window.is_named(line)]
        for line in named:
            if line.source == "heroku" and self._window.read(line):
                self._discard_others()
        ours = [line for line in named if self._window.holds(line)]
        seen = Counter[LogLine]()
        for line in ours:
            if line.source == "heroku":
                self._read_state(line, seen[line])
                seen[line] += 1
        return ours

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
        if not self._spec.takes_rows:
            return None
        if (problem := self.decoder.problem()) or self.decoder.is_signed:
            return problem or self._table_fault()
        problem = self._loss()
        return NO_RECORDS if problem is None and self._spec.sends_records else problem

    def _loss(self) -> str | None:
        """Return why rows without numbers are missing or cannot be told apart, or None."""
        # What was only lost on its way to this notebook is in the backlog.
        count = sum(
            lost(line.message) * times
            for line, times in (self._losses | self._kept_losses).items()
            if self._window.holds(line) and not (self._is_whole and line.dyno == LOGPLEX)
        )
        if count:
            return f"{count} lines of its log were lost, and they may have contained rows"
        if not self._is_whole and (doubt := self._doubt()):
            return doubt
        if self.life.starts > 1:
            return "Heroku ran it twice, and only rows sent with heroku_task could be told apart"
        return None

    def _table_fault(self) -> str | None:
        """Return why a table cannot become a DataFrame here, or None; rows always can, without loading pandas."""
        parts = self.decoder.parts or ()
        if self.decoder.calls or not any(isinstance(part, Table) for part in parts):
            return None
        self.decoder.doubt = fault(parts) or ""
        return self.decoder.problem()

    def _doubt(self) -> str | None:
        """Return why rows without numbers may be missing if the backlog does not reach back to the start, or None."""
        if self._has_discarded_rows:
            return "another dyno of the same name printed in between, and Heroku did not keep all of its own lines"
        if self._was_interrupted:
            return "its log stream was interrupted, and Heroku did not keep all the lines in between"
        if not self._window.began_at:
            return "its log was not followed from its first line, and Heroku no longer keeps the beginning"
        if self.misses_losses:
            return "Heroku's reports of lost lines could not be read, so rows may be missing"
        return None

    def _judge_processes(self) -> None:
        """Decide whether several processes are several commands of one dyno, or one command that Heroku ran twice."""
        decoder, is_compound, starts = self.decoder, self.life.is_compound, self.life.starts
        if decoder.process_count < 2:
            return
        if starts > 1:
            decoder.joins = False
            if is_compound or decoder.process_count > starts:
                decoder.doubt = "Heroku ran it twice, and the processes of its command line cannot be told apart"
        elif self._is_whole:
            decoder.joins = True
        elif is_compound and decoder.overlaps:
            decoder.doubt = (
                "several of its processes sent rows at the same time, and Heroku's log history no longer shows whether "
                "one dyno ran them all or Heroku ran it twice"
            )

    def _are_plain_text(self, lines: Sequence[LogLine]) -> bool:
        """Return whether all lines are shown unchanged: true of most large outputs, and checked at once."""
        if len(lines) < MANY or self._is_cut or not self._window.holds_all(lines):
            return False
        messages = [line.message for line in lines]
        if max(map(len, messages)) >= PIECE // 4:
            return False
        text = "\n".join(messages)
        return "@hm" not in text and "{" not in text and self._mask.text(without_mark(text, self._key.run)) == text

    def _read_line(self, line: LogLine, update: LogUpdate) -> None:
        """Read a line of the dyno's name, which may be that of an earlier dyno."""
        if not self._window.holds(line):
            if line.source == "app":
                update.events.extend(self.decoder.feed_record(line.message, line.timestamp))
            if not self._window.began_at:
                self._early.append(line)
            return
        self._times = min(self._times[0] or line.timestamp, line.timestamp), max(self._times[1], line.timestamp)
        if line.source == "app":
            update.events.extend(self._read_output(line))
        else:
            update.events.append(line.redacted(self._mask))
            update.states.extend(self._read_state(line))
            self._explain(line, update)

    def _discard_others(self) -> None:
        """Forget lines that turn out to be those of another dyno of the same name."""
        if self._window.holds_times(self._times):
            return
        self.life, self.exited_at = Lifecycle(is_compound=self.life.is_compound), ""
        known, self._states = self._states, {}
        for line, repetition in known:
            if self._window.holds(line):
                self._read_state(line, repetition)
        if not self.decoder.is_signed:
            self.decoder.replace_plain_rows(())
            self._has_discarded_rows = self._times[1] >= self._window.began_at
        self._times = "", ""

    def _read_output(self, line: LogLine) -> list[Event]:
        """Separate the records in a line of the task's output from the text."""
        self.has_printed = True
        text, records = self.decoder.feed(line.message, line.timestamp)
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

    def _explain(self, line: LogLine, update: LogUpdate) -> None:
        """Explain an error code, once."""
        trouble = explained_code(line.message, self._size)
        if trouble and trouble[0] not in self.troubles:
            self.troubles[trouble[0]] = trouble[1]
            update.notes.append(trouble[1])

    def _read_loss(self, line: LogLine, update: LogUpdate) -> None:
        """Read a report of lost lines, which names no dyno; other lines of other senders are not ours."""
        if is_loss_report(line):
            self._losses[line] += 1
            if self._window.holds(line):
                update.events.append(line)
                self._explain(line, update)

    def _read_state(self, line: LogLine, repetition: int = 0) -> list[str]:
        """Return the states that a line announces. repetition: how many equal ones precede it in a backlog."""
        self._states[line, repetition] = None
        had_exited = self.life.exit_status is not None
        states = self.life.read(line.message, time.monotonic(), f"{line.timestamp} {repetition}")
        if not had_exited and self.life.exit_status is not None:
            self.exited_at = line.timestamp
        return states
