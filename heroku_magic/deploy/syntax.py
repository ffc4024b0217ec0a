"""Parses source with the Python that the app runs on, if this computer has it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_DECODED = "\udcff"  # stands for source that is not encoded as it says: Python cannot encode it, either
_TIMEOUT = 10  # seconds
_COMPILE = """
import json, sys
try:
    compile(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), "", "exec")
    found = None
except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    found = [getattr(error, "lineno", None), getattr(error, "msg", None) or str(error)]
print(json.dumps([sys.version_info[1], found]))
"""


class SyntaxProblem(NamedTuple):
    """Why source does not parse. version: of the Python that rejects it; is_certain: the app runs on that one."""

    line: int | None
    message: str
    version: str
    is_certain: bool


def problem(source: str, minor: int | None) -> SyntaxProblem | None:
    """Return why source does not parse on Python 3.`minor`, or on this one if that is not at hand."""
    source = source.removeprefix("\ufeff")
    here = sys.version_info.minor
    if minor is None or minor == here:
        is_certain = minor is not None
        return _rejected(lambda: compile(source, "", "exec", dont_inherit=True), here, is_certain=is_certain)
    return _elsewhere(source, minor)


def _elsewhere(source: str, minor: int) -> SyntaxProblem | None:
    """Ask the Python of that version; without it, report what this Python's parser rejects."""
    if python := shutil.which(f"python3.{minor}"):
        try:
            done = subprocess.run(
                [python, "-I", "-W", "ignore", "-c", _COMPILE],
                input=source.encode("utf-8", "surrogateescape"),
                capture_output=True,
                timeout=_TIMEOUT,
                env={},
                check=False,
            )
            answered, found = json.loads(done.stdout)
        except (OSError, ValueError, TypeError, subprocess.TimeoutExpired):
            answered = None
        if answered == minor:
            return SyntaxProblem(found[0], found[1], f"3.{minor}", is_certain=True) if found else None
    older = min(minor, sys.version_info.minor)
    return _rejected(lambda: ast.parse(source, feature_version=(3, older)), older, is_certain=False)


def _rejected(parse: Callable[[], object], minor: int, *, is_certain: bool) -> SyntaxProblem | None:
    """Return the error that `parse` raises, as one of Python 3.`minor`; None if it raises none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parse()
    except SyntaxError as error:
        return SyntaxProblem(error.lineno, error.msg, f"3.{minor}", is_certain)
    except UnicodeError:  # no Python reads it
        return SyntaxProblem(None, "it is not encoded as it says", f"3.{minor}", is_certain=True)
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxProblem(None, str(error), f"3.{minor}", is_certain)
    return None
