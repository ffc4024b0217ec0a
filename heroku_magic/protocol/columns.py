"""Builds the columns of a DataFrame from a table's wire format, and joins columns without changing a value.

The notebook imports this module, and its text travels to the dyno, so it needs only Python 3.9, numpy
and pandas. The worker's README describes the format.
"""

from __future__ import annotations

import importlib
import json
import re
import warnings
from collections import deque
from datetime import date, time, timedelta, timezone
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pandas as pd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

_OFFSET = re.compile(r"(?:UTC)?([+-])(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?")


# -- one column ------------------------------------------------------------------------------------


def text(values: list[Any], dtype: Any) -> Any:
    """Return text as a Series of a dtype for text."""
    try:
        return pd.Series(values, dtype=dtype)
    except UnicodeEncodeError:  # pyarrow stores text as UTF-8, which has no lone surrogates
        options: dict[str, Any] = {} if isinstance(dtype, str) else {"na_value": np.nan}
        return pd.Series(values, dtype=pd.StringDtype("python", **options))


def masked(values: Any, mask: Any) -> Any:
    """Combine values and mask into a nullable column, the only one that distinguishes NaN from null."""
    arrays = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
    return pd.Series(arrays.get(values.dtype.kind, pd.arrays.IntegerArray)(values, mask))


def series(column: Any) -> Any:
    """Return a column of a table as a Series.

    column: has `head` (attributes as in the wire format), `values` (a list, the bytes of numbers, or the bytes of each
    chunk of them), `mask` (likewise, if there are nulls), and `dictionary` (the column of the values that codes refer
    to, or None).
    """
    head = column.head
    if isinstance(column.values, list):
        result = _listed(column.values, head)
    elif column.dictionary is not None:
        result = _decoded(_array(column.values, head.numbers), column)
    else:
        numbers = _array(column.values, head.numbers)
        if head.mask:
            result = masked(numbers, _array(column.mask, "bool"))
        elif head.dtype.startswith(("datetime", "timedelta", "period")):
            result = _times(numbers, head.dtype)
        else:
            result = pd.Series(numbers)
    return _as_arrow(result, head.source) if head.source.endswith("[pyarrow]") else result


def _array(chunks: bytes | tuple[bytes, ...], dtype: str) -> Any:
    """Return bytes as an array of its own, which needs no other memory."""
    parts = chunks if isinstance(chunks, tuple) else (chunks,)
    return np.concatenate([np.frombuffer(part, dtype) for part in parts])


def _listed(values: list[Any], head: Any) -> Any:
    if head.dtype == "string":
        return text(values, "string")
    kinds = {*map(type, values)}
    if kinds <= {str, type(None)} and (str in kinds or head.source == "str"):
        return text(values, pd.Series([""]).dtype)  # pandas 2 has no dtype for text
    return pd.Series(values, dtype="object")


def _decoded(codes: Any, column: Any) -> Any:
    """Return the values that codes refer to; -1 is null."""
    values = series(column.dictionary)
    if column.head.dtype == "category":
        try:
            hash(tuple(values))
            return pd.Series(pd.Categorical.from_codes(codes, pd.Index(values), ordered=column.head.ordered))
        except (TypeError, ValueError):  # JSON made values lists, or equal, that were distinct on the dyno
            pass
    known = [*values.tolist(), None]
    return _listed([known[code] for code in codes.tolist()], column.head)


def _times(numbers: Any, dtype: str) -> Any:
    """Convert counts since 1970 in the dtype's unit to times in its time zone."""
    if dtype.startswith("period"):
        return pd.Series(pd.arrays.PeriodArray(numbers, dtype=pd.PeriodDtype(dtype[7:-1])))
    plain, _, zone = dtype[:-1].partition(", ")
    times = pd.Series(numbers.view(f"{plain}]"))
    if not zone:
        return times
    times = times.dt.tz_localize("UTC")
    try:
        return times.dt.tz_convert(_zone(zone))
    except (LookupError, ValueError):
        warnings.warn(f'This computer does not know the time zone "{zone}". Its times are shown in UTC.', stacklevel=2)
        return times


def _zone(name: str) -> Any:
    """Return the offset that a name spells out, because pandas drops its seconds; otherwise the name."""
    match = _OFFSET.fullmatch(name)
    if match is None:
        return name
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=float(match[4] or 0))
    return timezone(-offset if match[1] == "-" else offset) if offset else timezone.utc


def _as_arrow(values: Any, source: str) -> Any:
    """Return a column with the Arrow type that it had, if this computer has pyarrow."""
    name = source[: -len("[pyarrow]")]
    try:
        pa: Any = importlib.import_module("pyarrow")
        if decimal := re.fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", name):
            kind = getattr(pa, decimal[1])(int(decimal[2]), int(decimal[3]))
        elif moment := re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", name):
            kind = pa.timestamp(moment[1], moment[2])
        else:
            kind = pa.type_for_alias(name)
        if values.dtype.kind in "biufmM":
            return values.astype(pd.ArrowDtype(kind))
        parse = time.fromisoformat if name.startswith(("time", "null")) else str  # Arrow does not parse times
        items = [None if null else parse(value) for value, null in zip(values, values.isna())]  # noqa: B905 - new in Python 3.10
        array = pa.array(items, kind) if parse is not str else pa.array(items, pa.string()).cast(kind)
        return pd.Series(pd.arrays.ArrowExtensionArray(array))
    except (ImportError, AttributeError, TypeError, ValueError, NotImplementedError):
        return values


# -- tables ----------------------------------------------------------------------------------------


def label_index(labels: list[Any], names: Any) -> Any:
    """Return the index of the column labels; several names are those of the levels of a MultiIndex."""
    if len(names) > 1 and labels:
        return pd.MultiIndex.from_tuples(labels, names=names)
    kinds = {*map(type, labels)}
    try:
        index = pd.Index(labels, dtype=None if len(kinds) == 1 else "object", tupleize_cols=False)
    except UnicodeEncodeError:  # as for values
        index = pd.Index(labels, dtype="object")
    index.name = names[0]
    return index


def read_label(label: Sequence[Any]) -> Any:
    """Return a label that is not text from its type and value."""
    kind, value = label
    if kind == "json":
        return np.nan if value != value else value  # noqa: PLR0124 - this one NaN is equal to itself in a dict
    if kind == "tuple":
        return tuple(map(read_label, value))
    if kind == "interval":
        return pd.Interval(read_label(value[1]), read_label(value[2]), value[0])
    return date.fromisoformat(value) if kind == "date" else _times(np.array([value]), kind)[0]


# -- on the dyno: tables that the notebook sent, which are not checked -----------------------------


def build_frame(chunks: Iterable[tuple[dict[str, Any], bytes]], *, copy: bool = True) -> Any:
    """Return the DataFrame of chunks as (header, bytes), with numbers for labels.

    Its columns are joined as lists and bytes, before they have a dtype. copy: into common blocks.
    """
    parts, count = [], 0
    for header, body in chunks:
        buffers = _buffers(header["sizes"], body)
        parts.append([_read(head, header["rows"], buffers) for head in header["columns"]])
        count += header["rows"]
    pieces, columns = deque(zip(*parts)), []  # noqa: B905 - new in Python 3.10
    parts.clear()
    while pieces:  # what has become a column is freed
        columns.append(series(_join(pieces.popleft())))
    return pd.DataFrame(dict(enumerate(columns)), index=range(count), copy=copy)


def _buffers(sizes: list[int], body: bytes) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield body[at : at + size]
        at += size


def _read(head: dict[str, Any], rows: int, buffers: Iterator[bytes]) -> Any:
    column = SimpleNamespace(head=SimpleNamespace(**{"source": "", "mask": False, **head}), mask=b"", dictionary=None)
    if head["coding"] == "json":
        column.values = json.loads(next(buffers))
        return column
    if column.head.mask:
        column.mask = next(buffers)
    # Shuffled: the first byte of every number, then all second bytes, and so on.
    shuffled = np.frombuffer(next(buffers), dtype=np.uint8).reshape(np.dtype(head["numbers"]).itemsize, rows)
    column.values = shuffled.T.tobytes()
    if "of" in head:
        column.dictionary = _read(head["of"], head["of"]["rows"], buffers)
        if head["dtype"] != "category":  # text, whose dictionary differs from chunk to chunk
            known = [*column.dictionary.values, None]  # noqa: PD011 - as below
            column.values = [known[code] for code in np.frombuffer(column.values, head["numbers"])]
            column.dictionary = None
    return column


def _join(pieces: Sequence[Any]) -> Any:
    column, parts = pieces[0], [piece.values for piece in pieces]  # noqa: PD011 - not of pandas
    column.values = [*chain.from_iterable(parts)] if isinstance(column.values, list) else tuple(parts)
    column.mask = tuple(piece.mask for piece in pieces)
    return column
