"""Run a cell's code or call a function on the dyno and send the results as records.

This module travels with the worker's helper (`heroku_task`); both need only the standard library of
Python 3.9. The code runs in a fresh `__main__`, so its names cannot clash with the driver's.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import io
import json
import linecache
import os
import sys
import time
import types

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Names = dict[str, Any]

_LAST = "_heroku_magic_last"  # temporarily holds the value of a cell's last expression
_CELL_FILE, _FIRST_LINE = "<cell>", 2  # line 1 is `%%dyno` itself
_MAX_BODY_BYTES = 40_000_000  # the notebook refuses records of more than 64,000,000 bytes, in Base64
HAS_CLOUDPICKLE = importlib.util.find_spec("cloudpickle") is not None  # then it must not be mixed with the one sent
_KINDS: dict[Any, tuple[str, str | None]] = {  # of values that need a package
    "array": ("is an array", "numpy"),
    **dict.fromkeys(("DataFrame", "Series"), ("is a table", "pandas")),
}
LEFTOVER_SECONDS = 10  # how long a cell's threads may run after its last line


def _end(status: int) -> None:
    """End the process as `sys.exit` does, but without a wait for threads that may never end."""
    import atexit

    atexit._run_exitfuncs()
    heroku_task._flush_streams()
    os._exit(status)


def main(program: RemoteProgram, end: Callable[[int], Any] = _end) -> Any:
    """Run a program and end the process."""
    os.environ.setdefault("MPLBACKEND", "Agg")  # a dyno has no screen
    heroku_task._join_threads = program.end_threads
    return end(heroku_task._exit_status(lambda: heroku_task._run(lambda: _run_all(program))))


def _run_all(program: RemoteProgram) -> int:
    """Run the program once, or once for each entry of RUN_CALLS; return the exit status."""
    heroku_task._sender.start(program.code["name"], None, python=sys.version.split()[0], **program.facts())
    program.check()

    def run() -> None:
        try:
            program.run(program.read(os.environ.pop("RUN_DATA", "")))
            program.show_figures()
        finally:
            program.close_figures()

    if heroku_task._calls is not None:
        return heroku_task._call_each(run, json.loads(heroku_task._unpack(heroku_task._calls)))
    run()
    return 0


class RemoteProgram:
    """What runs on the dyno.

    code: what the notebook says about it, in JSON. body: the bytes that go with it. load: imports a module that travels
    with the driver.
    """

    def __init__(self, code: dict[str, Any], body: bytes, load: Callable[..., Any]) -> None:
        self.code, self._body, self._load = code, body, load
        self._output = load("heroku_output")

    def facts(self) -> dict[str, Any]:
        """Return what the declaration says about this dyno."""
        return {}

    def check(self) -> None:
        """Raise TaskError if the program cannot run on this dyno."""

    def run(self, values: Names) -> None:
        """Run once, with the values of this run."""

    def show_figures(self) -> None:
        """Send the open figures, as a notebook does at the end of a cell."""
        self._output.show_open_figures()

    def close_figures(self) -> None:
        """Close the figures, as a notebook does, too: the next call draws its own."""
        self._output.close_figures()

    def end_threads(self) -> None:
        """Deal with the threads that the program left behind."""

    def read(self, text: str) -> Names:
        """Return the values of one run, which are JSON, or compressed: a header and bytes."""
        if not text or text.startswith("{"):
            return self._decode(text or "{}", b"")
        import zlib
        from base64 import b85decode

        header, _, body = zlib.decompress(b85decode(text)).partition(b"\n")
        return self._unpack(header, body)

    def _unpack(self, header: bytes, body: bytes) -> Names:
        return self._decode(header, body)

    def _decode(self, text: str | bytes, body: bytes) -> Names:
        forms = json.loads(text)
        if '"$"' not in str(text):  # plain JSON, which most values are
            return dict(forms)
        decoder = self._load("heroku_typed_decoder").Decoder(body, self._build_table)
        values = {}
        for name, form in forms.items():
            try:
                values[name] = decoder.decode(form)
            except ModuleNotFoundError as error:  # noqa: PERF203 - the first one is enough
                tag = form.get("$") if isinstance(form, dict) else ""
                kind, module = _KINDS.get(tag, ("needs numpy or pandas", error.name))
                message = f'"{name}" {kind}, and {module} is not installed in the app'
                raise ModuleNotFoundError(message, name=module) from None
        return values

    def _build_table(self, chunks: list[tuple[dict[str, Any], bytes]]) -> Any:
        return self._load("heroku_columns").build_frame(chunks)


class RemoteCell(RemoteProgram):
    """The text of a cell.

    code: `name` to show, `text`, `definitions` (see the notebook's Program), `values` (typed JSON, whose bytes are
    the body), `secrets` (names in the environment) and `quiet` (do not show the last expression).
    """

    def run(self, values: Names) -> None:
        """Run the text in a fresh namespace, and send what it shows."""
        names = _fresh_main()
        ours = {name: getattr(heroku_task, name) for name in ("emit", "emit_file", "metric", "progress")}
        names.update(ours, display=self._output.display)
        names.update({name: heroku_task.Secret(os.environ[name]) for name in self.code["secrets"]})
        names.update(self._decode(self.code["values"], self._body), **values)
        if self.code["definitions"]:  # a spawned process imports them as its `__main__`
            import tempfile

            file = tempfile.NamedTemporaryFile("w", suffix=".py")  # noqa: SIM115 - the cell needs it
            file.write(self.code["definitions"])
            file.flush()
            names["__file__"] = file.name
        exec(_compile(self.code["text"]), names)
        value = names.pop(_LAST, None)
        if not self.code["quiet"]:
            self._output.show(value)

    def end_threads(self) -> None:
        """Wait a little for the cell's threads, whose rows belong to the result."""
        deadline = time.monotonic() + LEFTOVER_SECONDS
        for thread in heroku_task._other_threads():
            thread.join(max(deadline - time.monotonic(), 0))
        if left := ", ".join(thread.name for thread in heroku_task._other_threads()):
            raise heroku_task.TaskError(
                f"{left} did not end within {LEFTOVER_SECONDS} s of the cell: join() it in the cell"
            )


class RemoteCall(RemoteProgram):
    """A function, whose pickle is the body.

    code: `name` to show, `python` (the version that pickled it), `sources` of its functions for tracebacks, and
    `allow_pickle` (for its value).
    """

    def facts(self) -> dict[str, Any]:
        """Return that the value is typed JSON, and whether the app has cloudpickle."""
        return {"typed": True, "cloudpickle": HAS_CLOUDPICKLE}

    def check(self) -> None:
        """Raise TaskError on another Python than the one that pickled the function."""
        here = [*sys.version_info[:2]]
        if self.code["python"] != here:
            sent, found = (".".join(map(str, one)) for one in (self.code["python"], here))
            raise heroku_task.TaskError(
                f"{self.code['name']} was sent by Python {sent}, and this dyno runs Python {found}. Functions need the "
                f"same minor version: deploy the app with a .python-version file that says {sent}, or put the code "
                "into a %%dyno cell, which runs on any Python from 3.9 on"
            )

    def read(self, text: str) -> Names:
        """Return the arguments, in whose `__main__` the function is read, too."""
        _fresh_main()
        return super().read(text)

    def run(self, values: Names) -> None:
        """Call the function; send its value."""
        function, modules = self._read_function()
        for one, module in modules.items():
            sys.modules.setdefault(one, module)
        positional = [values.pop(name) for name in [*values] if name.isdigit()]
        name = self.code["name"]
        try:
            result = function(*positional, **values)
            if hasattr(result, "cr_frame"):  # a coroutine
                result = __import__("asyncio").run(result)
        except SystemExit as error:
            raise heroku_task.TaskError(f'"{name}" called sys.exit({error.code!r:.40}) and returned no value') from None
        self._send(name, result)

    def _read_function(self) -> tuple[Any, dict[str, Any]]:
        function, modules = self._unpickle(self._body)
        for file, first, text in self.code["sources"]:
            _remember(file, first, text)
        return function, modules

    def _unpack(self, header: bytes, body: bytes) -> Names:
        # A sweep that is resumed has its arguments from a file, as JSON.
        return dict(self._unpickle(body)) if header == b"pickle" else self._decode(header, body)

    def _unpickle(self, data: bytes) -> Any:
        if not HAS_CLOUDPICKLE and self._load("cloudpickle.cloudpickle", optional=True):
            sys.modules.setdefault("cloudpickle", sys.modules["cloudpickle.cloudpickle"])
        decoder, build = self._load("heroku_typed_decoder").Decoder, self._build_table
        travelled = self._load("heroku_classes", optional=True)
        classes = travelled and travelled.ClassMaker()
        stream = io.BytesIO(data)
        try:
            value = unpickler()(stream, classes, lambda form, body: decoder(body, build).decode(form)).load()
        except (AttributeError, TypeError) as error:
            message = (
                f"{self.code['name']} cannot be unpickled on this dyno ({error}): are its packages of other versions?"
            )
            raise heroku_task.TaskError(message) from error
        if classes:
            classes.publish()
        for source in json.loads(stream.read() or "[]"):  # of functions in the arguments
            _remember(*source)
        return value

    def _send(self, name: str, value: Any) -> None:
        """Send what the function returned: a DataFrame as a table, any other value as one row of typed JSON."""
        if heroku_task._sender.has_table:
            raise heroku_task.TaskError(f'"{name}" emitted rows; a function must return its result instead')
        encoder = self._load("heroku_typed_json").Encoder(heroku_task._chunks)
        try:
            if type(value) is getattr(sys.modules.get("pandas"), "DataFrame", None):  # a subclass has more than a table
                self._output.send_table(value, encoder)
                return
            row = {"value": encoder.encode(value, f"the result of {name}")}
            _check_size(encoder.body, name)
        except TypeError as error:
            if not self.code["allow_pickle"]:
                raise TypeError(
                    f"{error}, and cannot be sent exactly. Return values of plain types, such as a dict or a "
                    "DataFrame; or call with allow_pickle=True if you trust whoever can deploy to the app"
                ) from None
            row = {"value": self._pickle(value, encoder)}
        if encoder.body:
            row["body"] = self._output.to_base64(encoder.body)
        heroku_task._sender.rows([row])

    def _pickle(self, value: Any, _: Any) -> Any:
        return {"$": "pickle", "v": self._output.to_base64(sys.modules["cloudpickle"].dumps(value))}


@functools.cache
def unpickler() -> Any:
    """Return the class that reads the pickles of functions, made only when there is one."""
    import pickle

    class Unpickler(pickle.Unpickler):
        """classes: replaces functions of cloudpickle. decode: reads a value that is typed JSON, with its bytes."""

        def __init__(self, stream: io.BytesIO, classes: Any, decode: Callable[..., Any]) -> None:
            super().__init__(stream)
            self._classes, self._decode = classes, decode
            self._found: dict[int, Any] = {}  # by the identity of a pair, which the pickle keeps

        def find_class(self, module: str, name: str) -> Any:
            found = super().find_class(module, name)
            return self._classes.replace(name, found) if self._classes else found

        def persistent_load(self, pair: Any) -> Any:
            if id(pair) not in self._found:
                self._found[id(pair)] = pair, self._decode(*pair)
            return self._found[id(pair)][1]

    return Unpickler


def _check_size(body: bytes, name: str) -> None:
    if len(body) > _MAX_BODY_BYTES:
        raise TypeError(f"the result of {name} has {len(body):,} bytes of arrays and tables")


def _fresh_main() -> Names:
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    return vars(module)


def _compile(text: str) -> types.CodeType:
    """Compile a cell with its author's line numbers; it stores the value of its last expression as `_LAST`."""
    source = _remember(_CELL_FILE, _FIRST_LINE, text)
    try:
        tree: Any = ast.parse(source, _CELL_FILE)
    except SyntaxError as error:  # the notebook's Python accepts the syntax
        error.msg += f" (this dyno runs Python {sys.version.split()[0]})"
        raise
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        target = ast.copy_location(ast.Name(_LAST, ast.Store()), tree.body[-1])
        tree.body[-1] = ast.copy_location(ast.Assign([target], tree.body[-1].value), tree.body[-1])
    return compile(tree, _CELL_FILE, "exec", dont_inherit=True)


def _remember(file: str, first: int, text: str) -> str:
    """Keep a piece of source for tracebacks; return it with the line numbers of its file."""
    # Python ends lines only at these characters; `splitlines` would split at others, too.
    source = "\n" * (first - 1) + text.replace("\r\n", "\n").replace("\r", "\n")
    linecache.cache[file] = (0, None, [f"{line}\n" for line in source.split("\n")], file)
    linecache.cache.pop("<string>", 0)  # this program, which Python 3.13 would show as the source of exec() and eval()
    heroku_task._BUNDLED_FILES.add(file)
    return source
