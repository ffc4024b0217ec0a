"""A declaration, and what a cell gave to start with -> the fields of a form; it keeps no value and draws nothing.

The declared type wins. Where it takes one value, several are interact's abbreviations: two or three
numbers in a tuple are a range (lowest, highest, step), a list is what there is to choose from.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.task import Parameter, Task, check
from heroku_magic.protocol.values import Typed, plain
from heroku_magic.sweeps.grid import grid
from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.fields import NOTHING, SOURCES, Field, misfit, typed
from heroku_magic.widgets.schemas import (
    LARGEST,
    bound,
    is_number,
    is_secret,
    kind_of,
    takes_many,
    takes_null,
    without_null,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_KINDS = {"boolean": "check", "array": "json", "object": "json"}
_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (dict, "object"))
_ALL_TYPES = (*_TYPES, (str, "string"))
_RANGE = "(lowest, highest) or (lowest, highest, step)"


def fields(
    task: Task, given: Mapping[str, Any], secrets: Iterable[str] = (), each: Mapping[str, Sequence[Any]] | None = None
) -> list[Field]:
    """Return the fields of a task's form, in order; of an undeclared one, a field for each value and secret.

    secrets: names whose values come from elsewhere. each: values of what is swept; where nothing else is
    known, a field starts with the first. Raises InvalidParameters with all faults at once.
    """
    hidden, swept = list(secrets), each or {}
    parameters = _parameters(task, given, hidden, swept)
    known = {parameter.name for parameter in parameters}
    issues = unknown(task, [name for name in (*hidden, *given, *swept) if name not in known])
    found: list[Field] = []
    for parameter in parameters:
        try:
            found.append(field(parameter, given.get(parameter.name, _first(parameter, swept))))
        except InvalidParameters as error:  # noqa: PERF203 - all faults at once
            issues += error.issues
    if issues:
        raise InvalidParameters(issues)
    return found


def field(parameter: Parameter, given: Any = NOTHING) -> Field:
    """Return the field of a parameter that starts with what was given, else with its default, else empty.

    Raises InvalidParameters where what was given does not fit; a default is taken as it is.
    """
    schema = without_null(parameter.schema)
    if is_secret(schema):
        return _secret(parameter, given)
    if isinstance(given, list | tuple | range) and not takes_many(schema):
        return _narrowed(parameter, schema, given)
    start = parameter.schema.get("default", NOTHING) if given is NOTHING else sound(parameter, given)
    return _started(_shaped(parameter, schema, start), start)


def drawn(task: Task, each: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the values of what is swept, each as a sequence. Raises InvalidParameters with all faults."""
    declared = None if task.schema is None else [parameter.name for parameter in task.parameters]
    named = dict(zip(each, grid(each, declared).axes, strict=True))
    if rows := [clean_line(name) for name, axis in named.items() if axis.are_rows]:
        raise InvalidParameters(
            [f"--each {name}: rows have no field in a form, only a cell takes them." for name in rows]
        )
    return {name: axis.values for name, axis in named.items()}


def _first(parameter: Parameter, swept: Mapping[str, Sequence[Any]]) -> Any:
    """The first of several values, for a parameter without a default."""
    is_needed = parameter.name in swept and "default" not in parameter.schema and not is_secret(parameter.schema)
    return swept[parameter.name][0] if is_needed else NOTHING


def _parameters(
    task: Task, given: Mapping[str, Any], hidden: list[str], swept: Mapping[str, Sequence[Any]]
) -> list[Parameter]:
    """What the form asks for: what is declared, or what was given."""
    if task.schema is None:
        types = {**{name: _inferred(value) for name, value in given.items()}, **_common(swept)}
        secret = [Parameter(name, {"writeOnly": True}, is_required=True) for name in hidden]
        return secret + [Parameter(name, schema, is_required=True) for name, schema in types.items()]
    return [
        replace(one, schema={**one.schema, "writeOnly": True}) if one.name in hidden else one for one in task.parameters
    ]


def unknown(task: Task, names: list[str]) -> list[str]:
    """Return what a run's own check says of names that the task does not take."""
    schema = None if task.schema is None else {**task.schema, "required": []}
    return check(replace(task, schema=schema), dict.fromkeys(names))


def _inferred(given: Any) -> dict[str, Any]:
    """A type for a value that nobody declared."""
    if isinstance(given, tuple) and _is_range(given):
        return {"type": "integer" if all(isinstance(one, int) for one in given) else "number"}
    if isinstance(given, list | tuple | range) and given:
        choices = [plain(one) for one in given]
        return {"enum": choices, "default": choices[0]}
    name = next((name for kind, name in _TYPES if isinstance(given, kind)), None)
    return {"type": name} if name else {}


def _common(swept: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """The one type of several values that nobody declared; of several types, the values themselves."""
    found = {}
    for name, values in swept.items():
        names = {next((name for kind, name in _ALL_TYPES if isinstance(value, kind)), "") for value in values}
        found[name] = {"type": names.pop()} if len(names) == 1 and "" not in names else {"enum": [*values]}
    return found


# -- which control ------------------------------------------------------------------------------------


def _shaped(parameter: Parameter, schema: Mapping[str, Any], start: Any) -> Field:
    """The kind of control, with its bounds, for a type and what it starts with."""
    absent = takes_null(parameter.schema) or not (parameter.is_required or "default" in parameter.schema)
    kind, choices = kind_of(schema), schema.get("enum")
    if not choices and kind == "boolean" and (absent or start is NOTHING):
        choices = [True, False]
    if isinstance(choices, list) and choices:
        options = [*choices, *([None] if absent and None not in choices else [])]
        return Field(parameter, "choice", options=tuple(options))
    if kind in {"integer", "number"}:
        return _numeric(parameter, schema, start, absent=absent)
    kind = _text_kind(schema, start) if kind == "string" else _KINDS.get(kind, "written")
    return Field(parameter, kind, may_be_absent=absent)


def _numeric(parameter: Parameter, schema: Mapping[str, Any], start: Any, *, absent: bool) -> Field:
    """A slider between known bounds; a number that the browser holds exactly; else text that is read."""
    low, high, step = (bound(schema, key) for key in ("minimum", "maximum", "multipleOf"))
    if kind_of(schema) == "integer":
        low, high = (None if low is None else math.ceil(low)), (None if high is None else math.floor(high))
        step = max(1, math.floor(step or 1))
    kind = "slider" if low is not None and high is not None and low < high else "number"
    is_empty = start is NOTHING and not absent and kind == "number"
    is_held = start is NOTHING or start is None or (is_number(start) and abs(start) <= LARGEST)
    if is_empty or not is_held:
        kind = "written"
    step = step if step and step > 0 else None
    return Field(parameter, kind, may_be_absent=absent, lowest=low, highest=high, step=step)


def _text_kind(schema: Mapping[str, Any], start: Any) -> str:
    """A picker for a date or a moment that it can show; else text."""
    form = schema.get("format")
    if form == "date" and (start is NOTHING or start is None or _is_written_as(date, start)):
        return "date"
    if form == "date-time" and (start is NOTHING or start is None or _is_written_as(datetime, start)):
        return "moment"
    return "area" if isinstance(start, str) and "\n" in start else "text"


def _is_written_as(kind: type[date], text: Any) -> bool:
    """Whether a text is what a picker gives back for it: no time zone, no parts of a second."""
    try:
        value = kind.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return (
        value.isoformat() == text and getattr(value, "microsecond", 0) == 0 and getattr(value, "tzinfo", None) is None
    )


def _secret(parameter: Parameter, given: Any) -> Field:
    """The field that chooses where a secret comes from; the secret itself is in no field."""
    if given is not NOTHING:
        name = parameter.name
        raise InvalidParameters(
            [f"{name} is a secret, and a form is saved with the notebook: --secret {name} instead."]
        )
    is_needed = parameter.is_required
    return Field(parameter, "secret", "prompt" if is_needed else "", options=tuple(SOURCES)[: 3 if is_needed else 4])


# -- several values for one ---------------------------------------------------------------------------


def _narrowed(parameter: Parameter, schema: Mapping[str, Any], given: list[Any] | tuple[Any, ...] | range) -> Field:
    """The field of one value out of several: a range of numbers, or some choices."""
    if isinstance(given, tuple) and _is_range(given) and kind_of(schema) in {"integer", "number"}:
        return _ranged(parameter, schema, given)
    options = [sound(parameter, one) for one in given]
    if not options:
        raise InvalidParameters([f"{parameter.name} is empty: expected values to choose from."])
    if takes_null(parameter.schema) and None not in options:
        options.append(None)
    shaped = Field(parameter, "choice", options=tuple(options))
    start = shaped.show(parameter.schema.get("default", NOTHING))
    return replace(shaped, start=max(start, 0))


def _ranged(parameter: Parameter, schema: Mapping[str, Any], given: tuple[Any, ...]) -> Field:
    """A slider over the part of the declared range that was given."""
    low, high = given[:2]
    outer_low, outer_high = bound(schema, "minimum"), bound(schema, "maximum")
    low = low if outer_low is None else max(low, outer_low)
    high = high if outer_high is None else min(high, outer_high)
    if not low < high:
        shown = clean_line(repr(given)[:60])
        raise InvalidParameters([f"{parameter.name} is {shown}: expected {_RANGE} within what the task takes."])
    bounds = {**schema, "minimum": low, "maximum": high, **({"multipleOf": given[2]} if len(given) > 2 else {})}
    default = parameter.schema.get("default")
    start = default if is_number(default) and low <= default <= high else low
    return _started(_numeric(parameter, bounds, start, absent=takes_null(parameter.schema)), start)


def _is_range(given: tuple[Any, ...]) -> bool:
    return len(given) in {2, 3} and all(map(is_number, given))


# -- what a start is worth ----------------------------------------------------------------------------


def _started(shaped: Field, start: Any) -> Field:
    return replace(shaped, start=shaped.show(start), is_unset=start is NOTHING)


def sound(parameter: Parameter, given: Any) -> Any:
    """Return what was given as a plain value that fits. Raises InvalidParameters."""
    try:
        value = _read(parameter, given) if isinstance(given, Typed) else plain(given)
    except TypeError as error:
        fault = f"{parameter.name}: {error}"
    else:
        fault = misfit(parameter, given if isinstance(given, Typed) else value)
    if fault:
        raise InvalidParameters([fault])
    return value


def _read(parameter: Parameter, text: Typed) -> Any:
    """What was typed on the line, read as the task would read it."""
    if text == "null" and takes_null(parameter.schema):
        return None
    choices = [one for one in parameter.schema.get("enum") or [] if not isinstance(one, str)]
    value = typed(without_null(parameter.schema), str(text))
    return value if not choices or value in choices else str(text)
