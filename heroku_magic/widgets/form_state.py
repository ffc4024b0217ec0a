"""Answers: what stands in a form's fields and rows, the values that this means, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.environ import refused
from heroku_magic.sweeps.grid import grid, refuse_too_many
from heroku_magic.widgets.field_factory import drawn, fields, sound, unknown
from heroku_magic.widgets.fields import NOTHING, Field
from heroku_magic.widgets.sweep_values import Series, beginning, series, too_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.protocol.task import Task


class Row(NamedTuple):
    """Name and text of a parameter that nobody declared; is_swept: each line of the text is a value."""

    name: str
    text: str
    is_swept: bool = False

    @property
    def values(self) -> list[str]:
        """The lines on which something stands."""
        return [line for line in self.text.split("\n") if line.strip()]

    @property
    def fault(self) -> str:
        """What is wrong with the values that it is swept over; empty if nothing is."""
        if not self.is_swept:
            return ""
        nothing = "" if self.values else f"{self.name} has no values to sweep over: write one a line."
        return nothing or too_many(self.name, len(self.values))


class Answers:
    """The contents of the fields of one task, and for a task that declares nothing the rows of name and text.

    each: values of what is swept at first. in_step, sample, chunk: how its combinations are run.
    """

    def __init__(
        self,
        task: Task,
        given: Mapping[str, Any],
        secrets: Iterable[str],
        find_source: Callable[[str], str],
        each: Mapping[str, Any] | None = None,
        *,
        in_step: bool = False,
        sample: int | None = None,
        chunk: int = 1,
    ) -> None:
        self.task = task
        self.rows: list[Row] = []
        if task.schema is None:
            self.rows = [Row(name, str(value)) for name, value in given.items() if isinstance(value, str)]
            given = {name: value for name, value in given.items() if value is not None and not isinstance(value, str)}
        swept = _drawn(task, each or {})
        self.fields = fields(task, given, secrets, swept)
        self.contents = {one.name: one.start for one in self.fields}
        for one in self.fields:
            if one.kind == "secret" and (source := find_source(one.name)) in {"environment", "keyring"}:
                self.contents[one.name] = source
        self.swept: dict[str, Series] = {}
        self._rested: dict[str, Series] = {}  # those that are swept no more, should they be again
        self._in_step, self._sample, self._chunk = in_step, sample, chunk
        self.sweep_over(swept)

    @property
    def given(self) -> dict[str, Any]:
        """The plain values that are the same in every run, by name; what cannot be read, as it is; no secrets."""
        read = {one.name: self._value(one) for one in self.fields if one.kind != "secret"}
        plain = {name: value for name, value in read.items() if value is not NOTHING and name not in self.swept}
        return {**plain, **{row.name: row.text for row in self._filled() if not row.is_swept}}

    @property
    def each(self) -> dict[str, Sequence[Any]]:
        """The plain values of what is swept, by name; the first name varies slowest."""
        rows = {row.name: row.values for row in self._filled() if row.is_swept}
        return {**{name: one.values for name, one in self.swept.items()}, **rows}

    @property
    def runs(self) -> int:
        """How many runs there are to be. Raises InvalidParameters where that is too many, or lengths do not fit."""
        each = self.each
        size = grid(each, each, in_step=self._in_step).size if each else 1
        count = min(size, self._sample or size)
        refuse_too_many(count, self._chunk)
        return count

    @property
    def sources(self) -> dict[str, str]:
        """Where each secret that is to be sent comes from: `environment`, `keyring` or `prompt`."""
        chosen = {one.name: self.contents[one.name] for one in self.fields if one.kind == "secret"}
        return {name: source for name, source in chosen.items() if source}

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by field; by the empty name what is wrong with the rows, or with all lists together."""
        found = {one.name: self._fault(one) for one in self.fields}
        names = [row.name for row in self._filled()]
        twice = sorted({name for name in names if names.count(name) > 1 or name in found})
        rows = [*refused(names), *(f"{name} stands there twice: give each parameter once." for name in twice)]
        rows += [row.fault for row in self._filled() if row.fault]
        rows += [] if rows or any(found[name] for name in self.swept) else self._together()
        return {name: fault for name, fault in {**found, "": " ".join(rows)}.items() if fault}

    def update(self, values: Mapping[str, Any]) -> None:
        """Take over some values, which are swept no more, and leave the others.

        Raises InvalidParameters with all faults, and takes none.
        """
        shaped = {one.name: one for one in self.fields}
        others = {name: value for name, value in values.items() if name not in shaped}
        issues = unknown(self.task, list(others))
        contents = {name: _content(shaped[name], value, issues) for name, value in values.items() if name in shaped}
        if issues:
            raise InvalidParameters(issues)
        self.contents.update(contents)
        for name in contents:
            self.sweep(name, is_swept=False)
        self._replace_rows(Row(name, str(value)) for name, value in others.items())

    def sweep(self, name: str, *, is_swept: bool) -> None:
        """Let a field have several values, at first what it had when it was swept before; or one again."""
        if not is_swept and name in self.swept:
            self._rested[name] = self.swept.pop(name)
        elif is_swept and name not in self.swept:
            field = next(one for one in self.fields if one.name == name)
            rested = self._rested.pop(name) if name in self._rested else None
            self.swept[name] = rested or beginning(field, self.contents[name])

    def sweep_over(self, each: Mapping[str, Any]) -> None:
        """Sweep these names over these values, and no others. Raises InvalidParameters with all faults."""
        values, issues = _drawn(self.task, each), list[str]()
        shaped = {one.name: one for one in self.fields}
        rows = [
            Row(name, "\n".join(lines), is_swept=True)
            for name, lines in values.items()
            if self.task.schema is None and name not in shaped and _are_lines(lines)
        ]
        others = values.keys() - {row.name for row in rows}
        made = {name: _series(shaped.get(name), name, values[name], issues) for name in values if name in others}
        if issues:
            raise InvalidParameters(issues)
        for name in [*self.swept]:
            self.sweep(name, is_swept=False)
        self.swept = {name: one for name, one in made.items() if one is not None}
        self.rows = [row._replace(is_swept=False) for row in self.rows]
        self._replace_rows(rows)

    def _value(self, field: Field) -> Any:
        try:
            return field.read(self.contents[field.name])
        except ValueError:
            return self.contents[field.name]

    def _fault(self, field: Field) -> str:
        swept = self.swept.get(field.name)
        return swept.fault if swept else field.fault(self.contents[field.name])

    def _together(self) -> list[str]:
        """What is wrong with all lists together."""
        try:
            _ = self.runs
        except InvalidParameters as error:
            return error.issues
        return []

    def _filled(self) -> list[Row]:
        """The rows in which something stands."""
        return [row for row in self.rows if row.name or row.text]

    def _replace_rows(self, rows: Iterable[Row]) -> None:
        """Let these rows stand for those of their names."""
        added = {row.name: row for row in rows}
        self.rows = [*(row for row in self.rows if row.name not in added), *added.values()]


def _are_lines(values: Sequence[Any]) -> bool:
    """Whether each value is a text that a line can hold."""
    return all(isinstance(value, str) and value.strip() and "\n" not in value for value in values)


def _drawn(task: Task, each: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """The values of what is swept. Raises InvalidParameters where there are more than one sweep may have."""
    values = drawn(task, each)
    if issues := [*filter(None, (too_many(name, len(some)) for name, some in values.items()))]:
        raise InvalidParameters(issues)
    return values


def _content(field: Field, value: Any, issues: list[str]) -> Any:
    """The content for a value; what is wrong with it joins the issues."""
    if field.kind == "secret":
        issues.append(f"{field.name} is a secret, and a form is saved with the notebook: it takes no value.")
        return None
    try:
        content = field.show(sound(field.parameter, value))
    except InvalidParameters as error:
        issues += error.issues
        return None
    if field.kind == "choice" and content == -1:
        issues.append(f"{field.name} is none of what the form offers: {', '.join(field.labels)}.")
    return content


def _series(field: Field | None, name: str, values: Sequence[Any], issues: list[str]) -> Series | None:
    """What stands for values that a field is swept over; what is wrong with them joins the issues."""
    if field is None or field.kind == "secret":
        issues.append(f"{name} has no field that can be swept." if field is None else f"{name} is a secret: {_ONE}.")
        return None
    try:
        plain = [sound(field.parameter, value) for value in values]
        return series(field, values if isinstance(values, range) else plain)
    except InvalidParameters as error:
        issues += error.issues
        return None


_ONE = "all runs of a sweep have the same"
