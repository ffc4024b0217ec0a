"""What differs between two runs: parameters, code, release, versions, time, cost and tables."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.ledger.cache_key import ValueForm
from heroku_magic.ledger.history import details_of, find, recorded_job, with_sweep
from heroku_magic.sweeps.axis_record import read_axis
from heroku_magic.text.plural import quantity
from heroku_magic.text.sanitize import clean, clean_line, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from heroku_magic.ledger.entry import Details, Entry


class Comparison(NamedTuple):
    """The differences of two runs as text, and of tables of the same shape as a table of the cells that differ."""

    text: str
    cells: pd.DataFrame | None


def compare(first: str | int, second: str | int) -> Comparison:
    """Return what differs between two runs or sweeps. Raises InvalidOptions if one of them is not remembered."""
    entries = find(first), find(second)
    one, other = (entry.run for entry in entries)
    details = details_of(entries[0]), details_of(entries[1])
    table, cells = _compare_tables(recorded_job(one).partial, recorded_job(other).partial)
    lines = [f"{one} → {other}", *_differences(entries, details), *_code(entries), f"table: {table}"]
    return Comparison("\n".join(lines), cells)


def _differences(entries: tuple[Entry, Entry], details: tuple[Details, Details]) -> Iterator[str]:
    one, other = entries
    yield from _changed("task", one.task, other.task)
    yield from _changed("app", one.app, other.app)
    yield from _changed_items("parameter", *map(_parameters, entries, details))
    yield from _changed("release", details[0].release, details[1].release)
    if details[0].release == details[1].release:
        yield from _changed("files", details[0].slug[-12:], details[1].slug[-12:])
    yield from _changed_items("version of", details[0].versions, details[1].versions)
    yield from _changed_items("package", *map(_packages, entries))
    yield from _changed("size", details[0].size, details[1].size)
    yield from _changed("state", one.state, other.state)
    yield from _changed("exit status", one.exit_status, other.exit_status)
    yield from _changed("seconds", _rounded(one.seconds), _rounded(other.seconds))
    yield from _changed("dollars", one.dollars, other.dollars)


def _parameters(entry: Entry, details: Details) -> dict[str, Any]:
    """Return the parameters, with all values of those that differ from run to run of a sweep."""
    swept = {", ".join(axis.names): [*axis.values] for axis in map(read_axis, details.axes)}  # noqa: PD011 - no DataFrame
    return {**json.loads(entry.parameters), **swept}


def _packages(entry: Entry) -> dict[str, str]:
    """Return the versions of the packages that were installed for the run alone."""
    exact = details_of(with_sweep(entry)).request.options.get("packages", ())
    return {name: version for name, _, version in (text.partition("==") for text in exact)}


def _changed(what: str, one: Any, other: Any) -> Iterator[str]:
    if not _is_same(one, other):
        texts = ["(none)" if value is None else clean_line(str(value)) for value in (one, other)]
        shown = [text if len(text) <= 200 else short(text) for text in texts]
        yield f"{what}: {shown[0]} → {shown[1]}"


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same: 1 and True differ, which Python counts as equal, and NaN is the same as NaN."""
    digests = ValueForm(one).digest, ValueForm(other).digest
    return digests[0] == digests[1] if all(digests) else bool(one == other)


def _changed_items(what: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*one, *other]):
        yield from _changed(f"{what} {clean_line(name)}", one.get(name, "(none)"), other.get(name, "(none)"))


def _code(entries: tuple[Entry, Entry]) -> list[str]:
    first, second = (details_of(with_sweep(entry)).request for entry in entries)
    one, other = (entry.run for entry in entries)
    lines = [*unified_diff(first.code.splitlines(), second.code.splitlines(), one, other, lineterm="")]
    if not lines and first.code_hash != second.code_hash and first.code_hash and second.code_hash:
        return ["code: the same text, but something that it uses differs"]
    return [clean(line) for line in lines]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _compare_tables(one: pd.DataFrame | None, other: pd.DataFrame | None) -> tuple[str, pd.DataFrame | None]:
    if one is None or other is None:
        shown = ["none" if table is None else _shape(table) for table in (one, other)]
        return (shown[0] if shown[0] == shown[1] else " → ".join(shown)), None
    if one.equals(other) and one.columns.equals(other.columns):
        return f"equal, {_shape(one)}", None
    if one.shape != other.shape:
        return f"{_shape(one)} → {_shape(other)}", None
    if not one.columns.equals(other.columns) or not one.index.equals(other.index):
        return f"other labels: {short([*one.columns])} → {short([*other.columns])}", None
    cells = one.compare(other, result_names=("first", "second"))
    if cells.empty:
        pairs = [(name, one[name].dtype, other[name].dtype) for name in one]
        changed = [clean_line(f"{name}: {then} → {now}") for name, then, now in pairs if then != now]
        return f"equal values of different types, {', '.join(changed)}", None
    differing = "1 row differs" if len(cells) == 1 else f"{len(cells):,} rows differ"
    return f"{_shape(one)}, {differing}", cells


def _shape(table: pd.DataFrame) -> str:
    rows, columns = table.shape
    return f"{quantity(rows, 'row')} × {quantity(columns, 'column')}"
