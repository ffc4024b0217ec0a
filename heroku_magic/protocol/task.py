"""Describes a task's declared parameters, checks values against them and chooses the process type to run.

A declaration is JSON Schema, which the worker's helper derives from the task's type hints. It may come
from an untrusted app: nothing in it is evaluated, and an unknown construct accepts any value.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.protocol.declaration import read_declaration
from heroku_magic.protocol.helper import runs_helper_only
from heroku_magic.protocol.json_schema import (
    did_you_mean,
    example,
    expectation,
    fits,
    in_list,
    limits_text,
    locate_fault,
    suggestion,
    type_text,
    without_null,
)
from heroku_magic.protocol.values import RawText, plain
from heroku_magic.text.sanitize import LINE, NAME, clean, clean_line, clipped, listed, short
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_TASK = "task"  # runs when a call names none
# Process types with a special meaning on Heroku or in this package; none is a task.
RESERVED_TYPES = frozenset({"web", "release", "describe"})
# Stands for the value of a secret where parameters are checked before it is looked up.
NOT_LOOKED_UP = Secret("not looked up")
# Limits on the text, names and choices shown of an untrusted declaration.
_MAX_TEXT, _MAX_NAMES, _MAX_CHOICES = 2000, 50, 200


@dataclass(frozen=True)
class Parameter:
    """A declared parameter of a task."""

    name: str
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def type(self) -> str:
        """The type in Python notation, such as `int` or `'naive' | 'fast'`."""
        return type_text(self.schema)

    @property
    def description(self) -> str:
        """The help text."""
        return clipped(str(self.schema.get("description", "")), LINE)

    @property
    def limits(self) -> str:
        """The limits in words, such as `from 1 up to 10`, or an empty text."""
        schema = without_null(self.schema)
        each = limits_text(without_null(schema.get("items") or schema.get("additionalProperties")))
        return ", ".join(filter(None, [limits_text(schema), each and f"each {each}"]))

    @property
    def about(self) -> str:
        """The limits and the help text, or an empty text."""
        return "; ".join(filter(None, [self.limits, self.description]))

    @property
    def is_secret(self) -> bool:
        """Whether the value must stay hidden."""
        return self.schema.get("writeOnly") is True or self.schema.get("format") == "password"

    @property
    def choices(self) -> list[str]:
        """The values to choose from, each as typed after `NAME=`. Empty if any value is possible."""
        return list(dict.fromkeys(text for text in map(_quoted_value, self._values) if text != "…"))

    @property
    def literals(self) -> list[str]:
        """The same as Python writes them."""
        return list(dict.fromkeys(map(repr, self._values)))

    @property
    def _values(self) -> list[Any]:
        kinds: list[Mapping[str, Any]] = [kind for kind in in_list(self.schema, "anyOf") if isinstance(kind, dict)]
        return [choice for kind in kinds or [self.schema] for choice in _choices(kind)][:_MAX_CHOICES]

    def __str__(self) -> str:
        default = f" = {short(self.schema['default'])}" if "default" in self.schema else ""
        return f"{clipped(self.name)}: {clipped(self.type, LINE)}{default}"


@dataclass(frozen=True)
class Task:
    """A process type that a cell can run.

    Attributes
    ----------
    name
        The process type.
    command
        The command in the Procfile.
    schema
        JSON Schema of the parameters. None: undeclared, so any parameters are accepted.
    faults
        Problems with the declaration.
    takes_calls
        Whether its helper can call it several times on one dyno, and is all that the command runs.
    keeps_history
        Whether its runs may be written to the ledger.
    may_cache
        Whether the notebook's setting may answer its calls from earlier runs.
    is_unlisted
        Whether it may declare parameters, which no process type `describe` lists.

    Examples
    --------
    >>> schema = {"properties": {"n": {"type": "integer", "default": 10}}}
    >>> task = Task("simulate", "python -m heroku_task simulate", schema)
    >>> task.signature, task.example
    ('n: int = 10', '%%heroku simulate --arg n=10')
    """

    name: str
    command: str
    schema: Mapping[str, Any] | None
    faults: tuple[str, ...] = ()
    takes_calls: bool = False
    keeps_history: bool = True
    may_cache: bool = False
    is_unlisted: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any], command: str) -> Task:
        """Create a task from one row printed by `describe`."""
        schema, faults = read_declaration(row.get("parameters"))
        if error := row.get("error"):
            faults = (f"it cannot be read, so parameters are not checked: {clipped(str(error), LINE)}", *faults)
        takes_calls = row.get("calls") is True and runs_helper_only(command)
        keeps_history, may_cache = row.get("history") is not False, row.get("cache") is True
        return cls(str(row.get("task", "")), command, schema, faults, takes_calls, keeps_history, may_cache)

    @property
    def parameters(self) -> list[Parameter]:
        """The declared parameters, in order. Empty for an undeclared task."""
        properties, needed = (self.schema or {}).get("properties"), in_list(self.schema or {}, "required")
        if not isinstance(properties, dict):
            return []
        return [
            Parameter(name, schema if isinstance(schema, dict) else {}, name in needed)
            for name, schema in properties.items()
        ]

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Map the arguments of a call to parameter names, as Python does.

        Parameters
        ----------
        args
            Positional arguments, in the order of `parameters`.
        kwargs
            Arguments by name.

        Returns
        -------
        dict
            All arguments by name.

        Raises
        ------
        InvalidParameters
            If there are too many positional arguments, or one is also passed by name.
        """
        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names):
            raise InvalidParameters([f"{self.name} takes {len(names)} positional arguments, but got {len(args)}."])
        positional = dict(zip(names, args, strict=False))
        if repeated := sorted(positional.keys() & kwargs.keys()):
            raise InvalidParameters([f"{name} is passed twice, by position and by name." for name in repeated])
        return {**positional, **kwargs}

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return clipped(self._description.strip().partition("\n")[0], LINE)

    @property
    def description(self) -> str:
        """The description, safe to show."""
        return clean(self._description[:_MAX_TEXT])

    @property
    def _description(self) -> str:
        return str((self.schema or {}).get("description", ""))

    @property
    def signature(self) -> str:
        """The parameters in Python notation. `...`: any parameters are accepted."""
        return listed(self.parameters, _MAX_TEXT) if self.schema is not None else "..."

    @property
    def example(self) -> str:
        """A cell to paste, with the required parameters, or else the first parameter."""
        declared = self.parameters
        shown = [parameter for parameter in declared if parameter.is_required] or declared[:1]
        return f"%%heroku {clipped(self.name)}{''.join(map(_as_argument, shown[:_MAX_NAMES]))}"

    @property
    def unchecked_reason(self) -> str:
        """Why its parameters are not checked, if they are not."""
        if self.is_unlisted:
            line = "describe: python -m heroku_task --describe"
            return f"Its parameters are neither known nor checked here: the Procfile has no line `{line}`."
        return "It declares no parameters, so it accepts any and receives them as environment variables."

    def help(self) -> str:
        """Return the help text that `%heroku tasks NAME` shows."""
        shown = self.parameters[:_MAX_NAMES]
        width = min(max((len(str(one)) for one in shown), default=0), NAME)
        rows = [f"  {one!s:<{width}}  {one.about}".rstrip() for one in shown]
        if self.schema is None:
            rows = [f"  {self.unchecked_reason}"]
        head = [f"{clipped(self.name)}({self.signature})", self.description]
        tail = [f"runs:    {clipped(self.command, LINE)}", f"example: {self.example}"]
        wrong = [f"fault:   {fault}" for fault in self.faults[:_MAX_NAMES]]
        return "\n".join([*filter(None, head), *rows, *tail, *wrong])


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    if choices := in_list(schema, "enum"):
        return choices
    implied: dict[str, list[Any]] = {"boolean": [True, False], "null": [None]}
    return implied.get(str(schema.get("type")), [])


def check(task: Task, parameters: Mapping[str, Any]) -> list[str]:
    """Return a message for each parameter that violates the declaration. An undeclared task accepts everything."""
    if task.schema is None:
        return []
    declared = {parameter.name: parameter for parameter in task.parameters}
    # JSON Schema allows additional properties by default. Here they must be declared, because a typo costs a dyno.
    takes_more = task.schema.get("additionalProperties") is True
    issues = [_unknown(name, task, declared) for name in parameters if name not in declared and not takes_more]
    for name, parameter in declared.items():
        if name in parameters:
            issues += _value_faults(clipped(name), parameters[name], parameter)
        elif parameter.is_required:
            hint = f" --secret {clipped(name)} prompts for it." if parameter.is_secret else ""
            issues.append(f"{clipped(name)} is missing: {clipped(task.name)} takes {parameter}.{hint}")
    return issues


def choose(name: Any, types: Mapping[str, tuple[str, int]], *, any_type: bool = False) -> str:
    """Return the process type to run. types: command and formation quantity by name.

    Without a name, this is `task`, or else the only candidate. Reserved types (`web`, `release`,
    `describe`) and types that the formation keeps running require `any_type`. Raises InvalidOptions.
    """
    candidates = [kind for kind, (_, quantity) in types.items() if kind not in RESERVED_TYPES and not quantity]
    if name is None:
        return _default_type(candidates, types)
    if not isinstance(name, str):
        remedy = " A function is run by @heroku.function or with code=…" if callable(name) else ""
        raise InvalidOptions(
            f"task is {name!r:.80}: expected the name of a task, such as {[*types, 'task'][0]!r}.{remedy}"
        )
    if name not in types:
        known = f"The app has: {listed(types)}" if types else "The app has none; %heroku deploy FOLDER deploys some"
        hint = f"{did_you_mean(name, types)} {known}. To run any command: %heroku run -- COMMAND"
        raise InvalidOptions(f"There is no task {short(name)}.{hint}")
    if name not in candidates and not any_type:
        why = "its name is reserved, or the app keeps it running"
        raise InvalidOptions(f"{clipped(name)} is not a task: {why}. To run it anyway, add --any-type.")
    return name


def _default_type(candidates: list[str], types: Mapping[str, tuple[str, int]]) -> str:
    if DEFAULT_TASK in candidates:
        return DEFAULT_TASK
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InvalidOptions(f"Which task? The app has {listed(candidates)}: %%heroku {clipped(candidates[0])}")
    found = f"no task to run, only {listed(types)}" if types else "no process types at all"
    raise InvalidOptions(
        f"The app has {found}. "
        "Add a line to its Procfile, name one with --any-type, or run a command: %heroku run -- COMMAND"
    )


def _unknown(name: str, task: Task, declared: Mapping[str, Parameter]) -> str:
    hint = f"{did_you_mean(str(name), declared)} It takes: {task.signature or 'no parameters'}."
    return f"{clipped(task.name)} has no parameter {clipped(str(name))}.{hint}"


def _value_faults(name: str, value: Any, parameter: Parameter) -> list[str]:
    if value is NOT_LOOKED_UP:
        return []
    if parameter.is_secret or isinstance(value, Secret):
        text = value.reveal() if isinstance(value, Secret) else value
        is_fit = fits(RawText(text) if isinstance(text, str) else text, parameter.schema)
        return [] if is_fit else [f"{name} is a secret: expected {expectation(parameter.schema)}."]
    is_unexpected_list = _is_list_like(value) and not _accepts_list(parameter.schema)
    try:
        plain_value = value if isinstance(value, RawText) else plain(value)
    except TypeError:
        return [_list_fault(name)] if is_unexpected_list else []
    if fits(plain_value, parameter.schema):
        return []
    return [_list_fault(name) if is_unexpected_list else _describe_fault(name, plain_value, parameter.schema)]


def _describe_fault(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    """Return a message with the invalid value, the expected values and a suggestion."""
    path, part, kind = locate_fault(value, schema)
    # Text from a cell body is explicitly called text, because its quotes are easily overlooked.
    is_text = isinstance(part, str) and not isinstance(part, RawText)
    expected = expectation(schema if kind is schema or not path else kind)
    message = f"{name}{path} is {'the text ' if is_text else ''}{short(part)}: expected {expected}."
    if is_text and not path and "enum" not in kind and fits(RawText(part), schema):
        return f"{message} Remove the quotes to pass a Python value."
    return message + suggestion(part, kind)


def _is_list_like(value: Any) -> bool:
    arrays = {"ndarray", "Series", "Index", "RangeIndex"}
    return isinstance(value, list | tuple | range) or type(value).__name__ in arrays


def _accepts_list(schema: Mapping[str, Any]) -> bool:
    kinds = [kind.get("type") for kind in in_list(schema, "anyOf") if isinstance(kind, dict)]
    return "array" in kinds or any(fits(value, schema) for value in ([], [0], [""]))


def _list_fault(name: str) -> str:
    return f"{name} is a list, but the task takes a single value. To start one run per value, use --each {name}."


def _as_argument(parameter: Parameter) -> str:
    """Return the option that sets a parameter on a magic line."""
    name = clipped(parameter.name)
    if "type" not in parameter.schema and parameter.schema.get("format") in {"dataframe", "binary", "path"}:
        return f" --arg {name}={{{name}}}"
    return f" --secret {name}" if parameter.is_secret else f" --arg {name}={_quoted_value(example(parameter.schema))}"


def _quoted_value(value: Any) -> str:
    """Return a value quoted and escaped for a magic line, or `…` if that is impossible."""
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
