"""Encode Python values as JSON without losing their types: every value is exact, or refused by name.

JSON values stand for themselves. Any other value is an object with the key "$", which names its type:
`(1, 2)` is `{"$": "tuple", "v": [1, 2]}`. The bytes of arrays and tables go into a body beside the JSON.

This file also travels to the dyno as text, so it uses only the standard library of Python 3.9. `typed_decoder.py`
decodes, and spells the key "$" again, because the two files travel separately.
"""

from __future__ import annotations

import re
import sys
from binascii import b2a_base64
from datetime import date, datetime, time, timedelta
from enum import Enum, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

TAG = "$"
_MAX_DEPTH = 200
_MAX_BITS = 13_000  # Python refuses to print integers of more than 4,300 digits
# The dtypes that the columns of a table keep; object columns, categories and others are encoded by themselves.
_KEPT_ARROW = r"[^<]*(?<!_interval)(?<!_view)\[pyarrow\]"
_KEPT = rf"bool(ean)?|[uU]?[iI]nt\d+|[fF]loat(16|32|64)|str|string|(datetime|timedelta)64\[.*|period.*|{_KEPT_ARROW}"
_JSON_TYPES = frozenset({type(None), bool, float, str})
_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")


class Encoder:
    """Encodes values; `body` collects the bytes of their arrays, tables and long texts.

    chunks: writes a DataFrame as (rows, header, bytes), as the worker's helper does. body: has a length, and `+=` adds
    bytes to it.

    >>> encoder = Encoder(lambda frame: [])
    >>> encoder.encode({"a": (1, 2.5), 3: b"x"}, "value")
    {'$': 'dict', 'v': [['a', {'$': 'tuple', 'v': [1, 2.5]}], [3, {'$': 'bytes', 'v': 'eA=='}]]}
    """

    def __init__(self, chunks: Callable[[Any], Iterable[tuple[int, dict[str, Any], bytes]]], body: Any = None) -> None:
        self.body = bytearray() if body is None else body
        self._chunks = chunks

    def encode(self, value: Any, place: str, depth: int = 0) -> Any:  # noqa: PLR0911 - one per type
        """Return a value as JSON. Raises TypeError naming the type and the place, such as `value["a"][3]`."""
        kind = type(value)
        if kind in (str, bytes) and len(value) > 100_000:  # then it is not copied into the JSON
            data = value if kind is bytes else value.encode("utf-8", "surrogatepass")
            return {TAG: "long", "of": kind.__name__, **self._append(data)}
        if kind in _JSON_TYPES:
            return value
        if kind is int:
            return value if value.bit_length() <= _MAX_BITS else {TAG: "int", "v": hex(value)}
        if depth > _MAX_DEPTH:
            raise TypeError(f"{place:.60}… contains itself, or is nested more than {_MAX_DEPTH} levels deep")
        if kind is list:
            return [self.encode(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
        if kind is dict:
            return self._dict(value, place, depth + 1)
        if kind in (tuple, set, frozenset):
            return {TAG: kind.__name__, "v": [self.encode(item, f"an item of {place}", depth + 1) for item in value]}
        encoded = self._scalar(value) or self._of_numpy(value, place, depth) or self._of_pandas(value, place, depth)
        if encoded is None:
            raise TypeError(f"{place} is of type {kind.__module__}.{kind.__qualname__}".replace(" builtins.", " "))
        return encoded

    def _dict(self, value: dict[Any, Any], place: str, depth: int) -> Any:
        if TAG not in value and all(type(key) is str for key in value):
            return {key: self.encode(item, f"{place}[{key!r:.60}]", depth) for key, item in value.items()}
        pairs = [
            [self.encode(key, f"a key of {place}", depth), self.encode(item, f"{place}[{key!r:.60}]", depth)]
            for key, item in value.items()
        ]
        return {TAG: "dict", "v": pairs}

    def _scalar(self, value: Any) -> dict[str, Any] | None:  # noqa: PLR0911 - one per type
        """Encode a value of the standard library; return None for any other."""
        kind = type(value)
        if kind in (bytes, bytearray):
            return {TAG: kind.__name__, "v": b2a_base64(value, newline=False).decode("ascii")}
        if kind is complex:
            return {TAG: "complex", "v": [value.real, value.imag]}
        if kind is timedelta:
            return {TAG: "timedelta", "v": [value.days, value.seconds, value.microseconds]}
        if kind is date:
            return {TAG: "date", "v": value.isoformat()}
        if kind in (time, datetime):
            text = value.replace(tzinfo=None, fold=0).isoformat()
            return {TAG: kind.__name__, "v": text, "fold": value.fold, "zone": _zone(value)}
        if isinstance(value, Enum):
            name = None if isinstance(value, Flag) else value.name
            value = None if name else self.encode(value.value, "the value of a Flag")
            return {TAG: "Enum", "v": [kind.__module__, kind.__qualname__, name, value]}
        if (kind.__module__, kind.__name__) in (("decimal", "Decimal"), ("uuid", "UUID")):
            return {TAG: kind.__name__, "v": str(value)}
        if str(kind.__module__).startswith("pathlib") and kind.__name__ in _PATHS:
            return {TAG: "Path", "v": str(value), "pure": kind.__name__ if "Pure" in kind.__name__ else ""}
        return None

    def _of_numpy(self, value: Any, place: str, depth: int) -> dict[str, Any] | None:
        numpy = sys.modules.get("numpy")
        if numpy is None or not (type(value) is numpy.ndarray or isinstance(value, numpy.generic)):
            return None
        shape, is_array = list(value.shape), type(value) is numpy.ndarray
        if value.dtype == object:
            items = [self.encode(item, f"an item of {place}", depth + 1) for item in value.ravel().tolist()]
            return {TAG: "objects", "shape": shape, "v": items}
        if value.dtype.kind == "U":  # as text, so that secrets in it can be masked
            # An array drops the last zeros of a text.
            items = value.ravel().tolist() if is_array else [str.__str__(value)]
            return {TAG: "texts", "dtype": value.dtype.str, "shape": shape if is_array else None, "v": items}
        if value.dtype.hasobject:
            return None
        dtype = self.encode(_dtype_description(value.dtype, place), place, depth)
        order = "F" if value.flags.fnc else "C"  # sums of floats depend on it
        kind, data = "array" if is_array else "number", self._append(value.tobytes(order))
        return {TAG: kind, "dtype": dtype, "shape": shape, "order": order, **data}

    def _of_pandas(self, value: Any, place: str, depth: int) -> dict[str, Any] | None:  # noqa: PLR0911 - one per type
        pandas = sys.modules.get("pandas")
        if pandas is None:
            return None
        if value is pandas.NaT or value is pandas.NA:
            return {TAG: "missing", "v": "NaT" if value is pandas.NaT else "NA"}
        if type(value) in (pandas.Timestamp, pandas.Timedelta):
            number = int(value.asm8.view("int64"))
            return {TAG: type(value).__name__, "v": number, "unit": value.unit, "zone": _zone(value)}
        if type(value) is pandas.RangeIndex:
            span = [value.start, value.stop, value.step]
            return {TAG: "RangeIndex", "v": span, "names": self._names(value, place)}
        if isinstance(value, pandas.MultiIndex):
            levels = [self._of_pandas(level, f"a level of {place}", depth) for level in value.levels]
            codes = [self._of_numpy(numbers, place, depth) for numbers in value.codes]
            return {TAG: "MultiIndex", "levels": levels, "codes": codes, "names": self._names(value, place)}
        if isinstance(value, pandas.Index):
            frame, freq = pandas.DataFrame({0: value}), getattr(value, "freqstr", None)
            freq = None if isinstance(value, pandas.PeriodIndex) else freq
            if freq and pandas.tseries.frequencies.to_offset(freq) != value.freq:
                raise TypeError(f"{place} has the frequency {value.freq!r}")
            table = self._table(frame, place, depth)
            return {TAG: "Index", "v": table, "names": self._names(value, place), "freq": freq}
        if type(value) is pandas.Series:
            name = self.encode(value.name, f"the name of {place}", depth)
            return {TAG: "Series", "v": self._table(value.to_frame("0"), place, depth), "name": name}
        if type(value) is pandas.DataFrame:
            return {**self._table(value, place, depth), "labels": self.encode(value.columns, f"the columns of {place}")}
        return None

    def _table(self, frame: Any, place: str, depth: int) -> dict[str, Any]:
        """Encode a DataFrame with its index, but without the labels of its columns."""
        objects = self.object_columns(frame, place, depth)
        index = self._of_pandas(frame.index, f"the index of {place}", depth)
        attrs = self.encode(frame.attrs, f"{place}.attrs", depth + 1)
        try:
            frame = frame.set_axis(range(frame.shape[1]), axis=1)
            for at in objects:
                frame.isetitem(int(at), False)
            chunks = [{**header, **self._append(body)} for _, header, body in self._chunks(frame)]
        except TypeError as error:
            raise TypeError(f"{place} is a table with a problem: {error}") from None
        return {TAG: "DataFrame", "chunks": chunks, "index": index, "objects": objects, "attrs": attrs}

    def object_columns(self, frame: Any, place: str, depth: int = 0) -> dict[str, Any]:
        """Return the columns of objects, and of other dtypes that a table does not keep, by position as text."""
        found: dict[str, Any] = {}
        for at, label in enumerate(frame.columns):
            column, item = frame.iloc[:, at], f"column {label!r:.60} of {place}"
            if not re.fullmatch(_KEPT, str(column.dtype)):
                found[str(at)] = self._column(column, item, depth + 1)
        return {at: form for at, form in found.items() if form is not None}

    def _column(self, column: Any, place: str, depth: int) -> Any:
        pandas, dtype = sys.modules["pandas"], column.dtype
        if str(dtype) == "object":
            values = column.tolist()
            is_text = {*map(type, values)} == {str} and pandas.Series([""]).dtype == object  # the dtype of its text
            return None if is_text else [self.encode(value, f"an item of {place}", depth) for value in values]
        if str(dtype) == "category":
            labels = dtype.categories
            is_plain = labels.name is None and getattr(labels, "freq", None) is None
            kept = is_plain and re.fullmatch(_KEPT, str(labels.dtype))
            categories = None if kept else self.encode(labels, f"the categories of {place}", depth)
            codes = column.cat.codes.to_numpy()
            return categories and {TAG: "category", "v": [self.encode(codes, place), categories, dtype.ordered]}
        if str(dtype).startswith("interval"):
            sides = [self.encode(getattr(column.array, side), place, depth) for side in ("left", "right")]
            return {TAG: "interval", "v": [*sides, dtype.closed]}
        if type(dtype).__module__.partition(".")[0] == "numpy":
            return self.encode(column.to_numpy(), place, depth)
        raise TypeError(f"{place} has the dtype {dtype}")

    def _names(self, index: Any, place: str) -> Any:
        return [self.encode(name, f"a name of the index of {place}") for name in index.names]

    def _append(self, data: bytes) -> dict[str, int]:
        location = {"at": len(self.body), "size": len(data)}
        self.body += data
        return location


def _dtype_description(dtype: Any, place: str) -> Any:
    """Return a dtype as a .npy file describes it. Raises TypeError for one that such a file does not keep."""
    npy = sys.modules["numpy"].lib.format
    try:
        description = npy.dtype_to_descr(dtype)
        found = npy.descr_to_dtype(description)
    except ValueError:  # its fields overlap, or are in another order than in memory
        found = None
    if found != dtype or found.type is not dtype.type:
        raise TypeError(f"{place} has the dtype {dtype}")
    return description


def _zone(value: Any) -> Any:
    """Return the IANA key of a time's zone, or else its offset in seconds and its name; None without a zone."""
    if getattr(value, "tzinfo", None) is None:
        if type(value).__name__ == "Timestamp" and value.fold:  # with a zone, the instant determines it
            raise TypeError("a Timestamp without a time zone has fold=1")
        return None
    is_named = type(value.tzinfo).__name__ == "ZoneInfo" or type(value.tzinfo).__module__.startswith("pytz")
    key = getattr(value.tzinfo, "key", getattr(value.tzinfo, "zone", None))  # zone: of pytz, which pandas 2.0 uses
    if is_named and key:
        return key
    offset = value.utcoffset()
    if offset is None:
        raise TypeError(f"a {type(value).__name__} has a time zone without an offset, {value.tzinfo!r:.60}")
    return [offset.days * 86400 + offset.seconds, offset.microseconds, value.tzname()]
