"""Decode typed JSON. Decoding imports nothing but numpy and pandas, and calls nothing but the types below.

This file also travels to the dyno as text, so it uses only the standard library of Python 3.9.
"""

from __future__ import annotations

import sys
from binascii import a2b_base64
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ClassVar

TAG = "$"
_PURE_PATHS = ("PurePosixPath", "PureWindowsPath")


class Decoder:
    """Decodes what an Encoder wrote. Raises ValueError for anything else.

    body: bytes, or what can be sliced like them. build: makes a DataFrame of chunks as (header, bytes). read_text:
    applied to every text.

    >>> Decoder(b"", list).decode({"$": "tuple", "v": [1, {"$": "complex", "v": [0.0, 1.0]}]})
    (1, 1j)
    """

    def __init__(
        self,
        body: Any,
        build: Callable[[Iterable[tuple[dict[str, Any], bytes]]], Any],
        read_text: Callable[[str], str] = str,
    ) -> None:
        self._body = body
        self._build = build
        self._read_text = read_text

    def decode(self, form: Any) -> Any:
        """Return the value."""
        if isinstance(form, list):
            return [self.decode(item) for item in form]
        if not isinstance(form, dict):
            return self._read_text(form) if isinstance(form, str) else form
        if TAG not in form:
            return {self._read_text(key): self.decode(item) for key, item in form.items()}
        kind = form[TAG]
        try:
            return self._BY_TAG[kind](self, form) if kind in self._BY_TAG else _unknown(kind)
        except (KeyError, TypeError, IndexError, ArithmeticError) as error:
            raise ValueError(f"a value of type {kind!r:.60} is malformed ({type(error).__name__})") from None

    def _items(self, form: Mapping[str, Any]) -> list[Any]:
        return [self.decode(item) for item in form["v"]]

    def _array(self, form: Mapping[str, Any]) -> Any:
        import numpy as np

        dtype = np.lib.format.descr_to_dtype(self.decode(form["dtype"]))
        if dtype.hasobject:
            raise ValueError("an array of objects has no bytes")
        data = self._bytes(form)
        if form[TAG] == "number" and dtype.kind == "S":  # an array would drop its last zeros
            return dtype.type(bytes(data))
        found = np.ndarray(form["shape"], dtype, data or b"\0", order=form["order"]).copy("K")
        return found if form[TAG] == "array" else found[()]

    def _objects(self, form: Mapping[str, Any]) -> Any:
        import numpy as np

        found = np.empty(len(form["v"]), dtype=object)
        found[:] = self._items(form)
        return found.reshape(form["shape"])

    def _texts(self, form: Mapping[str, Any]) -> Any:
        import numpy as np

        items = self._items(form)
        return np.str_(items[0]) if form["shape"] is None else np.array(items, form["dtype"]).reshape(form["shape"])

    def _table(self, form: Mapping[str, Any]) -> Any:
        frame = self._build((chunk, self._bytes(chunk)) for chunk in form["chunks"])
        self.restore_objects(frame, form["objects"])
        frame.index = self.decode(form["index"])
        frame.attrs.update(self.decode(form["attrs"]))
        if "labels" in form:
            frame.columns = self.decode(form["labels"])  # pandas 2 copies the values in `set_axis`, and in `rename`
        return frame

    def restore_objects(self, frame: Any, objects: Mapping[str, Any]) -> None:
        """Put the values that `Encoder.object_columns` returned into a DataFrame."""
        import pandas as pd

        for at, form in objects.items():
            dtype = object if isinstance(form, list) else None
            frame.isetitem(int(at), pd.Series(self.decode(form), dtype=dtype, index=frame.index))

    def _extension(self, form: Mapping[str, Any]) -> Any:
        import pandas as pd

        one, two, option = self._items(form)
        if form[TAG] == "category":
            return pd.Categorical.from_codes(one, two, option)
        return pd.arrays.IntervalArray.from_arrays(one, two, option)

    def _series(self, form: Mapping[str, Any]) -> Any:
        found = self._table(form["v"]).iloc[:, 0]
        found.name = self.decode(form["name"])
        return found

    def _index(self, form: Mapping[str, Any]) -> Any:
        import pandas as pd

        column = self._table(form["v"]).iloc[:, 0]
        found = pd.Index(column, dtype=column.dtype, tupleize_cols=False).set_names(self.decode(form["names"]))
        if form["freq"]:
            found.freq = form["freq"]
        return found

    def _multi_index(self, form: Mapping[str, Any]) -> Any:
        import pandas as pd

        return pd.MultiIndex(self.decode(form["levels"]), self.decode(form["codes"]), names=self.decode(form["names"]))

    def _range_index(self, form: Mapping[str, Any]) -> Any:
        import pandas as pd

        start, stop, step = form["v"]
        return pd.RangeIndex(start, stop, step, name=self.decode(form["names"])[0])

    def _missing(self, form: Mapping[str, Any]) -> Any:
        import pandas as pd

        return {"NaT": pd.NaT, "NA": pd.NA}[form["v"]]

    def _enum(self, form: Mapping[str, Any]) -> Any:
        module, path, name, value = form["v"]
        found: Any = sys.modules.get(module)
        for attribute in path.split("."):
            found = getattr(found, attribute, None)
        if not (isinstance(found, type) and issubclass(found, Enum)):
            message = f"it holds a member of {path}, but {module} has not been imported here"
            raise ValueError(message)  # noqa: TRY004 - as for any value that cannot be decoded
        return found(self.decode(value)) if name is None else found[name]

    def _moment(self, form: Mapping[str, Any]) -> Any:
        kind = datetime if form[TAG] == "datetime" else time
        return kind.fromisoformat(form["v"]).replace(fold=form["fold"], tzinfo=_to_zone(form["zone"]))

    def _pandas_time(self, form: Mapping[str, Any]) -> Any:
        import numpy as np
        import pandas as pd

        if form[TAG] == "Timedelta":
            return pd.Timedelta(np.timedelta64(form["v"], form["unit"]))
        found, zone = pd.Timestamp(np.datetime64(form["v"], form["unit"])), form["zone"]
        return found if zone is None else found.tz_localize("UTC").tz_convert(_to_zone(zone))

    def _bytes(self, form: Mapping[str, Any]) -> Any:
        data = self._body[form["at"] : form["at"] + form["size"]]
        if len(data) != form["size"] or form["at"] < 0:
            raise ValueError("some bytes of an array or a table are missing")
        return data

    def _long(self, form: Mapping[str, Any]) -> Any:
        data = bytes(self._bytes(form))
        return data if form["of"] == "bytes" else self._read_text(data.decode("utf-8", "surrogatepass"))

    _BY_TAG: ClassVar[dict[str, Callable[[Decoder, Any], Any]]] = {
        "int": lambda _, form: int(form["v"], 16),
        "dict": lambda self, form: {self.decode(key): self.decode(item) for key, item in form["v"]},
        "tuple": lambda self, form: tuple(self._items(form)),
        "set": lambda self, form: set(self._items(form)),
        "frozenset": lambda self, form: frozenset(self._items(form)),
        "bytes": lambda _, form: a2b_base64(form["v"]),
        "bytearray": lambda _, form: bytearray(a2b_base64(form["v"])),
        "long": _long,
        "complex": lambda _, form: complex(*form["v"]),
        "timedelta": lambda _, form: timedelta(*form["v"]),
        "date": lambda _, form: date.fromisoformat(form["v"]),
        "time": _moment,
        "datetime": _moment,
        "Enum": _enum,
        "Decimal": lambda _, form: _decimal(form["v"]),
        "UUID": lambda _, form: _uuid(form["v"]),
        "Path": lambda self, form: _path(self.decode(form["v"]), form["pure"]),
        "array": _array,
        "number": _array,
        "objects": _objects,
        "texts": _texts,
        "missing": _missing,
        "Timestamp": _pandas_time,
        "Timedelta": _pandas_time,
        "category": _extension,
        "interval": _extension,
        "Index": _index,
        "MultiIndex": _multi_index,
        "RangeIndex": _range_index,
        "Series": _series,
        "DataFrame": _table,
    }


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


def _path(text: str, pure: str) -> Any:
    import pathlib

    return getattr(pathlib, pure if pure in _PURE_PATHS else "Path")(text)


def _unknown(kind: Any) -> Any:
    raise ValueError(f"a value is of the unknown type {kind!r:.60}")


def _to_zone(zone: Any) -> Any:
    if zone is None:
        return None
    if isinstance(zone, str):
        from zoneinfo import ZoneInfo

        return ZoneInfo(zone)
    seconds, microseconds, name = zone
    offset = timedelta(seconds=seconds, microseconds=microseconds)
    is_plain = name is None or name == timezone(offset).tzname(None)
    return timezone(offset) if is_plain else timezone(offset, name)
