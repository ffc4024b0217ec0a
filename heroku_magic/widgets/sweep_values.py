"""What a field that is swept contains, and the values that its parameter takes in turn.

Numbers and dates are written as a list, `1, 2, 5`, as a range with both its ends, `1..10` or
`1..10 by 3`, or as both; texts and JSON one per line; of choices some are selected.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from heroku_magic.text.plural import quantity
from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.fields import NOTHING, DateField, DateTimeField, Field, misfit
from heroku_magic.widgets.labels import label, labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

_WHOLE = re.compile(r"[-+]?\d[\d_]*", re.ASCII)
# Ranges are calculated exactly, so an exponent is short.
_NUMBER = r"[-+]?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_NUMBERS = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+by\s+({_NUMBER}))?", re.ASCII)
_DATE = r"\d{4}-\d\d-\d\d"
_DATES = re.compile(rf"({_DATE})\s*\.\.\s*({_DATE})(?:\s+by\s+([1-9]\d*))?", re.ASCII)
MAX_VALUES = 10_000  # per field: each is checked while the user types
_SHOWN = 3  # values before the last one


@dataclass(frozen=True)
class SweepValues:
    """What a field that is swept contains.

    content: the text in the control, or the indices of the selected choices. values: what the content
    stands for, in order; fault: what is wrong with it.
    """

    field: Field
    content: Any = ""
    values: Sequence[Any] = ()
    fault: str = ""

    @property
    def example(self) -> str:
        """A placeholder for an empty control; empty where none is needed."""
        return self.field.example

    @property
    def hint(self) -> str:
        """How many values there are, which, and how to write them, in a line that is safe to show."""
        values = self.values
        shown = [label(value) for value in (values if len(values) <= _SHOWN + 1 else values[:_SHOWN])]
        last = f" … {label(values[-1])}" if len(values) > len(shown) else ""
        return f"{quantity(len(values), 'value')}: {', '.join(shown)}{last} · {self._usage}"

    def put(self, content: Any) -> Self:
        """Return the same field with another content."""
        name = self.field.name
        try:
            values = self._read(content)
            fault = next(filter(None, (misfit(self.field.parameter, value) for value in values)), "")
        except ValueError as error:
            values, fault = (), str(error)
        except OverflowError:
            values, fault = (), f"{name} contains a number that is too large."
        if not values and not fault:
            fault = f"{name} has no values to sweep over.{_expected(self)}"
        return replace(self, content=content, values=values, fault=fault)

    def starting_with(self, values: Sequence[Any]) -> Self:
        """Return the same field with the content that stands for some values."""
        return self.put(self._write(values))

    @property
    def _usage(self) -> str:
        return "one value per line"

    def _read(self, content: Any) -> Sequence[Any]:
        """Return the value of each line that is not empty."""
        lines = {number: line for number, line in enumerate(content.split("\n"), 1) if line.strip()}
        _check_count(self.field, len(lines))
        return [self._read_line(number, line) for number, line in lines.items()]

    def _read_line(self, number: int, line: str) -> Any:
        try:
            return self.field.read(line)
        except ValueError as error:
            raise ValueError(f"value {number}: {error}") from None

    def _write(self, values: Sequence[Any]) -> str:
        return "\n".join(str(self.field.show(value)) for value in values)


class SweepList(SweepValues):
    """Numbers or dates in one line."""

    @property
    def example(self) -> str:
        """A list and a range."""
        return self.field.list_example

    @property
    def _usage(self) -> str:
        return f"such as {self.example}"

    def _read(self, content: Any) -> Sequence[Any]:
        """Return the values of a list; a single range of whole numbers remains a range, also in the equal cell."""
        pieces = [self._piece(text.strip()) for text in content.split(",") if text.strip()]
        _check_count(self.field, sum(map(len, pieces)))
        return pieces[0] if len(pieces) == 1 else [value for piece in pieces for value in piece]

    def _piece(self, text: str) -> Sequence[Any]:
        if isinstance(self.field, DateField):
            match = None if isinstance(self.field, DateTimeField) else _DATES.fullmatch(text)
            return _days(self.field, *match.groups()) if match else [text]
        match = _NUMBERS.fullmatch(text)
        return _numbers(self.field, *match.groups()) if match else [self._number(text)]

    def _number(self, text: str) -> int | float:
        try:
            number = int(text) if _WHOLE.fullmatch(text) else float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            shown = clean_line(repr(text)[:60])
            raise ValueError(f"{self.field.name}: {shown} is not a number.{_expected(self)}")
        return number

    def _write(self, values: Sequence[Any]) -> str:
        return _as_range(self.field, values) or ", ".join(str(value) for value in values)


@dataclass(frozen=True)
class SweepChoices(SweepValues):
    """Some of several values."""

    options: tuple[Any, ...] = ()
    _usage = "select several with Ctrl or ⌘ and a click"

    @property
    def labels(self) -> list[str]:
        """The label of each option, safe to show."""
        return labels(self.options)

    def _read(self, content: tuple[int, ...]) -> Sequence[Any]:
        return [self.options[index] for index in sorted(content)]


def first_sweep(field: Field, content: Any) -> SweepValues:
    """Return what a field contains when the user begins to sweep it: its value; of choices, all."""
    if field.choices:
        return SweepChoices(field, options=field.choices).put(tuple(range(len(field.choices))))
    try:
        value = field.read(content)
    except ValueError:
        value = NOTHING
    return _empty(field).starting_with([] if value is NOTHING or value is None else [value])


def sweep_values(field: Field, values: Sequence[Any]) -> SweepValues:
    """Return what stands for plain values that fit; if no text stands for them, they become choices."""
    if not field.choices:
        written = _empty(field).starting_with(values)
        if [*map(repr, written.values)] == [*map(repr, values)]:  # by type too: True is not 1
            return written
    options = field.choices
    known = [repr(option) for option in options]
    indices = [known.index(repr(value)) if repr(value) in known else -1 for value in values]
    if indices != sorted({*indices}) or -1 in indices:
        options, indices = tuple(values), [*range(len(values))]
    return SweepChoices(field, options=options).put(tuple(indices))


def too_many(name: str, count: int) -> str:
    """Return the fault of so many values of one parameter; empty if there is none."""
    if count <= MAX_VALUES:
        return ""
    shown = f"{count:,}" if count < 10**15 else "too many"
    return f"{name} has {shown} values. A form sweeps a field over at most {MAX_VALUES:,}."


def _empty(field: Field) -> SweepValues:
    return SweepList(field) if field.list_example else SweepValues(field)


def _expected(values: SweepValues) -> str:
    return f" Expected, for example, {values.example}." if values.example else ""


def _check_count(field: Field, count: int) -> None:
    if fault := too_many(field.name, count):
        raise ValueError(fault)


def _numbers(field: Field, first: str, last: str, by: str | None) -> Sequence[int | float]:
    """The numbers from the first on, up or down, including the last one if the steps meet it."""
    by = by or _default_step(field, first, last)
    start, end, width = (Fraction(text.replace("_", "")) for text in (first, last, by))
    if width <= 0:
        raise ValueError(f"{field.name}: the step of a range must be above 0, such as {first}..{last} by 2.")
    count = math.floor(abs(end - start) / width) + 1
    _check_count(field, count)
    width = width if end >= start else -width
    if all(map(_WHOLE.fullmatch, (first, last, by))):
        return range(int(start), int(start + count * width), int(width))
    return [float(start + number * width) for number in range(count)]


def _default_step(field: Field, first: str, last: str) -> str:
    """The declared step; 1 between whole numbers."""
    if step := getattr(field, "step", None):
        return str(step)
    if _WHOLE.fullmatch(first) and _WHOLE.fullmatch(last):
        return "1"
    raise ValueError(f"{field.name}: {first}..{last} needs a step, such as {first}..{last} by 0.1.")


def _days(field: Field, first: str, last: str, by: str | None) -> list[str]:
    try:
        ends = f"{date.fromisoformat(first).toordinal()}", f"{date.fromisoformat(last).toordinal()}"
    except ValueError:
        raise ValueError(f"{field.name}: {first}..{last} contains a date that does not exist.") from None
    return [date.fromordinal(int(day)).isoformat() for day in _numbers(field, *ends, by)]


def _as_range(field: Field, values: Sequence[Any]) -> str:
    """A range, or whole numbers in equal steps, as a range; otherwise empty."""
    if not isinstance(values, range) and (len(values) <= _SHOWN or not all(type(value) is int for value in values)):
        return ""
    default = getattr(field, "step", None) or 1
    step = values[1] - values[0] if len(values) > 1 else default
    if not step or any(later - value != step for value, later in pairwise(values)):
        return ""
    by = "" if abs(step) == default else f" by {abs(step)}"
    return f"{values[0]}..{values[-1]}{by}"
