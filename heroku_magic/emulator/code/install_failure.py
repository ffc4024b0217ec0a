"""Describes why requirements could not be installed: the line of the file, and the installer's own conclusion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LINES = 3  # the last ones, with the conclusion
_NAMED_LINE = re.compile(r"-r \S*?requirements\.txt \(line (\d+)\)|from line (\d+) of \S*requirements\.txt")
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")


def describe(requirements: Path, output: Sequence[str]) -> str:
    """Return the error's text. output: the last lines of pip or uv."""
    printed = [line for line in output if line.strip()]
    wanted = requirements.read_text("utf-8", "replace").splitlines()
    number = _failing_line(wanted, printed)
    where = f", line {number}: {wanted[number - 1].strip()}" if number else ""
    headline = f"The app's requirements.txt could not be installed{where}"
    return "\n".join([headline, *(f"  {line[:250]}" for line in printed[-_LINES:])])


def _failing_line(wanted: Sequence[str], printed: Sequence[str]) -> int | None:
    """Return the number of the requirement that the output names last, or None."""
    names = {number: match[1] for number, text in enumerate(wanted, 1) if (match := _NAME.match(text))}
    for line in reversed(printed):
        if (match := _NAMED_LINE.search(line)) and 0 < (number := int(match[1] or match[2])) <= len(wanted):
            return number
        found = [number for number, name in names.items() if _mentions(line, name)]
        if found:
            return max(found, key=lambda number: len(names[number]))
    return None


def _mentions(line: str, name: str) -> bool:
    pattern = re.sub(r"[-_.]+", "[-_.]+", name)
    return re.search(rf"(?<![\w.-]){pattern}(?![\w-])", line, re.IGNORECASE) is not None
