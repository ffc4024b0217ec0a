"""A notebook's values -> the forms that travel to a dyno: JSON's, arrays, tables; no pickle, and it sends nothing.

Values have the types of parameters. A DataFrame travels as the tables that tasks send, which the
worker's README writes down, with its index; an array of numbers or times as its bytes.
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

LARGEST_TABLE = 64_000_000  # bytes in memory: more are never packed into 32 kB, and it would take long to learn


def read_text(value: Any) -> Any:
    """Return the value of what was typed on the line: what reads as JSON is that, all else is text.

    >>> read_text(RawText("1000")), read_text(RawText("fast")), read_text("1000")
    (1000, 'fast', '1000')
    """
    if not isinstance(value, RawText):
        return value
    try:
        return json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return str(value)


class Inputs:
    """Values in the forms that travel: `coded` by name, and `body`, the bytes of their arrays and tables.

    with_tables: False takes no DataFrames, and arrays as lists. Raises InvalidParameters with every value
    that has no form.
    """

    def __init__(self, values: Mapping[str, Any], *, with_tables: bool = True) -> None:
        self._with_tables = with_tables
        self.coded: dict[str, dict[str, Any]] = {}
        self.body = b""
        issues = []
        for name, value in values.items():
            try:
                self._add(name, read_text(value))
            except TypeError as fault:  # noqa: PERF203 - all faults at once
                issues.append(f"{name}: {fault}")
        if issues:
            raise InvalidParameters(issues)

    def part(self, name: str) -> bytes:
        """Return the bytes of one of them, to tell how large it is."""
        one = self.coded[name]
        sizes = [size for chunk in (*one.get("tables", ()), *one.get("index", ())) for size in chunk["sizes"]]
        at = one.get("at", 0)
        return json.dumps(one).encode() + self.body[at : at + sum(sizes) + one.get("size", 0)]

    def _add(self, name: str, value: Any) -> None:
        if isinstance(value, Secret):
            raise TypeError("a secret travels by its name alone: --secret NAME, or secrets=[NAME] and os.environ.")
        if isinstance(value, ModuleType | type) or inspect.isroutine(value):
            kind = "module" if isinstance(value, ModuleType) else "class" if isinstance(value, type) else "function"
            raise TypeError(f"a {kind} is no value that travels: import or define it where the code runs.")
        if self._with_tables and any(
            base.__name__ == "DataFrame" and base.__module__.startswith("pandas") for base in type(value).__mro__
        ):
            self._add_table(name, value)
        elif self._with_tables and _is_array(value):
            self._add_array(name, value)
        else:
            self.coded[name] = {"value": plain(value)}

    def _add_array(self, name: str, array: Any) -> None:
        if array.nbytes > LARGEST_TABLE:
            raise TypeError(f"an array of {array.size:,} numbers is too much. {LARGE_DATA_HINT}")
        data = array.tobytes()
        place = {"at": len(self.body), "size": len(data)}
        self.coded[name] = {"array": array.dtype.str, "shape": list(array.shape), **place}
        self.body += data

    def _add_table(self, name: str, table: Any) -> None:
        _check_table(table)
        index, names = _index(table)
        chunks, body = _chunks(table)
        index_chunks, index_body = _chunks(index) if index is not None else ([], b"")
        self.coded[name] = {"tables": chunks, "index": index_chunks, "names": names, "at": len(self.body)}
        self.body += body + index_body


def _refuse(word: str) -> None:
    """JSON has no NaN and no Infinity."""
    raise ValueError(word)


def _is_array(value: Any) -> bool:
    """Whether it is a numpy array of numbers, truth values or times: a list of them would do other sums."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return type(value).__name__ == "ndarray" and type(value).__module__ == "numpy" and kind in {*"biufcmM"}


def _check_table(table: Any) -> None:
    if not all(isinstance(name, str) for name in table.columns):
        raise TypeError("a DataFrame whose columns are not named by text: rename them (`df.columns = [...]`).")
    if table.memory_usage(index=True).sum() > LARGEST_TABLE:
        raise TypeError(f"a DataFrame of {len(table):,} rows is too much. {LARGE_DATA_HINT}")


def _index(table: Any) -> tuple[Any, list[Any]]:
    """The index as a table with its names; None where it only numbers the rows."""
    index = table.index
    names = [plain(name) for name in index.names]
    if names == [None] and type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1:
        return None, names
    levels = [str(level) for level in range(index.nlevels)]
    return index.to_frame(index=False, name=levels if len(levels) > 1 else levels[0]), names


def _chunks(table: Any) -> tuple[list[dict[str, Any]], bytes]:
    chunks = [(header, body) for _, header, body in _writer()._chunks(table)]  # noqa: SLF001 - our own file
    return [header for header, _ in chunks], b"".join(body for _, body in chunks)


@cache
def _writer() -> ModuleType:
    """The worker's helper, which writes tables: the one writer that there is."""
    spec = importlib.util.spec_from_file_location("heroku_magic_helper", shipped_worker() / "heroku_task.py")
    if spec is None or spec.loader is None:
        message = "the worker's helper is missing"
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
