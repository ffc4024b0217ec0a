"""Run a cell's code or call a function on the dyno and send the results as records.

This module travels with the worker's helper (`heroku_task`); both need only the standard library of
Python 3.9. The code runs in a fresh `__main__`, so its names cannot clash with the driver's.
"""

from __future__ import annotations
import __future__

import ast
import json
import linecache
import os
import sys
import types
from collections.abc import Iterator
from itertools import chain

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Names = dict[str, Any]

_LAST = "_heroku_magic_last"  # temporarily holds the value of a cell's last expression
_NOTHING = object()


def main(code: dict[str, Any], body: bytes, load: Callable[[str], Any]) -> NoReturn:
    """Run a program and end the process.

    code: `name` to show, `pieces` of source (file, first line, text, decorators to leave out, lazy annotations),
    `imports` (name to module or module:attribute), `values` (JSON headers; the bytes of arrays and tables are in
    `body`), `secrets` (names in the environment), `call` (the name of a function; None for a cell),
    `quiet` (do not show the last expression). load: imports a module that travels with the driver.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")  # a dyno has no screen
    sys.exit(heroku_task._exit_status(lambda: heroku_task._run(lambda: _run_all(code, body, load))))


def _run_all(code: dict[str, Any], body: bytes, load: Callable[[str], Any]) -> int:
    """Run the program once, or once for each entry of RUN_CALLS; return the exit status."""
    heroku_task._sender.start(code["name"], None, python=sys.version.split()[0])

    def run() -> None:
        headers, run_body = _unpack(os.environ.pop("RUN_DATA", ""))
        _run_once(code, _decode(json.loads(code["values"]), body, load), _decode(headers, run_body, load))

    if heroku_task._calls is not None:
        return heroku_task._call_each(run, json.loads(heroku_task._unpack(heroku_task._calls)))
    run()
    return 0


def _run_once(code: dict[str, Any], shared: Names, arguments: Names) -> None:
    """Run the program in a fresh namespace; send what a cell shows, or what a call returns."""
    names = _namespace(code)
    names.update(shared if code["call"] else {**shared, **arguments})
    value = None
    for piece in code["pieces"]:
        value = _execute(piece, names)
    if code["call"]:
        positional = [arguments.pop(name) for name in [*arguments] if name.isdigit()]
        _send_result(code["call"], names[code["call"]](*positional, **arguments))
    elif not code["quiet"]:
        _show(value)
    _show_open_figures()


def _namespace(code: dict[str, Any]) -> Names:
    """Return the namespace of a fresh `__main__`, with the functions that a cell may call."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(module)
    if not code["call"]:
        names.update({name: getattr(heroku_task, name) for name in ("emit", "emit_file", "metric", "progress")})
        names["display"] = display
        names.update({name: heroku_task.Secret(os.environ[name]) for name in code["secrets"]})
    names.update({name: _import(path) for name, path in code["imports"].items()})
    return names


def _import(path: str) -> Any:
    import importlib

    name, _, attributes = path.partition(":")
    found: Any = importlib.import_module(name)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _execute(piece: tuple[str, int, str, int, bool], names: Names) -> Any:
    """Run a piece of source with its author's line numbers; return the value of its last expression."""
    file, first, text, decorators, lazy_annotations = piece
    # Python ends lines only at these characters; `splitlines` would split at others, too.
    source = "\n" * (first - 1) + text.replace("\r\n", "\n").replace("\r", "\n")
    linecache.cache[file] = (len(source), None, [f"{line}\n" for line in source.split("\n")], file)
    heroku_task._BUNDLED_FILES.add(file)
    try:
        tree: Any = ast.parse(source, file)
    except SyntaxError as error:  # the notebook's Python accepts the syntax
        error.msg += f" (this dyno runs Python {sys.version.split()[0]})"
        raise
    if decorators:
        del tree.body[0].decorator_list[:decorators]
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        target = ast.copy_location(ast.Name(_LAST, ast.Store()), tree.body[-1])
        tree.body[-1] = ast.copy_location(ast.Assign([target], tree.body[-1].value), tree.body[-1])
    flags = __future__.annotations.compiler_flag if lazy_annotations else 0
    exec(compile(tree, file, "exec", flags, dont_inherit=True), names)
    return names.pop(_LAST, None)


# -- received values -------------------------------------------------------------------------------


def _unpack(text: str) -> tuple[dict[str, Any], bytes]:
    """Return the headers and the body of one run's values, which are plain JSON or compressed."""
    if not text or text.startswith("{"):
        return json.loads(text or "{}"), b""
    import zlib
    from base64 import b85decode

    header, _, body = zlib.decompress(b85decode(text)).partition(b"\n")
    return json.loads(header), body


def _decode(headers: dict[str, Any], body: bytes, load: Callable[[str], Any]) -> Names:
    """Return plain values, arrays and DataFrames by name."""
    values = {name: _array(name, one, body) if "array" in one else one.get("value") for name, one in headers.items()}
    for name in [name for name, one in headers.items() if "tables" in one]:
        try:
            values[name] = load("heroku_columns").build_frame(headers[name], body)
        except ImportError:  # noqa: PERF203 - the first error is enough
            message = f'"{name}" is a DataFrame, and pandas is not installed in the app'
            raise ModuleNotFoundError(message, name="pandas") from None
    return values


def _array(name: str, header: dict[str, Any], body: bytes) -> Any:
    try:
        import numpy as np
    except ImportError:
        message = f'"{name}" is an array, and numpy is not installed in the app (or pass {name}.tolist())'
        raise ModuleNotFoundError(message, name="numpy") from None
    data = body[header["at"] : header["at"] + header["size"]]
    return np.frombuffer(data, dtype=header["array"]).reshape(header["shape"]).copy()


# -- results ---------------------------------------------------------------------------------------


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


def _show_open_figures() -> None:
    """Send the figures that pyplot still has open, as a notebook does at the end of a cell."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        figure = pyplot.figure(number)
        if not any(figure is shown for shown in _figures):
            _send_figure(figure)


def _show(value: Any) -> None:
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
        except TypeError:
            if isinstance(rows, (list, chain)) or heroku_task._sender.has_table:
                raise
            return False  # a DataFrame with a column that cannot be sent
    return is_table


def _as_table(value: Any) -> Any:
    """Return a value as `emit` takes it: each scalar becomes a row with the column `value`."""
    try:
        frame = _as_frame(value)
        if frame is not None:
            return frame
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
    if hasattr(value, "to_frame") and hasattr(value, "nlevels"):  # an Index
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
        unnamed = "index" if len(index.names) == 1 else f"level_{level}"
        names.append(_free_name(unnamed if name is None else name, [*table.columns, *names]))
    if getattr(table.columns, "nlevels", 1) == 1:
        # Categories and intervals do not accept another label.
        table = table.set_axis(table.columns.astype(object), axis=1)
    return table.set_axis(index.set_names(names), axis=0).reset_index()


def _free_name(name: Any, taken: list[Any]) -> Any:
    while name in taken:
        name = f"{name}_index"
    return name


def _send_result(name: str, value: Any) -> None:
    """Send what a function returned: a DataFrame as a table, any other value as one row."""
    if heroku_task._sender.has_table:
        raise heroku_task.TaskError(f'"{name}" emitted rows; a function must return its result instead')
    if heroku_task._is_dataframe(value):
        heroku_task.emit(_with_index_columns(value))
        return
    try:
        row = {"value": heroku_task._plain(value, "value")}
    except TypeError as error:
        raise TypeError(f'the result of "{name}" cannot be sent: {error}') from None
    heroku_task.emit(row)
