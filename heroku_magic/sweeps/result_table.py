"""The rows of all runs of a sweep as one DataFrame."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.payload import parse_raw_text
from heroku_magic.protocol.dataframe import frame, series
from heroku_magic.protocol.helper_records import length
from heroku_magic.protocol.records import Rows
from heroku_magic.protocol.values import plain, to_text
from heroku_magic.text.sanitize import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.protocol.tables import Table


def grid_frame(
    runs: Sequence[tuple[Mapping[str, Any], Sequence[Rows | Table]]], names: Sequence[str], facts: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the rows of many runs below each other, preceded by the parameters of each run.

    A column with a parameter's name is replaced by the parameter; check it with `contradiction` first.
    """
    counts = [sum(map(length, parts)) for _, parts in runs]
    leading = {
        name: [
            value
            for (parameters, _), count in zip(runs, counts, strict=True)
            for value in [column_value(parameters.get(name))] * count
        ]
        for name in names
    }
    return frame([without_clash(part, names) for _, parts in runs for part in parts], facts, leading)


def without_clash(part: Rows | Table, names: Sequence[str]) -> Rows | Table:
    """Rename the column of a function's value if an argument has its name."""
    if not (isinstance(part, Rows) and part.typed and "value" in names):
        return part
    column = next(name for name in ("result", "returned", "value_") if name not in names)
    return Rows([{column: row["value"]} for row in part.rows], typed=True)


def column_value(value: Any) -> Any:
    """Return a parameter as a column shows it: plain if it has such a form, otherwise as it is."""
    try:
        return plain(value)
    except TypeError:  # an argument of a function
        return value


def contradiction(parts: Sequence[Rows | Table], parameters: Mapping[str, Any]) -> str | None:
    """Describe the first row whose column differs from the run's parameter of the same name, or return None."""
    before = 0
    for part in parts:
        for name, value in parameters.items():
            column = [*_column(part, name)]
            allowed = _forms(value) if column else []  # which takes long for a large array
            for row, reported in enumerate(column, before):
                if not _is_among(reported, allowed):
                    return (
                        f"row {row}: the task reports {name}={short(reported)}, but the run had "
                        f"{name}={short(allowed[0])}. Rename the task's column."
                    )
        before += length(part)
    return None


def _forms(value: Any) -> list[Any]:
    """Return what counts as equal to a parameter: it travels as text, which a task may read as a number or a time."""
    shown = column_value(value)
    forms = [shown, _text(value), parse_raw_text(shown)]
    moment = _moment(value)
    if moment is not None:
        import pandas as pd

        with suppress(ValueError, OverflowError):  # pandas has no such time
            forms += [time := pd.Timestamp(moment), time.isoformat()]
    return forms


def _moment(value: Any) -> Any:
    """Return a date or a time, or the one that a text stands for, as the worker's helper reads it; otherwise None."""
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value if isinstance(value, date) or type(value).__name__ == "datetime64" else None


def _is_among(value: Any, others: Iterable[Any]) -> bool:
    """Whether a value equals one of others. Arrays and tables, which compare by element, equal none."""
    for other in others:
        with suppress(TypeError, ValueError):
            if value == other:
                return True
    return False


def _text(value: Any) -> str | None:
    try:
        return to_text(value, None)
    except TypeError:
        return None


def _column(part: Rows | Table, name: str) -> Iterable[Any]:
    """Return the values of a column, if it exists, with None for NaN in tables."""
    if isinstance(part, Rows) and part.typed:
        return ()
    if isinstance(part, Rows):
        return (row[name] for row in part.rows if name in row)
    if name not in part.columns or part.columns[name].head.label is not None:
        return ()
    values = series(part.columns[name])
    return values.astype(object).where(values.notna(), None).tolist()
