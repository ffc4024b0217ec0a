"""JSON Schema: whether a value fits one, and what it expects in words; it knows no task.

A schema may come from a stranger's app: nothing in it is evaluated, its size is bounded, and a construct
that is not known takes anything. The words are those of https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime
from difflib import get_close_matches
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.values import RawText
from heroku_magic.text.sanitize import LINE, clipped, listed, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_DEEPEST = 20
_MOST_CHOICES = 1000  # of which the nearest is looked for
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a dict",
    "null": "null",
    "date": "a date (YYYY-MM-DD)",
    "date-time": "a time (YYYY-MM-DDTHH:MM:SS)",
}
_TYPES = {
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "string": "str",
    "null": "None",
    "date": "date",
    "date-time": "datetime",
    "password": "Secret",
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# As the worker's helper reads it: a day, or a day and a time, with a zone or without.
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?)?",
    re.ASCII,
)
_NEARLY_DAY = re.compile(r"\s*(\d{4})\D(\d{1,2})\D(\d{1,2})(?:[T\s].*)?", re.ASCII | re.DOTALL)


# -- does a value fit? -----------------------------------------------------------------------------


def fits(value: Any, schema: Any, depth: int = 0) -> bool:
    """Whether a plain value, or the typed text that stands for it, is what the schema takes.

    >>> fits(3, {"type": "integer", "minimum": 1}), fits(RawText("0"), {"type": "integer", "minimum": 1})
    (True, False)
    """
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return True
    if kinds := in_list(schema, "anyOf"):
        return any(fits(one, kind, depth + 1) for kind in kinds for one in (value, *_readings(value)))
    kind = schema.get("type")
    reads = _READERS.get(kind) if isinstance(kind, str) else None
    if isinstance(value, RawText) and reads and kind != "string":
        value = read(value, kind)
    if (choices := in_list(schema, "enum")) and not any(_is_choice(value, choice, kind) for choice in choices):
        return False
    if reads is None:
        return bool(choices) or _keeps(value, schema)
    return reads(value) and _keeps(value, schema) and _items_fit(value, schema, depth)


def culprit(value: Any, schema: Any) -> tuple[str, Any, Any]:
    """Return where in a value that does not fit the fault lies (`[3]`), what stands there, and what it has to fit."""
    where = ""
    for _ in range(_DEEPEST):
        schema = without_null(schema)
        if isinstance(value, RawText) and schema.get("type") in {"array", "object"}:
            value = read(value, "json")
        bad = next(((at, one) for at, one, kind in _inner(value, schema) if not fits(one, kind)), None)
        if bad is None or not _keeps(value, schema):
            break
        where, value = f"{where}[{short(bad[0])}]", bad[1]
        schema = schema["items"] if isinstance(schema.get("items"), dict) else schema["additionalProperties"]
    return where, value, schema


def without_null(schema: Any) -> Any:
    """Return the one kind that an optional takes besides null, with the words beside it; other schemas as they are."""
    if not isinstance(schema, dict):
        return {}
    kinds = [kind for kind in in_list(schema, "anyOf") if kind != {"type": "null"}]
    rest = {word: told for word, told in schema.items() if word != "anyOf"}
    return {**rest, **kinds[0]} if len(kinds) == 1 and isinstance(kinds[0], dict) else schema


def in_list(schema: Mapping[str, Any], key: str) -> list[Any]:
    """Return what a schema lists; nothing listed is no construct that we know, so it takes anything."""
    found = schema.get(key)
    return found if isinstance(found, list) else []


def _inner(value: Any, schema: Mapping[str, Any]) -> Iterable[tuple[Any, Any, Any]]:
    """What a list or a dict holds: where, what, and the schema of it."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return ((at, item, schema["items"]) for at, item in enumerate(value))
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        return ((key, item, schema["additionalProperties"]) for key, item in value.items())
    return ()


def _items_fit(value: Any, schema: Mapping[str, Any], depth: int) -> bool:
    return all(fits(item, kind, depth + 1) for _, item, kind in _inner(value, schema))


def _is_day(text: str) -> bool:
    return _DAY.fullmatch(text) is not None and _is_read(date.fromisoformat, text)


def _is_moment(text: str) -> bool:
    match = _MOMENT.fullmatch(text)
    if match is None:
        return False
    day, clock, zone = match.groups("")
    return _is_read(datetime.fromisoformat, f"{day}T{clock or '00:00'}{'' if zone in {'Z', 'z'} else zone}")


def _is_read(by: Callable[[str], Any], text: str) -> bool:
    try:
        by(text)
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
    # A tenth is no tenth to a float: what is near a whole number of steps is one.
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


def _keeps(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value keeps to the limits that the schema has for its type, and to its format."""
    if isinstance(value, str) and (reads := _FORMATS.get(str(schema.get("format")))) and not reads(value):
        return False
    for is_kind, size_of, limits in _LIMITS:
        if is_kind(value):
            size, given = size_of(value), _limits(schema)
            return all(keeps(size, given[word]) for word, keeps in limits.items() if word in given)
    return True


def _limits(schema: Mapping[str, Any]) -> dict[str, float]:
    """The limits that a schema has and that a number can keep to, in the order in which they are told."""
    given = {word: schema[word] for word in LIMITS if _is_number(schema.get(word)) and abs(schema[word]) < math.inf}
    return {word: limit for word, limit in given.items() if word != "multipleOf" or limit > 0}


_READERS: dict[str, Callable[[Any], bool]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def read(text: str, kind: Any) -> Any:
    """Read the text of a declared type as the worker's helper decodes it; unreadable text stays text."""
    if kind == "boolean":
        word = text.strip().lower()
        return word in _TRUE if word in _TRUE | _FALSE else text
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _readings(value: Any) -> list[Any]:
    """What text that was typed may also stand for."""
    return [read(value, "json")] if isinstance(value, RawText) else []


def _is_choice(value: Any, choice: Any, kind: Any) -> bool:
    if kind in _READERS and value == choice:
        return True
    if isinstance(value, str) == isinstance(choice, str) and type(value) in {type(choice), RawText} and value == choice:
        return True
    return isinstance(value, RawText) and not isinstance(choice, str) and value == json.dumps(choice)


# -- what was meant, and what is expected, in words ------------------------------------------------


def near_miss(value: Any, schema: Any) -> str:
    """Return what was probably meant by a value that does not fit, or nothing."""
    schema = without_null(schema)
    if choices := [one for one in in_list(schema, "enum")[:_MOST_CHOICES] if isinstance(one, str)]:
        return did_you_mean(str(value), choices) if isinstance(value, str) else ""
    if schema.get("format") == "date" and isinstance(value, str) and (parts := _NEARLY_DAY.fullmatch(value)):
        day = f"{parts[1]}-{int(parts[2]):02}-{int(parts[3]):02}"
        return f" Did you mean {day}?" if _is_day(day) else ""
    return _nearest(read(value, "number") if isinstance(value, RawText) else value, schema)


def _nearest(value: Any, schema: Mapping[str, Any]) -> str:
    """The number nearest to one that does not fit."""
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
            return f" The nearest that fits is {candidate}."
    return ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest name, or nothing."""
    near = get_close_matches(name[:LINE], known, 1)
    return f" Did you mean {clipped(near[0])}?" if near else ""


def expectation(schema: Mapping[str, Any], depth: int = 0) -> str:
    """Return what a schema takes, in words.

    >>> expectation({"type": "integer", "minimum": 1, "maximum": 10})
    'a whole number from 1 up to 10'
    """
    return clipped(" ".join(filter(None, [_kind_expected(schema, depth), limits_text(schema)])), LINE)


def limits_text(schema: Mapping[str, Any]) -> str:
    """Return the limits of a schema in words, without those of what it holds: `from 1 up to 10 in steps of 3`."""
    return " ".join(LIMITS[word].format(limit) for word, limit in _limits(schema).items())


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


def _kind_expected(schema: Mapping[str, Any], depth: int) -> str:
    if choices := in_list(schema, "enum"):
        return f"one of {listed(map(short, choices))}"
    kinds = [kind for kind in in_list(schema, "anyOf") if isinstance(kind, dict)]
    if kinds and depth < _DEEPEST:
        return " or ".join(expectation(kind, depth + 1) for kind in kinds)
    kind = str(schema.get("type"))
    word = _WORDS.get(str(schema.get("format")) if kind == "string" else kind) or _WORDS.get(kind, "something else")
    return f"{word} ({clipped(type_text(schema), LINE)})" if schema.get("items") else word


def type_text(schema: Any, depth: int = 0) -> str:
    """Return a schema's type as Python would write it."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
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
    return _TYPES.get(str(schema.get("format")) if kind == "string" else kind) or _TYPES.get(kind, "Any")


_EXAMPLES = {
    "integer": 10,
    "number": 0.5,
    "boolean": True,
    "string": "text",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00",
    "array": [1, 2, 3],
    "object": {},
    "null": None,
}


def example(schema: Any, depth: int = 0) -> Any:
    """Return a value that fits, as far as one can be guessed: the default, the first choice, or a usual one."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "text"
    kinds, kind = in_list(schema, "anyOf"), schema.get("type")
    usual = _EXAMPLES.get(str(schema.get("format")) if kind == "string" else str(kind))
    guesses = [schema.get("default"), *in_list(schema, "enum")[:1], usual, *_bounds(schema)]
    guesses += [example(kinds[0], depth + 1)] if kinds else []
    guesses += [[example(schema["items"], depth + 1)]] if kind == "array" and schema.get("items") else []
    return next((guess for guess in guesses if guess is not None and fits(guess, schema)), "text")


def _bounds(schema: Mapping[str, Any]) -> list[Any]:
    """Numbers that keep to the limits, if any does: the ends, one beyond an open end, one step."""
    limits = _limits(schema)
    ends = [limits.get("minimum"), limits.get("maximum"), limits.get("multipleOf")]
    return [
        *ends,
        limits["exclusiveMinimum"] + 1 if "exclusiveMinimum" in limits else None,
        limits["exclusiveMaximum"] - 1 if "exclusiveMaximum" in limits else None,
    ]
