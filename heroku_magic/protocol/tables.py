"""Decodes a table chunk into typed columns and validates every size in its header.

`worker/README.md` specifies the format: three codings (numbers, codes, json), each column's
buffers one after another, numbers with their first bytes first.
"""

from __future__ import annotations

import json
import re
import struct
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heroku_magic.text.redact import Mask

WIDTHS = {
    "bool": 1,
    **{f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": bits // 8 for bits in (16, 32, 64)},
}
_CODES = {"int8": "b", "int16": "h", "int32": "i", "int64": "q"}
_DTYPE = re.compile(
    r"|string|category|boolean|bool|u?int(8|16|32|64)|U?Int(8|16|32|64)|float(16|32|64)|Float(32|64)"
    r"|(datetime64|timedelta64)\[(s|ms|us|ns)\]|datetime64\[(s|ms|us|ns), [^\[\]]{1,200}\]|period\[[\w-]{1,20}\]",
    re.ASCII,
)

Label: TypeAlias = tuple[str, Any]  # type and value
_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class ColumnHeader(msgspec.Struct, frozen=True):
    """The header of one column.

    coding: `numbers` (in numpy's layout, with a `mask` of nulls), `codes` (indices into the values of a
    `dictionary`, -1 for null) or `json` (a list). dtype: the pandas dtype; empty: inferred by pandas.
    numbers: the numpy dtype of the bytes. label: the column's label as [type, value], if it is not text.
    source: the dtype on the dyno, where `dtype` only approximates it.
    """

    coding: str
    dtype: str = ""
    name: str = ""
    numbers: str = ""
    mask: bool = False
    ordered: bool = False
    rows: int | None = None
    dictionary: ColumnHeader | None = msgspec.field(default=None, name="of")
    label: Label | None = None
    source: str = ""


class TableHeader(msgspec.Struct, frozen=True):
    """The header of a table chunk.

    sizes: bytes of each buffer. left: rows in the chunks to follow. names: of the levels of the column labels.
    call: see Table.
    """

    rows: int
    columns: list[ColumnHeader]
    sizes: list[int]
    left: int = 0
    names: list[Label] = []
    call: dict[str, Any] | None = None


class Column(msgspec.Struct, frozen=True):
    """One column of a chunk.

    values: the bytes of the numbers, or a list for the coding `json`. mask: one byte per value, 1 for null. Of joined
    chunks, which are never stored, both are tuples. dictionary: the values that codes refer to.
    """

    head: ColumnHeader
    values: bytes | list[Any]
    mask: bytes | None = None
    dictionary: Column | None = msgspec.field(default=None, name="of")

    def redacted(self, mask: Mask) -> Column:
        """Return the column with its secrets masked."""
        values = mask.value(self.values) if isinstance(self.values, list) else self.values
        dictionary = None if self.dictionary is None else self.dictionary.redacted(mask)
        return msgspec.structs.replace(self, values=values, dictionary=dictionary)


class Table(msgspec.Struct, frozen=True):
    """A chunk of the result: typed columns of `length` values by name.

    left: rows in the chunks to follow. names: of the levels of the column labels. call: what a function's DataFrame
    has besides its columns: how many of the first ones are its index (`levels`), the `names` of that, and the values of
    columns of `objects`.
    """

    length: int
    columns: dict[str, Column]
    left: int = 0
    names: list[Label] = []
    call: dict[str, Any] | None = None

    def continues(self, other: Table) -> bool:
        """Whether both have the same columns of numbers, so that their bytes can be joined."""
        heads, others = ([one.head for one in table.columns.values()] for table in (self, other))
        are_numbers = all(head.coding == "numbers" and not head.source for head in heads)
        return are_numbers and heads == others and self.names == other.names

    def redacted(self, mask: Mask) -> Table:
        """Return the chunk with its secrets masked."""
        if not mask:
            return self
        columns = {mask.text(name): column.redacted(mask) for name, column in self.columns.items()}
        return msgspec.structs.replace(self, columns=columns)


def joined(tables: Sequence[Table]) -> Table:
    """Return tables that continue each other as one table, without a copy of their bytes."""
    first = tables[0]
    if len(tables) == 1:
        return first
    columns = {
        name: msgspec.structs.replace(
            column,
            values=tuple(table.columns[name].values for table in tables),
            mask=None if column.mask is None else tuple(table.columns[name].mask for table in tables),
        )
        for name, column in first.columns.items()
    }
    return msgspec.structs.replace(first, length=sum(table.length for table in tables), columns=columns)


def read_table(header: Any, body: bytes) -> Table:
    """Decode a chunk. Raises ValueError or msgspec.ValidationError if it does not match its header."""
    declared = msgspec.convert(header, TableHeader)
    if sum(declared.sizes) != len(body) or min(declared.sizes, default=0) < 0 or declared.rows < 0:
        raise ValueError("the buffers do not have their declared length")
    buffers = split_buffers(declared.sizes, body)
    for label in [*declared.names, *(head.label for head in declared.columns if head.label is not None)]:
        _check_label(label)
    columns = {head.name: _column(head, declared.rows, buffers) for head in declared.columns}
    if len(columns) < len(declared.columns) or next(buffers, None) is not None:
        raise ValueError("the columns do not match the buffers")
    return Table(declared.rows, columns, declared.left, declared.names, declared.call)


def _check_label(label: Label) -> None:
    """Raise ValueError or msgspec.ValidationError unless a label is valid."""
    kind, value = label
    if kind == "tuple":
        for part in msgspec.convert(value, list[Label]):
            _check_label(part)
    elif kind == "interval":
        _, *ends = msgspec.convert(value, tuple[Literal["left", "right", "both", "neither"], Label, Label])
        _check_label(("tuple", ends))
    elif kind == "date":
        date.fromisoformat(msgspec.convert(value, str))
    elif kind == "json":
        msgspec.convert(value, str | float | bool | None)
    elif kind.endswith("]") and _DTYPE.fullmatch(kind):
        msgspec.convert(value, _Int64)
    else:
        raise ValueError("an unknown type of label")


def split_buffers(sizes: list[int], body: bytes) -> Iterator[bytes]:
    """Yield the buffers of a chunk, which follow each other in its body."""
    offset = 0
    for size in sizes:
        yield body[offset : offset + size]
        offset += size


def _column(head: ColumnHeader, rows: int, buffers: Iterator[bytes]) -> Column:
    if _DTYPE.fullmatch(head.dtype) is None:
        raise ValueError("an unknown dtype")
    if head.coding == "json":
        values = json.loads(next(buffers, b""))
        if not isinstance(values, list) or len(values) != rows:
            raise ValueError("a column does not have the length of its table")
        return Column(head, values)
    mask = _numbers("bool", rows, buffers) if head.mask else None
    numbers = _numbers(head.numbers, rows, buffers)
    if head.coding == "numbers":
        return Column(head, numbers, mask)
    inner = head.dictionary
    if inner is None or inner.rows is None or inner.dictionary is not None:
        raise ValueError("not a valid dictionary")
    if head.coding != "codes" or head.numbers not in _CODES:
        raise ValueError("an unknown coding")
    codes = struct.unpack(f"<{rows}{_CODES[head.numbers]}", numbers)
    if codes and not (min(codes) >= -1 and max(codes) < inner.rows):
        raise ValueError("a code is out of range")
    return Column(head, numbers, dictionary=_column(inner, inner.rows, buffers))


def _numbers(kind: str, rows: int, buffers: Iterator[bytes]) -> bytes:
    """Return the bytes in numpy's order. On the wire all first bytes come first, then all second bytes, and so on."""
    shuffled, width = next(buffers, b""), WIDTHS.get(kind, 0)
    if not width or len(shuffled) != rows * width:
        raise ValueError("a column does not have the length of its table")
    if kind == "bool" and shuffled.translate(None, b"\0\1"):
        raise ValueError("a boolean is neither true nor false")
    numbers = bytearray(len(shuffled))
    for index in range(width):
        numbers[index::width] = shuffled[index * rows : (index + 1) * rows]
    return bytes(numbers)
