"""A failed run -> the short text that its error shows: what failed, where, what to do; it raises nothing.

The text starts with the task's own exception, so that `evalue` does. It is made from the failure
record, or for a script without the helper from the end of its log and its exit status.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from heroku_magic.text.excerpt import carets, numbered
from heroku_magic.text.sanitize import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.protocol.records import Failure, SourceFrame

_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b(?:: .*)?")
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
# Import names whose package has another name on PyPI.
_PACKAGES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "PIL": "pillow",
    "psycopg2": "psycopg2-binary",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
_MEANING = {
    126: "the command is not executable",
    127: "the command was not found on the dyno",
    128: "the dyno could not be started",
    137: "SIGKILL: out of memory, or it did not end within 30 s of SIGTERM",
    143: "SIGTERM: the dyno was stopped from outside",
}
_LONGEST = 2000


def describe_failure(
    task: str,
    status: int | None,
    failure: Failure | None,
    log: Sequence[str],
    *,
    time_limit: int | None,
    dyno: str,
    troubles: Sequence[str] = (),
) -> str:
    """Return the error's text: headline, source lines, remedy, where to look.

    status: None is unknown. log: the last messages of the task. time_limit: the dyno's
    time_to_live in seconds, if it was over. troubles: what Heroku's error codes mean for this run.
    """
    if time_limit is not None:
        headline = f"the time limit of {time_limit} s was reached, so Heroku ended the task"
        places, missing, remedy = "", None, "Give it more with --timeout SECONDS (at most 86400)."
    elif failure is not None:
        headline = clean(f"{failure.type}: {failure.message}".rstrip(": ")[:_LONGEST])
        places, missing, remedy = _places(failure.frames), failure.missing, ""
    else:
        headline = _last_exception(log) or f"{task} {_in_words(status)}"
        places, missing, remedy = "", _missing_module(log), ""
    footer = _footer("" if headline.startswith(task) else f"{task} {_in_words(status)}", dyno)
    lines = [headline, places, *troubles, remedy, _requirement(missing), footer]
    return "\n".join(filter(None, lines))


def _footer(outcome: str, dyno: str) -> str:
    return " · ".join(filter(None, [outcome, "rows so far: %heroku last", f"whole log: %heroku logs {dyno}"]))


def _in_words(status: int | None) -> str:
    if status is None:
        return "ended with an unknown exit status (its exit line never came)"
    meaning = _MEANING.get(status) or _signal(status)
    return f"ended with exit status {status}" + (f" ({meaning})" if meaning else "")


def _signal(status: int) -> str:
    """The signal that a shell's status above 128 stands for."""
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return ""


def _places(frames: Sequence[SourceFrame]) -> str:
    """The task's own places, innermost last, its failing line marked."""
    lines = []
    for frame in frames[-2:]:
        lines.append(f"  {clean_line(frame.file)}:{frame.line}  in {clean_line(frame.function)}")
        for number, text in frame.source[-3:]:
            lines.append(numbered(number, text, is_failing=number == frame.line))
            lines += [carets(text, *frame.columns)] if frame.columns and number == frame.line else []
    return "\n".join(filter(None, lines))


def _last_exception(log: Sequence[str]) -> str | None:
    """The last line of a traceback, for a script that tells no failure record."""
    if not any(line.startswith("Traceback (most recent call last)") for line in log):
        return None
    return next((clean_line(line[:_LONGEST]) for line in reversed(log) if _EXCEPTION.fullmatch(line)), None)


def _missing_module(log: Sequence[str]) -> str | None:
    found = (_NO_MODULE.match(line) for line in reversed(log))
    return next((match[1] for match in found if match), None)


def _requirement(module: str | None) -> str:
    if not module:
        return ""
    top = clean_line(module.partition(".")[0])
    told = f"The dyno has no module {top!r}. Add this line to the worker's requirements.txt: {_PACKAGES.get(top, top)}"
    return f"{told}\n(A file of your own goes into the worker's folder instead. There is no folder yet: %heroku init.)"
