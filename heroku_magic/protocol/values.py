"""A parameter's value -> the text of its environment variable; it knows neither names nor tasks.

Values of numpy and pandas are known by what they can do: neither is imported for it. Whatever has
no form raises TypeError, whose text says which kind of value that is and what to send instead.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

MAX_ENV_BYTES = 32 * 1024  # bytes of names and values: https://devcenter.heroku.com/articles/limits#config-vars
LARGE_DATA_HINT = (
    "Environment variables carry at most 32 kB in all. Three ways for more: a file in the worker folder "
    "(`df.to_csv('worker/data.csv')`, then deploy), a table in the app's database "
    "(`df.to_sql('data', engine)`, read by DATABASE_URL), or a presigned URL of an object store as the parameter."
)
_LARGEST_BITS = 13_000  # Python itself writes no whole number of more than 4,300 digits
_ZEROS = re.compile(r"\.?(?:000)+$")
_BOOLEANS = frozenset({"yes", "no", "on", "off", "true", "false"})
_NO_FORM = "has no form as an environment variable: send"


class RawText(str):
    """Text as it was typed on the line: it travels as it is, and the declared type decides how it is read."""

    __slots__ = ()


def to_text(value: Any, schema: Any) -> str | None:
    """Return the text that carries a value of a declared type (None: undeclared); None leaves the variable out.

    >>> to_text("5", None), to_text("5", {"anyOf": [{"type": "string"}, {"type": "integer"}]}), to_text([1, None], None)
    ('5', '"5"', '[1,null]')
    """
    form = _sound(value) if isinstance(value, RawText) else plain(value)
    if form is None:
        return None if schema is None else "null"
    if not isinstance(form, str):
        return json.dumps(form, ensure_ascii=False, separators=(",", ":"))
    is_ambiguous = not isinstance(form, RawText) and takes_text_and_more(schema) and _reads_as_more(form)
    return json.dumps(form) if is_ambiguous else str(form)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numpy, pandas, dates, Decimal, Path and Enum become plain values.

    A Decimal becomes RawText text: its digits stay, and a declared number reads them.
    """
    try:
        form = _plain(value)
    except RecursionError:
        reason = f"a value that holds itself, or is nested too deeply, {_NO_FORM} a flat list or dict."
    else:
        return RawText(form) if type(value).__name__ == "Decimal" else form
    raise TypeError(reason)


def takes_text_and_more(schema: Any) -> bool:
    """Whether a declared type (None: undeclared) takes text and something else, so that text is ambiguous."""
    if not isinstance(schema, dict):
        return False
    if not schema.keys() - {"default", "description", "title"}:
        return True
    kinds = schema.get("anyOf")
    return isinstance(kinds, list) and any(map(_takes_text, kinds))


def _takes_text(kind: Any) -> bool:
    if not isinstance(kind, dict):
        return True
    choices = kind.get("enum")
    return kind.get("type") == "string" or (isinstance(choices, list) and any(isinstance(one, str) for one in choices))


def _reads_as_more(text: str) -> bool:
    """Whether the task's side might read the text as more than text; too deep for it is no text for it either."""
    if text.strip().lower() in _BOOLEANS:
        return True
    try:
        json.loads(text, parse_int=str)  # as text: the limit on digits is another one there
    except RecursionError:
        return True
    except ValueError:
        return _reads_as_number(text)
    return True


def _reads_as_number(text: str) -> bool:
    """Whether Python reads a number that JSON does not, such as `007` or `1_000`: then a declared one does, too."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    for kinds, convert in _forms():
        if isinstance(value, kinds):
            return convert(value)
    return _foreign(value)


def _sound(text: str) -> str:
    """Refuse text that no environment variable can hold."""
    if "\0" in text:
        raise TypeError("text with a NUL character, which no environment variable can hold.")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "text with half a character (a lone surrogate), which no environment variable can hold."
    else:
        return RawText(text) if isinstance(text, RawText) else str(text)
    raise TypeError(reason)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise TypeError(f"{float(value)} is {_kind(value)}, and JSON has no NaN and no Infinity.")
    return float(value)


def _whole(value: int) -> int:
    if value.bit_length() > _LARGEST_BITS:
        raise TypeError(f"a whole number of thousands of digits {_NO_FORM} it as text.")
    return int(value)


def _digits(value: Decimal) -> str:
    if not value.is_finite():
        raise TypeError(f"{value} is a Decimal, and JSON has no NaN and no Infinity.")
    return str(value)


def _moment(value: date | time) -> str:
    text = value.isoformat()
    if text == "NaT":  # pandas' missing time is a datetime
        raise TypeError(_missing("NaT"))
    return text


def _mapping(value: dict[Any, Any]) -> dict[str, Any]:
    _check_room(value, len(value))
    for key in value:
        if not isinstance(key, str) or isinstance(key, Enum):
            raise TypeError(f"a dict with a key that is {_kind(key)} {_NO_FORM} a dict whose keys are text.")
    return {_sound(str(key)): _plain(item) for key, item in value.items()}


def _sequence(value: list[Any] | tuple[Any, ...] | range) -> list[Any]:
    _check_room(value, len(value))
    return [_plain(item) for item in value]


@cache
def _forms() -> tuple[tuple[Any, Any], ...]:
    """What has a form, and the form; in this order, for an Enum may be text or a number, and a bool is an int."""
    from decimal import Decimal
    from uuid import UUID

    return (
        ((bool, type(None)), lambda value: value),
        (Enum, lambda value: _plain(value.value)),
        (float, _finite),
        (str, lambda value: _sound(str(value))),
        (int, _whole),
        (dict, _mapping),
        ((list, tuple, range), _sequence),
        ((datetime, date, time), _moment),
        (Decimal, _digits),
        ((PurePath, UUID), lambda value: _sound(str(value))),
    )


def _check_room(value: Any, count: int) -> None:
    """Refuse what cannot fit before it is built: an item takes a byte or more."""
    if count > MAX_ENV_BYTES:
        raise TypeError(f"{_kind(value)} of {count:,} items is too much. {LARGE_DATA_HINT}")


def _foreign(value: Any) -> Any:
    """Values of other libraries."""
    bases = type(value).__mro__
    if any(base.__name__ == "DataFrame" for base in bases):
        raise TypeError(f"a DataFrame does not travel as a parameter. {LARGE_DATA_HINT}")
    if type(value).__name__ == "NAType":
        raise TypeError(_missing("NA"))
    libraries = {base.__module__.partition(".")[0] for base in bases}
    if not libraries & {"numpy", "pandas"} or not hasattr(value, "tolist"):
        raise TypeError(_formless(value))
    _check_room(value, value.size)
    return _from_numpy(value) if "pandas" not in libraries else _plain(value.tolist())


def _from_numpy(value: Any) -> Any:
    """An array or a scalar; times as text, for numpy itself makes whole numbers of some of them."""
    if value.dtype.kind == "M":
        return _times(value.astype(str).tolist())
    converted = value.tolist()
    if value.dtype.kind == "m" or type(converted) is type(value):
        raise TypeError(_formless(value))
    return _plain(converted)


def _times(text: Any) -> Any:
    if isinstance(text, list):
        return [_times(one) for one in text]
    if text == "NaT":
        raise TypeError(_missing("NaT"))
    return _ZEROS.sub("", text) if "." in text else text


def _missing(name: str) -> str:
    return f"a missing value ({name}) {_NO_FORM} None, or leave it out."


def _formless(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return f"{_kind(value)} has no order: send sorted(...) instead."
    if isinstance(value, timedelta) or getattr(getattr(value, "dtype", None), "kind", "") == "m":
        return f"{_kind(value)} (a length of time) {_NO_FORM} seconds, as a number."
    return f"{_kind(value)} {_NO_FORM} text, numbers, booleans, lists or dicts of these."


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return "a class"
    if callable(value) and hasattr(value, "__name__"):
        return "a function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
