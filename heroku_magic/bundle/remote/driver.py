"""Driver: a cell's code, or one call of a function -> records, on the dyno; it knows no notebook.

It travels with the helper, which it finds as `heroku_task`, and like that needs nothing but Python 3.9.
The cell's names are those of a `__main__` of their own, so that it does not meet ours.
"""

from __future__ import annotations
import __future__

import ast
import json
import linecache
import os
import sys
import types

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Names = dict[str, Any]

_LAST = "_heroku_magic_last"  # the name that the value of a cell's last expression has for a moment
_NOTHING = object()


def main(code: dict[str, Any], body: bytes, load: Callable[[str], Any]) -> NoReturn:
    """Run what was shipped and end the process.

    code: `name` to show, `pieces` of source (file, first line, text, decorators to leave out, lazy annotations),
    `imports` (name: module or module:attribute), `values` (coded, in JSON; their tables' bytes are in `body`),
    `secrets` (names in the environment), `call` (the name of a function, or None: it is a cell),
    `quiet` (the last expression shows nothing). load: imports another module that was shipped.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")  # there is no screen
    sys.exit(heroku_task._exit_status(lambda: heroku_task._run(lambda: _work(code, body, load))))


def _work(code: dict[str, Any], body: bytes, load: Callable[[str], Any]) -> int:
    """Run it once, or once for each of the values that RUN_CALLS holds; return the exit status."""
    heroku_task._sender.start(code["name"], None, python=sys.version.split()[0])

    def once() -> None:
        header, more = _unpacked(os.environ.pop("RUN_DATA", ""))
        _once(code, _decoded(json.loads(code["values"]), body, load), _decoded(header, more, load))

    if heroku_task._calls is not None:
        return heroku_task._call_each(once, json.loads(heroku_task._unpack(heroku_task._calls)))
    once()
    return 0


def _once(code: dict[str, Any], shared: Names, own: Names) -> None:
    """Run it in names of its own: of a cell send what it shows, of a call what it returns."""
    names = _namespace(code)
    names.update(shared if code["call"] else {**shared, **own})
    value = None
    for piece in code["pieces"]:
        value = _executed(piece, names)
    if code["call"]:
        placed = [own.pop(name) for name in [*own] if name.isdigit()]
        _give(code["call"], names[code["call"]](*placed, **own))
    elif not code["quiet"]:
        _show(value)
    _show_open_figures()


def _namespace(code: dict[str, Any]) -> Names:
    """Return the names of a fresh `__main__`: for a cell with what it may call."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(module)
    if not code["call"]:
        names.update({name: getattr(heroku_task, name) for name in ("emit", "emit_file", "metric", "progress")})
        names["display"] = display
        names.update({name: heroku_task.Secret(os.environ[name]) for name in code["secrets"]})
    names.update({name: _imported(place) for name, place in code["imports"].items()})
    return names


def _imported(place: str) -> Any:
    import importlib

    name, _, attributes = place.partition(":")
    found: Any = importlib.import_module(name)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _executed(piece: tuple[str, int, str, int, bool], names: Names) -> Any:
    """Run a piece of source, whose lines have the numbers that its author sees; return its last expression's value."""
    file, first, text, decorators, lazy_annotations = piece
    # Lines as Python counts them: other ends of a line than these are characters to it.
    source = "\n" * (first - 1) + text.replace("\r\n", "\n").replace("\r", "\n")
    linecache.cache[file] = (len(source), None, [f"{line}\n" for line in source.split("\n")], file)
    heroku_task._BUNDLED_FILES.add(file)
    try:
        tree: Any = ast.parse(source, file)
    except SyntaxError as error:  # it is none to the notebook's Python
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


# -- values that came ------------------------------------------------------------------------------


def _unpacked(text: str) -> tuple[dict[str, Any], bytes]:
    """Take the values of one run apart: as JSON, or compressed with the bytes of tables after it."""
    if not text or text.startswith("{"):
        return json.loads(text or "{}"), b""
    import zlib
    from base64 import b85decode

    header, _, body = zlib.decompress(b85decode(text)).partition(b"\n")
    return json.loads(header), body


def _decoded(coded: dict[str, Any], body: bytes, load: Callable[[str], Any]) -> Names:
    """Return values as they were: JSON's as they are, arrays, tables as DataFrames."""
    values = {name: _array(name, one, body) if "array" in one else one.get("value") for name, one in coded.items()}
    for name in [name for name, one in coded.items() if "tables" in one]:
        try:
            values[name] = load("heroku_frames").frame(coded[name], body)
        except ImportError:  # noqa: PERF203 - the first one is told
            raise ModuleNotFoundError(f"{name} is a DataFrame, and the app has no pandas", name="pandas") from None
    return values


def _array(name: str, coded: dict[str, Any], body: bytes) -> Any:
    try:
        import numpy as np
    except ImportError:
        told = f"{name} is a numpy array, and the app has no numpy ({name}.tolist() would do without)"
        raise ModuleNotFoundError(told, name="numpy") from None
    data = body[coded["at"] : coded["at"] + coded["size"]]
    return np.frombuffer(data, dtype=coded["array"]).reshape(coded["shape"]).copy()


# -- values that go --------------------------------------------------------------------------------


def display(*values: Any) -> None:
    """Show values in the cell: a matplotlib figure as a picture, anything else as its text."""
    for value in values:
        if hasattr(value, "savefig"):
            _send_figure(value)
        else:
            print(value if isinstance(value, str) else repr(value))


_figures: list[Any] = []  # those that were shown


def _send_figure(figure: Any) -> None:
    from io import BytesIO

    _figures.append(figure)
    picture = BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    heroku_task._sender.file(f"figure-{len(_figures)}.png", picture.getvalue())


def _show_open_figures() -> None:
    """As a notebook does: what pyplot still has open is to be seen."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        figure = pyplot.figure(number)
        if not any(figure is shown for shown in _figures):
            _send_figure(figure)


def _show(value: Any) -> None:
    """Send the value of a cell's last expression as its table; where it is none, or there is one, show it."""
    table = _NOTHING if heroku_task._sender.has_table else _as_table(value)
    if table is not _NOTHING:
        heroku_task.emit(table)
    elif value is not None:
        display(value)


def _as_table(value: Any) -> Any:
    """Return what `emit` takes of a value: a scalar, or each of a list of them, is a row with the column `value`."""
    if value is None:
        return _NOTHING
    if hasattr(value, "to_frame") and hasattr(value, "index"):  # a Series
        value = value.to_frame("value" if value.name is None else value.name)
    if hasattr(value, "columns") and hasattr(value, "to_dict"):  # a table, of pandas or polars
        return _flat(value)
    if heroku_task._as_dict(value) is not None or hasattr(value, "__next__"):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    items = value if isinstance(value, (list, tuple)) else [value]
    if items and all(heroku_task._as_dict(item) is not None for item in items):
        return items
    try:
        return [{"value": heroku_task._plain(item, "value")} for item in items]
    except TypeError:
        return _NOTHING


def _flat(table: Any) -> Any:
    """Return a DataFrame whose index, where that is more than row numbers, stands in columns."""
    index = getattr(table, "index", None)
    is_numbered = index is None or (list(index.names) == [None] and index.dtype.kind in ("i", "u"))
    return table if is_numbered else table.reset_index()


def _give(name: str, value: Any) -> None:
    """Send what a function returned: a DataFrame as a table, all else as one row."""
    if heroku_task._sender.has_table:
        raise heroku_task.TaskError(f"{name} emitted rows: a function gives its result by `return`")
    if heroku_task._is_dataframe(value):
        heroku_task.emit(_flat(value))
        return
    try:
        row = {"value": heroku_task._plain(value, "value")}
    except TypeError as error:
        raise TypeError(f"what {name} returned cannot travel: {error}") from None
    heroku_task.emit(row)
