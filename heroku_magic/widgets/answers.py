"""Answers: what stands in a form's fields and rows, the values that this means, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidParameters
from heroku_magic.parameters import refused
from heroku_magic.widgets.fields import NOTHING, Field
from heroku_magic.widgets.shapes import fields, sound, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heroku_magic.tasks import Task


class Answers:
    """The contents of the fields of one task, and for a task that declares nothing the rows of name and text."""

    def __init__(
        self, task: Task, given: Mapping[str, Any], secrets: Iterable[str], find_source: Callable[[str], str]
    ) -> None:
        self.task = task
        self.rows: list[tuple[str, str]] = []
        if task.schema is None:
            self.rows = [(name, str(value)) for name, value in given.items() if isinstance(value, str)]
            given = {name: value for name, value in given.items() if value is not None and not isinstance(value, str)}
        self.fields = fields(task, given, secrets)
        self.contents = {one.name: one.start for one in self.fields}
        for one in self.fields:
            if one.kind == "secret" and (source := find_source(one.name)) in {"environment", "keyring"}:
                self.contents[one.name] = source

    @property
    def given(self) -> dict[str, Any]:
        """The plain values that are to be sent, by name; what cannot be read, as it is; no secrets."""
        read = {one.name: self._value(one) for one in self.fields if one.kind != "secret"}
        return {**{name: value for name, value in read.items() if value is not NOTHING}, **dict(self._pairs())}

    @property
    def sources(self) -> dict[str, str]:
        """Where each secret that is to be sent comes from: `environment`, `keyring` or `prompt`."""
        chosen = {one.name: self.contents[one.name] for one in self.fields if one.kind == "secret"}
        return {name: source for name, source in chosen.items() if source}

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by field; by the empty name what is wrong with the rows."""
        found = {one.name: one.fault(self.contents[one.name]) for one in self.fields}
        names = [name for name, _ in self._pairs()]
        twice = sorted({name for name in names if names.count(name) > 1 or name in found})
        rows = [*refused(names), *(f"{name} stands there twice: give each parameter once." for name in twice)]
        return {name: fault for name, fault in {**found, "": " ".join(rows)}.items() if fault}

    def update(self, values: Mapping[str, Any]) -> None:
        """Take over some values, and leave the others. Raises InvalidParameters with all faults, and takes none."""
        shaped = {one.name: one for one in self.fields}
        others = {name: value for name, value in values.items() if name not in shaped}
        issues = unknown(self.task, list(others))
        contents = {name: _content(shaped[name], value, issues) for name, value in values.items() if name in shaped}
        if issues:
            raise InvalidParameters(issues)
        self.contents.update(contents)
        kept = [(name, text) for name, text in self.rows if name not in others]
        self.rows = [*kept, *((name, str(value)) for name, value in others.items())]

    def _value(self, field: Field) -> Any:
        try:
            return field.read(self.contents[field.name])
        except ValueError:
            return self.contents[field.name]

    def _pairs(self) -> list[tuple[str, str]]:
        """The rows in which something stands."""
        return [(name, text) for name, text in self.rows if name or text]


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
