"""Explains the error codes in Heroku's log lines, and what to do about them.

https://devcenter.heroku.com/articles/error-codes
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from heroku_magic.platform_facts.dyno_sizes import next_larger

if TYPE_CHECKING:
    from heroku_magic.api.log_lines import LogLine

_CODE = re.compile(r"(?:Error )?\b([HLR]\d\d)\b")
_LOST = re.compile(r"(?:Error )?L1[0-3]\b.*?(?:dropped (\d+) messages|(\d+) messages (?:dropped|lost))")
# The senders of reports of lost lines: Logplex, and what ships the lines of dynos to it.
LOGPLEX, SHIPPER = "logplex", "log-shuttle"
LOSS_REPORTERS = frozenset({LOGPLEX, SHIPPER})

_MEANING = {
    "R10": "the dyno did not bind to $PORT in time, which only `web` dynos have to do",
    "R11": "the dyno sent a bad bind message",
    "R12": "the task did not end within 30 s of SIGTERM and was killed: make it exit on SIGTERM",
    "R13": "no client attached to the dyno within 30 s",
    "R14": "the dyno used more memory than {size} has, and swapping slowed it down: {more_memory}",
    "R15": "the dyno used far more memory than {size} has, and was killed: {more_memory}",
    "R16": "the dyno kept running after its client disconnected",
    "R17": "the checksum of the app's slug is wrong: deploy the app again",
    "L10": "Heroku dropped {count} lines of a log drain",
    "L11": "Heroku dropped {count} lines before they reached this notebook",
    "L12": "Heroku dropped {count} lines of this app's log at the source: print less, or more slowly",
    "L13": "Heroku lost {count} lines of this app's log because of trouble with its log service",
    "L14": "a log drain's certificate is not valid",
    "L15": "Heroku cannot read the last lines of the log at the moment",
}


def explained_code(message: str, size: str | None) -> tuple[str, str] | None:
    """Return the error code in a message from Heroku and its explanation; None if the message has no code."""
    match = _CODE.match(message)
    if match is None:
        return None
    code = match[1]
    larger = next_larger(size) if size else "performance-m"
    more_memory = f"try --size {larger}" if larger else "try a larger size if there is one, or a task that needs less"
    text = _MEANING.get(code, "see https://devcenter.heroku.com/articles/error-codes")
    return code, f"{code}: {text.format(size=size or 'it', more_memory=more_memory, count=lost(message) or 'some')}"


def lost(message: str) -> int:
    """Return how many lost lines a message from Heroku reports; 0 for any other message.

    >>> lost("Error L12: 7 messages dropped since 2026-01-01T00:00:00+00:00.")
    7
    """
    match = _LOST.match(message)
    return int(match[1] or match[2]) if match else 0


def is_loss_report(line: LogLine) -> bool:
    """Return whether a line reports lost lines of the log itself; those of a log drain do not concern us."""
    return line.dyno in LOSS_REPORTERS and lost(line.message) > 0 and "L10" not in line.message[:10]
