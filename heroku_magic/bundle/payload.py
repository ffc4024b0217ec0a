"""Encode a notebook's values for a dyno, without pickle.

Plain values become JSON, as parameters do. A DataFrame becomes the typed columns that tasks send
(the worker's README describes the format), with its index; an array of numbers or times its bytes.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.values import LARGE_DATA_HINT, RawText, plain
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 64_000_000  # in memory; more never fits into 32 kB, and finding that out by compression is slow


def parse_raw_text(value: Any) -> Any:
    """Return the value of text that was typed on the line: JSON where it parses as JSON, otherwise text.

    >>> parse_raw_text(RawText("1000")), parse_raw_text(RawText("fast")), parse_raw_text("1000")
    (1000, 'fast', '1000')
    """
    if not isinstance(value, RawText):
        return value
    try:
        return json.loads(value, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        return str(value)


class Payload:
    """Encoded values: a JSON header per name, and the bytes of all arrays and tables as `body`.

    with_tables: False refuses DataFrames and encodes arrays as lists. Raises InvalidParameters with
    every value that cannot be encoded.
    """

    def __init__(self, values: Mapping[str, Any], *, with_tables: bool = True) -> None:
        self._with_tables = with_tables
        self.headers: dict[str, dict[str, Any]] = {}
        self.body = b""
        issues = []
        for name, value in values.items():
            try:
                self._add(name, parse_raw_text(value))
            except TypeError as error:  # noqa: PERF203 - every fault is reported at once
                issues.append(f"{name}: {error}")
        if issues:
            raise InvalidParameters(issues)

    def serialize(self, name: str) -> bytes:
        """Return the bytes of one value, from which an error message computes its share."""
        header = self.headers[name]
        sizes = [size for chunk in (*header.get("tables", ()), *header.get("index", ())) for size in chunk["sizes"]]
        start = header.get("at", 0)
        return json.dumps(header).encode() + self.body[start : start + sum(sizes) + header.get("size", 0)]

    def _add(self, name: str, value: Any) -> None:
        if isinstance(value, Secret):
            raise TypeError("a secret is passed by name only. Use --secret NAME, or secrets=[NAME] and os.environ.")
        if isinstance(value, ModuleType | type) or inspect.isroutine(value):
            kind = "module" if isinstance(value, ModuleType) else "class" if isinstance(value, type) else "function"
            raise TypeError(
                f"a {kind} cannot be passed as a value. Import or define it in the code that runs on the dyno."
            )
        if self._with_tables and any(
            base.__name__ == "DataFrame" and base.__module__.startswith("pandas") for base in type(value).__mro__
        ):
            self._add_table(name, value)
        elif self._with_tables and _is_array(value):
            self._add_array(name, value)
        else:
            self.headers[name] = {"value": plain(value)}

    def _add_array(self, name: str, array: Any) -> None:
        if array.nbytes > MAX_BYTES:
            raise TypeError(f"an array of {array.size:,} items is too large. {LARGE_DATA_HINT}")
        data = array.tobytes()
        location = {"at": len(self.body), "size": len(data)}
        self.headers[name] = {"array": array.dtype.str, "shape": list(array.shape), **location}
        self.body += data

    def _add_table(self, name: str, table: Any) -> None:
        _check_table(table)
        index = _index(table)
        chunks, body = _chunks(table)
        index_chunks, index_body = _chunks(index) if index is not None else ([], b"")
        names = [_helper()._encode_label(name) for name in table.index.names]  # noqa: SLF001 - the helper is part of this project
        index_header = {"index": index_chunks, "names": names, "is_multi": type(table.index).__name__ == "MultiIndex"}
        self.headers[name] = {"tables": chunks, **index_header, "at": len(self.body)}
        self.body += body + index_body


def _reject_constant(word: str) -> None:
    """Reject NaN and Infinity, which are not JSON."""
    raise ValueError(word)


def _is_array(value: Any) -> bool:
    """Whether a value is a numpy array of numbers, booleans or times, whose arithmetic a list would change."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return type(value).__name__ == "ndarray" and type(value).__module__ == "numpy" and kind in {*"biufcmM"}


def _check_table(table: Any) -> None:
    if table.memory_usage(index=True).sum() > MAX_BYTES:
        raise TypeError(f"a DataFrame of {len(table):,} rows is too large. {LARGE_DATA_HINT}")


def _index(table: Any) -> Any:
    """Return the index as a table of one column per level, or None for an index that only numbers the rows.

    The levels of a MultiIndex become categories, which keep each level's type even where values are missing.
    """
    import pandas as pd

    index = table.index
    if isinstance(index, pd.MultiIndex):
        pairs = zip(index.levels, index.codes, strict=True)
        return pd.DataFrame({n: pd.Categorical.from_codes(codes, level) for n, (level, codes) in enumerate(pairs)})
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return None
    return pd.DataFrame({0: index})


def _chunks(table: Any) -> tuple[list[dict[str, Any]], bytes]:
    chunks = [(header, body) for _, header, body in _helper()._chunks(table)]  # noqa: SLF001 - the helper is part of this project
    return [header for header, _ in chunks], b"".join(body for _, body in chunks)


@cache
def _helper() -> ModuleType:
    """Load the worker's helper, which defines how tables are written."""
    spec = importlib.util.spec_from_file_location("heroku_magic_helper", shipped_worker() / "heroku_task.py")
    if spec is None or spec.loader is None:
        message = "the worker's helper is missing"
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
