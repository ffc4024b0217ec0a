"""Creates the fields of a form from a task's declaration and the values that the form starts with.

The declared type wins. Where it takes one value, several are interact's abbreviations: two or three
numbers in a tuple are a range (lowest, highest, step), a list holds the values to choose from.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.task import Parameter, Task, check
from heroku_magic.protocol.task_values import kind_of
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.fields import (
    LARGEST,
    NOTHING,
    SOURCES,
    CheckField,
    ChoiceField,
    DateField,
    DateTimeField,
    Field,
    JsonField,
    LiteralField,
    NumberField,
    SecretField,
    SliderField,
    TextField,
    bound,
    is_number,
    misfit,
    takes_null,
    type_of,
    typed,
    without_null,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (dict, "object"))
_ALL_TYPES = (*_TYPES, (str, "string"))
_RANGE = "(lowest, highest) or (lowest, highest, step)"
_NOT_HELD = {"table": "a DataFrame", "bytes": "bytes", "file": "a file"}


def fields(
    task: Task, values: Mapping[str, Any], secrets: Iterable[str] = (), each: Mapping[str, Sequence[Any]] | None = None
) -> list[Field]:
    """Return the fields of a task's form, in order; for an undeclared task, a field per value and secret.

    secrets: names whose values come from elsewhere. each: the values that are swept; without a value or a
    default, a field starts with the first of them. Raises InvalidParameters with all faults at once.
    """
    hidden, swept = list(secrets), each or {}
    parameters = _parameters(task, values, hidden, swept)
    known = {parameter.name for parameter in parameters}
    issues = unknown(task, [name for name in (*hidden, *values, *swept) if name not in known])
    found: list[Field] = []
    for parameter in parameters:
        try:
            found.append(field(parameter, values.get(parameter.name, _first(parameter, swept))))
        except InvalidParameters as error:  # noqa: PERF203 - all faults at once
            issues += error.issues
    if issues:
        raise InvalidParameters(issues)
    return found


def field(parameter: Parameter, start: Any = NOTHING) -> Field:
    """Return the field of a parameter that starts with a value, else with its default, else empty.

    Raises InvalidParameters if the value does not fit; a default is not checked.
    """
    schema = without_null(parameter.schema)
    if _is_secret(schema):
        return _secret(parameter, start)
    if parameter.is_required and schema.get("format") == "dataframe":
        raise _not_held(parameter, "table")
    takes_list = type_of(schema) in {"array", ""} and not schema.get("enum")
    if isinstance(start, list | tuple | range) and not takes_list:
        return _narrowed(parameter, schema, start)
    value = parameter.schema.get("default", NOTHING) if start is NOTHING else sound(parameter, start)
    return _shaped(parameter, schema, value).starting_with(value)


def unknown(task: Task, names: list[str]) -> list[str]:
    """Return the faults of names that the task does not take, as checked for a run."""
    schema = None if task.schema is None else {**task.schema, "required": []}
    return check(replace(task, schema=schema), dict.fromkeys(names))


def sound(parameter: Parameter, value: Any) -> Any:
    """Return a value as a plain one that fits. Raises InvalidParameters."""
    if kind := kind_of(parameter.schema, value):
        raise _not_held(parameter, kind)
    try:
        read = _read(parameter, value) if isinstance(value, RawText) else plain(value)
    except TypeError as error:
        fault = f"{parameter.name}: {error}"
    else:
        fault = misfit(parameter, value if isinstance(value, RawText) else read)
    if fault:
        raise InvalidParameters([fault])
    return read


def _not_held(parameter: Parameter, kind: str) -> InvalidParameters:
    """The error of a value that only a cell can pass, because it travels over a connection to the dyno."""
    name, held = parameter.name, _NOT_HELD[kind]
    return InvalidParameters([f"{name}: a form cannot hold {held}. Assign {name} in a %%heroku cell instead."])


def _read(parameter: Parameter, text: RawText) -> Any:
    """Read what was typed on the line as the task would read it."""
    if text == "null" and takes_null(parameter.schema):
        return None
    choices = [one for one in parameter.schema.get("enum") or [] if not isinstance(one, str)]
    value = typed(without_null(parameter.schema), str(text))
    return value if not choices or value in choices else str(text)


# -- which parameters ---------------------------------------------------------------------------------


def _parameters(
    task: Task, values: Mapping[str, Any], hidden: list[str], swept: Mapping[str, Sequence[Any]]
) -> list[Parameter]:
    """The declared parameters; of an undeclared task, the given ones."""
    if task.schema is None:
        types = {**{name: _inferred(value) for name, value in values.items()}, **_common(swept)}
        secret = [Parameter(name, {"writeOnly": True}, is_required=True) for name in hidden]
        return secret + [Parameter(name, schema, is_required=True) for name, schema in types.items()]
    return [
        replace(one, schema={**one.schema, "writeOnly": True}) if one.name in hidden else one for one in task.parameters
    ]


def _first(parameter: Parameter, swept: Mapping[str, Sequence[Any]]) -> Any:
    """The first of the swept values, for a parameter without a default."""
    is_needed = parameter.name in swept and "default" not in parameter.schema and not _is_secret(parameter.schema)
    return swept[parameter.name][0] if is_needed else NOTHING


def _inferred(value: Any) -> dict[str, Any]:
    """The schema of an undeclared value."""
    if isinstance(value, tuple) and _is_range(value):
        return {"type": "integer" if all(isinstance(one, int) for one in value) else "number"}
    if isinstance(value, list | tuple | range) and value:
        choices = [plain(one) for one in value]
        return {"enum": choices, "default": choices[0]}
    name = next((name for kind, name in _TYPES if isinstance(value, kind)), None)
    return {"type": name} if name else {}


def _common(swept: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """The common type of several undeclared values; of several types, the values themselves."""
    found = {}
    for name, values in swept.items():
        names = {next((name for kind, name in _ALL_TYPES if isinstance(value, kind)), "") for value in values}
        found[name] = {"type": names.pop()} if len(names) == 1 and "" not in names else {"enum": [*values]}
    return found


# -- which kind of field ------------------------------------------------------------------------------


def _shaped(parameter: Parameter, schema: Mapping[str, Any], start: Any) -> Field:
    """The field for a type and its first value."""
    absent = takes_null(parameter.schema) or not (parameter.is_required or "default" in parameter.schema)
    kind, choices = type_of(schema), schema.get("enum")
    if not choices and kind == "boolean" and (absent or not isinstance(start, bool)):
        choices = [True, False]
    if isinstance(choices, list) and choices:
        options = [*choices, *([None] if absent and None not in choices else [])]
        return ChoiceField(parameter, options=tuple(options))
    if kind in {"integer", "number"}:
        return _numeric(parameter, schema, start, absent=absent)
    if kind == "string":
        return _textual(parameter, schema, start, absent=absent)
    of_kind = {"boolean": CheckField, "array": JsonField, "object": JsonField}.get(kind, LiteralField)
    return of_kind(parameter, may_be_absent=absent)


def _numeric(parameter: Parameter, schema: Mapping[str, Any], start: Any, *, absent: bool) -> Field:
    """A slider between two limits; or a number, if the browser represents it exactly; else text that is read."""
    low, high, step = (bound(schema, key) for key in ("minimum", "maximum", "multipleOf"))
    if type_of(schema) == "integer":
        low, high = (None if low is None else math.ceil(low)), (None if high is None else math.floor(high))
        step = max(1, math.floor(step or 1))
    is_slider = low is not None and high is not None and low < high
    step = step if step and step > 0 else None
    is_empty = start is NOTHING and not absent and not is_slider
    is_exact = start is NOTHING or start is None or (is_number(start) and abs(start) <= LARGEST)
    if is_empty or not is_exact:
        return LiteralField(parameter, may_be_absent=absent, step=step)
    kind = SliderField if is_slider else NumberField
    return kind(parameter, may_be_absent=absent, lowest=low, highest=high, step=step)


def _textual(parameter: Parameter, schema: Mapping[str, Any], start: Any, *, absent: bool) -> Field:
    """A calendar for a date that it can show; else text."""
    form = schema.get("format")
    if form == "date" and (start is NOTHING or start is None or _is_iso(date, start)):
        return DateField(parameter, may_be_absent=absent)
    if form == "date-time" and (start is NOTHING or start is None or _is_iso(datetime, start)):
        return DateTimeField(parameter, may_be_absent=absent)
    is_multiline = isinstance(start, str) and not {"\n", "\r"}.isdisjoint(start)
    return TextField(parameter, may_be_absent=absent, is_multiline=is_multiline)


def _is_iso(kind: type[date], text: Any) -> bool:
    """Whether a calendar returns the same text for it: without time zone and fractions of a second."""
    try:
        value = kind.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    is_whole, is_local = not getattr(value, "microsecond", 0), getattr(value, "tzinfo", None) is None
    return value.isoformat() == text and is_whole and is_local


def _is_secret(schema: Mapping[str, Any]) -> bool:
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def _secret(parameter: Parameter, start: Any) -> Field:
    if start is not NOTHING:
        name = parameter.name
        raise InvalidParameters([f"{name} is a secret, and a form is saved with the notebook. Use --secret {name}."])
    sources = [source for source in SOURCES if source or not parameter.is_required]
    return SecretField(parameter, "prompt" if parameter.is_required else "", options=tuple(sources))


# -- several values for one ---------------------------------------------------------------------------


def _narrowed(parameter: Parameter, schema: Mapping[str, Any], values: list[Any] | tuple[Any, ...] | range) -> Field:
    """The field of one value out of several: a range of numbers, or some choices."""
    if isinstance(values, tuple) and _is_range(values) and type_of(schema) in {"integer", "number"}:
        return _ranged(parameter, schema, values)
    options = [sound(parameter, one) for one in values]
    if not options:
        raise InvalidParameters([f"{parameter.name} is empty. Expected values to choose from."])
    if takes_null(parameter.schema) and None not in options:
        options.append(None)
    choice = ChoiceField(parameter, options=tuple(options))
    return replace(choice, start=max(choice.show(parameter.schema.get("default", NOTHING)), 0))


def _ranged(parameter: Parameter, schema: Mapping[str, Any], values: tuple[Any, ...]) -> Field:
    """A slider over the common part of the declared range and another one."""
    low, high = values[:2]
    outer_low, outer_high = bound(schema, "minimum"), bound(schema, "maximum")
    low = low if outer_low is None else max(low, outer_low)
    high = high if outer_high is None else min(high, outer_high)
    fits_type = type_of(schema) == "number" or all(float(one).is_integer() for one in values)
    if not low < high or not fits_type or min(values[2:], default=1) <= 0:
        shown = clean_line(repr(values)[:60])
        raise InvalidParameters([f"{parameter.name} is {shown}. Expected {_RANGE} within what the task takes."])
    bounds = {**schema, "minimum": low, "maximum": high, **({"multipleOf": values[2]} if len(values) > 2 else {})}
    default = parameter.schema.get("default")
    start = default if is_number(default) and low <= default <= high else low
    return _numeric(parameter, bounds, start, absent=takes_null(parameter.schema)).starting_with(start)


def _is_range(values: tuple[Any, ...]) -> bool:
    return len(values) in {2, 3} and all(map(is_number, values))
