"""Checks values against a JSON Schema and describes in words what the schema expects.

A schema may come from an untrusted app: nothing in it is evaluated, its size is bounded, and an unknown
construct accepts any value. Keywords follow https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime
from difflib import get_close_matches
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.protocol.values import FALSE_WORDS, TRUE_WORDS, RawText
from heroku_magic.text.sanitize import LINE, clipped, listed, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MAX_DEPTH = 20
_MAX_CHOICES = 1000  # searched for the nearest match


class _Kind(NamedTuple):
    """A type or a format: in words, in Python, and a typical value."""

    words: str = "something else"
    python: str = "Any"
    example: Any = None


_KINDS = {
    "integer": _Kind("a whole number", "int", 10),
    "number": _Kind("a number", "float", 0.5),
    "boolean": _Kind("true or false", "bool", True),
    "string": _Kind("text", "str", "text"),
    "array": _Kind("a list", "list", [1, 2, 3]),
    "object": _Kind("a dict", "dict", {}),
    "null": _Kind("null", "None"),
    "date": _Kind("a date (YYYY-MM-DD)", "date", "2026-01-31"),
    "date-time": _Kind("a time (YYYY-MM-DDTHH:MM:SS)", "datetime", "2026-01-31T12:00:00"),
    "password": _Kind("text", "Secret", "text"),
    "dataframe": _Kind("a DataFrame", "DataFrame"),
    "binary": _Kind("bytes", "bytes"),
    "path": _Kind("a path of a file", "Path"),
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# As the worker's helper reads it: a day, optionally with a time and a time zone.
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?)?",
    re.ASCII,
)
_NEARLY_DAY = re.compile(r"\s*(\d{4})\D(\d{1,2})\D(\d{1,2})(?:[T\s].*)?", re.ASCII | re.DOTALL)


# -- checks -----------------------------------------------------------------------------


def fits(value: Any, schema: Any, depth: int = 0) -> bool:
    """Whether the schema accepts a plain value, or the value that raw text stands for.

    >>> fits(3, {"type": "integer", "minimum": 1}), fits(RawText("0"), {"type": "integer", "minimum": 1})
    (True, False)
    """
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return True
    if kinds := in_list(schema, "anyOf"):
        # Raw text may also stand for a value of another type.
        readings = [value, read_text(value, "json")] if isinstance(value, RawText) else [value]
        return any(fits(reading, kind, depth + 1) for kind in kinds for reading in readings)
    kind = schema.get("type")
    has_type = _TYPE_CHECKS.get(kind) if isinstance(kind, str) else None
    if isinstance(value, RawText) and has_type and kind != "string":
        value = read_text(value, kind)
    if (choices := in_list(schema, "enum")) and not any(_is_choice(value, choice, kind) for choice in choices):
        return False
    if has_type is None:  # a DataFrame is not a plain value
        return bool(choices) or (schema.get("format") != "dataframe" and _meets_limits(value, schema))
    if not has_type(value) or not _meets_limits(value, schema):
        return False
    return all(fits(item, item_schema, depth + 1) for _, item, item_schema in _items(value, schema))


def locate_fault(value: Any, schema: Any) -> tuple[str, Any, Any]:
    """Locate the fault in an invalid value: return its path (`[3]`), the value there, and the schema it violates."""
    path = ""
    for _ in range(_MAX_DEPTH):
        schema = without_null(schema)
        if isinstance(value, RawText) and schema.get("type") in {"array", "object"}:
            value = read_text(value, "json")
        bad = next(((key, item) for key, item, kind in _items(value, schema) if not fits(item, kind)), None)
        if bad is None or not _meets_limits(value, schema):
            break
        path, value = f"{path}[{short(bad[0])}]", bad[1]
        schema = schema["items"] if isinstance(schema.get("items"), dict) else schema["additionalProperties"]
    return path, value, schema


def without_null(schema: Any) -> Any:
    """Return the non-null type of an optional type, merged with its siblings. Return other schemas unchanged."""
    if not isinstance(schema, dict):
        return {}
    kinds = [kind for kind in in_list(schema, "anyOf") if kind != {"type": "null"}]
    rest = {keyword: value for keyword, value in schema.items() if keyword != "anyOf"}
    return {**rest, **kinds[0]} if len(kinds) == 1 and isinstance(kinds[0], dict) else schema


def in_list(schema: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list under a keyword of a schema. Anything else is unknown and therefore ignored."""
    values = schema.get(key)
    return values if isinstance(values, list) else []


def _items(value: Any, schema: Mapping[str, Any]) -> Iterable[tuple[Any, Any, Any]]:
    """Return the items of a list or a dict as (index or key, item, schema of the item)."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return ((index, item, schema["items"]) for index, item in enumerate(value))
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        return ((key, item, schema["additionalProperties"]) for key, item in value.items())
    return ()


def _is_day(text: str) -> bool:
    return _DAY.fullmatch(text) is not None and _is_parsed_by(date.fromisoformat, text)


def _is_moment(text: str) -> bool:
    match = _MOMENT.fullmatch(text)
    if match is None:
        return False
    day, clock, zone = match.groups("")
    return _is_parsed_by(datetime.fromisoformat, f"{day}T{clock or '00:00'}{'' if zone in {'Z', 'z'} else zone}")


def _is_parsed_by(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_FORMATS: dict[Any, Callable[[str], bool]] = {"date": _is_day, "date-time": _is_moment}


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        steps = value / step
    except OverflowError:
        return False
    # Floats represent decimal fractions inexactly, so the number of steps only needs to be nearly whole.
    return abs(steps) < 1e300 and abs(steps - round(steps)) <= 1e-9 + 1e-15 * abs(steps)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_LIMITS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any], dict[str, Callable[[Any, Any], bool]]], ...] = (
    (
        _is_number,
        lambda value: value,
        {"minimum": ge, "maximum": le, "exclusiveMinimum": gt, "exclusiveMaximum": lt, "multipleOf": _is_multiple},
    ),
    (lambda value: isinstance(value, str), len, {"minLength": ge, "maxLength": le}),
    (lambda value: isinstance(value, list), len, {"minItems": ge, "maxItems": le}),
)


def _meets_limits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value meets the schema's limits for its type, and its format."""
    if isinstance(value, str) and (matches := _FORMATS.get(str(schema.get("format")))) and not matches(value):
        return False
    for is_kind, size_of, limits in _LIMITS:
        if is_kind(value):
            size, bounds = size_of(value), _limits(schema)
            return all(is_met(size, bounds[keyword]) for keyword, is_met in limits.items() if keyword in bounds)
    return True


def _limits(schema: Mapping[str, Any]) -> dict[str, float]:
    """Return the valid limits of a schema, in display order."""
    values: dict[str, Any] = {keyword: schema[keyword] for keyword in LIMITS if keyword in schema}
    limits = {keyword: value for keyword, value in values.items() if _is_number(value) and abs(value) < math.inf}
    return {keyword: limit for keyword, limit in limits.items() if keyword != "multipleOf" or limit > 0}


_TYPE_CHECKS: dict[str, Callable[[Any], bool]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def read_text(text: str, kind: Any) -> Any:
    """Convert text to a declared type as the worker's helper does. Invalid text is returned unchanged."""
    if kind == "boolean":
        word = text.strip().lower()
        return word in TRUE_WORDS if word in TRUE_WORDS | FALSE_WORDS else text
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_choice(value: Any, choice: Any, kind: Any) -> bool:
    if kind in _TYPE_CHECKS and value == choice:
        return True
    if isinstance(value, str) == isinstance(choice, str) and type(value) in {type(choice), RawText} and value == choice:
        return True
    return isinstance(value, RawText) and not isinstance(choice, str) and value == json.dumps(choice)


# -- descriptions ------------------------------------------------


def suggestion(value: Any, schema: Any) -> str:
    """Return a suggestion for an invalid value, or an empty text."""
    schema = without_null(schema)
    if choices := [one for one in in_list(schema, "enum")[:_MAX_CHOICES] if isinstance(one, str)]:
        return did_you_mean(str(value), choices) if isinstance(value, str) else ""
    if schema.get("format") == "date" and isinstance(value, str) and (parts := _NEARLY_DAY.fullmatch(value)):
        day = f"{parts[1]}-{int(parts[2]):02}-{int(parts[3]):02}"
        return f" Did you mean {day}?" if _is_day(day) else ""
    return _nearest(read_text(value, "number") if isinstance(value, RawText) else value, schema)


def _nearest(value: Any, schema: Mapping[str, Any]) -> str:
    """Suggest the valid number nearest to an invalid one."""
    if not _is_number(value) or schema.get("type") not in {"integer", "number"} or not abs(value) < 1e15:
        return ""
    if schema["type"] == "integer" and value != int(value):
        return ""
    limits = _limits(schema)
    number = min(max(value, limits.get("minimum", value)), limits.get("maximum", value))
    step = limits.get("multipleOf", 1 if schema["type"] == "integer" else 0)
    for rounded in (number // step * step, (number // step + 1) * step) if step else (number,):
        candidate = int(rounded) if schema["type"] == "integer" else float(f"{rounded:.12g}")
        if fits(candidate, schema):
            return f" The nearest valid value is {candidate}."
    return ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or return an empty text."""
    near = get_close_matches(name[:LINE], known, 1)
    return f" Did you mean {clipped(near[0])}?" if near else ""


def expectation(schema: Mapping[str, Any], depth: int = 0) -> str:
    """Return a description of the values that a schema accepts.

    >>> expectation({"type": "integer", "minimum": 1, "maximum": 10})
    'a whole number from 1 up to 10'
    """
    return clipped(" ".join(filter(None, [_expected_type(schema, depth), limits_text(schema)])), LINE)


def limits_text(schema: Mapping[str, Any]) -> str:
    """Return the limits of a schema in words, without those of its items: `from 1 up to 10 in steps of 3`."""
    return " ".join(LIMITS[keyword].format(limit) for keyword, limit in _limits(schema).items())


LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "in steps of {}",
    "minLength": "of at least {} characters",
    "maxLength": "of at most {} characters",
    "minItems": "of at least {} items",
    "maxItems": "of at most {} items",
}


def _expected_type(schema: Mapping[str, Any], depth: int) -> str:
    if choices := in_list(schema, "enum"):
        return f"one of {listed(map(short, choices))}"
    kinds = [kind for kind in in_list(schema, "anyOf") if isinstance(kind, dict)]
    if kinds and depth < _MAX_DEPTH:
        return " or ".join(expectation(kind, depth + 1) for kind in kinds)
    name = _kind(schema).words
    return f"{name} ({clipped(type_text(schema), LINE)})" if schema.get("items") else name


def type_text(schema: Any, depth: int = 0) -> str:
    """Return a schema's type as Python would write it."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return "Any"
    if choices := in_list(schema, "enum"):
        return " | ".join(short(choice) for choice in choices)
    if kinds := in_list(schema, "anyOf"):
        return " | ".join(type_text(kind, depth + 1) for kind in kinds)
    kind = str(schema.get("type"))
    if kind == "array":
        return f"list[{type_text(schema['items'], depth + 1)}]" if schema.get("items") else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {type_text(values, depth + 1)}]" if isinstance(values, dict) and values else "dict"
    return _kind(schema).python


def _kind(schema: Mapping[str, Any]) -> _Kind:
    """Return the format of a text or of a value that is not plain JSON, or else the type."""
    kind = schema.get("type")
    form = schema.get("format") if str(kind) in {"string", "None"} else kind  # it may be a list
    return _KINDS.get(str(form)) or _KINDS.get(str(kind), _Kind())


def example(schema: Any, depth: int = 0) -> Any:
    """Return a valid value, if one can be guessed: the default, the first choice, or a typical value."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return "text"
    kinds, kind = in_list(schema, "anyOf"), schema.get("type")
    typical = _kind(schema).example if kind else None
    limits = _limits(schema)
    guesses = [schema.get("default"), *in_list(schema, "enum")[:1], typical]
    # What may meet the limits: the bounds, one step, and one past an exclusive bound.
    guesses += [limits.get(keyword) for keyword in ("minimum", "maximum", "multipleOf")]
    past = {"exclusiveMinimum": 1, "exclusiveMaximum": -1}
    guesses += [limits[keyword] + step for keyword, step in past.items() if keyword in limits]
    guesses += [example(kinds[0], depth + 1)] if kinds else []
    guesses += [[example(schema["items"], depth + 1)]] if kind == "array" and schema.get("items") else []
    return next((guess for guess in guesses if guess is not None and fits(guess, schema)), "text")
