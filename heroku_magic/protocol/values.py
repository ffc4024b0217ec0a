"""Encodes a parameter's value as the text of an environment variable.

Values of numpy and pandas are recognized without importing either. A value that cannot be encoded
raises TypeError, whose message names the kind of value and what to pass instead.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cache
from numbers import Real
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

MAX_ENV_BYTES = 32 * 1024  # bytes of names and values: https://devcenter.heroku.com/articles/limits#config-vars
LARGE_DATA_HINT = (
    "Environment variables hold at most 32 kB in total. Pass more data in one of three ways: a file in the worker "
    "folder (`df.to_csv('worker/data.csv')`, then deploy), a table in the app's database "
    "(`df.to_sql('data', engine)`, read with DATABASE_URL), or a presigned URL of an object store as the parameter."
)
_MAX_ITEMS = 20_000_000  # of a list that becomes text
_MAX_BITS = 13_000  # Python itself refuses to print integers of more than 4,300 digits
_ZEROS = re.compile(r"\.?(?:000)+$")
# The words that the worker's helper reads as booleans.
TRUE_WORDS, FALSE_WORDS = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
_UNSUPPORTED = "cannot be passed as a parameter. Pass"
_NOT_FINITE = "cannot be passed as a parameter: JSON has no NaN and no Infinity."


class RawText(str):
    """Text typed on a magic line. It is sent unchanged, and the declared type determines how it is read."""

    __slots__ = ()


def to_text(value: Any, schema: Any) -> str | None:
    """Return a value of a declared type (None: undeclared) as text. None means that the variable is not set.

    >>> to_text("5", None), to_text("5", {"anyOf": [{"type": "string"}, {"type": "integer"}]}), to_text([1, None], None)
    ('5', '"5"', '[1,null]')
    """
    form = _encodable(value) if isinstance(value, RawText) else plain(value)
    if form is None and schema is None:
        return None
    if not isinstance(form, str):
        text = json.dumps(form, ensure_ascii=False, separators=(",", ":"))
        return f" {text}" if text in _choices(schema) else text  # JSON allows the blank, which no choice of text has
    is_ambiguous = not isinstance(form, RawText) and _accepts_text_and_more(schema) and _reads_as_other_type(form)
    return json.dumps(form) if is_ambiguous else str(form)


def python_scalar(value: Any) -> Any:
    """Return a number or a text of numpy as one of Python, which prints as the value alone; anything else as it is."""
    return value.item() if isinstance(value, Real | str) and hasattr(value, "item") else value


def plain(value: Any) -> Any:
    """Return a value as JSON represents it: numpy, pandas, dates, Decimal, Path and Enum become plain values.

    A Decimal becomes RawText, which preserves its digits. A parameter declared as a number reads them.
    """
    try:
        form = _plain(value)
    except RecursionError:
        reason = f"a value that contains itself or is nested too deeply {_UNSUPPORTED} a flat list or dict."
        raise TypeError(reason) from None
    return RawText(form) if type(value).__name__ == "Decimal" else form


def _choices(schema: Any) -> list[Any]:
    """Return the choices of a declared type, at any level of a union."""
    if not isinstance(schema, dict):
        return []
    return [*schema.get("enum", ()), *(choice for kind in schema.get("anyOf", ()) for choice in _choices(kind))]


def _accepts_text_and_more(schema: Any) -> bool:
    """Whether a declared type (None: undeclared) accepts text and other types, so that text is ambiguous."""
    if not isinstance(schema, dict):
        return False
    if not schema.keys() - {"default", "description", "title"}:
        return True
    kinds = schema.get("anyOf")
    return isinstance(kinds, list) and any(map(_accepts_text, kinds))


def _accepts_text(kind: Any) -> bool:
    if not isinstance(kind, dict):
        return True
    choices = kind.get("enum")
    return kind.get("type") == "string" or (isinstance(choices, list) and any(isinstance(one, str) for one in choices))


def _reads_as_other_type(text: str) -> bool:
    """Whether the worker's helper might read the text as another type. Text nested too deeply counts, too."""
    if text.strip().lower() in TRUE_WORDS | FALSE_WORDS:
        return True
    try:
        json.loads(text, parse_int=str)  # as text, because the dyno's limit on digits may differ
    except RecursionError:
        return True
    except ValueError:
        return _reads_as_number(text)
    return True


def _reads_as_number(text: str) -> bool:
    """Whether Python reads the text as a number although JSON does not, such as `007` or `1_000`."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    for types, convert in _converters():
        if isinstance(value, types):
            return convert(value)
    return _from_library(value)


def _encodable(text: str) -> str:
    """Return the text. Raises TypeError if no environment variable can hold it."""
    if "\0" in text:
        raise TypeError("text with a NUL character cannot be stored in an environment variable. Remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "text with a lone surrogate (half a character) cannot be stored in an environment variable. Remove it."
        raise TypeError(reason) from None
    return RawText(text) if isinstance(text, RawText) else str(text)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise TypeError(f"{float(value)} ({_type_name(value)}) {_NOT_FINITE}")
    return float(value)


def _integer(value: int) -> int:
    if value.bit_length() > _MAX_BITS:
        raise TypeError(f"a whole number with thousands of digits {_UNSUPPORTED} it as text.")
    return int(value)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise TypeError(f"{value} (a Decimal) {_NOT_FINITE}")
    return str(value)


def _iso_time(value: date | time) -> str:
    text = value.isoformat()
    if text == "NaT":  # pandas's missing time is a datetime
        raise TypeError(_missing("NaT"))
    return text


def _mapping(value: dict[Any, Any]) -> dict[str, Any]:
    _check_size(value, len(value))
    for key in value:
        if not isinstance(key, str) or isinstance(key, Enum):
            raise TypeError(f"a dict with a key that is {_type_name(key)} {_UNSUPPORTED} a dict whose keys are text.")
    return {_encodable(str(key)): _plain(item) for key, item in value.items()}


def _sequence(value: list[Any] | tuple[Any, ...] | range) -> list[Any]:
    _check_size(value, len(value))
    return [_plain(item) for item in value]


@cache
def _converters() -> tuple[tuple[Any, Any], ...]:
    """Return types and their converters. The order matters: an Enum may be text or a number, and a bool is an int."""
    from decimal import Decimal
    from uuid import UUID

    return (
        ((bool, type(None)), lambda value: value),
        (Enum, lambda value: _plain(value.value)),
        (float, _finite),
        (str, lambda value: _encodable(str(value))),
        (int, _integer),
        (dict, _mapping),
        ((list, tuple, range), _sequence),
        ((datetime, date, time), _iso_time),
        (Decimal, _decimal),
        ((PurePath, UUID), lambda value: _encodable(str(value))),
    )


def _check_size(value: Any, count: int) -> None:
    """Reject what cannot fit before it is built: every item takes at least one byte."""
    if count > _MAX_ITEMS:
        raise TypeError(f"{_type_name(value)} of {count:,} items is too large. {LARGE_DATA_HINT}")


def _from_library(value: Any) -> Any:
    """Convert a value of numpy or pandas."""
    bases = type(value).__mro__
    if any(base.__name__ == "DataFrame" for base in bases):
        raise TypeError(
            "a DataFrame cannot be passed to a parameter that the task does not declare as pandas.DataFrame. "
            f"{LARGE_DATA_HINT}"
        )
    if type(value).__name__ == "NAType":
        raise TypeError(_missing("NA"))
    libraries = {base.__module__.partition(".")[0] for base in bases}
    if not libraries & {"numpy", "pandas"} or not hasattr(value, "tolist"):
        raise TypeError(_not_encodable(value))
    _check_size(value, value.size)
    return _from_numpy(value) if "pandas" not in libraries else _plain(value.tolist())


def _from_numpy(value: Any) -> Any:
    """Convert an array or a scalar. Times are converted as text, because numpy converts some of them to integers."""
    if value.dtype.kind == "M":
        return _times(value.astype(str).tolist())
    converted = value.tolist()
    if value.dtype.kind == "m" or type(converted) is type(value):
        raise TypeError(_not_encodable(value))
    return _plain(converted)


def _times(text: Any) -> Any:
    if isinstance(text, list):
        return [_times(one) for one in text]
    if text == "NaT":
        raise TypeError(_missing("NaT"))
    return _ZEROS.sub("", text) if "." in text else text


def _missing(name: str) -> str:
    return f"a missing value ({name}) {_UNSUPPORTED} None, or omit it."


def _not_encodable(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return f"{_type_name(value)} {_UNSUPPORTED} a list, such as sorted(...)."
    if isinstance(value, timedelta) or getattr(getattr(value, "dtype", None), "kind", "") == "m":
        return f"{_type_name(value)} (a duration) {_UNSUPPORTED} the number of seconds."
    return f"{_type_name(value)} {_UNSUPPORTED} text, a number, a boolean, or a list or dict of these."


def _type_name(value: Any) -> str:
    if isinstance(value, type):
        return "a class"
    if callable(value) and hasattr(value, "__name__"):
        return "a function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
