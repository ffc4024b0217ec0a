"""Converts rows and tables to a DataFrame, importing pandas only when a result is requested.

The dtype of a column depends only on its values. Nullable dtypes, built from values and a mask,
distinguish null from NaN: https://pandas.pydata.org/docs/user_guide/integer_na.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from heroku_magic.protocol.records import Rows
    from heroku_magic.protocol.tables import Column

_MAX_EXACT = 2**53  # a float represents every integer up to here
_DTYPES = {bool: "bool", int: "int64", float: "float64"}


def frame(parts: Sequence[Rows | Table], facts: Mapping[str, Any]) -> pd.DataFrame:
    """Return the parts as one DataFrame: columns in order of first appearance, a new RangeIndex.

    `facts` becomes `attrs["heroku"]`. Use small plain values only, because pandas copies attrs at each step.
    """
    import pandas as pd

    frames = _without_empty([_typed(part) if isinstance(part, Table) else table(part) for part in _merged(parts)])
    result = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    result.attrs["heroku"] = dict(facts)
    return result


def _without_empty(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Drop frames without rows, whose dtypes would only widen the others, unless they have additional columns."""
    names = {name for one in frames if len(one) for name in one.columns}
    return [one for one in frames if len(one) or set(one.columns) - names] or frames[:1]


def table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()) -> pd.DataFrame:
    """Return rows as a DataFrame that has `columns` even without rows. Missing values are null."""
    import pandas as pd

    names = dict.fromkeys([*columns, *(key for row in rows for key in row)])
    return pd.DataFrame({name: _array([row.get(name) for row in rows]) for name in names}, index=range(len(rows)))


def column(values: list[Any]) -> pd.Series[Any]:
    """Return JSON values as a Series of the narrowest dtype that preserves each of them."""
    import pandas as pd

    return pd.Series(_array(values))


def _array(values: list[Any]) -> Any:
    """Return the data of a column: for numbers an array, which is faster than a Series."""
    import numpy as np
    import pandas as pd

    kinds = set(map(type, values))
    is_nullable = type(None) in kinds
    kind = _number(kinds - {type(None)}, values)
    if kind is not None:
        return _with_nulls(values, kind) if is_nullable else np.array(values, dtype=_DTYPES[kind])
    is_text = str in kinds and kinds <= {str, type(None)}
    return pd.Series(values, dtype=None if is_text else "object")


def _number(kinds: set[type], values: Iterable[Any]) -> type | None:
    """Return the number type that represents all values exactly, or None."""
    if kinds == {bool}:
        return bool
    if not kinds or not kinds <= {int, float}:
        return None
    largest = max((abs(value) for value in values if type(value) is int), default=0)
    if kinds == {int}:
        return int if largest < 2**63 else None
    return float if largest <= _MAX_EXACT else None


def _with_nulls(values: list[Any], kind: type) -> Any:
    import numpy as np

    mask = np.array([value is None for value in values], dtype=bool)
    filled: Any = np.array([kind() if value is None else value for value in values], dtype=_DTYPES[kind])
    return _masked(filled, mask)


def _masked(values: Any, mask: Any) -> Any:
    """Combine values and mask into a nullable array, the only representation that distinguishes NaN from null."""
    import pandas as pd

    kinds = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
    return kinds.get(values.dtype.kind, pd.arrays.IntegerArray)(values, mask)


def _merged(parts: Iterable[Rows | Table]) -> list[list[Mapping[str, Any]] | Table]:
    """Join consecutive rows, so that the dtype of a column depends on all of them."""
    merged: list[Any] = []
    for part in parts:
        if isinstance(part, Table):
            merged.append(part)
        elif merged and isinstance(merged[-1], list):
            merged[-1].extend(part.rows)
        else:
            merged.append(list(part.rows))
    # An empty list of rows only means that there is a table.
    return [part for part in merged if part] if len(merged) > 1 and any(merged) else merged[:1]


def _typed(part: Table) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: series(one) for name, one in part.columns.items()}, index=range(part.length))


def series(one: Column) -> pd.Series[Any]:
    """Return a typed column as a Series."""
    import numpy as np
    import pandas as pd

    dtype = one.head.dtype
    if isinstance(one.values, list):
        return pd.Series(one.values, dtype="string") if dtype == "string" else column(one.values)
    numbers = np.frombuffer(one.values, dtype=one.head.numbers)
    if one.dictionary is not None:
        return _decoded(numbers, series(one.dictionary), one)
    if one.mask is not None:
        return pd.Series(_masked(numbers.copy(), np.frombuffer(one.mask, dtype=bool).copy()))
    return _moments(numbers, dtype) if dtype.startswith(("datetime", "timedelta")) else pd.Series(numbers.copy())


def _moments(numbers: Any, dtype: str) -> pd.Series[Any]:
    """Convert times since 1970 to the unit and time zone of the dtype."""
    import pandas as pd

    plain, _, zone = dtype.rstrip("]").partition(", ")
    moments = pd.Series(numbers.view(f"{plain.rstrip(']')}]"))
    return moments.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else moments


def _decoded(codes: Any, values: pd.Series[Any], one: Column) -> pd.Series[Any]:
    """Return the values that codes refer to; -1 is null."""
    import pandas as pd

    if one.head.dtype == "category":
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(values), ordered=one.head.ordered))
    known = [*values.tolist(), None]
    text = [known[code] for code in codes.tolist()]
    return pd.Series(text, dtype="string") if one.head.dtype == "string" else column(text)
