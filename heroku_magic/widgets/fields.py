"""The fields of a form, one class per kind: what a control holds, and which value that stands for.

What a control holds is its content: a number, a text, an index among choices, or the source of a secret.
The content None means that there is no value, which the user says with a tick box.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from heroku_magic.protocol.json_schema import expectation, read_text
from heroku_magic.protocol.task import Task, check
from heroku_magic.widgets.labels import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from heroku_magic.protocol.task import Parameter

# Where a secret may come from; the empty source leaves it out.
# A form cannot prompt: what is typed into a widget is saved with the notebook.
SOURCES = {
    "environment": "environment variable",
    "keyring": "keyring",
    "prompt": "copy as cell, which asks",
    "": "none",
}
LARGEST = 2**53 - 1  # a browser's whole numbers are exact up to here
_STEPS = 100  # of a slider whose field has no step
_MAX_JSON_LINE = 200  # characters of JSON that stay on one line
_NUMBERS = {"integer", "number"}
_JSON_EXAMPLES = {"array": "[1, 2, 3]", "object": '{"a": 1}'}


NOTHING: Any = object()  # no value was given, or none is to be sent


@dataclass(frozen=True)
class Field:
    """One parameter in a form.

    start: the first content; is_unset: it was not chosen by anybody. may_be_absent: a tick box can remove the value.
    """

    control: ClassVar[str]  # the name of its control in a web page
    parameter: Parameter
    start: Any = None
    is_unset: bool = False
    may_be_absent: bool = False

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of its values besides null."""
        return without_null(self.parameter.schema)

    @property
    def type(self) -> str:
        """The JSON Schema type of its values besides null; empty if there are several or none."""
        return type_of(self.schema)

    @property
    def hint(self) -> str:
        """The parameter's help and how its values are written, in a line that is safe to show."""
        description, usage = self.parameter.description, self._usage
        return " · ".join(filter(None, [description.removesuffix(".") if usage else description, usage]))

    @property
    def example(self) -> str:
        """A placeholder for an empty control; empty where none is needed."""
        return ""

    @property
    def list_example(self) -> str:
        """How several values are written in one line; empty where each takes a line."""
        return "1, 2, 5 or 1..10 by 3" if self.type in _NUMBERS else ""

    @property
    def choices(self) -> tuple[Any, ...]:
        """All values that it can have; empty where they cannot be listed."""
        return ()

    @property
    def blank(self) -> Any:
        """The content of a control without a value."""
        return ""

    def starting_with(self, value: Any) -> Self:
        """Return the same field with another first value."""
        return replace(self, start=self.show(value), is_unset=value is NOTHING)

    def read(self, content: Any) -> Any:
        """Return the value of a content, or NOTHING if none is to be sent. Raises ValueError for invalid JSON."""
        if content is None:
            return None if takes_null(self.parameter.schema) else NOTHING
        return self._read(content)

    def show(self, value: Any) -> Any:
        """Return the content that stands for a value."""
        if value is None or value is NOTHING:
            return None if self.may_be_absent else self.blank
        return self._show(value)

    def fault(self, content: Any) -> str:
        """Return what is wrong with a content, as checked for a run; empty if it fits."""
        try:
            return misfit(self.parameter, self.read(content))
        except ValueError as error:
            return str(error)

    @property
    def _usage(self) -> str:
        """Which numbers it takes, or how its values are written; empty where that is clear."""
        return expectation(self.schema) if self.type in _NUMBERS and not self.choices else ""

    def _read(self, content: Any) -> Any:
        return content or NOTHING

    def _show(self, value: Any) -> Any:
        return str(value)


@dataclass(frozen=True)
class TextField(Field):
    """A text of one line or several."""

    control: ClassVar = "text"
    is_multiline: bool = False

    def _read(self, content: str) -> Any:
        """An empty text is a value, unless one is required and none was ever given."""
        return NOTHING if not content and self.parameter.is_required and self.is_unset else content


class DateField(Field):
    """A calendar; its content is the date as text."""

    control: ClassVar = "date"
    list_example = "2024-12-24, 2024-12-31 or 2024-12-01..2024-12-24 by 7"


class DateTimeField(DateField):
    """A calendar and a clock, without a time zone; its content is text."""

    control: ClassVar = "moment"
    example = "2024-12-31T23:59"
    list_example = "2024-12-24T18:00, 2024-12-31T23:59"


class CheckField(Field):
    """A tick box."""

    control: ClassVar = "check"
    choices = (False, True)
    blank = False

    def _read(self, content: Any) -> bool:
        return bool(content)

    def _show(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class NumberField(Field):
    """A number that a browser represents exactly."""

    control: ClassVar = "number"
    lowest: float | None = None
    highest: float | None = None
    step: float | None = None

    @property
    def blank(self) -> Any:
        """The lowest value, or 0."""
        return self.lowest if self.lowest is not None else 0

    def fault(self, content: Any) -> str:
        """Return what is wrong with a content; a larger whole number may have been rounded by the browser."""
        if self.type == "integer" and content is not None and abs(content) > LARGEST:
            reason = f"{self.name} is too large for this field, which may have rounded it."
            return f"{reason} Assign {self.name} in a %%heroku cell instead."
        return super().fault(content)

    def _read(self, content: Any) -> Any:
        return int(content) if self.type == "integer" else content

    def _show(self, value: Any) -> Any:
        return value


class SliderField(NumberField):
    """A number between two limits, which may be narrower than the task's own."""

    @property
    def slider_step(self) -> float:
        """The declared step, or one of many between the limits."""
        return self.step or (1 if self.type == "integer" else ((self.highest or 0) - (self.lowest or 0)) / _STEPS)

    @property
    def _usage(self) -> str:
        """The limits of the slider."""
        return expectation({**self.schema, "minimum": self.lowest, "maximum": self.highest})


@dataclass(frozen=True)
class LiteralField(Field):
    """A text that is read as on a `%heroku` line: for values of several types, or too large for a browser."""

    control: ClassVar = "literal"
    step: float | None = None

    def _read(self, content: str) -> Any:
        return typed(self.schema, content.strip()) if content.strip() else NOTHING

    def _show(self, value: Any) -> str:
        is_literal = isinstance(value, str) and value.strip() == value and self._read(value) == value
        return value if is_literal else json.dumps(value, ensure_ascii=False)


class JsonField(Field):
    """A list or a dict, as JSON."""

    control: ClassVar = "json"
    _usage = "as JSON"

    @property
    def example(self) -> str:
        """A list or a dict."""
        return _JSON_EXAMPLES.get(self.type, "")

    def _read(self, content: str) -> Any:
        if not content.strip():
            return NOTHING
        try:
            return _loads(content)
        except json.JSONDecodeError as error:
            reason = f"{error.msg}, line {error.lineno}, column {error.colno}"
        except (ValueError, RecursionError):
            reason = "it contains NaN or Infinity, or is nested too deeply"
        raise ValueError(f"{self.name} is not valid JSON ({reason}). Expected, for example, {self.example}.")

    def _show(self, value: Any) -> str:
        line = json.dumps(value, ensure_ascii=False)
        return line if len(line) <= _MAX_JSON_LINE else json.dumps(value, ensure_ascii=False, indent=1)


@dataclass(frozen=True)
class ChoiceField(Field):
    """One of several values; its content is an index, for values may be equal and yet of two types."""

    control: ClassVar = "choice"
    options: tuple[Any, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The label of each option, safe to show."""
        return labels(self.options)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The options; None only where it can be sent."""
        return tuple(value for index, value in enumerate(self.options) if self.read(index) is not NOTHING)

    def show(self, value: Any) -> int:
        """Return the index of a value, or -1; True is not 1."""
        value = None if value is NOTHING else value
        return next((at for at, one in enumerate(self.options) if type(one) is type(value) and one == value), -1)

    def _read(self, content: int) -> Any:
        value = NOTHING if content < 0 else self.options[content]
        return self.read(None) if value is None else value


@dataclass(frozen=True)
class SecretField(Field):
    """Where a secret comes from, one of SOURCES; no field contains the secret itself."""

    control: ClassVar = "secret"
    _usage = "not typed here: a form is saved with its notebook"
    options: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The label of each source."""
        return [f"{SOURCES[one]} {self.name}" if one == "environment" else SOURCES[one] for one in self.options]

    def fault(self, content: Any) -> str:  # noqa: ARG002 - any source may be chosen
        """Return nothing: a secret is not checked before it is sent."""
        return ""


def without_prompt(field: Field) -> Field:
    """Return a field for where no cell can ask for a secret: it comes from the environment at first."""
    if not isinstance(field, SecretField):
        return field
    options = tuple(one for one in field.options if one != "prompt")
    return replace(field, options=options, start="environment" if field.start == "prompt" else field.start)


def typed(schema: Mapping[str, Any], text: str) -> Any:
    """Return the value of a text that was typed for a declared type; what cannot be read remains text."""
    kind = type_of(schema)
    if kind in {"string", "boolean", "integer"}:
        return text if kind == "string" else read_text(text, kind)
    try:
        value = float(text) if kind == "number" else _loads(text)
    except (ValueError, RecursionError):
        return text
    return text if kind == "number" and not math.isfinite(value) else value


def misfit(parameter: Parameter, value: Any) -> str:
    """Return what is wrong with one value, as checked for a run; empty if it fits."""
    required = [parameter.name] if parameter.is_required else []
    alone = Task("the task", "", {"properties": {parameter.name: parameter.schema}, "required": required})
    return " ".join(check(alone, {} if value is NOTHING else {parameter.name: value}))


def _loads(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


# -- what a control depends on in a JSON Schema; a construct that is not understood is ignored ------------


def without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a type takes besides null; of several types, all of them.

    >>> without_null({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None})
    {'default': None, 'type': 'integer'}
    """
    kinds, names = schema.get("anyOf"), schema.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if not _is_null(kind)]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**rest, **others[0]} if len(others) == 1 and isinstance(others[0], dict) else {**rest, "anyOf": others}
    if isinstance(names, list):
        left = [name for name in names if name != "null"]
        return {**schema, "type": left[0] if len(left) == 1 else left}
    return schema


def takes_null(schema: Mapping[str, Any]) -> bool:
    """Tell whether a type takes null."""
    kinds, names, choices = schema.get("anyOf"), schema.get("type"), schema.get("enum")
    return (
        (isinstance(kinds, list) and any(map(_is_null, kinds)))
        or (isinstance(names, list) and "null" in names)
        or (isinstance(choices, list) and None in choices)
    )


def type_of(schema: Mapping[str, Any]) -> str:
    """Return the type of a schema; empty if it has several or none."""
    kind = schema.get("type")
    return kind if isinstance(kind, str) and "anyOf" not in schema else ""


def bound(schema: Mapping[str, Any], key: str) -> float | None:
    """Return a limit or a step that a browser represents exactly."""
    value = schema.get(key)
    return value if value is not None and is_number(value) and abs(value) <= LARGEST else None


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number; True is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_null(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("type") == "null"
