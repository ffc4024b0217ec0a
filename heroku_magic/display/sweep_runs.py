"""The runs of a sweep in words: their names, facts, failures, logs and files."""

from __future__ import annotations

from itertools import islice
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.display.attachments import Attachment, AttachmentEncoder
from heroku_magic.display.words import SEPARATOR, SIGNS, duration
from heroku_magic.protocol.values import python_scalar
from heroku_magic.sweeps.failures import explanation
from heroku_magic.text import sgr
from heroku_magic.text.sanitize import NAME, clean_line, clipped, mask_emails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.sweeps.outcomes import Outcome

# Limits, in characters.
_VALUE, _ERROR, _LOG_LINE = 30, 140, 100
_SHOWN_LINE = 300  # of a log that is one click away
# Of all the logs that are one click away, in bytes; each takes some markup.
_MAX_LOGS, _LOG_BYTES, _MARKUP = 200, 40_000, 60
_MAX_FILES = 60
# No e-mail address that is masked is longer.
_ADDRESS = 800


class FailureSummary(NamedTuple):
    """A failed run: its parameters, its error, where and how often it was tried, the end of its log, and more."""

    name: str
    error: str
    facts: str
    log: list[str]
    more: list[str]  # lines of the error, such as those of its source

    @property
    def place(self) -> str:
        """The facts as they stand behind the error."""
        return f" ({self.facts})" if self.facts else ""

    def lines(self) -> list[str]:
        """Return the failure as lines of text."""
        return [f"✗ {self.name}: {self.error}{self.place}", *(f"    {line}" for line in self.log)]


class RunLines(NamedTuple):
    """The end of the log of a run after its name and facts."""

    title: str
    lines: list[str]


class RunFile(NamedTuple):
    """A file of a run after its parameters."""

    name: str
    file: Attachment


class Extreme(NamedTuple):
    """A run with one of the highest or lowest results: which of them, its parameters, its result, facts."""

    rank: str
    name: str
    value: str
    facts: str


def logs_of(runs: Sequence[Outcome], names: Sequence[str]) -> list[RunLines]:
    """Return the ends of the logs of some runs, those of failed ones first."""
    found, left = [], _LOG_BYTES
    for run in sorted((run for run in runs if run.log), key=lambda run: run.state != "failed")[:_MAX_LOGS]:
        title = SEPARATOR.join([f"{SIGNS[run.state]} {run_name(run, names)}", *run_facts(run)])
        lines = [_log_line(line) for line in run.log]
        left -= len("".join([title, *lines]).encode()) + _MARKUP
        if left < 0:
            break
        found.append(RunLines(title, lines))
    return found


def files_of(runs: Sequence[Outcome], names: Sequence[str]) -> list[RunFile]:
    """Return the first files of some runs, as long as they fit into the limit with their content."""
    encoder = AttachmentEncoder()
    named = ((run_name(run, names), encoder.encode(run.files, with_pictures=True)) for run in runs)
    return [*islice((RunFile(name, file) for name, files in named for file in files), _MAX_FILES)]


def failure_summary(run: Outcome, names: Sequence[str], lines: int) -> FailureSummary:
    """Describe a failed run with so many lines of its log."""
    error = safe(str(run.error or "").strip().partition("\n")[0], _ERROR)
    log = [safe(line.rstrip(), _LOG_LINE) for line in run.log[-lines - 1 :]]
    log = dedent("\n".join([line for line in log if line != error[:_LOG_LINE]][-lines:])).splitlines()
    facts = [safe(run.dyno)] if run.dyno else []
    facts += [f"{run.attempts:,} attempts"] if run.attempts > 1 else []
    more = [safe(line, _LOG_LINE) for line in explanation(run.error)]
    return FailureSummary(run_name(run, names), error, ", ".join(facts), log, more)


def run_facts(run: Outcome) -> list[str]:
    """Return how long a run took and on which dyno."""
    seconds = [] if run.seconds is None else [duration(run.seconds)]
    return [*seconds, *([safe(run.dyno)] if run.dyno else [])]


def run_name(run: Outcome, names: Sequence[str]) -> str:
    """Name a run by the parameters that distinguish it."""
    return safe(", ".join(f"{name}={value_text(run.parameters.get(name))}" for name in names), 2 * NAME)


def value_text(value: Any) -> str:
    """Return a parameter's value, cut."""
    try:
        shown = value if isinstance(value, str) else repr(python_scalar(value))
    except RecursionError:
        return "…"
    return shown if len(shown) <= _VALUE else f"{shown[: _VALUE - 1]}…"


def safe(text: str, longest: int = NAME) -> str:
    """Clean first and cut then, because visible escapes are longer."""
    return clipped(clean_line(mask_emails(text[: longest + _ADDRESS])), longest)


def _log_line(line: str) -> str:
    return safe(sgr.plain(sgr.last_state(line.rstrip("\r\n"))), _SHOWN_LINE)
