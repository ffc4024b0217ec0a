"""Encode a notebook's values for a dyno as typed JSON, without pickle."""

from __future__ import annotations

import importlib.util
import inspect
import json
from contextlib import nullcontext
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InputTooLarge, InvalidParameters
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.typed_json import Encoder
from heroku_magic.protocol.values import LARGE_DATA_HINT, RawText
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heroku_magic.protocol.spool import Spool

MAX_TABLE_BYTES = 64_000_000  # of a table that is held in memory once more
MAX_DEPTH = 10  # of lists whose sizes are added
_NUMBERS = {int, float, bool, type(None)}  # the types of what a list of numbers holds
MAX_BYTES = 16_000_000  # in memory; more hardly ever fits into 32 kB, and finding that out by compression is slow


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


def encode(values: Mapping[str, Any], spool: Spool | None = None) -> tuple[str, bytes]:
    """Return values by name as typed JSON, and the bytes of their arrays and tables unless a spool takes them.

    Raises InvalidParameters naming every value that cannot be encoded exactly, and InputTooLarge.
    """
    if spool is None and (size := sum(map(size_of, values.values()))) > MAX_BYTES:
        raise InputTooLarge([f"The values take {size:,} bytes. {LARGE_DATA_HINT}"])
    encoder, forms, issues = Encoder(all_chunks, spool), {}, []
    for name, value in values.items():
        if fault := _fault(value):
            issues.append(f"{name}: {fault}")
            continue
        try:
            with nullcontext() if spool is None else spool.one_value():
                forms[name] = encoder.encode(parse_raw_text(value), name)
        except TypeError as error:
            issues.append(f"{error}, and cannot be passed exactly. Pass plain values, arrays or DataFrames.")
    if issues:
        raise InvalidParameters(issues)
    return json.dumps(forms), b"" if spool is not None else bytes(encoder.body)


def size_of(value: Any, depth: int = 0) -> int:
    """Return about how many bytes an array, a table, a text, or a list or dict of these takes; of others 0."""
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    if isinstance(value, list | tuple | dict):
        items = value.values() if isinstance(value, dict) else value
        if {*map(type, items)} <= _NUMBERS:
            return 0
        return sum(size_of(item, depth + 1) for item in items) if depth < MAX_DEPTH else 0
    usage = getattr(value, "memory_usage", None)
    if type(value).__name__ in {"DataFrame", "Series"} and usage is not None:
        return int(usage(index=True).sum() if value.ndim == 2 else usage(index=True))
    size = getattr(value, "nbytes", 0)
    return size if isinstance(size, int) else 0


def table_chunks(table: Any) -> Iterable[tuple[int, dict[str, Any], bytes]]:
    """Yield the chunks of a DataFrame as the worker's helper writes them."""
    if table.memory_usage(index=False).sum() + table.index.memory_usage() > MAX_TABLE_BYTES:
        message = f"a DataFrame of {len(table):,} rows is too large. {LARGE_DATA_HINT}"
        raise TypeError(message)
    return all_chunks(table)


def all_chunks(table: Any) -> Iterable[tuple[int, dict[str, Any], bytes]]:
    """Yield the chunks of a DataFrame of any size."""
    return _helper()._chunks(table)  # type: ignore[no-any-return]  # noqa: SLF001 - the helper is part of this project


def _fault(value: Any) -> str | None:
    """Return why a value cannot be passed at all, and what to do instead; None if nothing is known against it."""
    if isinstance(value, Secret):
        return "a secret is passed by name only. Use --secret NAME, or secrets=[NAME] and os.environ."
    if isinstance(value, ModuleType | type) or inspect.isroutine(value):
        kind = "module" if isinstance(value, ModuleType) else "class" if isinstance(value, type) else "function"
        return f"a {kind} cannot be passed as a value. Import or define it in the code that runs on the dyno."
    return None


def _reject_constant(word: str) -> None:
    """Reject NaN and Infinity, which are not JSON."""
    raise ValueError(word)


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
