"""Task: what a process type declares to take, and whether parameters fit it; it asks nobody and runs nothing.

A declaration is JSON Schema, written by the worker's helper from the task's own types. It may come
from a stranger's app: an unknown construct takes anything, and nothing in it is evaluated.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.safetext import clean, clean_line
from heroku_magic.secret import Secret
from heroku_magic.values import Typed, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Process types with a meaning of their own on Heroku, or to us.
NO_TASKS = frozenset({"web", "release", "describe"})
_DEEPEST = 20
# What a stranger's declaration may fill of a cell, in characters or names.
_LONGEST_NAME, _LONGEST_LINE, _LONGEST_TEXT, _MOST_NAMES = 60, 300, 2000, 50
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a dict",
    "null": "null",
}
_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "null": "None"}


@dataclass(frozen=True)
class Parameter:
    """One declared parameter; `type` is its type as Python would write it."""

    name: str
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def type(self) -> str:
        """Its type in Python's words, such as `int` or `'naive' | 'fast'`."""
        return _type_text(self.schema)

    @property
    def description(self) -> str:
        """Its help."""
        return _clipped(str(self.schema.get("description", "")), _LONGEST_LINE)

    def __str__(self) -> str:
        default = f" = {_short(self.schema['default'])}" if "default" in self.schema else ""
        return f"{_clipped(self.name)}: {_clipped(self.type, _LONGEST_LINE)}{default}"


@dataclass(frozen=True)
class Task:
    """A process type that a cell can run. schema: JSON Schema of its parameters; None takes anything."""

    name: str
    command: str
    schema: Mapping[str, Any] | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any], command: str) -> Task:
        """Return the task of one row of `describe`."""
        schema = row.get("parameters")
        return cls(str(row.get("task", "")), command, schema if isinstance(schema, dict) else None)

    @property
    def parameters(self) -> list[Parameter]:
        """The declared parameters, in order."""
        properties = (self.schema or {}).get("properties")
        required = (self.schema or {}).get("required")
        needed = required if isinstance(required, list) else []
        if not isinstance(properties, dict):
            return []
        return [
            Parameter(name, schema if isinstance(schema, dict) else {}, name in needed)
            for name, schema in properties.items()
        ]

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return _clipped(self._description.strip().partition("\n")[0], _LONGEST_LINE)

    @property
    def _description(self) -> str:
        return str((self.schema or {}).get("description", ""))

    @property
    def signature(self) -> str:
        """Its parameters as Python would write them; `...` takes anything."""
        return _listed(self.parameters, _LONGEST_TEXT) if self.schema is not None else "..."

    @property
    def example(self) -> str:
        """A cell to paste: the required parameters, or the first one."""
        declared = self.parameters
        shown = [parameter for parameter in declared if parameter.is_required] or declared[:1]
        arguments = [f" --arg {_clipped(one.name)}={_example_value(one.schema)}" for one in shown[:_MOST_NAMES]]
        return f"%%heroku {_clipped(self.name)}{''.join(arguments)}"

    def help(self) -> str:
        """Return the help of `%heroku tasks NAME`."""
        rows = [f"  {one}  {one.description}".rstrip() for one in self.parameters[:_MOST_NAMES]]
        if self.schema is None:
            rows = ["  It declares no parameters, so it takes any: they are environment variables to it."]
        head = [f"{_clipped(self.name)}({self.signature})", clean(self._description[:_LONGEST_TEXT])]
        tail = [f"runs:    {_clipped(self.command, _LONGEST_LINE)}", f"example: {self.example}"]
        return "\n".join([*filter(None, head), *rows, *tail])


def check(task: Task, parameters: Mapping[str, Any]) -> list[str]:
    """Return every fault of the parameters against what the task declares; none for an undeclared task."""
    if task.schema is None:
        return []
    declared = {parameter.name: parameter for parameter in task.parameters}
    issues = [_unknown(name, task, declared) for name in parameters if name not in declared]
    for name, parameter in declared.items():
        if name in parameters:
            issues += _misfit(_clipped(name), parameters[name], parameter)
        elif parameter.is_required:
            issues.append(f"{_clipped(name)} is missing: {_clipped(task.name)} takes {parameter}.")
    return issues


def choose(name: str | None, types: Mapping[str, tuple[str, int]], *, any_type: bool = False) -> str:
    """Return the process type to run. types: command and formation quantity of each.

    Left out, it is `task`, else the only candidate. Types with a meaning of their own (`web`,
    `release`, `describe`) and those that the formation keeps running need `any_type`.
    """
    candidates = [kind for kind, (_, quantity) in types.items() if kind not in NO_TASKS and not quantity]
    if name is None:
        return _left_out(candidates, types)
    if name not in types:
        known = f"The app has: {_listed(types)}. Any command: %heroku run -- COMMAND"
        raise InvalidOptions(f"There is no process type {_short(name)}.{_near(name, types)} {known}")
    if name not in candidates and not any_type:
        why = "Heroku keeps it for itself, or keeps it running"
        raise InvalidOptions(f"{_clipped(name)} is no task: {why}. --any-type runs it all the same.")
    return name


def _left_out(candidates: list[str], types: Mapping[str, tuple[str, int]]) -> str:
    if "task" in candidates:
        return "task"
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InvalidOptions(f"Which task? The app has {_listed(candidates)}: %%heroku {_clipped(candidates[0])}")
    raise InvalidOptions(
        f"The app has no task to run, only {_listed(types) or 'no process types at all'}. "
        "Add a line to its Procfile, name one with --any-type, or run a command: %heroku run -- COMMAND"
    )


def _unknown(name: str, task: Task, declared: Mapping[str, Parameter]) -> str:
    takes = f"It takes: {task.signature or 'none'}."
    return f"{_clipped(task.name)} has no parameter {_clipped(str(name))}.{_near(str(name), declared)} {takes}"


def _misfit(name: str, value: Any, parameter: Parameter) -> list[str]:
    if isinstance(value, Secret):
        fits = _fits(Typed(value.reveal()), parameter.schema)
        return [] if fits else [f"{name} is a secret: expected {_expectation(parameter.schema)}."]
    is_too_many = _is_many(value) and not _takes_many(parameter.schema)
    try:
        given = value if isinstance(value, Typed) else plain(value)
    except TypeError:
        return [_many(name)] if is_too_many else []
    if _fits(given, parameter.schema):
        return []
    if is_too_many:
        return [_many(name)]
    return [f"{name} is {_told(given)}: expected {_expectation(parameter.schema)}.{_remedy(name, given, parameter)}"]


def _told(value: Any) -> str:
    """A value as it was given; text of a body is called text, for its quotes are easily overlooked."""
    is_text = isinstance(value, str) and not isinstance(value, Typed)
    return f"the text {_short(value)}" if is_text else _short(value)


def _remedy(name: str, value: Any, parameter: Parameter) -> str:
    """What was probably meant, if anything is near."""
    if not isinstance(value, str):
        return ""
    choices = parameter.schema.get("enum")
    if isinstance(choices, list):
        return _near(value, [choice for choice in choices if isinstance(choice, str)])
    if not isinstance(value, Typed) and _fits(Typed(value), parameter.schema):
        return f" A body passes Python values: {name} without quotes is one."
    return ""


def _fits(value: Any, schema: Any, depth: int = 0) -> bool:
    """Whether a plain value, or the text that stands for it, is what the schema takes."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return True
    if kinds := _listed_in(schema, "anyOf"):
        readings = [value, *_readings(value)]
        return any(_fits(reading, kind, depth + 1) for kind in kinds for reading in readings)
    if choices := _listed_in(schema, "enum"):
        return any(_is_choice(value, choice) for choice in choices)
    kind = schema.get("type")
    reads = _READERS.get(kind) if isinstance(kind, str) else None
    if reads is None:
        return True
    if isinstance(value, Typed) and kind != "string":
        value = _read(value, kind)
    return reads(value) and _items_fit(value, schema, depth)


def _listed_in(schema: Mapping[str, Any], key: str) -> list[Any]:
    """What a schema lists; nothing listed is no construct that we know, so it takes anything."""
    found = schema.get(key)
    return found if isinstance(found, list) else []


def _items_fit(value: Any, schema: Mapping[str, Any], depth: int) -> bool:
    if isinstance(value, list) and "items" in schema:
        return all(_fits(item, schema["items"], depth + 1) for item in value)
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        return all(_fits(item, schema["additionalProperties"], depth + 1) for item in value.values())
    return True


_READERS = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def _read(text: str, kind: Any) -> Any:
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
    return [_read(value, "json")] if isinstance(value, Typed) else []


def _is_choice(value: Any, choice: Any) -> bool:
    if isinstance(value, str) == isinstance(choice, str) and type(value) in {type(choice), Typed} and value == choice:
        return True
    return isinstance(value, Typed) and not isinstance(choice, str) and value == json.dumps(choice)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f" Did you mean {_clipped(near[0])}?" if near else ""


def _is_many(value: Any) -> bool:
    arrays = {"ndarray", "Series", "Index", "RangeIndex"}
    return isinstance(value, list | tuple | range) or type(value).__name__ in arrays


def _takes_many(schema: Mapping[str, Any]) -> bool:
    return _fits([], schema) or _fits([0], schema) or _fits([""], schema)


def _many(name: str) -> str:
    remedy = f"run it once for each (one dyno a value, --each {name})"
    return f"{name} is a list of values, and the task takes one: {remedy}."


def _expectation(schema: Mapping[str, Any], depth: int = 0) -> str:
    if choices := _listed_in(schema, "enum"):
        return f"one of {_listed(map(_short, choices), _LONGEST_LINE)}"
    kinds = [kind for kind in _listed_in(schema, "anyOf") if isinstance(kind, dict)]
    if kinds and depth < _DEEPEST:
        return _clipped(" or ".join(_expectation(kind, depth + 1) for kind in kinds), _LONGEST_LINE)
    word = _WORDS.get(str(schema.get("type")), "something else")
    return f"{word} ({_clipped(_type_text(schema), _LONGEST_LINE)})" if schema.get("items") else word


def _type_text(schema: Any, depth: int = 0) -> str:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "Any"
    if choices := _listed_in(schema, "enum"):
        return " | ".join(_short(choice) for choice in choices)
    if kinds := _listed_in(schema, "anyOf"):
        return " | ".join(_type_text(kind, depth + 1) for kind in kinds)
    kind = str(schema.get("type"))
    if kind == "array":
        return f"list[{_type_text(schema['items'], depth + 1)}]" if schema.get("items") else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type_text(values, depth + 1)}]" if isinstance(values, dict) and values else "dict"
    return _TYPES.get(kind, "Any")


_EXAMPLES = {"integer": 10, "number": 0.5, "boolean": True, "array": [1, 2, 3], "object": {}}


def _example_value(schema: Mapping[str, Any]) -> str:
    """A value to paste after `--arg NAME=`."""
    kind = _EXAMPLES.get(str(schema.get("type")), "text")
    choices = _listed_in(schema, "enum")
    value = schema["default"] if schema.get("default") is not None else choices[0] if choices else kind
    if not isinstance(value, str):
        value = _compact(value)
        return value if len(value) <= _LONGEST_NAME else "…"
    return _as_typed(value) if len(value) <= _LONGEST_NAME and clean_line(value) == value else "…"


def _as_typed(text: str) -> str:
    """Text as a line must have it to mean just that."""
    if not re.search(r"[\s\"'${}]", text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r"[${}]", r"\g<0>\g<0>", text) + '"' if '"' not in text else "…"


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except RecursionError:
        return "…"


def _short(value: Any) -> str:
    try:
        return _clipped(repr(value))
    except RecursionError:
        return "…"


def _clipped(text: str, longest: int = _LONGEST_NAME) -> str:
    """A stranger's text on one line, clean and cut."""
    return clean_line(text if len(text) <= longest else f"{text[: longest - 1]}…")


def _listed(names: Iterable[Any], longest: int = _LONGEST_LINE) -> str:
    return _clipped(", ".join(map(str, names)), longest)
