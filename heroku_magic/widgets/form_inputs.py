"""What the user has entered into a form, the values that this stands for, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.app.planner import named
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.environ import name_faults
from heroku_magic.runs.options import SweepOptions
from heroku_magic.sweeps.grid import grid, refuse_too_many
from heroku_magic.text.sanitize import clean_line
from heroku_magic.widgets.field_factory import fields, sound, unknown
from heroku_magic.widgets.fields import NOTHING, ChoiceField, Field, SecretField, without_prompt
from heroku_magic.widgets.sweep_values import SweepValues, first_sweep, sweep_values, too_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.protocol.task import Task


class NameValue(NamedTuple):
    """Name and text of an undeclared parameter; is_swept: each line of the text is a value."""

    name: str
    text: str
    is_swept: bool = False

    @property
    def values(self) -> list[str]:
        """The lines that are not empty."""
        return [line for line in self.text.split("\n") if line.strip()]

    @property
    def fault(self) -> str:
        """What is wrong with the values that it is swept over; empty if they fit."""
        if self.is_swept and not self.values:
            return f"{self.name} has no values to sweep over. Write one per line."
        return too_many(self.name, len(self.values)) if self.is_swept else ""


class FormInputs:
    """The contents of a task's fields, and the rows of name and text of an undeclared task.

    values, each: what the form starts with, and what it sweeps over. secrets: parameters whose values
    come from elsewhere; find_source returns from where at first. can_ask: whether a running cell can ask for them.
    """

    def __init__(
        self,
        task: Task,
        values: Mapping[str, Any],
        secrets: Iterable[str],
        find_source: Callable[[str], str],
        *,
        each: Mapping[str, Any] | None = None,
        sweep_options: SweepOptions | None = None,
        can_ask: bool = True,
    ) -> None:
        self.task = task
        self.rows: list[NameValue] = []
        if task.schema is None:
            self.rows = [NameValue(name, text) for name, text in values.items() if isinstance(text, str)]
            values = {name: one for name, one in values.items() if one is not None and not isinstance(one, str)}
        swept = _drawn(task, each or {})
        found = fields(task, values, secrets, swept)
        self.fields = {one.name: one if can_ask else without_prompt(one) for one in found}
        self.contents = {name: field.start for name, field in self.fields.items()}
        for name in self._secrets:
            if (source := find_source(name)) in {"environment", "keyring"}:
                self.contents[name] = source
        self.swept: dict[str, SweepValues] = {}
        self._previously_swept: dict[str, SweepValues] = {}
        self._sweep_options = sweep_options or SweepOptions()
        self.sweep_over(swept)

    @property
    def fixed(self) -> dict[str, Any]:
        """The plain values that are the same in every run, by name, without secrets; unreadable contents as text."""
        left_out = {*self.swept, *self._secrets}
        values = {name: self._value(name) for name in self.fields if name not in left_out}
        sent = {name: value for name, value in values.items() if value is not NOTHING}
        return {**sent, **{row.name: row.text for row in self._filled_rows if not row.is_swept}}

    @property
    def each(self) -> dict[str, Sequence[Any]]:
        """The plain values that are swept, by name; the first name varies slowest."""
        rows = {row.name: row.values for row in self._filled_rows if row.is_swept}
        return {**{name: one.values for name, one in self.swept.items()}, **rows}

    @property
    def run_count(self) -> int:
        """How many runs there will be. Raises InvalidParameters if they are too many, or lengths do not match."""
        each, options = self.each, self._sweep_options
        size = grid(each, each, in_step=options.zip).size if each else 1
        count = min(size, options.sample or size)
        refuse_too_many(count, options.chunk_size)
        return count

    @property
    def sources(self) -> dict[str, str]:
        """Where each secret that is to be sent comes from: `environment`, `keyring` or `prompt`."""
        return {name: self.contents[name] for name in self._secrets if self.contents[name]}

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by field; under the empty name the faults of rows, or of all lists together."""
        found = {
            name: self.swept[name].fault if name in self.swept else field.fault(self.contents[name])
            for name, field in self.fields.items()
        }
        names = [row.name for row in self._filled_rows]
        repeated = sorted({name for name in names if names.count(name) > 1 or name in found})
        rows = [*name_faults(names), *(f"{name} is given twice. Give each parameter once." for name in repeated)]
        rows += [row.fault for row in self._filled_rows if row.fault]
        if not rows and not any(found[name] for name in self.swept):
            try:
                _ = self.run_count
            except InvalidParameters as error:
                rows = error.issues
        return {name: fault for name, fault in {**found, "": " ".join(rows)}.items() if fault}

    def update(self, values: Mapping[str, Any]) -> None:
        """Replace some values, which are no longer swept, and keep the others.

        Raises InvalidParameters with all faults, and then replaces none.
        """
        values = named("value", values)
        others = {name: value for name, value in values.items() if name not in self.fields}
        issues = unknown(self.task, list(others))
        contents = {
            name: _content(self.fields[name], value, issues) for name, value in values.items() if name in self.fields
        }
        if issues:
            raise InvalidParameters(issues)
        self.contents.update(contents)
        for name in contents:
            self.sweep(name, is_swept=False)
        self._replace_rows(NameValue(name, str(value)) for name, value in others.items())

    def sweep(self, name: str, *, is_swept: bool) -> None:
        """Let a field have several values, at first those from when it was last swept; or one again."""
        if not is_swept and name in self.swept:
            self._previously_swept[name] = self.swept.pop(name)
        elif is_swept and name not in self.swept:
            previous = self._previously_swept.pop(name, None)
            self.swept[name] = previous or first_sweep(self.fields[name], self.contents[name])

    def sweep_over(self, each: Mapping[str, Any]) -> None:
        """Sweep these names over these values, and no others. Raises InvalidParameters with all faults."""
        values, issues = _drawn(self.task, named("each", each)), list[str]()
        rows = [
            NameValue(name, "\n".join(lines), is_swept=True)
            for name, lines in values.items()
            if self.task.schema is None and name not in self.fields and _are_lines(lines)
        ]
        of_rows = {row.name for row in rows}
        swept = {name: self._swept(name, some, issues) for name, some in values.items() if name not in of_rows}
        if issues:
            raise InvalidParameters(issues)
        for name in [*self.swept]:
            self.sweep(name, is_swept=False)
        self.swept = {name: one for name, one in swept.items() if one is not None}
        self.rows = [row._replace(is_swept=False) for row in self.rows]
        self._replace_rows(rows)

    def _value(self, name: str) -> Any:
        try:
            return self.fields[name].read(self.contents[name])
        except ValueError:
            return self.contents[name]

    def _swept(self, name: str, values: Sequence[Any], issues: list[str]) -> SweepValues | None:
        """What stands for values that a field is swept over; their faults are added to the issues."""
        field = self.fields.get(name)
        if field is None or isinstance(field, SecretField):
            secret = f"{name} is a secret, which is the same in all runs of a sweep."
            issues.append(secret if field else f"{name} has no field that can be swept.")
            return None
        try:
            plain = [sound(field.parameter, value) for value in values]
            return sweep_values(field, values if isinstance(values, range) else plain)
        except InvalidParameters as error:
            issues += error.issues
            return None

    @property
    def _secrets(self) -> list[str]:
        return [name for name, field in self.fields.items() if isinstance(field, SecretField)]

    @property
    def _filled_rows(self) -> list[NameValue]:
        return [row for row in self.rows if row.name or row.text]

    def _replace_rows(self, rows: Iterable[NameValue]) -> None:
        """Put these rows in place of those with the same names."""
        added = {row.name: row for row in rows}
        self.rows = [*(row for row in self.rows if row.name not in added), *added.values()]


def _drawn(task: Task, each: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """The values that are swept, each as a sequence. Raises InvalidParameters with all faults."""
    declared = None if task.schema is None else [parameter.name for parameter in task.parameters]
    axes = dict(zip(each, grid(each, declared).axes, strict=True))
    issues = [
        f"--each {clean_line(name)}: a form has no field for rows. Use a cell." for name in axes if axes[name].are_rows
    ]
    issues = issues or [*filter(None, (too_many(name, len(axis.values)) for name, axis in axes.items()))]
    if issues:
        raise InvalidParameters(issues)
    return {name: axis.values for name, axis in axes.items()}


def _are_lines(values: Sequence[Any]) -> bool:
    """Whether each value is a text that a line can contain."""
    return all(isinstance(value, str) and value.strip() and "\n" not in value for value in values)


def _content(field: Field, value: Any, issues: list[str]) -> Any:
    """The content for a value; what is wrong with it is added to the issues."""
    if isinstance(field, SecretField):
        issues.append(f"{field.name} is a secret, and a form is saved with the notebook: it takes no value.")
        return None
    try:
        content = field.show(sound(field.parameter, value))
    except InvalidParameters as error:
        issues += error.issues
        return None
    if isinstance(field, ChoiceField) and content == -1:
        issues.append(f"{field.name} is not one of the form's choices: {', '.join(field.labels)}.")
    return content
