"""Build a DataFrame on the dyno from the typed columns that the notebook sent.

The worker's README describes the format. The notebook is trusted, so nothing is checked.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def build_frame(header: dict[str, Any], body: bytes) -> Any:
    """Return the DataFrame of the chunks in `tables`; `index` has the chunks of its index, if any, and `names`."""
    buffers = _buffers(header, body)
    table = _concat(header["tables"], buffers)
    if header["index"]:
        levels = _concat(header["index"], buffers)
        is_single = len(header["names"]) == 1
        table.index = pd.Index(levels.iloc[:, 0]) if is_single else pd.MultiIndex.from_frame(levels)
    table.index.names = header["names"]
    return table


def _buffers(header: dict[str, Any], body: bytes) -> Iterator[bytes]:
    at = header["at"]
    for chunk in header["tables"] + header["index"]:
        for size in chunk["sizes"]:
            yield body[at : at + size]
            at += size


def _concat(chunks: list[dict[str, Any]], buffers: Iterator[bytes]) -> Any:
    tables = [
        pd.DataFrame(
            {column["name"]: _column(column, chunk["rows"], buffers) for column in chunk["columns"]},
            index=range(chunk["rows"]),
        )
        for chunk in chunks
    ]
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _column(column: dict[str, Any], rows: int, buffers: Iterator[bytes]) -> Any:
    dtype = column["dtype"]
    if column["coding"] == "json":
        return _series(json.loads(next(buffers)), dtype)
    mask = _read_numbers("bool", rows, buffers) if column.get("mask") else None
    numbers = _read_numbers(column["numbers"], rows, buffers)
    if column["coding"] == "codes":
        values = _column(column["of"], column["of"]["rows"], buffers)
        if dtype == "category":
            return pd.Series(pd.Categorical.from_codes(numbers, pd.Index(values), ordered=column["ordered"]))
        categories = [*values.tolist(), None]
        return _series([categories[code] for code in numbers.tolist()], dtype)
    if mask is not None:
        arrays = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
        return pd.Series(arrays.get(numbers.dtype.kind, pd.arrays.IntegerArray)(numbers, mask))
    return _times(numbers, dtype) if dtype.startswith(("datetime", "timedelta")) else pd.Series(numbers)


def _read_numbers(kind: str, rows: int, buffers: Iterator[bytes]) -> Any:
    """Read numbers from shuffled bytes: the first byte of every number, then all second bytes, and so on."""
    width = np.dtype(kind).itemsize
    shuffled = np.frombuffer(next(buffers), dtype=np.uint8).reshape(width, rows)
    return np.ascontiguousarray(shuffled.T).reshape(-1).view(kind).copy()


def _series(values: list[Any], dtype: str) -> Any:
    if dtype == "string":
        return pd.Series(values, dtype="string")
    is_text = str in map(type, values) and set(map(type, values)) <= {str, type(None)}
    return pd.Series(values, dtype=None if is_text else "object")


def _times(numbers: Any, dtype: str) -> Any:
    """Convert counts since 1970 in the dtype's unit to times in its time zone."""
    plain, _, zone = dtype.rstrip("]").partition(", ")
    times = pd.Series(numbers.view(f"{plain.rstrip(']')}]"))
    return times.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else times
