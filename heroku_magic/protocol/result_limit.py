"""Bounds the memory that one run's result may need, however few lines it arrives in.

A line of 30 kB can unpack to 64 MB, and a table without columns may claim any number of rows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LIMIT_MB = 1_000  # of a run
SETTING = "HEROKU_MAGIC_RESULT_MB"
# What a Python object needs in bytes, besides its text: measured with small dicts, lists and values.
_OBJECT, _LIST, _VALUE, _CELL = 200, 60, 24, 8


class ResultTooLarge(ValueError):
    """A record would exceed the limit."""


class MemoryBudget:
    """The memory that the parts of a result need, estimated before they are parsed.

    problem: says that the limit was exceeded, and how to raise it; empty before.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._limit = limit_in_mb() * 1_000_000
        self._used = self._rows = 0
        self._names: set[str] = set()

    @property
    def left(self) -> int:
        """The bytes that are still free; 0 once the limit was exceeded."""
        return 0 if self.problem else max(self._limit - self._used, 0)

    def charge_json(self, text: bytes) -> None:
        """Count rows, or other values, as JSON. Raises ResultTooLarge."""
        count = text.count
        self.charge(len(text) + _OBJECT * count(b"{") + _LIST * count(b"[") + _VALUE * count(b","))

    def charge_table(self, size: int, rows: int, names: Iterable[str]) -> None:
        """Count a chunk of a table with its buffers' size. Raises ResultTooLarge."""
        columns = [*names]
        self.charge(max(size, _CELL * rows * max(len(columns), 1)))
        self._charge_cells(rows, columns)

    def charge_rows(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Count the cells of rows, each of which has the columns of all rows in the end. Raises ResultTooLarge."""
        self._charge_cells(len(rows), (name for row in rows for name in row))

    def _charge_cells(self, rows: int, names: Iterable[str]) -> None:
        self._rows += rows
        self._names.update(names)
        if self._rows * len(self._names) * _CELL > self._limit:
            self.exceed()

    def charge(self, size: int) -> None:
        """Count bytes. Raises ResultTooLarge."""
        if size > self.left:
            self.exceed()
        self._used += size

    def exceed(self) -> None:
        """Take note that a record does not fit. Raises ResultTooLarge."""
        self.problem = (
            f"it needs more memory than {self._limit // 1_000_000:,} MB, the limit for the result of one run. "
            f"Send fewer rows, or set the environment variable {SETTING} to a larger number"
        )
        raise ResultTooLarge(self.problem)


def limit_in_mb() -> int:
    """Return how many MB the result of one run may have."""
    text = os.environ.get(SETTING, "")
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 10 else LIMIT_MB
