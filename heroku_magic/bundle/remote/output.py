"""Send what a cell shows, or the DataFrame that a function returns. Runs on the dyno, beside the driver."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOTHING = object()


def display(*values: Any) -> None:
    """Show values in the notebook: a matplotlib figure as a picture, anything else as text."""
    for value in values:
        if hasattr(value, "savefig"):
            _send_figure(value)
        else:
            print(value if isinstance(value, str) else repr(value))


_figures: list[Any] = []  # already shown


def _send_figure(figure: Any) -> None:
    from io import BytesIO

    _figures.append(figure)
    picture = BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    heroku_task._sender.file(f"figure-{len(_figures)}.png", picture.getvalue())


def show_open_figures() -> None:
    """Send the figures that pyplot still has open, as a notebook does at the end of a cell."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        figure = pyplot.figure(number)
        if not any(figure is shown for shown in _figures):
            _send_figure(figure)


def close_figures() -> None:
    """Close the figures that pyplot has open."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


def show(value: Any) -> None:
    """Send the value of a cell's last expression as the table; show it if it has no rows or rows were emitted."""
    shown = repr(value) if isinstance(value, Iterator) else value  # before its first item is taken
    if value is not None and (heroku_task._sender.has_table or not _emit(value)):
        display(shown)


def _emit(value: Any) -> bool:
    """Send a value as the table; return whether it is one. Raises TypeError for rows whose values cannot be sent."""
    if isinstance(value, Iterator):
        first = next(value, _NOTHING)
        rows: Any = [] if first is _NOTHING else chain([first], value)
        is_table = first is _NOTHING or _is_row(first)
    else:
        rows = _as_table(value)
        is_table = rows is not _NOTHING
    if is_table:
        try:
            heroku_task.emit(rows)
        except Exception:  # whatever pandas raises
            if isinstance(rows, (list, chain)) or heroku_task._sender.has_table:
                raise
            return False  # a DataFrame with a column that cannot be sent
    return is_table


def _as_table(value: Any) -> Any:
    """Return a value as a DataFrame or as a list of rows: each scalar becomes one with the column `value`."""
    try:
        frame = _as_frame(value)
        if frame is not None:
            return frame if heroku_task._is_dataframe(frame) else [*heroku_task._as_rows(frame)]
        if _is_row(value):
            return [value]
        items = value if isinstance(value, (list, tuple)) else heroku_task._plain(value, "value")
        items = items if isinstance(items, (list, tuple)) else [items]
        if items and all(map(_is_row, items)):
            return [*items]
        return [{"value": heroku_task._plain(item, "value")} for item in items]
    except Exception:  # noqa: BLE001 - it has no rows, or only looks as if it had
        return _NOTHING


def _is_row(value: Any) -> bool:
    try:
        return heroku_task._as_dict(value) is not None
    except Exception:  # noqa: BLE001 - the groups of a DataFrame have `keys`, too
        return False


def _as_frame(value: Any) -> Any:
    """Return a Series, an Index or a DataFrame as a DataFrame; None for anything else."""
    if hasattr(value, "nlevels"):  # an Index
        return (value if value.nlevels > 1 or value.name is not None else value.rename("value")).to_frame(index=False)
    if hasattr(value, "to_frame") and hasattr(value, "index"):  # a Series, whose index may be its only key
        table = value.to_frame("value" if value.name is None else value.name)
        return _with_index_columns(table, is_numbered=type(value.index).__name__ == "RangeIndex")
    is_frame = hasattr(value, "columns") and hasattr(value, "to_dict")  # of pandas or polars
    return _with_index_columns(value) if is_frame else None


def _with_index_columns(table: Any, is_numbered: Any = None) -> Any:
    """Return a DataFrame whose index, unless it only numbers the rows, has become columns."""
    index = getattr(table, "index", None)
    if is_numbered is None:
        is_numbered = index is None or index.dtype.kind in ("i", "u")
    if index is None or (is_numbered and list(index.names) == [None]):
        return table
    names: list[Any] = []
    for level, name in enumerate(index.names):
        label = ("index" if len(index.names) == 1 else f"level_{level}") if name is None else name
        while label in [*table.columns, *names]:
            label = f"{label}_index"
        names.append(label)
    if getattr(table.columns, "nlevels", 1) == 1:
        # Categories and intervals do not accept another label.
        table = table.set_axis(table.columns.astype(object), axis=1)
    # pandas may infer text, and Arrow's has no lone surrogates.
    with sys.modules["pandas"].option_context("mode.string_storage", "python"):
        return table.set_axis(index.set_names(names), axis=0).reset_index()


def send_table(table: Any, encoder: Any) -> None:
    """Send a DataFrame as a table that shows its index as columns; the header has what makes it exact again."""
    import pandas as pd

    objects, index, shown = encoder.object_columns(table, "the table"), table.index, table.copy(deep=False)
    labels, attrs = encoder.encode(table.columns, "the columns"), encoder.encode(table.attrs, "the table's attrs")
    call: dict[str, Any] = {"levels": 0, "objects": objects, "labels": labels, "attrs": attrs}
    try:
        heroku_task._label_heads(list(table.columns))
    except TypeError:  # they are shown as text, with their number
        shown.columns = [f"{number} {label}" for number, label in enumerate(table.columns)]
    special = [*map(int, objects)]
    if type(index) is not pd.RangeIndex or (index.start, index.step, index.name) != (0, 1, None):
        call.update(levels=index.nlevels, index=encoder.encode(index, "the index"))
        shown = _with_index_columns(shown, is_numbered=False)
        special = [at + index.nlevels for at in special]
        special += map(int, encoder.object_columns(shown.iloc[:, : index.nlevels], "the index"))
    for at in special:
        values = [_as_json(item) for item in shown.iloc[:, at]]
        shown.isetitem(at, pd.Series(values, dtype=object, index=shown.index))  # Arrow's text has no lone surrogates
    call["body"] = to_base64(encoder.body)
    heroku_task._sender.table(shown, call=call)


def _as_json(value: Any) -> Any:
    try:
        return heroku_task._plain(value, "")
    except TypeError:
        return repr(value)


def to_base64(data: bytes) -> str:
    """Return bytes as text."""
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode("ascii")
