"""Heroku's error codes in log lines -> a sentence and what to do; it reads one line at a time and keeps nothing.

https://devcenter.heroku.com/articles/error-codes
"""

from __future__ import annotations

import re

_CODE = re.compile(r"(?:Error )?\b([HLR]\d\d)\b")
_LOST = re.compile(r"(?:Error )?L1[0-3]\b.*?(?:dropped (\d+) messages|(\d+) messages (?:dropped|lost))")

# The next size up, for a task that needs more memory.
_LARGER = {
    "eco": "standard-2x",
    "basic": "standard-2x",
    "standard-1x": "standard-2x",
    "standard-2x": "performance-m",
    "performance-m": "performance-l",
    "performance-l": "performance-l-ram",
    "performance-l-ram": "performance-xl",
    "performance-xl": "performance-2xl",
}
_MEANING = {
    "R10": "the dyno did not bind its $PORT in time: only `web` has to",
    "R11": "the dyno sent a bad bind",
    "R12": "the task did not end within 30 s of being told to (SIGTERM), so it was killed: end it on SIGTERM",
    "R13": "nobody came to attach to the dyno within 30 s",
    "R14": "the dyno used more memory than {size} has, and was slowed down by swapping: try --size {larger}",
    "R15": "the dyno used far more memory than {size} has, and was killed: try --size {larger}",
    "R16": "the dyno went on after its client had left",
    "R17": "the app's slug is broken (its checksum is wrong): deploy it again",
    "L10": "Heroku dropped {count} lines of a log drain",
    "L11": "Heroku dropped {count} lines of this log on their way here",
    "L12": "Heroku dropped {count} lines of this app's log at their source: print less, or slower",
    "L13": "Heroku lost {count} lines of this app's log on their way: the log service had trouble",
    "L14": "a log drain's certificate is not valid",
    "L15": "Heroku cannot read the log's last lines just now",
}


def sentence(message: str, size: str | None) -> tuple[str, str] | None:
    """Return the code that a line of Heroku's tells of, and what it means for this run; None for any other line."""
    match = _CODE.match(message)
    if match is None:
        return None
    code = match[1]
    larger = _LARGER.get((size or "").lower(), "performance-m")
    text = _MEANING.get(code, "see https://devcenter.heroku.com/articles/error-codes")
    return code, f"{code}: {text.format(size=size or 'it', larger=larger, count=lost(message) or 'some')}"


def lost(message: str) -> int:
    """Return how many lines a line of Heroku's says were lost; 0 for any other line.

    >>> lost("Error L12: 7 messages dropped since 2026-01-01T00:00:00+00:00.")
    7
    """
    match = _LOST.match(message)
    return int(match[1] or match[2]) if match else 0
