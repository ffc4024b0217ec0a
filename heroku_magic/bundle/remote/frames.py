"""Frames: a DataFrame's typed columns, as bytes -> the DataFrame, on the dyno; it travels where one is sent.

The worker's README writes the format down. Here it comes from the notebook, so it is believed.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def frame(coded: dict[str, Any], body: bytes) -> Any:
    """Return the DataFrame of its chunks: `tables`, and `index` with its `names` where it has one of its own."""
    buffers = _buffers(coded, body)
    table = _joined(coded["tables"], buffers)
    if coded["index"]:
        levels = _joined(coded["index"], buffers)
        is_one = len(coded["names"]) == 1
        table.index = pd.Index(levels.iloc[:, 0]) if is_one else pd.MultiIndex.from_frame(levels)
    table.index.names = coded["names"]
    return table


def _buffers(coded: dict[str, Any], body: bytes) -> Iterator[bytes]:
    at = coded["at"]
    for chunk in coded["tables"] + coded["index"]:
        for size in chunk["sizes"]:
            yield body[at : at + size]
            at += size


def _joined(chunks: list[dict[str, Any]], buffers: Iterator[bytes]) -> Any:
    tables = [
        pd.DataFrame(
            {head["name"]: _column(head, chunk["rows"], buffers) for head in chunk["columns"]},
            index=range(chunk["rows"]),
        )
        for chunk in chunks
    ]
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _column(head: dict[str, Any], rows: int, buffers: Iterator[bytes]) -> Any:
    dtype = head["dtype"]
    if head["coding"] == "json":
        return _of_values(json.loads(next(buffers)), dtype)
    mask = _numbers("bool", rows, buffers) if head.get("mask") else None
    numbers = _numbers(head["numbers"], rows, buffers)
    if head["coding"] == "codes":
        values = _column(head["of"], head["of"]["rows"], buffers)
        if dtype == "category":
            return pd.Series(pd.Categorical.from_codes(numbers, pd.Index(values), ordered=head["ordered"]))
        known = [*values.tolist(), None]
        return _of_values([known[code] for code in numbers.tolist()], dtype)
    if mask is not None:
        kinds = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
        return pd.Series(kinds.get(numbers.dtype.kind, pd.arrays.IntegerArray)(numbers, mask))
    return _moments(numbers, dtype) if dtype.startswith(("datetime", "timedelta")) else pd.Series(numbers)


def _numbers(kind: str, rows: int, buffers: Iterator[bytes]) -> Any:
    """The numbers, of which all first bytes came first, then all second ones and so on."""
    width = np.dtype(kind).itemsize
    shuffled = np.frombuffer(next(buffers), dtype=np.uint8).reshape(width, rows)
    return np.ascontiguousarray(shuffled.T).reshape(-1).view(kind).copy()


def _of_values(values: list[Any], dtype: str) -> Any:
    if dtype == "string":
        return pd.Series(values, dtype="string")
    is_text = str in map(type, values) and set(map(type, values)) <= {str, type(None)}
    return pd.Series(values, dtype=None if is_text else "object")


def _moments(numbers: Any, dtype: str) -> Any:
    """Times since 1970 in the dtype's unit, in its time zone."""
    plain, _, zone = dtype.rstrip("]").partition(", ")
    moments = pd.Series(numbers.view(f"{plain.rstrip(']')}]"))
    return moments.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else moments
