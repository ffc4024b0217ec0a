"""Task: what a process type declares to take, and whether parameters fit it; it asks nobody and runs nothing.

A declaration is JSON Schema, written by the worker's helper from the task's own types. It may come
from a stranger's app: an unknown construct takes anything, and nothing in it is evaluated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.parameters import Typed, plain
from heroku_magic.safetext import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

# Process types with a meaning of their own on Heroku, or to us.
NO_TASKS = frozenset({"web", "release", "describe"})
_DEEPEST = 20
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
        return clean_line(str(self.schema.get("description", "")))

    def __str__(self) -> str:
        default = f" = {_short(self.schema['default'])}" if "default" in self.schema else ""
        return f"{clean_line(self.name)}: {self.type}{default}"


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
        return clean_line(str((self.schema or {}).get("description", "")).strip().partition("\n")[0])

    @property
    def signature(self) -> str:
        """Its parameters as Python would write them; `...` takes anything."""
        return ", ".join(map(str, self.parameters)) if self.schema is not None else "..."

    @property
    def example(self) -> str:
        """A cell to paste: the required parameters, or the first one."""
        shown = [parameter for parameter in self.parameters if parameter.is_required] or self.parameters[:1]
        arguments = "".join(
            f" --arg {clean_line(parameter.name)}={_example_value(parameter.schema)}" for parameter in shown
        )
        return f"%%heroku {self.name}{arguments}"

    def help(self) -> str:
        """Return the help of `%heroku tasks NAME`."""
        head = [f"{self.name}({self.signature})", clean(str((self.schema or {}).get("description", "")))]
        rows = [
            f"  {parameter}" + (f"  {parameter.description}" if parameter.description else "")
            for parameter in self.parameters
        ]
        if self.schema is None:
            rows = ["  It declares no parameters, so it takes any: they are environment variables to it."]
        return "\n".join(
            [*filter(None, head), *rows, f"runs:    {clean_line(self.command)}", f"example: {self.example}"]
        )


def check(task: Task, parameters: Mapping[str, Any]) -> list[str]:
    """Return every fault of the parameters against what the task declares; none for an undeclared task."""
    if task.schema is None:
        return []
    declared = {parameter.name: parameter for parameter in task.parameters}
    issues = [_unknown(name, task, declared) for name in parameters if name not in declared]
    for name, parameter in declared.items():
        if name in parameters:
            issues += _misfit(name, parameters[name], parameter)
        elif parameter.is_required:
            issues.append(f"{name} is missing: {task.name} takes {parameter}.")
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
        near = get_close_matches(name, types, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InvalidOptions(
            f"There is no process type {name!r}.{hint} The app has: {_listed(types)}. For any command: %heroku run -- …"
        )
    if name not in candidates and not any_type:
        raise InvalidOptions(
            f"{name} is no task: Heroku keeps it for itself, or keeps it running. --any-type runs it all the same."
        )
    return name


def _left_out(candidates: list[str], types: Mapping[str, tuple[str, int]]) -> str:
    if "task" in candidates:
        return "task"
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InvalidOptions(f"Which task? The app has {_listed(candidates)}: %%heroku {candidates[0]}")
    raise InvalidOptions(
        f"The app has no task to run, only {_listed(types) or 'no process types at all'}. "
        "Add a line to its Procfile, name one with --any-type, or run a command: %heroku run -- COMMAND"
    )


def _unknown(name: str, task: Task, declared: Mapping[str, Parameter]) -> str:
    near = get_close_matches(name, declared, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{task.name} has no parameter {name}.{hint} It takes: {task.signature or 'none'}."


def _misfit(name: str, value: Any, parameter: Parameter) -> list[str]:
    try:
        given = value if isinstance(value, Typed) else plain(value)
    except TypeError:
        return [_many(name)] if _is_many(value) and not _takes_many(parameter.schema) else []
    if _fits(given, parameter.schema):
        return []
    if _is_many(value) and not _takes_many(parameter.schema):
        return [_many(name)]
    near = _near_choice(given, parameter.schema)
    return [f"{name} is {_short(given)}: expected {_expectation(parameter.schema)}.{near}"]


def _fits(value: Any, schema: Any, depth: int = 0) -> bool:
    """Whether a plain value, or the text that stands for it, is what the schema takes."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return True
    if isinstance(kinds := schema.get("anyOf"), list):
        readings = [value, *_readings(value)]
        return any(_fits(reading, kind, depth + 1) for kind in kinds for reading in readings)
    if isinstance(choices := schema.get("enum"), list):
        return any(_is_choice(value, choice) for choice in choices)
    kind = schema.get("type")
    reads = _READERS.get(kind) if isinstance(kind, str) else None
    if reads is None:
        return True
    if isinstance(value, Typed) and kind != "string":
        value = _read(value, kind)
    return reads(value) and _items_fit(value, schema, depth)


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


def _near_choice(value: Any, schema: Mapping[str, Any]) -> str:
    choices = schema.get("enum")
    if not isinstance(choices, list) or not isinstance(value, str):
        return ""
    near = get_close_matches(value, [choice for choice in choices if isinstance(choice, str)], 1)
    return f" Did you mean {clean_line(near[0])}?" if near else ""


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple | range) or type(value).__name__ in {
        "ndarray",
        "Series",
        "Index",
        "RangeIndex",
    }


def _takes_many(schema: Mapping[str, Any]) -> bool:
    return _fits([], schema) or _fits([0], schema) or _fits([""], schema)


def _many(name: str) -> str:
    return (
        f"{name} is a list of values, and the task takes one: run it once for each (one dyno a value, --each {name})."
    )


def _expectation(schema: Mapping[str, Any]) -> str:
    if isinstance(choices := schema.get("enum"), list):
        return f"one of {', '.join(_short(choice) for choice in choices)}"
    if isinstance(kinds := schema.get("anyOf"), list):
        return " or ".join(_expectation(kind) for kind in kinds if isinstance(kind, dict))
    word = _WORDS.get(str(schema.get("type")), "something else")
    items = schema.get("items")
    return f"{word} ({_type_text(schema)})" if isinstance(items, dict) and items else word


def _type_text(schema: Any, depth: int = 0) -> str:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "Any"
    if isinstance(choices := schema.get("enum"), list):
        return " | ".join(_short(choice) for choice in choices)
    if isinstance(kinds := schema.get("anyOf"), list):
        return " | ".join(_type_text(kind, depth + 1) for kind in kinds)
    kind = str(schema.get("type"))
    if kind == "array":
        return f"list[{_type_text(schema['items'], depth + 1)}]" if schema.get("items") else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type_text(values, depth + 1)}]" if isinstance(values, dict) and values else "dict"
    return _TYPES.get(kind, "Any")


def _example_value(schema: Mapping[str, Any]) -> str:
    if schema.get("default") is not None:
        value = schema["default"]
    elif isinstance(choices := schema.get("enum"), list) and choices:
        value = choices[0]
    else:
        value = {"integer": 10, "number": 0.5, "boolean": True, "array": [1, 2, 3], "object": {}}.get(
            str(schema.get("type")), "text"
        )
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f'"{clean_line(text)}"' if " " in text else clean_line(text)


def _short(value: Any) -> str:
    text = clean_line(repr(value))
    return text if len(text) <= 60 else f"{text[:59]}…"


def _listed(names: Any) -> str:
    return ", ".join(clean_line(name) for name in names)
