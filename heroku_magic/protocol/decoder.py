"""Decodes a run's log lines into records: authenticated, in order, each exactly once.

One record is one line of text, `@hm1 NONCE NUMBER KIND MAC PAYLOAD`: numbered without gaps by each
process, authenticated with the run's key, counted by an end record. A line without a valid MAC is only
log, whatever it claims to be. `worker/README.md` specifies the format.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from heroku_magic.protocol.helper_records import HelperProcess, RecordSecrets, length
from heroku_magic.protocol.records import Call, End, Failure, Record, Rows, RunKey
from heroku_magic.protocol.result_limit import MemoryBudget, ResultTooLarge
from heroku_magic.text.redact import NO_MASK, Mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heroku_magic.protocol.tables import Table

MAX_LINE_BYTES = 10_000  # Logplex cuts longer lines: https://devcenter.heroku.com/articles/limits#dynos
_RECORD = re.compile(r"@hm1 ([0-9a-f]{8}) ([0-9]{1,12}) ([a-z]{1,16}\+?) ([0-9a-f]{24}) (.*)", re.DOTALL)
_NEWER = re.compile(r"@hm([2-9]|[1-9][0-9]{1,3}) [0-9a-f]{8} [0-9]{1,12} ")


def is_record(message: str) -> bool:
    """Whether a line of a log has the form of a record; only a decoder knows whether it is one."""
    return _RECORD.match(message) is not None


class RecordDecoder:
    """Decodes one run's records from its log lines, in order and each once, whatever order the lines arrive in.

    Lines may arrive late, twice or never; `missing()` returns the gaps. Each process of the helper has its own nonce.

    joins: whether the results of several processes are one result, as for `a && b`. Otherwise the platform started the
    same command more than once, and the result comes from exactly one process, never from a mixture.
    doubt: why the result cannot be trusted whatever its records are, if the reader of the log knows a reason.
    is_lossless: whether the lines come over a connection, where only the memory limits a file or a value.
    """

    def __init__(self, key: RunKey, mask: Mask = NO_MASK, *, allow_pickle: bool = False) -> None:
        self.joins = self.is_lossless = False
        self.doubt = ""
        self._key = key
        self._secrets = RecordSecrets(key, mask)
        self._allow_pickle = allow_pickle
        self._memory = MemoryBudget()
        self._processes: dict[str, HelperProcess] = {}
        self._plain: list[Rows] = []
        self._cut_lines = self._unreadable_rows = 0
        self._is_closed = False
        self._newer_version: int | None = None

    def feed(self, message: str, timestamp: str = "") -> tuple[str | None, list[Record]]:
        """Process one log message; return its text for the log, if any, and the records that are now in order."""
        match = self._signed(message)
        if match is not None:
            return message[: match.start()] or None, self._take(match, timestamp)
        return message, self._plain_row(message)

    def feed_record(self, message: str, timestamp: str = "") -> list[Record]:
        """Process a message if it is a record, and return the records that are now in order."""
        match = self._signed(message)
        return [] if match is None else self._take(match, timestamp)

    def _signed(self, message: str) -> re.Match[str] | None:
        """Find the record in a message; any text may precede it, even text that looks like the beginning of one."""
        if "@hm" not in message:
            return None
        for mark in re.finditer("@hm1 ", message):
            match = _RECORD.match(message, mark.start())
            if match is not None and self._key.signs(*match.groups()):
                return match
        if newer := _NEWER.search(message):
            self._newer_version = int(newer[1])
        return None

    def _take(self, record: re.Match[str], timestamp: str) -> list[Record]:
        nonce, number, kind, mac, payload = record.groups()
        process = self._processes.get(nonce)
        if process is None:
            process = self._processes[nonce] = HelperProcess(
                self._secrets, self._memory, allow_pickle=self._allow_pickle, is_lossless=self.is_lossless
            )
        process.note_time(timestamp)
        records = process.take(int(number), kind, mac, payload)
        return records if self.joins or process is next(iter(self._processes.values())) else []

    def replace_plain_rows(self, messages: Iterable[str]) -> None:
        """Reread the plain rows from these messages, which are everything the task printed, once and in order."""
        self._plain, self._cut_lines, self._unreadable_rows, self._memory = [], 0, 0, MemoryBudget()
        for message in messages:
            self._plain_row(message)

    def close(self) -> None:
        """Mark the result as complete: later plain lines are only log."""
        self._is_closed = True

    @property
    def is_signed(self) -> bool:
        """Whether a signed record has arrived, which means that the task uses the protocol."""
        return bool(self._processes)

    @property
    def process_count(self) -> int:
        """How many processes have sent records for this run."""
        return len(self._processes)

    @property
    def overlaps(self) -> bool:
        """Whether two processes ran at the same time, by the log's clock."""
        return any(two.began_at < one.last_at for one, two in pairwise(self._in_order()))

    @property
    def end(self) -> End | None:
        """The end record, once every record it counts has arrived; of several, the first with a status other than 0."""
        chosen = self._chosen()
        ends = [one.end for one in chosen if one.end and not one.missing()]
        if not ends or len(ends) < len(chosen):
            return None
        return next((end for end in ends if end.status), ends[-1])

    @property
    def status(self) -> int | None:
        """The exit status that the helper reported: the first other than 0, or 0 once every process has ended."""
        reported = [one.end.status for one in self._chosen() if one.end]
        return next(filter(None, reported), None) or (0 if self.end is not None else None)

    @property
    def failure(self) -> Failure | None:
        """The first failure that was reported."""
        return next((one.failure for one in self._chosen() if one.failure), None)

    @property
    def calls(self) -> list[Call]:
        """The calls that have ended, for a run that makes several. Each is complete."""
        return [call for one in self._chosen() for call in one.calls]

    @property
    def files(self) -> dict[str, bytes]:
        """The complete files, by name."""
        return {name: content for one in self._chosen() for name, content in one.files.items()}

    @property
    def parts(self) -> list[Rows | Table] | None:
        """The result so far, in order. None: there is no table."""
        chosen = self._chosen()
        return ([part for one in chosen for part in one.parts] if chosen else [*self._plain]) or None

    @property
    def row_count(self) -> int | None:
        """The number of rows so far. None: there is no table."""
        return None if self.parts is None else sum(map(length, self.parts))

    @property
    def is_verified(self) -> bool:
        """Whether every row has provably arrived unchanged."""
        return self.end is not None and self.problem() is None

    def missing(self) -> list[tuple[int, int]]:
        """Return the missing record numbers as (first, last) ranges. Without an end record the tail is unknown."""
        return [gap for one in self._chosen() for gap in one.missing()]

    def problem(self) -> str | None:
        """Return what is wrong with the result of a finished task, or None."""
        chosen = self._chosen()
        if self.doubt:
            return self.doubt
        if not chosen and self._newer_version:
            return f"its helper uses version {self._newer_version} of the protocol: upgrade heroku-magic"
        if not chosen:
            return self._plain_problem()
        problems = [(number, problem) for number, one in enumerate(chosen, 1) if (problem := one.problem())]
        if not problems:
            return None
        number, problem = problems[0]
        return problem if len(chosen) == 1 else f"of process {number} of {len(chosen)}, {problem}"

    def _plain_problem(self) -> str | None:
        """Return what is wrong with rows that were printed as JSON, or None."""
        if self._cut_lines:
            return f"{self._cut_lines} of its rows were cut, because a log line holds at most {MAX_LINE_BYTES:,} bytes"
        if self._unreadable_rows:
            return f"{self._unreadable_rows} of its printed rows have too many digits in a number or too many levels"
        return self._memory.problem or None

    def _chosen(self) -> list[HelperProcess]:
        """Return the processes whose records are the result, in the order in which they started."""
        if len(self._processes) <= 1:  # nearly always, and this runs after each line
            return [*self._processes.values()]
        if self.joins:
            return self._in_order()
        complete = [process for process in self._processes.values() if process.end and not process.missing()]
        return [*(complete or self._processes.values())][:1]

    def _in_order(self) -> list[HelperProcess]:
        return sorted(self._processes.values(), key=lambda process: process.began_at)

    def _plain_row(self, message: str) -> list[Record]:
        """Read a printed JSON object as a row, until the first signed record arrives."""
        text = message.lstrip("\ufeff").strip()  # .NET and PowerShell begin their output with a byte order mark
        if self._is_closed or self._processes or not text.startswith("{"):
            return []
        data = text.encode("utf-8", "replace")
        try:
            self._memory.charge_json(data)
            row = self._secrets.mask.value(json.loads(text))
            self._memory.charge_rows([row])
        except json.JSONDecodeError:
            self._cut_lines += len(data) >= MAX_LINE_BYTES
            return []
        except ResultTooLarge:
            return []
        except (ValueError, RecursionError):  # valid, but Python limits the digits of numbers and the depth
            self._unreadable_rows += 1
            return []
        self._plain.append(Rows([row], verified=False))
        return [self._plain[-1]]
