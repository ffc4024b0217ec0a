"""An axis of a sweep's grid as plain values, for its journal and the ledger."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.bundle.payload import parse_raw_text, table_chunks
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.typed_decoder import Decoder
from heroku_magic.protocol.typed_json import Encoder
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.sweeps.grid import Axis
from heroku_magic.text.sanitize import LINE, short

if TYPE_CHECKING:
    from collections.abc import Callable


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
    return _record(axis, partial(_written, is_exact=is_exact), is_exact=is_exact)


def write_shortened(axis: Axis, *, is_exact: bool) -> AxisRecord:
    """Describe an axis that cannot be written as a whole: arrays, tables and long values become text."""

    def written(name: str, value: Any) -> Any:
        with suppress(InvalidParameters):
            form = _written(name, value, is_exact=is_exact)
            if len(repr([form])) <= LINE:
                return form
        return short(value)

    return _record(axis, written, is_exact=is_exact)


def _written(name: str, value: Any, *, is_exact: bool) -> Any:
    """Return a value as JSON, or as text that is still to be parsed. Raises InvalidParameters."""
    encoder = Encoder(table_chunks)
    try:
        form = encoder.encode(parse_raw_text(value), name) if is_exact else plain(value)
    except TypeError as error:
        raise InvalidParameters([f"The sweep cannot be saved: {error}"]) from None
    if encoder.body:
        raise InvalidParameters(["The sweep cannot be saved: it has arrays or tables as parameters."])
    return form


def _record(axis: Axis, written: Callable[[str, Any], Any], *, is_exact: bool) -> AxisRecord:
    rows = [{name: written(name, value) for name, value in axis[at].items()} for at in range(len(axis.values))]
    typed = [(at, name) for at, row in enumerate(rows) for name, value in row.items() if isinstance(value, RawText)]
    for at, name in typed:
        rows[at][name] = str(rows[at][name])
    values = rows if axis.are_rows else [row[axis.names[0]] for row in rows]
    return AxisRecord([*axis.names], values, axis.are_rows, typed, is_exact)


def read_axis(axis: AxisRecord) -> Axis:
    """Return the axis that was written."""
    values = Decoder(b"", list).decode(axis.values) if axis.is_exact else [*axis.values]
    for at, name in axis.typed:
        values[at] = {**values[at], name: RawText(values[at][name])} if axis.are_rows else RawText(values[at])
    return Axis(tuple(axis.names), values, axis.are_rows)
