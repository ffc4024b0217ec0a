"""Tables: a table chunk's header and bytes -> typed columns, no size of which is believed; it builds no DataFrame.

The worker's README writes the format down: three codings (numbers, codes, json), each column's
buffers one after another, numbers with their first bytes first.
"""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.text.redact import Mask

WIDTHS = {
    "bool": 1,
    **{f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": bits // 8 for bits in (16, 32, 64)},
}
_CODES = {"int8": "b", "int16": "h", "int32": "i", "int64": "q"}
_DTYPE = re.compile(
    r"|string|category|boolean|bool|u?int(8|16|32|64)|U?Int(8|16|32|64)|float(16|32|64)|Float(32|64)"
    r"|(datetime64|timedelta64)\[(s|ms|us|ns)\]|datetime64\[(s|ms|us|ns), [\w+\-/:() ]{1,60}\]",
    re.ASCII,
)


class Head(msgspec.Struct, frozen=True):
    """What a header says of one column.

    coding: `numbers` (as numpy has them, `mask` where null is), `codes` (places in the values `of`
    another column, -1 for null) or `json` (a list). dtype: pandas's name for it; empty: as pandas
    takes the values. numbers: numpy's name for the bytes.
    """

    coding: str
    dtype: str = ""
    name: str = ""
    numbers: str = ""
    mask: bool = False
    ordered: bool = False
    rows: int | None = None
    of: Head | None = None


class Header(msgspec.Struct, frozen=True):
    """The header of a table chunk: its rows and those still to come, which columns, how long each buffer is."""

    rows: int
    columns: list[Head]
    sizes: list[int]
    left: int = 0


class Column(msgspec.Struct, frozen=True):
    """One column of a chunk: `values` are numbers' bytes, or a list for the coding `json`.

    mask: a byte a value, 1 is null. of: the values that codes point to.
    """

    head: Head
    values: bytes | list[Any]
    mask: bytes | None = None
    of: Column | None = None

    def redacted(self, mask: Mask) -> Column:
        """Return the column with its secrets hidden."""
        values = self.values if isinstance(self.values, bytes) else mask.value(self.values)
        of = None if self.of is None else self.of.redacted(mask)
        return msgspec.structs.replace(self, values=values, of=of)


class Table(msgspec.Struct, frozen=True):
    """A part of the result with its types: columns by name, all of them `length` long; `left` rows are to follow."""

    length: int
    columns: dict[str, Column]

    def redacted(self, mask: Mask) -> Table:
        """Return the chunk with its secrets hidden."""
        if not mask:
            return self
        columns = {mask.text(name): column.redacted(mask) for name, column in self.columns.items()}
        return msgspec.structs.replace(self, columns=columns)

    left: int = 0


def table(header: Any, body: bytes) -> Table:
    """Return the chunk; raise ValueError (or msgspec's) for one that is not as it says."""
    told = msgspec.convert(header, Header)
    if sum(told.sizes) != len(body) or min(told.sizes, default=0) < 0 or told.rows < 0:
        raise ValueError("the buffers are not as long as the header says")
    buffers = _buffers(told.sizes, body)
    columns = {head.name: _column(head, told.rows, buffers) for head in told.columns}
    if len(columns) < len(told.columns) or next(buffers, None) is not None:
        raise ValueError("the columns do not fit the buffers")
    return Table(told.rows, columns, told.left)


def _buffers(sizes: list[int], body: bytes) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield body[at : at + size]
        at += size


def _column(head: Head, rows: int, buffers: Iterator[bytes]) -> Column:
    if _DTYPE.fullmatch(head.dtype) is None:
        raise ValueError("an unknown dtype")
    if head.coding == "json":
        return Column(head, _list(rows, buffers))
    mask = _numbers("bool", rows, buffers) if head.mask else None
    numbers = _numbers(head.numbers, rows, buffers)
    if head.coding == "numbers":
        return Column(head, numbers, mask)
    of = head.of
    if head.coding != "codes" or head.numbers not in _CODES or of is None or of.rows is None or of.of is not None:
        raise ValueError("an unknown coding")
    _check_codes(head.numbers, numbers, of.rows)
    return Column(head, numbers, of=_column(of, of.rows, buffers))


def _list(rows: int, buffers: Iterator[bytes]) -> list[Any]:
    values = json.loads(next(buffers, b""))
    if not isinstance(values, list) or len(values) != rows:
        raise ValueError("a column is not as long as the table")
    return values


def _numbers(kind: str, rows: int, buffers: Iterator[bytes]) -> bytes:
    """The bytes as numpy reads them: shuffled, they came with all the numbers' first bytes first."""
    shuffled, width = next(buffers, b""), WIDTHS.get(kind, 0)
    if not width or len(shuffled) != rows * width:
        raise ValueError("a column is not as long as the table")
    if kind == "bool" and shuffled.translate(None, b"\0\1"):
        raise ValueError("neither true nor false")
    numbers = bytearray(len(shuffled))
    for place in range(width):
        numbers[place::width] = shuffled[place * rows : (place + 1) * rows]
    return bytes(numbers)


def _check_codes(kind: str, numbers: bytes, values: int) -> None:
    codes = struct.unpack(f"<{len(numbers) // WIDTHS[kind]}{_CODES[kind]}", numbers)
    if codes and not (min(codes) >= -1 and max(codes) < values):
        raise ValueError("a code points to no value")
