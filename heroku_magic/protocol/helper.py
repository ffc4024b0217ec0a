"""Facts about the worker's helper: where its folder is, and which command lines run nothing else."""

from __future__ import annotations

import re
import shlex
from functools import cache
from itertools import dropwhile, takewhile
from pathlib import Path

HELPER = "heroku_task"  # the name of its module
_WRAPPERS = r"exec|time|env|nice|ddtrace-run|opentelemetry-instrument"
_RUNNERS = r"uv|poetry|pipenv|pdm|hatch|rye"
# What may stand before `python`, and neither repeats a command nor changes its exit status.
_PREFIXES = rf"(?:{_WRAPPERS}|newrelic-admin +run-program|(?:{_RUNNERS}) +run)"
_HELPER = (
    rf" *(?:(?:\w+=[^\s;&|<>()`$\\]*|{_PREFIXES}) +)*[\w./-]*python[\d.]*(?: +-(?:[WX] +)?[\w=:.]+)*? +-m +heroku_task"
)
# One word that may stand before `python` in the first command of a line, which then runs whatever comes after it.
_BEFORE = re.compile(
    rf"\w+=.*|-\S*|[\d.]+[smhd]?|{_WRAPPERS}|ionice|timeout|nohup|stdbuf|newrelic-admin|run-program|{_RUNNERS}|run"
)
_STARTS_TASK = re.compile(r"\S*python[\d.]*(?: -(?:[WX] )?[\w=:.]+)*? -m heroku_task \w.*")
_RUNS_HELPER_ONLY = re.compile(rf"{_HELPER}(?: +(?P<task>[\w.=-]+))*(?: +2>&1)? *")


@cache
def shipped_worker() -> Path:
    """Return the path of the worker folder: inside an installed wheel, or next to the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    wheel, checkout = package / "_worker", package.parent / "worker"
    return wheel if wheel.is_dir() else checkout


def runs_helper_only(command: str) -> bool:
    """Return whether a command line runs the helper exactly once and nothing else, as far as its text shows.

    >>> runs_helper_only("python -m heroku_task simulate")
    True
    >>> runs_helper_only("python -m heroku_task simulate | tee log")
    False
    """
    return _RUNS_HELPER_ONLY.fullmatch(command) is not None


def starts_task(command: str) -> bool:
    """Return whether a command line begins with a task of the helper, which sends records whatever comes after it.

    >>> starts_task("nice -n 5 python -m heroku_task simulate > /dev/null; true")
    True
    >>> starts_task("make data && python -m heroku_task simulate")
    False
    """
    words = shlex.shlex(command.lstrip(" ({"), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    try:
        first = [*takewhile(lambda word: word.strip("();<>|&"), words)]
    except ValueError:  # a quote that is not closed
        return False
    rest = [*dropwhile(_BEFORE.fullmatch, first)]
    return _STARTS_TASK.fullmatch(" ".join(rest)) is not None


def helper_task(command: str) -> str | None:
    """Return the task that a command line runs with the helper; None if it runs anything else.

    >>> helper_task("python -m heroku_task simulate")
    'simulate'
    >>> helper_task("Rscript simulate.R")
    """
    match = _RUNS_HELPER_ONLY.fullmatch(command)
    return match["task"] if match and (match["task"] or "-")[0] != "-" else None
