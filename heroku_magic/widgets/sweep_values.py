"""Series: what stands in a field that is swept -> the values that its parameter takes in turn; it draws nothing.

Numbers and dates are written as a list, `1, 2, 5`, as a range with both its ends, `1..10` or
`1..10 by 3`, or as both; texts and JSON one a line; of choices some are chosen.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.fields import NOTHING, Field, label, misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WHOLE = re.compile(r"[-+]?\d[\d_]*", re.ASCII)
# An exponent is short, for it is calculated with exactly.
_NUMBER = r"[-+]?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_NUMBERS = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+by\s+({_NUMBER}))?", re.ASCII)
_DATE = r"\d{4}-\d\d-\d\d"
_DATES = re.compile(rf"({_DATE})\s*\.\.\s*({_DATE})(?:\s+by\s+([1-9]\d*))?", re.ASCII)
MOST = 10_000  # values of a field: each is checked as it is typed
_FEW = 3  # values that are shown before the last one

_LISTS = {
    "number": "1, 2, 5 or 1..10 by 3",
    "date": "2024-12-24, 2024-12-31 or 2024-12-01..2024-12-24 by 7",
    "moment": "2024-12-24T18:00, 2024-12-31T23:59",
}
_WAYS = {"lines": "one value a line", "choices": "with Ctrl or ⌘ a click chooses several"}


@dataclass(frozen=True)
class Series:
    """What a field that is swept holds.

    kind: `list` (in one line), `lines` (a value a line) or `choices`. content: the text that stands there,
    or the positions of what is chosen among `options`. values: what that means, in order; fault: what
    is wrong with it.
    """

    field: Field
    kind: str
    content: str | tuple[int, ...]
    options: tuple[Any, ...] = ()
    values: Sequence[Any] = ()
    fault: str = ""

    @property
    def labels(self) -> list[str]:
        """What each option is called, safe to show."""
        return [label(option) for option in self.options]

    @property
    def example(self) -> str:
        """What may be written into an empty control; empty where nothing is written."""
        if self.kind == "list":
            return _LISTS.get(self.field.kind, _LISTS["number"])
        return self.field.example if self.kind == "lines" else ""

    @property
    def hint(self) -> str:
        """How many values there are and which, and how they are written; in a line that is safe to show."""
        way = _WAYS.get(self.kind) or f"such as {self.example}"
        return f"{counted(len(self.values), 'value')}: {_shown(self.values)} · {way}"

    def put(self, content: str | tuple[int, ...]) -> Series:
        """Return the same with another content."""
        try:
            values = _READERS[self.kind](self, content)
            fault = next(filter(None, (misfit(self.field.parameter, value) for value in values)), "")
        except ValueError as error:
            values, fault = (), str(error)
        except OverflowError:
            values, fault = (), f"{self.field.name} has a number that is too large."
        if not values and not fault:
            fault = f"{self.field.name} has no values to sweep over{_instead(self)}."
        return replace(self, content=content, values=values, fault=fault)


def beginning(field: Field, content: Any) -> Series:
    """Return what a field begins with that the user wants swept: the value that it has; of choices, all."""
    kind = _kind(field)
    if kind == "choices":
        options = _options(field)
        return Series(field, kind, (), options).put(tuple(range(len(options))))
    try:
        value = field.read(content)
    except ValueError:
        value = NOTHING
    text = "" if value is NOTHING or value is None else _written(field, kind, [value])
    return Series(field, kind, "").put(text)


def series(field: Field, values: Sequence[Any]) -> Series:
    """Return what stands for plain values that fit; what no text stands for is chosen from a list."""
    kind = _kind(field)
    if kind != "choices":
        made = Series(field, kind, "").put(_written(field, kind, values))
        if _same(made.values, values):
            return made
    options = _options(field)
    places = [_place(options, value) for value in values]
    if places != sorted({*places}) or -1 in places:
        options, places = tuple(values), [*range(len(values))]
    return Series(field, "choices", (), options).put(tuple(places))


def too_many(name: str, count: int) -> str:
    """Return what is wrong with so many values of one parameter; empty where nothing is."""
    many = f"{count:,}" if count < 10**15 else "too many"
    return f"{name} has {many} values: a form sweeps a field over {MOST:,} at most." if count > MOST else ""


def counted(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "run"), counted(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _kind(field: Field) -> str:
    if field.kind in {"choice", "check"}:
        return "choices"
    is_numeric = field.type in {"integer", "number"}
    return "list" if is_numeric or field.kind in {"date", "moment"} else "lines"


def _options(field: Field) -> tuple[Any, ...]:
    """What there is to choose from; None only where it can be sent."""
    if field.kind != "choice":
        return (False, True) if field.kind == "check" else ()
    return tuple(value for place, value in enumerate(field.options) if field.read(place) is not NOTHING)


def _place(options: Sequence[Any], value: Any) -> int:
    return next((place for place, one in enumerate(options) if repr(one) == repr(value)), -1)


def _same(some: Iterable[Any], others: Iterable[Any]) -> bool:
    """Whether they are the same, in type too: True is not 1."""
    return [*map(repr, some)] == [*map(repr, others)]


# -- from a content to its values -----------------------------------------------------------------------


def _read_list(this: Series, content: str) -> Sequence[Any]:
    """The values of a list; of one range of whole numbers a range, for so it stands in a cell."""
    pieces = [_piece(this, text.strip()) for text in content.split(",") if text.strip()]
    _refuse_many(this.field, sum(map(len, pieces)))
    return pieces[0] if len(pieces) == 1 else [value for piece in pieces for value in piece]


def _piece(this: Series, text: str) -> Sequence[Any]:
    field = this.field
    if field.kind in {"date", "moment"}:
        match = _DATES.fullmatch(text) if field.kind == "date" else None
        return _days(field, *match.groups()) if match else [text]
    match = _NUMBERS.fullmatch(text)
    return _numbers(field, *match.groups()) if match else [_number(this, text)]


def _number(this: Series, text: str) -> int | float:
    try:
        number = int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{this.field.name}: {clean_line(repr(text)[:60])} is no number{_instead(this)}.")
    return number


def _numbers(field: Field, first: str, last: str, by: str | None) -> Sequence[int | float]:
    """The numbers from the first on, up or down, the last one too where the steps come there."""
    step = by or _own_step(field, first, last)
    start, end, width = (Fraction(text.replace("_", "")) for text in (first, last, step))
    if width <= 0:
        raise ValueError(f"{field.name}: a range goes by steps above 0, such as {first}..{last} by 2.")
    count = math.floor(abs(end - start) / width) + 1
    _refuse_many(field, count)
    width = width if end >= start else -width
    if all(map(_WHOLE.fullmatch, (first, last, step))):
        return range(int(start), int(start + count * width), int(width))
    return [float(start + number * width) for number in range(count)]


def _own_step(field: Field, first: str, last: str) -> str:
    """The step of a range that names none: the declared one; 1 between whole numbers."""
    if field.step:
        return str(field.step)
    if _WHOLE.fullmatch(first) and _WHOLE.fullmatch(last):
        return "1"
    raise ValueError(f"{field.name}: {first}..{last} needs a step, such as {first}..{last} by 0.1.")


def _days(field: Field, first: str, last: str, by: str | None) -> list[str]:
    try:
        ends = f"{date.fromisoformat(first).toordinal()}", f"{date.fromisoformat(last).toordinal()}"
    except ValueError:
        raise ValueError(f"{field.name}: {first}..{last} is from or to a day that there is not.") from None
    days = _numbers(replace(field, step=None), *ends, by)
    return [date.fromordinal(int(day)).isoformat() for day in days]


def _read_lines(this: Series, content: str) -> Sequence[Any]:
    """The value of each line on which something stands."""
    lines = {number: line for number, line in enumerate(content.split("\n"), 1) if line.strip()}
    _refuse_many(this.field, len(lines))
    return [_line(this, number, line) for number, line in lines.items()]


def _line(this: Series, number: int, line: str) -> Any:
    try:
        return this.field.read(line)
    except ValueError as error:
        raise ValueError(f"value {number}: {error}") from None


def _read_choices(this: Series, content: tuple[int, ...]) -> Sequence[Any]:
    return [this.options[place] for place in sorted(content)]


_READERS: dict[str, Any] = {"list": _read_list, "lines": _read_lines, "choices": _read_choices}


def _refuse_many(field: Field, count: int) -> None:
    if fault := too_many(field.name, count):
        raise ValueError(fault)


def _instead(this: Series) -> str:
    return f": expected for example {this.example}" if this.example else ""


# -- from values to a content ---------------------------------------------------------------------------


def _written(field: Field, kind: str, values: Sequence[Any]) -> str:
    if kind == "lines":
        return "\n".join(str(field.show(value)) for value in values)
    return _as_range(field, values) or ", ".join(str(value) for value in values)


def _as_range(field: Field, values: Sequence[Any]) -> str:
    """A range, and whole numbers in equal steps, as a range; else nothing."""
    if not isinstance(values, range) and (len(values) <= _FEW or not all(type(value) is int for value in values)):
        return ""
    step = values[1] - values[0] if len(values) > 1 else field.step or 1
    if not step or any(later - value != step for value, later in pairwise(values)):
        return ""
    by = "" if abs(step) == (field.step or 1) else f" by {abs(step)}"
    return f"{values[0]}..{values[-1]}{by}"


def _shown(values: Sequence[Any]) -> str:
    """The first values and the last one."""
    if len(values) <= _FEW + 1:
        return ", ".join(map(label, values))
    return f"{', '.join(map(label, values[:_FEW]))} … {label(values[-1])}"
