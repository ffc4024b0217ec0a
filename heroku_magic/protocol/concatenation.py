"""Joins rows and columns below each other without changing a value: no number passes through float.

The dtype of a column depends only on its values. Nullable dtypes, built from values and a mask,
distinguish null from NaN: https://pandas.pydata.org/docs/user_guide/integer_na.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from heroku_magic.protocol.columns import label_index, masked, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_EXACT = 2**53  # a float represents every integer up to here
_DTYPES = {bool: "bool", int: "int64", float: "float64"}
_LARGE = 20_000_000  # bytes of a table whose columns are not copied into common blocks
_MANY = 100  # columns of a table without such blocks, beyond which pandas warns
_UNITS = ("s", "ms", "us", "ns")


def concat(
    tables: Sequence[tuple[int, Mapping[Any, Any]]],
    names: Sequence[Any] = (None,),
    leading: Mapping[str, Any] | None = None,
) -> Any:
    """Return tables, each a number of rows and columns by label, below each other as one DataFrame.

    names: of the levels of the column labels. leading: the first columns, which replace those of the same label.
    """
    columns = {_padded(label, names): column for label, column in (leading or {}).items()}
    tables = [(rows, {_padded(label, names): column for label, column in table.items()}) for rows, table in tables]
    for label in dict.fromkeys(label for _, table in tables for label in table):
        if label not in columns:
            columns[label] = join([(rows, table.get(label)) for rows, table in tables])
    is_large = len(columns) < _MANY and sum(column.memory_usage() for column in columns.values()) > _LARGE
    index = None if columns else range(sum(rows for rows, _ in tables))
    frame = pd.DataFrame(dict(enumerate(columns.values())), index=index, copy=not is_large)
    is_text = names[0] is None and all(type(label) is str for label in columns)
    # A view, because the name of an index can be changed.
    frame.columns = _text_index(tuple(columns)).view() if is_text else label_index([*columns], names)
    return frame


@lru_cache(maxsize=64)  # building the index takes as long as the rest of a small table
def _text_index(labels: tuple[str, ...]) -> Any:
    return label_index([*labels], (None,))


def _padded(label: Any, names: Sequence[Any]) -> Any:
    """Return a label with as many levels as the others, as pandas does."""
    return label if len(names) == 1 or isinstance(label, tuple) else (label, *[""] * (len(names) - 1))


def infer(values: list[Any]) -> Any:
    """Return JSON values as a Series of the narrowest dtype that preserves each of them."""
    kinds = set(map(type, values))
    is_nullable = type(None) in kinds
    kind = _number_type(kinds - {type(None)}, values)
    if kind is None:
        is_text = str in kinds and kinds <= {str, type(None)}
        return text(values, None) if is_text else pd.Series(values, dtype="object")
    if not is_nullable:
        return pd.Series(np.array(values, dtype=_DTYPES[kind]))
    mask = np.array([value is None for value in values], dtype=bool)
    return masked(np.array([kind() if value is None else value for value in values], dtype=_DTYPES[kind]), mask)


def _number_type(kinds: set[type], values: list[Any]) -> type | None:
    """Return the number type that represents all values exactly, or None."""
    if kinds == {bool}:
        return bool
    if not kinds or not kinds <= {int, float}:
        return None
    largest = max((abs(value) for value in values if type(value) is int), default=0)
    if kinds == {int}:
        return int if largest < 2**63 else None
    return float if largest <= _MAX_EXACT else None


def join(pieces: Sequence[tuple[int, Any]]) -> Any:
    """Concatenate the pieces of a column, each a number of rows and a Series, or None for rows that lack the column.

    The result has the narrowest dtype that preserves each value: it never passes through float.
    """
    known = [piece for rows, piece in pieces if piece is not None and rows and not _is_void(piece)]
    known = known or [piece for _, piece in pieces if piece is not None][:1]
    if len(pieces) == 1:
        return known[0]
    if any(isinstance(piece.dtype, pd.CategoricalDtype) for piece in known):
        return _join_categories(pieces, known)
    has_nulls = any(rows and (piece is None or _is_void(piece)) for rows, piece in pieces)
    dtype, is_masked = _common_dtype(known, has_nulls)
    parts = [
        _nulls(rows, dtype, is_masked) if piece is None or _is_void(piece) else _cast(piece, dtype, is_masked)
        for rows, piece in pieces
        if rows
    ]
    return pd.concat(parts, ignore_index=True) if parts else known[0]


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _is_void(piece: Any) -> bool:
    """Whether a column holds nothing that reveals its type."""
    return bool(_is_object(piece.dtype) and all(value is None for value in piece))


def _join_categories(pieces: Sequence[tuple[int, Any]], known: Sequence[Any]) -> Any:
    """Join columns with the same categories by their codes; otherwise join their values."""
    dtypes = [piece.dtype for piece in known]
    # Not `==`, which hashes the categories as UTF-8 and so fails at lone surrogates.
    kinds = [isinstance(one, pd.CategoricalDtype) and (one.ordered, one.categories.dtype) for one in dtypes]
    if kinds.count(kinds[0]) < len(kinds) or not all(_are_same(one.categories, dtypes[0].categories) for one in dtypes):
        return join([(rows, None if piece is None else _without_categories(piece)) for rows, piece in pieces])
    codes = [np.empty(0, dtype="int8")] + [
        np.full(rows, -1) if piece is None or _is_void(piece) else piece.cat.codes.to_numpy()
        for rows, piece in pieces
        if rows
    ]
    return pd.Series(pd.Categorical.from_codes(np.concatenate(codes), dtypes[0].categories, dtypes[0].ordered))


def _are_same(one: Any, other: Any) -> bool:
    """Return whether two indexes hold the same values; pandas takes 1 for True, and -0.0 for 0.0."""
    is_exact = not _is_object(one.dtype) and one.dtype.kind != "f"
    return bool(one.equals(other)) and (is_exact or [*map(repr, one)] == [*map(repr, other)])


def _without_categories(piece: Any) -> Any:
    if not isinstance(piece.dtype, pd.CategoricalDtype):
        return piece
    codes, categories = piece.cat.codes.to_numpy(), piece.cat.categories
    if not len(categories):
        return pd.Series([None] * len(piece), dtype="object")
    values = pd.Series(categories, dtype=categories.dtype).take(np.maximum(codes, 0)).reset_index(drop=True)
    if values.dtype.kind in "biu" and not _is_masked(values.dtype) and (codes < 0).any():
        return masked(values.to_numpy(), codes < 0)
    return values.where(codes >= 0, None)


def _is_masked(dtype: Any) -> bool:
    """Whether a dtype of numbers has nulls: pandas's own, or Arrow's."""
    return not isinstance(dtype, np.dtype)


def _common_dtype(known: Sequence[Any], has_nulls: bool) -> tuple[Any, bool]:
    """Return the dtype that preserves all values of some columns, and whether it is for numbers and needs a mask."""
    dtypes = list(dict.fromkeys(piece.dtype for piece in known))
    if len(dtypes) == 1 and (not has_nulls or _is_masked(dtypes[0])):
        return dtypes[0], False
    if all(dtype.kind in "biuf" for dtype in dtypes):
        return _common_number(known, has_nulls)
    if len(dtypes) == 1:
        return dtypes[0], False
    if all(isinstance(dtype, pd.StringDtype) for dtype in dtypes):
        # Nullable text first, and pandas's own storage, which alone takes lone surrogates.
        is_own = any(dtype.storage == "python" for dtype in dtypes)
        if is_own and any(dtype.na_value is pd.NA for dtype in dtypes):
            return pd.StringDtype("python"), False
        return min(dtypes, key=lambda dtype: (dtype.na_value is not pd.NA, dtype.storage != "python")), False
    return _common_time(known, dtypes), False


def _common_number(known: Sequence[Any], has_nulls: bool) -> tuple[Any, bool]:
    arrays = [_numbers(piece) for piece in known]
    dtype: Any = np.result_type(*(array.dtype for array in arrays))
    if dtype.kind != "b" and any(array.dtype.kind == "b" for array in arrays):
        return np.dtype(object), False
    whole = [array for array in arrays if array.dtype.kind in "iu" and array.size]
    if dtype.kind == "f" and whole:
        low, high = min(int(array.min()) for array in whole), max(int(array.max()) for array in whole)
        if all(array.dtype.kind in "iu" for array in arrays):  # numpy has no common type for int64 and uint64
            limits = [np.iinfo("int64"), np.iinfo("uint64")]
            dtype = next((one.dtype for one in limits if one.min <= low and high <= one.max), np.dtype(object))
        elif max(-low, high) > _MAX_EXACT:
            dtype = np.dtype(object)
    has_nan = any(array.dtype.kind == "f" and np.isnan(array).any() for array in arrays)
    is_masked = any(_is_masked(piece.dtype) for piece in known) or (has_nulls and (dtype.kind != "f" or has_nan))
    if dtype == np.dtype("float16") and is_masked:
        dtype = np.dtype("float32")  # pandas has no nullable float16
    return dtype, is_masked and dtype.kind != "O"


def _numbers(piece: Any) -> Any:
    """Return the numbers of a column as numpy's, with zeros for nulls."""
    if not _is_masked(piece.dtype):
        return piece.to_numpy()
    return piece.to_numpy(dtype=piece.dtype.numpy_dtype, na_value=False if piece.dtype.kind == "b" else 0)


def _common_time(known: Sequence[Any], dtypes: Sequence[Any]) -> Any:
    """Return the finest unit, if all columns are times of one zone, or durations, that it can hold."""
    kinds = {(dtype.kind, str(getattr(dtype, "tz", None)), isinstance(dtype, pd.ArrowDtype)) for dtype in dtypes}
    (kind, _, is_arrow), *others = kinds
    if others or kind not in "mM" or is_arrow:
        return np.dtype(object)
    unit = max((piece.dt.unit for piece in known), key=_UNITS.index)
    try:
        converted = [piece.dt.as_unit(unit) for piece in known]
    except ValueError:  # out of bounds
        return np.dtype(object)
    return converted[0].dtype


def _cast(piece: Any, dtype: Any, is_masked: bool) -> Any:
    if piece.dtype == dtype and not is_masked:
        return piece
    if _is_object(dtype):
        return pd.Series(_objects(piece), dtype="object")
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        numbers = _numbers(piece).astype(dtype)
        mask = piece.isna().to_numpy() if _is_masked(piece.dtype) else np.zeros(len(piece), dtype=bool)
        return masked(numbers, mask) if is_masked else pd.Series(numbers)
    return piece.astype(dtype)


def _objects(piece: Any) -> list[Any]:
    """Return the values of a column, with None for nulls."""
    if _is_object(piece.dtype):
        return list(piece)
    if piece.dtype.kind in "biuf":
        values, is_null = _numbers(piece).tolist(), piece.isna() & _is_masked(piece.dtype)
    else:
        values, is_null = piece.tolist(), piece.isna()
    return [None if null else value for value, null in zip(values, is_null)]  # noqa: B905 - new in Python 3.10


def _nulls(rows: int, dtype: Any, is_masked: bool) -> Any:
    if is_masked:
        return masked(np.zeros(rows, dtype=dtype), np.ones(rows, dtype=bool))
    is_nan = dtype.kind == "f" and not _is_masked(dtype)
    return pd.Series(np.full(rows, np.nan, dtype) if is_nan else [None] * rows, dtype=dtype)
