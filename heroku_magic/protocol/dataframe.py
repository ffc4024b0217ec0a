"""Converts rows and tables to a DataFrame, importing pandas only when a result is requested."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.tables import Table, joined
from heroku_magic.text.sanitize import LINE, clipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.protocol.records import Rows
    from heroku_magic.protocol.tables import Column, Label


def frame(
    parts: Sequence[Rows | Table], facts: Mapping[str, Any], leading: Mapping[str, list[Any]] | None = None
) -> pd.DataFrame:
    """Return the parts as one DataFrame: columns in order of first appearance, a new RangeIndex.

    `facts` becomes `attrs["heroku"]`. Use small plain values only, because pandas copies attrs at each step.
    leading: values of the first columns, which replace columns of the same name.
    """
    from heroku_magic.protocol.concatenation import concat, infer

    names = {tuple(map(_label, part.names)) for part in parts if isinstance(part, Table) and part.columns}
    first = {name: infer(values) for name, values in (leading or {}).items()}
    tables: list[tuple[int, dict[Any, Any]]] = [
        (part.length, {column_label(name, column): series(column) for name, column in part.columns.items()})
        if isinstance(part, Table)
        else (len(part), _row_columns(part))
        for part in _merged(parts)
    ]
    result: pd.DataFrame = concat(tables, (len(names) == 1 and names.pop()) or (None,), first)
    result.attrs["heroku"] = dict(facts)
    return result


def fault(parts: Sequence[Rows | Table]) -> str | None:
    """Return why the parts cannot become a DataFrame on this computer, or None."""
    if all(isinstance(part, Table) and _is_plain(part) for part in parts):
        return None
    try:
        frame(parts, {})
    except Exception as error:  # noqa: BLE001 - whatever pandas raises for a value
        return f"a table cannot be read here ({type(error).__name__}: {clipped(str(error), LINE)})"
    return None


def _is_plain(part: Table) -> bool:
    heads = [column.head for column in part.columns.values()]
    are_numbers = all(head.coding == "numbers" and head.dtype == head.numbers for head in heads)
    return are_numbers and all(head.label is None or head.label[0] == "json" for head in heads)


def partial_frame(parts: Sequence[Rows | Table], facts: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return the parts that can become a DataFrame as one; None if none can.

    Raises what keeps pandas from being imported, as in a thread that outlives the main one.
    """
    import pandas  # noqa: F401, ICN001

    with suppress(Exception):  # as in `fault`, which would build it twice
        return frame(parts, facts)
    good = [part for part in parts if fault([part]) is None]
    return frame(good, facts) if good and fault(good) is None else None


def table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return rows as a DataFrame that has `columns` even without rows. Missing values are null."""
    from heroku_magic.protocol.concatenation import concat

    result: pd.DataFrame = concat([(len(rows), _row_columns(rows, columns))])
    return result


def series(column: Column) -> pd.Series[Any]:
    """Return a typed column as a Series."""
    from heroku_magic.protocol import columns
    from heroku_magic.protocol.concatenation import infer

    result: pd.Series[Any]
    if isinstance(column.values, list) and not column.head.dtype and not column.head.source:
        result = infer(column.values)
    else:
        result = columns.series(column)
    return result


def _row_columns(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()) -> dict[str, pd.Series[Any]]:
    from heroku_magic.protocol.concatenation import infer

    names = dict.fromkeys([*columns, *(key for row in rows for key in row)])
    return {name: infer([row.get(name) for row in rows]) for name in names}


def column_label(name: str, column: Column) -> Any:
    """Return the label of a table's column, which is not always text."""
    return name if column.head.label is None else _label(column.head.label)


def _label(label: Label) -> Any:
    from heroku_magic.protocol.columns import read_label

    return read_label(label)


def _merged(parts: Iterable[Rows | Table]) -> list[list[Mapping[str, Any]] | Table]:
    """Join consecutive rows, so that the dtype of a column depends on all of them, and chunks of a table."""
    merged: list[Any] = []
    for _, group in groupby(parts, type):
        same: list[Any] = [*group]
        if isinstance(same[0], Table):
            merged += map(joined, _runs(same))
        else:
            merged.append([row for part in same for row in part.rows])
    # An empty list of rows only means that there is a table.
    return [part for part in merged if part] if len(merged) > 1 and any(merged) else merged[:1]


def _runs(tables: Iterable[Any]) -> list[list[Table]]:
    """Return tables in groups that continue each other."""
    runs: list[list[Table]] = []
    for table in tables:
        if runs and table.continues(runs[-1][0]):
            runs[-1].append(table)
        else:
            runs.append([table])
    return runs
