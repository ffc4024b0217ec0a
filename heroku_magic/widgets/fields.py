"""Field: one parameter in a form, what its control holds and which value that stands for; it draws nothing.

What a control holds is its content: a number, a text, a position among choices, the source of a
secret. Content None is the tick box beside the control, for a value that may be absent.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.task import Task, check
from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.schemas import bound, kind_of, takes_null, without_null

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.protocol.task import Parameter

# Where a secret may come from; the empty one leaves it out.
SOURCES = {"environment": "environment variable", "keyring": "keyring", "prompt": "hidden prompt", "": "none"}
_LONGEST_CHOICE = 60  # characters
_LONGEST_LINE = 200  # characters of JSON that stay on one line
_TRUTHS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_NOUNS = {"integer": "whole number", "number": "number"}
_EXAMPLES = {"array": "[1, 2, 3]", "object": '{"a": 1}'}


class _Nothing:
    """No value was given, or none is to be sent."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()


@dataclass(frozen=True)
class Field:
    """One parameter in a form.

    kind: `slider`, `number`, `choice`, `check`, `text`, `area` (text of several lines), `written` (a
    value as it is typed on a line), `json`, `date`, `moment` or `secret`. start: its first content;
    is_unset: nobody gave one.
    may_be_absent: a tick box may say that there is none. lowest, highest, step: of numbers; options:
    the values of a choice, or the sources of a secret.
    """

    parameter: Parameter
    kind: str
    start: Any = None
    is_unset: bool = False
    may_be_absent: bool = False
    lowest: float | None = None
    highest: float | None = None
    step: float | None = None
    options: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def type(self) -> str:
        """The JSON Schema type of its values besides null; empty if that is not one."""
        return kind_of(without_null(self.parameter.schema))

    @property
    def labels(self) -> list[str]:
        """What each option is called, safe to show."""
        if self.kind == "secret":
            return [f"{SOURCES[one]} {self.name}" if one == "environment" else SOURCES[one] for one in self.options]
        return [label(option) for option in self.options]

    @property
    def hint(self) -> str:
        """The parameter's help and what it takes, in a line that is safe to show."""
        return " · ".join(filter(None, [self.parameter.description, self._takes()]))

    @property
    def example(self) -> str:
        """What to write into an empty control that wants a form of its own; else empty."""
        if self.kind == "moment":
            return "2024-12-31T23:59"
        return _EXAMPLES.get(self.type, "") if self.kind == "json" else ""

    @property
    def blank(self) -> Any:
        """The content of a control that nothing was given for."""
        if self.kind in {"slider", "number"}:
            return self.lowest if self.lowest is not None else 0
        return False if self.kind == "check" else ""

    def read(self, content: Any) -> Any:
        """Return the value that a content stands for; NOTHING is not sent. Raises ValueError for unreadable JSON."""
        if content is None:
            return None if takes_null(self.parameter.schema) else NOTHING
        return _READERS[self.kind](self, content)

    def show(self, value: Any) -> Any:
        """Return the content that stands for a value."""
        if self.kind == "choice":
            return _position(self.options, None if value is NOTHING else value)
        if value is None or value is NOTHING:
            return None if self.may_be_absent else self.blank
        shown = _SHOWERS.get(self.kind)
        return shown(self, value) if shown else value

    def fault(self, content: Any) -> str:
        """Return what is wrong with a content, by the same check as a run's; empty if nothing is."""
        try:
            value = self.read(content)
        except ValueError as error:
            return str(error)
        return "" if self.kind == "secret" else misfit(self.parameter, value)

    def _takes(self) -> str:
        """The range of a number, and how a list is to be written."""
        if self.kind == "json":
            return "as JSON"
        if self.kind not in {"slider", "number", "written"}:
            return ""
        low, high = (bound(without_null(self.parameter.schema), key) for key in ("minimum", "maximum"))
        limits = f"{low:,} to {high:,}" if low is not None and high is not None else ""
        limits = limits or (f"at least {low:,}" if low is not None else f"at most {high:,}" if high is not None else "")
        return " ".join(filter(None, [_NOUNS.get(self.type, ""), limits]))


def typed(schema: Mapping[str, Any], text: str) -> Any:
    """Return the value of a text that was typed for a declared type; what cannot be read stays text."""
    kind = kind_of(schema)
    if kind == "string":
        return text
    if kind == "boolean":
        return _TRUTHS.get(text.strip().lower(), text)
    try:
        if kind == "integer":
            return int(text)
        return _finite(text) if kind == "number" else _loads(text)
    except (ValueError, RecursionError):
        return text


def misfit(parameter: Parameter, value: Any) -> str:
    """Return what a run's own check says of one value alone; empty if it fits."""
    required = [parameter.name] if parameter.is_required else []
    alone = Task("the task", "", {"properties": {parameter.name: parameter.schema}, "required": required})
    return " ".join(check(alone, {} if value is NOTHING else {parameter.name: value}))


def _read_text(this: Field, content: str) -> Any:
    """Nothing typed is a text, but where one is needed and none was ever given."""
    return NOTHING if not content and this.parameter.is_required and this.is_unset else content


def _read_number(this: Field, content: Any) -> Any:
    return int(content) if this.type == "integer" else content


def _read_written(this: Field, content: str) -> Any:
    return typed(without_null(this.parameter.schema), content.strip()) if content.strip() else NOTHING


def _read_json(this: Field, content: str) -> Any:
    if not content.strip():
        return NOTHING
    try:
        return _loads(content)
    except json.JSONDecodeError as error:
        reason = f"{error.msg}, line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        reason = "it has a NaN or an Infinity, or is nested too deeply"
    raise ValueError(f"{this.name} is no JSON ({reason}): expected for example {_EXAMPLES[this.type]}.")


def _read_choice(this: Field, content: int) -> Any:
    value = NOTHING if content < 0 else this.options[content]
    return this.read(None) if value is None else value


def _read_filled(_: Field, content: str) -> Any:
    return content or NOTHING


_READERS: dict[str, Callable[[Field, Any], Any]] = {
    "slider": _read_number,
    "number": _read_number,
    "choice": _read_choice,
    "check": lambda _, content: bool(content),
    "text": _read_text,
    "area": _read_text,
    "written": _read_written,
    "json": _read_json,
    **dict.fromkeys(("date", "moment", "secret"), _read_filled),
}


def _position(options: tuple[Any, ...], value: Any) -> int:
    """Where a value stands among the options, and -1 where it does not; True is not 1."""
    return next((at for at, one in enumerate(options) if type(one) is type(value) and one == value), -1)


def _show_written(this: Field, value: Any) -> str:
    if isinstance(value, str) and value.strip() == value and _read_written(this, value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _show_json(_: Field, value: Any) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _LONGEST_LINE else json.dumps(value, ensure_ascii=False, indent=1)


_SHOWERS: dict[str, Callable[[Field, Any], Any]] = {
    "written": _show_written,
    "json": _show_json,
    **dict.fromkeys(("text", "area", "date", "moment"), lambda _, value: str(value)),
}


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def label(option: Any) -> str:
    """Return what a value is called, safe to show."""
    if option is None:
        return "none"
    text = option if isinstance(option, str) else json.dumps(option)
    return clean_line(text if len(text) <= _LONGEST_CHOICE else f"{text[: _LONGEST_CHOICE - 1]}…")
