"""An axis of a sweep's grid as plain values, for its journal and the ledger."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from heroku_magic.bundle.payload import parse_raw_text, table_chunks
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.typed_decoder import Decoder
from heroku_magic.protocol.typed_json import Encoder
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.sweeps.grid import Axis
from heroku_magic.text.sanitize import LINE, short


class AxisRecord(msgspec.Struct, frozen=True):
    """An axis of the grid.

    typed: the index and parameter of values that are text still to be parsed. is_exact: the values are typed JSON.
    """

    names: list[str]
    values: list[Any]
    are_rows: bool
    typed: list[tuple[int, str]] = []
    is_exact: bool = False


def write_axis(axis: Axis, *, is_exact: bool) -> AxisRecord:
    """Describe an axis: the values of cells and functions exactly, those of tasks as parameters.

    Raises InvalidParameters for values that cannot be written.
    """
    encoder = Encoder(table_chunks)

    def written(name: str, value: Any) -> Any:
        return encoder.encode(parse_raw_text(value), name) if is_exact else plain(value)

    try:
        rows = [{name: written(name, value) for name, value in axis[at].items()} for at in range(len(axis.values))]
    except TypeError as error:
        raise InvalidParameters([f"The sweep cannot be saved: {error}"]) from None
    if encoder.body:
        raise InvalidParameters(["The sweep cannot be saved: it has arrays or tables as parameters."])
    typed = [(at, name) for at, row in enumerate(rows) for name, value in row.items() if isinstance(value, RawText)]
    for at, name in typed:
        rows[at][name] = str(rows[at][name])
    values = rows if axis.are_rows else [row[axis.names[0]] for row in rows]
    return AxisRecord([*axis.names], values, axis.are_rows, typed, is_exact)


def write_shortened(axis: Axis, *, is_exact: bool) -> AxisRecord:
    """Describe an axis that cannot be written as a whole: arrays, tables and long values become text."""
    values, typed = list[Any](), list[tuple[int, str]]()
    for at in range(len(axis.values)):
        row: dict[str, Any] = {}
        for name, value in axis[at].items():
            record = _small_axis(name, value, is_exact=is_exact)
            row[name] = record.values[0] if record else short(value)
            typed += [(at, name)] if record and record.typed else []
        values.append(row if axis.are_rows else row[axis.names[0]])
    return AxisRecord([*axis.names], values, axis.are_rows, typed, is_exact)


def _small_axis(name: str, value: Any, *, is_exact: bool) -> AxisRecord | None:
    """Return an axis of one value; None if it cannot be written, or is long."""
    with suppress(InvalidParameters):
        record = write_axis(Axis((name,), [value]), is_exact=is_exact)
        if len(repr(record.values)) <= LINE:
            return record
    return None


def read_axis(axis: AxisRecord) -> Axis:
    """Return the axis that was written."""
    values = Decoder(b"", list).decode(axis.values) if axis.is_exact else [*axis.values]
    for at, name in axis.typed:
        values[at] = {**values[at], name: RawText(values[at][name])} if axis.are_rows else RawText(values[at])
    return Axis(tuple(axis.names), values, axis.are_rows)
