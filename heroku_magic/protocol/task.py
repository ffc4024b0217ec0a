"""Task: what a process type declares to take, and whether parameters fit it; it asks nobody and runs nothing.

A declaration is JSON Schema, written by the worker's helper from the task's own types. It may come
from a stranger's app: an unknown construct takes anything, and nothing in it is evaluated.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.protocol.declaration import read_declaration
from heroku_magic.protocol.json_schema import (
    culprit,
    did_you_mean,
    example,
    expectation,
    fits,
    in_list,
    limits_text,
    near_miss,
    type_text,
    without_null,
)
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.text.sanitize import LINE, NAME, clean, clean_line, clipped, listed, short
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Process types with a meaning of their own on Heroku, or to us.
RESERVED_TYPES = frozenset({"web", "release", "describe"})
# What a stranger's declaration may fill of a cell, in characters or names.
_LONGEST_TEXT, _MOST_NAMES, _MOST_CHOICES = 2000, 50, 200


@dataclass(frozen=True)
class Parameter:
    """One declared parameter; `type` is its type as Python would write it."""

    name: str
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def type(self) -> str:
        """Its type in Python's words, such as `int` or `'naive' | 'fast'`."""
        return type_text(self.schema)

    @property
    def description(self) -> str:
        """Its help."""
        return clipped(str(self.schema.get("description", "")), LINE)

    @property
    def limits(self) -> str:
        """Its limits in words, such as `from 1 up to 10`; empty where it has none."""
        schema = without_null(self.schema)
        each = limits_text(without_null(schema.get("items") or schema.get("additionalProperties")))
        return ", ".join(filter(None, [limits_text(schema), each and f"each {each}"]))

    @property
    def is_secret(self) -> bool:
        """Whether nobody is to see its value."""
        return self.schema.get("writeOnly") is True or self.schema.get("format") == "password"

    @property
    def choices(self) -> list[str]:
        """The values to choose from, each as it is typed after `NAME=`; empty where there is no choice."""
        kinds: list[Mapping[str, Any]] = [kind for kind in in_list(self.schema, "anyOf") if isinstance(kind, dict)]
        kinds = kinds or [self.schema]
        found = [choice for kind in kinds for choice in _choices(kind)]
        return list(dict.fromkeys(text for text in map(_as_typed, found[:_MOST_CHOICES]) if text != "…"))

    def __str__(self) -> str:
        default = f" = {short(self.schema['default'])}" if "default" in self.schema else ""
        return f"{clipped(self.name)}: {clipped(self.type, LINE)}{default}"


@dataclass(frozen=True)
class Task:
    """A process type that a cell can run.

    schema: JSON Schema of its parameters; None takes anything. faults: what is wrong with the declaration.
    takes_calls: its helper can call it many times in one dyno.
    """

    name: str
    command: str
    schema: Mapping[str, Any] | None
    faults: tuple[str, ...] = ()
    takes_calls: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any], command: str) -> Task:
        """Return the task of one row of `describe`."""
        schema, faults = read_declaration(row.get("parameters"))
        if error := row.get("error"):
            faults = (f"it cannot be read, so nothing is checked: {clipped(str(error), LINE)}", *faults)
        return cls(str(row.get("task", "")), command, schema, faults, row.get("calls") is True)

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

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a call's arguments by name, as Python binds them. Raises InvalidParameters."""
        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names):
            raise InvalidParameters(
                [f"{self.name} takes {len(names)} parameters in order, and {len(args)} were given."]
            )
        placed = dict(zip(names, args, strict=False))
        if twice := sorted(placed.keys() & kwargs.keys()):
            raise InvalidParameters([f"{', '.join(twice)}: given twice, in order and by name."])
        return {**placed, **kwargs}

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return clipped(self._description.strip().partition("\n")[0], LINE)

    @property
    def _description(self) -> str:
        return str((self.schema or {}).get("description", ""))

    @property
    def signature(self) -> str:
        """Its parameters as Python would write them; `...` takes anything."""
        return listed(self.parameters, _LONGEST_TEXT) if self.schema is not None else "..."

    @property
    def example(self) -> str:
        """A cell to paste: the required parameters, or the first one."""
        declared = self.parameters
        shown = [parameter for parameter in declared if parameter.is_required] or declared[:1]
        return f"%%heroku {clipped(self.name)}{''.join(map(_as_argument, shown[:_MOST_NAMES]))}"

    def help(self) -> str:
        """Return the help of `%heroku tasks NAME`."""
        rows = _help_rows(self.parameters[:_MOST_NAMES])
        if self.schema is None:
            rows = ["  It declares no parameters, so it takes any: they are environment variables to it."]
        head = [f"{clipped(self.name)}({self.signature})", clean(self._description[:_LONGEST_TEXT])]
        tail = [f"runs:    {clipped(self.command, LINE)}", f"example: {self.example}"]
        wrong = [f"fault:   {fault}" for fault in self.faults[:_MOST_NAMES]]
        return "\n".join([*filter(None, head), *rows, *tail, *wrong])


def _help_rows(parameters: list[Parameter]) -> list[str]:
    """Two columns: a parameter, and its limits and help."""
    width = min(max((len(str(one)) for one in parameters), default=0), NAME)
    return [
        f"  {one!s:<{width}}  {'; '.join(filter(None, [one.limits, one.description]))}".rstrip() for one in parameters
    ]


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    if choices := in_list(schema, "enum"):
        return choices
    usual: dict[str, list[Any]] = {"boolean": [True, False], "null": [None]}
    return usual.get(str(schema.get("type")), [])


def check(task: Task, parameters: Mapping[str, Any]) -> list[str]:
    """Return every fault of the parameters against what the task declares; none for an undeclared task."""
    if task.schema is None:
        return []
    declared = {parameter.name: parameter for parameter in task.parameters}
    # JSON Schema takes more than what is declared unless it says no; here it has to say yes, for a typo costs a dyno.
    takes_more = task.schema.get("additionalProperties") is True
    issues = [_unknown(name, task, declared) for name in parameters if name not in declared and not takes_more]
    for name, parameter in declared.items():
        if name in parameters:
            issues += _misfit(clipped(name), parameters[name], parameter)
        elif parameter.is_required:
            hint = f" --secret {clipped(name)} asks for it." if parameter.is_secret else ""
            issues.append(f"{clipped(name)} is missing: {clipped(task.name)} takes {parameter}.{hint}")
    return issues


def choose(name: str | None, types: Mapping[str, tuple[str, int]], *, any_type: bool = False) -> str:
    """Return the process type to run. types: command and formation quantity of each.

    Left out, it is `task`, else the only candidate. Types with a meaning of their own (`web`,
    `release`, `describe`) and those that the formation keeps running need `any_type`.
    """
    candidates = [kind for kind, (_, quantity) in types.items() if kind not in RESERVED_TYPES and not quantity]
    if name is None:
        return _left_out(candidates, types)
    if name not in types:
        known = f"The app has: {listed(types)}. Any command: %heroku run -- COMMAND"
        raise InvalidOptions(f"There is no process type {short(name)}.{did_you_mean(name, types)} {known}")
    if name not in candidates and not any_type:
        why = "Heroku keeps it for itself, or keeps it running"
        raise InvalidOptions(f"{clipped(name)} is no task: {why}. --any-type runs it all the same.")
    return name


def _left_out(candidates: list[str], types: Mapping[str, tuple[str, int]]) -> str:
    if "task" in candidates:
        return "task"
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InvalidOptions(f"Which task? The app has {listed(candidates)}: %%heroku {clipped(candidates[0])}")
    raise InvalidOptions(
        f"The app has no task to run, only {listed(types) or 'no process types at all'}. "
        "Add a line to its Procfile, name one with --any-type, or run a command: %heroku run -- COMMAND"
    )


def _unknown(name: str, task: Task, declared: Mapping[str, Parameter]) -> str:
    takes = f"It takes: {task.signature or 'none'}."
    return f"{clipped(task.name)} has no parameter {clipped(str(name))}.{did_you_mean(str(name), declared)} {takes}"


def _misfit(name: str, value: Any, parameter: Parameter) -> list[str]:
    if parameter.is_secret or isinstance(value, Secret):
        text = value.reveal() if isinstance(value, Secret) else value
        is_fit = fits(RawText(text) if isinstance(text, str) else text, parameter.schema)
        return [] if is_fit else [f"{name} is a secret: expected {expectation(parameter.schema)}."]
    is_too_many = _is_many(value) and not _takes_many(parameter.schema)
    try:
        given = value if isinstance(value, RawText) else plain(value)
    except TypeError:
        return [_many(name)] if is_too_many else []
    if fits(given, parameter.schema):
        return []
    return [_many(name) if is_too_many else _told(name, given, parameter.schema)]


def _told(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    """What does not fit, what was expected, and what was probably meant."""
    where, part, kind = culprit(value, schema)
    # Text of a body is called text, for its quotes are easily overlooked.
    is_text = isinstance(part, str) and not isinstance(part, RawText)
    expected = expectation(schema if kind is schema or not where else kind)
    told = f"{name}{where} is {'the text ' if is_text else ''}{short(part)}: expected {expected}."
    if is_text and not where and "enum" not in kind and fits(RawText(part), schema):
        return f"{told} A body passes Python values: {name} without quotes is one."
    return told + near_miss(part, kind)


def _is_many(value: Any) -> bool:
    arrays = {"ndarray", "Series", "Index", "RangeIndex"}
    return isinstance(value, list | tuple | range) or type(value).__name__ in arrays


def _takes_many(schema: Mapping[str, Any]) -> bool:
    kinds = [kind.get("type") for kind in in_list(schema, "anyOf") if isinstance(kind, dict)]
    return "array" in kinds or any(fits(value, schema) for value in ([], [0], [""]))


def _many(name: str) -> str:
    remedy = f"run it once for each (one dyno a value, --each {name})"
    return f"{name} is a list of values, and the task takes one: {remedy}."


def _as_argument(parameter: Parameter) -> str:
    """How a line gives a parameter a value: to paste."""
    name = clipped(parameter.name)
    return f" --secret {name}" if parameter.is_secret else f" --arg {name}={_as_typed(example(parameter.schema))}"


def _as_typed(value: Any) -> str:
    """A value as a line must have it to mean just that."""
    text = value if isinstance(value, str) else _compact(value)
    if len(text) > NAME or clean_line(text) != text:
        return "…"
    if not isinstance(value, str) or not re.search(r"[\s\"'${}]", text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r"[${}]", r"\g<0>\g<0>", text) + '"' if '"' not in text else "…"


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except RecursionError:
        return "…"
