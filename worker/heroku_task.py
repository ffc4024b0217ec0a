"""Tasks for heroku_magic: declares a function's parameters, sends its rows and failures; it starts no dyno.

Copy this one file into an app. It needs nothing but Python 3.9, and importing it runs nothing.

    from heroku_task import task, progress

    @task
    def simulate(n: int = 10, seed: int = 0):
        '''Estimate pi.  n: points to draw.'''
        for i in progress(range(n)):
            yield {"i": i}

The Procfile line is `simulate: python -m heroku_task simulate`. A notebook's cell then finds rows,
progress and failures in the log as records: numbered, authenticated lines, whose format is written
down in README.md. Without a RUN_KEY (in any shell) rows are printed as plain JSON lines.
"""

# ruff: noqa: PERF203, SIM105 - contextlib would cost each dyno's start

from __future__ import annotations

# A dyno imports this before each task: _ast, _thread and _sha2 stand here for ast, threading and hmac,
# which would cost twice the time.
import _ast
import _thread
import importlib
import json
import os
import re
import signal
import sys
import time
from enum import Enum
from operator import ge, gt, le, lt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from traceback import FrameSummary, TracebackException
    from types import FrameType
    from typing import Any, TypeVar

    T = TypeVar("T")
    F = TypeVar("F", bound=Callable[..., Any])
    Function = _ast.FunctionDef
    Schema = dict[str, Any]

__all__ = ["Secret", "emit", "emit_file", "metric", "progress", "task"]

LINE = 4000  # bytes of a record: below PIPE_BUF, so that nobody else's output cuts it
BATCH = 100_000  # bytes of rows that make a record, at most
CHUNK = 1_000_000  # bytes of a table, or of a file, that make a record, about
FILES = 5_000_000  # bytes of files that a run may send
PATIENCE = 0.1  # seconds that a row waits for company, and between two words of progress
LONGEST_TRACEBACK = 20_000

_USAGE = """usage: python -m heroku_task NAME        run the task in NAME.py
       python -m heroku_task --describe  print what the Procfile's tasks take, one JSON row each

Parameters are environment variables:  n=10 seed=7 python -m heroku_task task"""
_PROCFILE_LINE = r"(?m)^([\w-]+):\s*(.+)$"
_COMMAND = r"\bpython[\d.]*\s(?:.*\s)?-m\s+heroku_task\s+(\w[\w-]*)(?!\S)"
_RUN_KEY = r"(hm-[0-9a-f]{8}):([0-9a-f]{64})"
_NOT_TASKS = {"web", "release", "describe"}
_FOLDER = os.getcwd()
_THIS_FILE = os.path.abspath(__file__)
_SHIPPED: set[str] = set()  # names of sources that came with the run and lie in no file: linecache has their lines


class TaskError(Exception):
    """The task cannot be run as it is: a sentence for whoever wrote it or called it."""


class Terminated(BaseException):
    """SIGTERM: the dyno was stopped, or its time is over."""


class _Gone(BaseException):
    """Nobody reads stdout any more."""


# -- what a task uses ------------------------------------------------------------------------------


class Secret(str):
    """The type of a parameter that nobody is to see, such as a token: text whose repr tells nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


def task(function: F) -> F:
    """Mark the one function of a file that is the task. Its types say how the environment is read."""
    function.__heroku_task__ = True  # type: ignore[attr-defined]  # a mark on a function
    return function


def emit(rows: Any) -> None:
    """Send a row (a dict, a dataclass, a namedtuple), rows (any iterable of these) or a DataFrame."""
    if _sender.is_keyed and _is_frame(rows):
        _sender.table(rows)
    else:
        _sender.rows(_as_rows(rows))


def emit_file(path: str | os.PathLike[str], name: str | None = None) -> None:
    """Send a file (a plot, a model), at most 5 MB in all; `name` stands for the path's last part.

    The notebook has its bytes as `run.files[name]`. One name twice: the later file counts.
    """
    with open(path, "rb") as file:
        data = file.read(FILES + 1)
    _sender.file(name or os.path.basename(path), data)


def metric(name: str, value: float, step: int | None = None) -> None:
    """Tell a number to watch while the task runs, a loss for example; it is no row of the result."""
    _sender.metric(str(name), float(value), None if step is None else int(step))


def progress(items: Iterable[T], total: int | None = None, text: str | None = None) -> Iterator[T]:
    """Yield the items and tell how many are done, at most ten times a second; the first and the last always."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]  # asked for a line above
    done, told, told_at = 0, -1, 0.0
    for item in items:
        if told < 0 or time.monotonic() - told_at >= PATIENCE:
            _sender.progress(done, total, text)
            told, told_at = done, time.monotonic()
        yield item
        done += 1
    if told != done:
        _sender.progress(done, total, text)


# -- sending records -------------------------------------------------------------------------------


def _sha256(data: bytes) -> Any:
    """Begin a SHA-256 with the interpreter's own code: hashlib would load all of OpenSSL."""
    for module in ("_sha2", "_sha256", "hashlib"):
        try:
            return importlib.import_module(module).sha256(data)
        except ImportError:  # _sha2 is new in 3.12, _sha256 is gone since
            continue
    raise ImportError("this Python has no SHA-256")


class _Sender:
    """Writes records to stdout: numbered, signed, each one write. Until `start` it prints rows as JSON lines."""

    def __init__(self, run_key: str, nonce: str | None = None) -> None:
        match = re.fullmatch(_RUN_KEY, run_key) if run_key else None
        self._run = match[1] if match else ""
        self._key = bytes.fromhex(match[2]) if match else b""
        self._nonce = nonce or os.urandom(4).hex()
        self._number = 0
        self.pid, self._thread = os.getpid(), _thread.get_ident()
        self._lock, self._busy = _thread.RLock(), 0
        self._waiting: list[str] = []
        self._size, self._flushed_at, self._is_timed = 2, 0.0, False
        self._stop: BaseException | None = None
        self._macs = _sha256(b"")
        self._pace = _Pace(os.environ.pop("RUN_PACE", ""))
        self._returns: list[Schema] = []
        self.is_keyed = self.has_ended = self.has_table = False
        self.row_count = self._file_bytes = 0

    def start(self, name: str, schema: Schema | None, **more: Any) -> None:
        """Send the declaration, if somebody reads records: from here on rows are records too."""
        self.is_keyed = bool(self._key)
        self.send("task", {"task": name, "parameters": schema, **more})

    def end(self, status: int) -> None:
        """Send the rows that wait and the end mark: nothing may follow."""
        with self:
            self.flush()
            checksum = self._macs.hexdigest()[:24]
            self.send("end", {"status": status, "rows": self.row_count, "checksum": checksum})
            self.has_ended = True

    def rows(self, rows: Iterable[Schema]) -> None:
        """Send rows, soon: they wait a moment for company. No rows at all say that there is a table."""
        self._refuse_child("rows were")
        for row in rows:
            text = _json(row)
            with self:
                self._add(text)
        with self:
            if not self.has_table:
                self.send("rows", [])
            self.has_table = True

    def table(self, frame: Any) -> None:
        """Send a DataFrame with its types, a chunk of rows a record."""
        self._refuse_child("a table was")
        for rows, header, body in _chunks(frame):
            with self:
                self._refuse_late()
                self.flush()
                self._send_packed("table", header, body)
                self.has_table = True
                self.row_count += rows

    def file(self, name: str, data: bytes) -> None:
        """Send a file whole, or say that it is too large."""
        self._refuse_child("a file was")
        self._file_bytes += len(data)
        if self._file_bytes > FILES:
            raise ValueError(f"{name} is too large: the files of a run may have {FILES:,} bytes in all")
        parts = [data[at : at + CHUNK] for at in range(0, len(data) or 1, CHUNK)]
        for part, body in enumerate(parts):
            with self:
                self._refuse_late()
                self.flush()
                if self.is_keyed:
                    header = {"name": name, "part": part, "parts": len(parts), "size": len(data)}
                    self._send_packed("file", header, body)

    def returned(self, call: Schema) -> None:
        """Send, soon, how one of several calls ended, after its rows."""
        with self:
            self._returns.append(call)
            self._flush_soon()

    def metric(self, name: str, value: float, step: int | None) -> None:
        """Send a number to watch; of a child process it is not the task's."""
        self._tell("metric", {"name": name, "value": value, "step": step})

    def progress(self, done: int, total: int | None, text: str | None) -> None:
        """Send how far the task is; a child process's progress is not the task's."""
        self._tell("progress", {"done": done, "total": total, "text": text})

    def _tell(self, kind: str, data: Schema) -> None:
        """Send a record that is no part of the result, after the rows that wait."""
        if self.is_keyed and not self.has_ended and not self.is_child():
            with self:
                self.flush()
                self.send(kind, data)

    def flush(self) -> None:
        """Send the rows that wait, and which calls have ended."""
        with self:
            if self._waiting:
                payload, self._waiting, self._size = f"[{','.join(self._waiting)}]", [], 2
                self._flushed_at = time.monotonic()
                self._send_text("rows", payload)
            if self._returns:
                returns, self._returns = self._returns, []
                self._flushed_at = time.monotonic()
                self.send("return", returns)

    def send(self, kind: str, data: Any) -> None:
        """Send one record, if somebody reads them."""
        if self.is_keyed:
            with self:
                self._send_text(kind, _json(data))

    def stop(self, error: BaseException) -> None:
        """Raise in the main thread, but never between a record's number and its line."""
        if not self._busy:
            raise error
        self._stop = error

    def is_child(self) -> bool:
        """Whether this is another process than the run's: a fork, or one that multiprocessing started."""
        workers = sys.modules.get("multiprocessing.process")
        return os.getpid() != self.pid or (workers is not None and workers.parent_process() is not None)

    def __enter__(self) -> None:
        # Counted before the lock is taken: a signal in between must find one or the other.
        self._busy += self._is_main()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._is_main():
            self._busy -= 1
            if self._stop and not self._busy:
                error, self._stop = self._stop, None
                raise error

    def _is_main(self) -> bool:
        return _thread.get_ident() == self._thread

    def _refuse_child(self, what: str) -> None:
        if self.is_child():
            raise RuntimeError(f"{what} emitted in a child process: give it back to the parent, emit it there")

    def _refuse_late(self) -> None:
        if self.has_ended:
            raise RuntimeError("something was emitted after the task's end")

    def _add(self, text: str) -> None:
        self._refuse_late()
        self.has_table = True
        self.row_count += 1
        if not self.is_keyed:
            _write(text)
            return
        if self._size + len(text) > BATCH:
            self.flush()
        self._waiting.append(text)
        self._size += len(text) + 1
        self._flush_soon()

    def _flush_soon(self) -> None:
        if time.monotonic() - self._flushed_at >= PATIENCE:
            self.flush()
        elif not self._is_timed:
            # A slow generator's row must not wait for its next one.
            self._is_timed = True
            _thread.start_new_thread(self._flush_later, ())

    def _flush_later(self) -> None:
        time.sleep(PATIENCE)
        with self:
            self._is_timed = False
            try:
                self.flush()
            except _Gone:  # the main thread will find out
                return

    def _send_text(self, kind: str, payload: str) -> None:
        room = LINE - 100  # the rest is for what stands before a payload
        if len(payload) > room and payload[0] in "[{":
            payload = _packed(payload, b"")
        for at in range(room, len(payload) + room, room):
            part = kind if at >= len(payload) else f"{kind}+"
            number, self._number = self._number, self._number + 1
            text = payload[at - room : at]
            mac = self._mac(f"{self._run} {self._nonce} {number} {part} {text}")
            self._macs.update(mac.encode("ascii"))
            self._pace.wait()
            _write(f"@hm1 {self._nonce} {number} {part} {mac} {text}")

    def _send_packed(self, kind: str, header: Schema, body: bytes) -> None:
        self._send_text(kind, _packed(_json(header), body))

    def _mac(self, text: str) -> str:
        """HMAC-SHA256, https://www.rfc-editor.org/rfc/rfc2104, as 24 hex digits."""
        key = self._key.ljust(64, b"\0")
        inner = _sha256(bytes(byte ^ 0x36 for byte in key) + text.encode("ascii")).digest()
        return str(_sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()[:24])


class _Pace:
    """So many lines a second at most, as RUN_PACE says: Heroku drops the lines of a dyno that prints too fast."""

    def __init__(self, lines: str) -> None:
        self._seconds = 1 / int(lines) if lines.isdigit() and int(lines) else 0.0
        self._free_at = 0.0

    def wait(self) -> None:
        """Wait for one line's turn; after a rest as many as in a second may go at once."""
        if self._seconds:
            now = time.monotonic()
            self._free_at = max(self._free_at + self._seconds, now - 1)
            if self._free_at > now:
                time.sleep(self._free_at - now)


_json = json.JSONEncoder(separators=(",", ":")).encode


def _packed(header: str, body: bytes) -> str:
    """Return a payload compressed: a header in JSON, a newline, the body."""
    import zlib
    from binascii import b2a_base64

    return b2a_base64(zlib.compress(header.encode("ascii") + b"\n" + body, 6), newline=False).decode("ascii")


def _unpacked(text: str) -> str:
    """Return the text that was compressed and written as Base64."""
    import zlib
    from binascii import a2b_base64

    return zlib.decompress(a2b_base64(text)).decode("utf-8")


def _write(text: str) -> None:
    """Write one line at once, after what the task printed before it."""
    try:
        _flush_streams()
        line = text.encode("ascii") + b"\n"
        while line:
            try:
                line = line[os.write(1, line) :]
            except BlockingIOError:  # a child process left the pipe so
                os.set_blocking(1, True)
    except BrokenPipeError:
        raise _Gone from None


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError):  # the task closed it, or there is none
            continue


# The key is taken out of the environment, so that a task which prints that does not print the key.
_sender = _Sender(os.environ.pop("RUN_KEY", ""))
_calls = os.environ.pop("RUN_CALLS", None)


# -- rows ------------------------------------------------------------------------------------------


def _as_rows(value: Any) -> Iterator[Schema]:
    """Take a row, rows or a table apart."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        _refuse_doubles(value.columns)
        value = value.to_dicts() if hasattr(value, "to_dicts") else value.to_dict("records")
    if _as_dict(value) is not None or isinstance(value, (str, bytes, type)) or not hasattr(value, "__iter__"):
        value = [value]
    return map(_row, value)


def _as_dict(value: Any) -> dict[Any, Any] | None:
    """Return a mapping, a dataclass or a namedtuple as a dict; None for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, type):
        return None
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {key: value[key] for key in value.keys()} if hasattr(value, "keys") else None  # noqa: SIM118 - sqlite3.Row


def _row(value: Any) -> Schema:
    row = _as_dict(value)
    if row is None:
        raise TypeError(f"a row is a dict of columns and values, not {type(value).__name__}: {value!r:.80}")
    return _keyed(row, _plain)


def _keyed(value: dict[Any, Any], plain: Callable[[Any, str], Any]) -> Schema:
    result = {str(key): plain(item, str(key)) for key, item in value.items()}
    if len(result) < len(value):
        raise TypeError(f"two keys of a row read the same as text: {list(value)!r:.200}")
    return result


def _plain(value: Any, column: str) -> Any:
    """Return a value as JSON has it; the column is for the error."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, column)
    if isinstance(value, dict):
        return _keyed(value, lambda item, _: _plain(item, column))
    if isinstance(value, (list, tuple)):
        return [_plain(item, column) for item in value]
    if not isinstance(value, type):
        return _foreign(value, column)
    raise _no_json(value, column)


def _foreign(value: Any, column: str) -> Any:
    """Values of libraries, known by what they can do: none is imported for it."""
    name, dtype = type(value).__name__, str(getattr(value, "dtype", ""))
    if name in ("NaTType", "NAType") or (dtype.startswith("datetime64") and str(value) == "NaT"):
        return None
    if dtype.startswith("datetime64"):
        return _plain(value.astype(str).tolist(), column)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist") and not dtype.startswith("timedelta64"):  # numpy's scalars and arrays, Series
        converted = value.tolist()
        if type(converted) is type(value):  # a longdouble stays one
            raise _no_json(value, column)
        return _plain(converted, column)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, os.PathLike) or type(value).__module__ in ("decimal", "uuid"):
        return str(value)
    raise _no_json(value, column)


def _no_json(value: Any, column: str) -> TypeError:
    return TypeError(f"column {column!r} holds {type(value).__name__}, which has no form in JSON: {value!r:.80}")


# -- tables: a DataFrame's columns as bytes, with their types --------------------------------------

_NUMBERS = r"u?int(8|16|32|64)|float(16|32|64)|bool"
_NULLABLE = r"U?Int(8|16|32|64)|Float(32|64)|boolean"
_TIMES = r"(datetime64|timedelta64)\[(s|ms|us|ns)(, .+)?\]"


def _is_frame(value: Any) -> bool:
    """Whether it is a pandas DataFrame, which is not imported for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _refuse_doubles(columns: Any) -> None:
    if len(set(map(str, columns))) < len(columns):
        raise TypeError(f"two columns of the table have one name: {list(columns)!r:.200}")


def _chunks(frame: Any) -> Iterator[tuple[int, Schema, bytes]]:
    """Yield a table's chunks: how many rows, the header, the columns' bytes; an empty table is one chunk."""
    _refuse_doubles(frame.columns)
    row_bytes = frame.memory_usage(index=False, deep=True).sum() // (len(frame) or 1)
    step = max(CHUNK // (int(row_bytes) or 1), 1)
    for at in range(0, len(frame) or 1, step):
        chunk = frame.iloc[at : at + step]
        columns, buffers = [], []
        for place, name in enumerate(frame.columns):
            head, parts = _column(chunk.iloc[:, place], str(name))
            columns.append({"name": str(name), **head})
            buffers += parts
        sizes = [len(buffer) for buffer in buffers]
        left = max(len(frame) - at - step, 0)
        yield len(chunk), {"rows": len(chunk), "left": left, "columns": columns, "sizes": sizes}, b"".join(buffers)


def _column(series: Any, name: str) -> tuple[Schema, list[bytes]]:
    """Return what a column is and its buffers, in one of three codings: numbers, codes or json."""
    dtype = str(series.dtype)
    if dtype == "category":
        codes, values = series.cat.codes.to_numpy(), series.cat.categories.to_series()
        return _codes(dtype, codes, values, name, ordered=bool(series.cat.ordered))
    if re.fullmatch(_NUMBERS, dtype):
        return {"coding": "numbers", "dtype": dtype, "numbers": dtype}, [_shuffled(series.to_numpy())]
    if re.fullmatch(_NULLABLE, dtype):
        numbers = "bool" if dtype == "boolean" else dtype.lower()
        parts = [series.isna().to_numpy(), series.to_numpy(dtype=numbers, na_value=0)]
        return {"coding": "numbers", "dtype": dtype, "numbers": numbers, "mask": True}, [*map(_shuffled, parts)]
    if time_type := re.fullmatch(_TIMES, dtype):
        moments = series.to_numpy(dtype=f"{time_type[1]}[{time_type[2]}]").view("int64")
        return {"coding": "numbers", "dtype": dtype, "numbers": "int64"}, [_shuffled(moments)]
    return _text(series, dtype, name)


def _text(series: Any, dtype: str, name: str) -> tuple[Schema, list[bytes]]:
    """Return a column of text, or of whatever JSON has; what is repeated much is sent once, with codes."""
    if dtype.startswith("str"):  # whose missing values are all the same
        series = series.astype(object).where(series.notna(), None)
    dtype, values = "string" if dtype.startswith("string") else "", series.tolist()
    if set(map(type, values)) <= {str, type(None)}:
        codes, unique = series.factorize()
        if 2 * len(unique) < len(values):
            return _codes(dtype, codes, unique.to_series(), name)
    text = _json([_plain(value, name) for value in values])
    return {"coding": "json", "dtype": dtype}, [text.encode("ascii")]


def _codes(dtype: str, codes: Any, values: Any, name: str, ordered: bool = False) -> tuple[Schema, list[bytes]]:
    """Return a column as places in a list of its values, -1 for null."""
    numbers = next(f"int{bits}" for bits in (8, 16, 32, 64) if len(values) < 2 ** (bits - 1))
    head, parts = _column(values, name)
    coded = {"coding": "codes", "dtype": dtype, "numbers": numbers, "ordered": ordered}
    return {**coded, "of": {**head, "rows": len(values)}}, [_shuffled(codes.astype(numbers)), *parts]


def _shuffled(numbers: Any) -> bytes:
    """Return the numbers' first bytes, then all their second bytes and so on: so they compress far better."""
    data, size = numbers.tobytes(), numbers.itemsize
    return data if size == 1 else b"".join(data[place::size] for place in range(size))


# -- what a task takes: one way from its source to JSON Schema -------------------------------------

_SIMPLE = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "list": "array", "dict": "object"}
_FORMATS = {"date": "date", "datetime": "date-time"}
# The words that may stand beside a type, in Annotated, and what they take:
# https://json-schema.org/draft/2020-12/json-schema-validation
_NUMBER, _COUNT = "a number", "a whole number, 0 or more"
_BESIDE = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    "multipleOf": "a number above 0",
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    "enum": "a list",
    "description": "text",
}


class _Source:
    """A task's source file: its one @task function, and the names that its types use. It is read and not run."""

    def __init__(self, filename: str) -> None:
        try:
            with open(filename, "rb") as file:
                body = _parsed(file.read(), filename, "exec").body
        except FileNotFoundError:
            raise TaskError(f"there is no {filename} beside heroku_task.py") from None
        self._names: dict[str, Any] = dict(filter(None, map(_named, body)))
        self.function = _task_of(body, filename)

    def schema(self) -> Schema:
        """Return the JSON Schema of the function's parameters."""
        given = self.function.args
        if given.posonlyargs:
            raise TaskError(f"{self.function.name} takes parameters before a `/`, which cannot be given by name")
        defaults = [*[None] * (len(given.args) - len(given.defaults)), *given.defaults, *given.kw_defaults]
        pairs = list(zip([*given.args, *given.kwonlyargs], defaults))  # noqa: B905 - Python 3.9 has no strict
        properties = {argument.arg: self._property(argument, node) for argument, node in pairs}
        required = [argument.arg for argument, node in pairs if node is None]
        summary, help_texts = _docstring(self.function, list(properties))
        for name, text in help_texts.items():
            properties[name].setdefault("description", text)
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return {**schema, "description": summary} if summary else schema

    def _property(self, argument: _ast.arg, default: _ast.expr | None) -> Schema:
        """Return the schema of one parameter; of a secret one the default is not told."""
        try:
            schema = self._type(argument.annotation)
            if _is_secret(schema):
                return {**schema, "writeOnly": True}
        except TaskError as error:
            raise TaskError(f"{argument.arg}: {error}") from None
        schema = {**schema, **self._default(default)}
        kinds = schema.get("anyOf", [schema])
        if "default" in schema and not any(_keeps(schema["default"], kind) for kind in kinds):
            told = f"its default is {schema['default']!r:.80}, which it does not take: expected {_expected(schema)}"
            raise TaskError(f"{argument.arg}: {told}")
        return schema

    def _default(self, node: _ast.expr | None) -> Schema:
        """Return the default, where it is a value that JSON has."""
        try:
            return {} if node is None else {"default": json.loads(_json(self._value(node)))}
        except (ValueError, TypeError, LookupError, RecursionError):
            return {}

    def _value(self, node: Any) -> Any:
        """Return what a literal, a name of the file for one, an Enum's member or a date stands for; or ValueError."""
        if isinstance(node, _ast.Constant):
            return node.value
        if isinstance(node, _ast.Name):
            return self._meant(node.id, self._value)
        if isinstance(node, _ast.Attribute):
            return self._members(_name(node.value))[node.attr]
        if isinstance(node, _ast.Dict):
            return {self._value(key): self._value(item) for key, item in zip(node.keys, node.values)}  # noqa: B905
        if isinstance(node, _ast.Call) and _name(node.func) in _FORMATS and not node.keywords:
            from datetime import date, datetime

            kind = date if _name(node.func) == "date" else datetime
            return kind(*map(self._value, node.args)).isoformat()
        from ast import literal_eval

        return literal_eval(node)

    def _type(self, node: _ast.expr | None) -> Schema:
        """Return the schema of an annotation; what is not known takes anything."""
        if isinstance(node, _ast.Constant):
            return self._of_text(node.value)
        if isinstance(node, _ast.BinOp) and isinstance(node.op, _ast.BitOr):
            return _any_of([self._type(node.left), self._type(node.right)])
        if isinstance(node, _ast.Subscript):
            items = node.slice.elts if isinstance(node.slice, _ast.Tuple) else [node.slice]
            return self._subscript(_name(node.value), items)
        name = _name(node)
        if isinstance(node, _ast.Name) and name in self._names:
            return self._choices(name) or self._meant(name, self._type)
        if name == "Secret":
            return {"type": "string", "format": "password", "writeOnly": True}
        if name in _FORMATS:
            return {"type": "string", "format": _FORMATS[name]}
        kind = _SIMPLE.get({"List": "list", "Dict": "dict"}.get(name, name))
        return {"type": kind} if kind else {}

    def _of_text(self, annotation: Any) -> Schema:
        """Return the schema of an annotation in quotes, and of None."""
        try:
            if isinstance(annotation, str):
                return self._type(_parsed(annotation, "annotation", "eval").body)
        except (SyntaxError, ValueError):
            return {}
        return {"type": "null"} if annotation is None else {}

    def _subscript(self, name: str, items: list[_ast.expr]) -> Schema:
        if name == "Annotated":
            schema = self._type(items[0])
            for item in items[1:]:
                schema = _with_words(schema, self._beside(item))
            return schema
        if name == "Literal":
            choices = [self._default(item) for item in items]
            return {"enum": [choice["default"] for choice in choices]} if all(choices) else {}
        if name in ("Optional", "Union"):
            return _any_of([*map(self._type, items), *[{"type": "null"}] * (name == "Optional")])
        if name in ("list", "List", "dict", "Dict"):
            kind, key = ("array", "items") if name in ("list", "List") else ("object", "additionalProperties")
            inner = self._type(items[-1])
            return {"type": kind, key: inner} if inner else {"type": kind}
        return {}

    def _beside(self, node: _ast.expr) -> Schema:
        """Return what stands beside a type in Annotated: words of JSON Schema, or text, the help."""
        try:
            told = self._value(node)
        except (ValueError, TypeError, LookupError):
            if isinstance(node, _ast.Dict):
                raise TaskError("the words beside its type have to be literals") from None
            return {}  # another library's
        if isinstance(told, str):
            return {"description": told}
        return _checked_words(told) if isinstance(told, dict) else {}

    def _choices(self, name: str) -> Schema:
        """Return the values of an Enum of the file; nothing, if the name is none."""
        node = self._names[name]
        if not isinstance(node, _ast.ClassDef) or not {"Enum", "IntEnum", "StrEnum"} & {*map(_name, node.bases)}:
            return {}
        try:
            values = list(dict.fromkeys(self._members(name).values()))
        except (ValueError, TypeError, LookupError):
            values = []
        if not values or not all(isinstance(value, (str, int, float)) for value in values):
            raise TaskError(f"the values of {name} have to be texts or numbers, each written as it is")
        return {"enum": values, "title": name}

    def _members(self, name: str) -> dict[str, Any]:
        """Return the values that a class of the file has, by their names."""
        members: dict[str, Any] = {}
        for statement in getattr(self._names[name], "body", ()):
            named = _named(statement)
            if named and not named[0].startswith("_"):
                is_auto = isinstance(named[1], _ast.Call) and _name(named[1].func) == "auto"
                members[named[0]] = self._auto(name, named[0], members) if is_auto else self._value(named[1])
        return members

    def _auto(self, name: str, member: str, members: dict[str, Any]) -> Any:
        """Return what Enum's auto() gives."""
        is_text = "StrEnum" in map(_name, self._names[name].bases)
        return member.lower() if is_text else [0, *members.values()][-1] + 1

    def _meant(self, name: str, read: Callable[[Any], T]) -> T:
        """Read what a name of the file stands for; while it is read it stands for nothing, lest it goes in circles."""
        node = self._names.pop(name, None)
        if node is None:
            raise ValueError(name)
        try:
            return read(node)
        finally:
            self._names[name] = node


def _parsed(source: bytes | str, filename: str, mode: str) -> Any:
    return compile(source, filename, mode, _ast.PyCF_ONLY_AST, dont_inherit=True)


def _named(node: _ast.stmt) -> tuple[str, Any] | None:
    """Return the name that a statement gives to a class or a value, and that."""
    if isinstance(node, _ast.ClassDef):
        return node.name, node
    if type(node).__name__ not in ("Assign", "AnnAssign", "TypeAlias"):  # the last is new in 3.12
        return None
    target = getattr(node, "targets", [getattr(node, "target", getattr(node, "name", None))])[0]
    return (target.id, node.value) if isinstance(target, _ast.Name) and node.value else None  # type: ignore[attr-defined]


def _task_of(body: list[_ast.stmt], filename: str) -> Function:
    """Return the one @task function of a file."""
    kinds = (_ast.FunctionDef, _ast.AsyncFunctionDef)
    found = [node for node in body if isinstance(node, kinds) and "task" in map(_name, node.decorator_list)]
    if len(found) != 1:
        names = ", ".join(function.name for function in found) or "none"
        raise TaskError(f"{filename} needs exactly one function marked @task; found: {names}")
    if isinstance(found[0], _ast.AsyncFunctionDef):
        raise TaskError(f"{found[0].name} is async: make it a plain function that calls asyncio.run()")
    return found[0]


def _docstring(function: Function, names: list[str]) -> tuple[str, dict[str, str]]:
    """Return the first paragraph and the help of each parameter (`name: text`)."""
    first = function.body[0]
    text = first.value.value if isinstance(first, _ast.Expr) and isinstance(first.value, _ast.Constant) else ""
    if not isinstance(text, str) or not text:
        return "", {}
    start = rf"(?:^|\n|\s\s)\s*({'|'.join(names) or '(?!)'}):[ \t]+"
    help_texts = re.findall(rf"{start}(\S.*?)\s*(?=\s\s(?:{'|'.join(names)}):[ \t]|\n|$)", text)
    summary = re.split(rf"{start}|\n\s*\n", text.strip())[0]
    return " ".join(summary.split()), dict(help_texts)


def _checked_words(words: dict[Any, Any]) -> Schema:
    """Refuse a word that nobody would check: a limit that is misspelt is no limit."""
    for word, value in words.items():
        if word not in _BESIDE:
            raise TaskError(f"{word!r:.40} beside its type is none of {', '.join(_BESIDE)}")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0
        is_count = is_number and isinstance(value, int) and value >= 0
        is_list = isinstance(value, list) and bool(value)
        fits = {_NUMBER: is_number, _COUNT: is_count, "text": isinstance(value, str), "a list": is_list}
        if not fits.get(_BESIDE[word], is_number and value > 0):
            raise TaskError(f"{word} is {value!r:.40}: expected {_BESIDE[word]}")
    return json.loads(_json(words))  # type: ignore[no-any-return]  # a dict goes in


def _with_words(schema: Schema, words: Schema) -> Schema:
    """Return a schema with words: limits stand with each type that they may limit, the help beside them all."""
    if "anyOf" not in schema:
        return {**schema, **words}
    limits = {word: limit for word, limit in words.items() if word != "description"}
    kinds = [kind if kind == {"type": "null"} else {**kind, **limits} for kind in schema["anyOf"]]
    told = {word: text for word, text in words.items() if word not in limits}
    return {**schema, "anyOf": kinds, **told}


def _any_of(schemas: list[Schema]) -> Schema:
    kinds = [kind for one in schemas for kind in (one["anyOf"] if one.keys() == {"anyOf"} else [one])]
    return {"anyOf": kinds} if all(kinds) else {}


_MOMENT = r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?)?"


def _is_secret(schema: Schema) -> bool:
    """Whether a value holds a secret somewhere."""
    inner = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    return bool(schema.get("writeOnly")) or any(isinstance(one, dict) and _is_secret(one) for one in inner)


def _name(node: _ast.AST | None) -> str:
    """Return the name of `x` and of `module.x`."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


# -- the environment -> a task's arguments ---------------------------------------------------------


def _arguments(schema: Schema, names: dict[str, Any]) -> dict[str, Any]:
    """Read a task's arguments from the environment; raise TaskError with all that is wrong.

    names: the task's module, where its Enums are found.
    """
    values, faults = {}, []
    for name, kind in schema["properties"].items():
        if name in os.environ:
            try:
                values[name] = _decoded(os.environ[name], kind, names)
            except (ValueError, OverflowError, RecursionError):
                told = "a secret" if kind.get("writeOnly") else f"{os.environ[name]!r:.80}"
                faults.append(f"{name} is {told}: expected {_expected(kind)}")
        elif name in schema["required"]:
            faults.append(f"{name} is missing")
    if faults:
        raise TaskError("; ".join(faults))
    return values


def _decoded(text: str, schema: Schema, names: dict[str, Any]) -> Any:
    """Read a text as its type says; raise ValueError if it does not fit."""
    kind = schema.get("type")
    if kind == "string" or text in schema.get("enum", ()):
        return _fitted(text, schema, names)
    if kind in _WORDS:
        return _fitted(_WORDS[kind](text), schema, names)
    try:
        return _fitted(json.loads(text), schema, names)
    except ValueError:
        if kind or "enum" in schema:
            raise
    # Text, where a type takes that besides what JSON has.
    kinds = schema.get("anyOf")
    return _first(text, kinds, lambda text, kind: _decoded(text, kind, names)) if kinds else text


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    word = text.strip().lower()
    if word not in words:
        raise ValueError(text)
    return words[word]


_WORDS: dict[Any, Callable[[str], Any]] = {"boolean": _boolean, "integer": int, "number": float}
_PYTHON: dict[Any, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _fitted(value: Any, schema: Schema, names: dict[str, Any]) -> Any:
    """Return a JSON value as its type has it; raise ValueError if it does not fit."""
    kind = schema.get("type")
    if "anyOf" in schema:
        return _first(value, schema["anyOf"], lambda value, kind: _fitted(value, kind, names))
    if kind and type(value) not in _PYTHON[kind]:
        raise ValueError(value)
    value = float(value) if kind == "number" else value
    if "enum" in schema and not any((kind or type(one) is type(value)) and one == value for one in schema["enum"]):
        raise ValueError(value)
    if "title" in schema:
        return names[schema["title"]](value)
    if kind == "array":
        value = [_fitted(item, schema.get("items", {}), names) for item in value]
    if kind == "object":
        value = {key: _fitted(item, schema.get("additionalProperties", {}), names) for key, item in value.items()}
    if not _keeps(value, schema):
        raise ValueError(value)
    return _formed(value, schema["format"]) if "format" in schema else value


def _formed(text: str, form: str) -> Any:
    """Return text of a format as a date, a time or a Secret."""
    if form == "password":
        return Secret(text)
    from datetime import date, datetime

    if form == "date":
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError(text)
        return date.fromisoformat(text)
    match = re.fullmatch(_MOMENT, text, re.ASCII)
    if match is None:
        raise ValueError(text)
    day, clock, fraction, zone = match.groups("")
    # As Python 3.9 reads it: six digits of a second, and no Z.
    micro = f".{fraction[:6]:0<6}" if fraction else ""
    return datetime.fromisoformat(f"{day}T{clock or '00:00'}{micro}{'+00:00' if zone in ('Z', 'z') else zone}")


def _keeps(value: Any, schema: Schema) -> bool:
    """Whether a value keeps to the limits that its type has."""
    for kinds, size_of, limits in _LIMITS:
        if isinstance(value, kinds):
            size = size_of(value)
            return all(keeps(size, schema[word]) for word, keeps in limits.items() if word in schema)
    return True


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    steps = value / step
    # A tenth is no tenth to a float: what is near a whole number of steps is one.
    return abs(steps) < 1e300 and abs(steps - round(steps)) <= 1e-9 + 1e-15 * abs(steps)


_LIMITS: Any = (
    (bool, bool, {}),
    (
        (int, float),
        lambda value: value,
        {"minimum": ge, "maximum": le, "exclusiveMinimum": gt, "exclusiveMaximum": lt, "multipleOf": _is_multiple},
    ),
    (str, len, {"minLength": ge, "maxLength": le}),
    (list, len, {"minItems": ge, "maxItems": le}),
)


def _first(value: Any, kinds: list[Schema], read: Callable[[Any, Schema], Any]) -> Any:
    """Return what the first kind that takes a value makes of it."""
    for kind in kinds:
        try:
            return read(value, kind)
        except ValueError:
            continue
    raise ValueError(value)


def _expected(schema: Schema) -> str:
    limits = [text.format(schema[word]) for word, text in _TOLD.items() if word in schema]
    return " ".join([_expected_kind(schema), *limits])


def _expected_kind(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_expected, schema["anyOf"]))
    if "format" in schema:
        return {"date": "a date (YYYY-MM-DD)", "date-time": "a time (YYYY-MM-DDTHH:MM:SS)"}.get(
            schema["format"], "text"
        )
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
    more = {"array": "a list", "object": "a dict", "null": "null"}
    inner = schema.get("items") or schema.get("additionalProperties")
    return {**words, **more}.get(schema.get("type", ""), "anything") + (f" (each {_expected(inner)})" if inner else "")


_TOLD = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "in steps of {}",
    "minLength": "of at least {} characters",
    "maxLength": "of at most {} characters",
    "minItems": "of at least {} items",
    "maxItems": "of at most {} items",
}


# -- running a task --------------------------------------------------------------------------------


def _run(work: Callable[[], int]) -> int:
    """Do the work and return the exit status; whatever goes wrong becomes a failure record."""
    try:
        status = _work(work)
    except BaseException as error:  # a task may raise anything, SystemExit too
        if os.getpid() != _sender.pid:  # a fork that came here is no run
            raise
        status = _fail(error)
    if os.getpid() == _sender.pid:
        _sender.end(status)
    return status


def _work(work: Callable[[], int]) -> int:
    signal.signal(signal.SIGTERM, _on_signal)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_signal)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_signals)
    status = work()
    _join_threads()
    return status


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Stop the task where it stands; once it is over, its end mark is not to be cut off."""
    while frame is not None and frame.f_code is not _work.__code__:
        frame = frame.f_back
    if frame is not None:
        signal.signal(number, signal.SIG_IGN)
        is_term = number == signal.SIGTERM
        _sender.stop(Terminated("the dyno was told to stop (SIGTERM)") if is_term else KeyboardInterrupt())


def _forget_signals() -> None:
    """A child process dies of a signal as any other: Pool.terminate() relies on it."""
    for number, usual in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, usual)


def _join_threads() -> None:
    """Wait for the threads that Python itself would wait for: their rows come before the end mark."""
    threading = sys.modules.get("threading")
    if threading is not None:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()


def _run_task(name: str) -> int:
    """Run a task once, or once for each call that RUN_CALLS holds; return the exit status."""
    schema = None
    try:
        source = _Source(f"{name}.py")
        schema = source.schema()
    finally:
        _sender.start(name, schema)
    function = _imported(name)

    def call() -> None:
        result = function(**_arguments(schema, vars(sys.modules[name])))
        for part in result if hasattr(result, "__next__") else [] if result is None else [result]:
            emit(part)
        if not _sender.has_table and (result is not None or _declares_table(source.function.returns)):
            emit([])

    if _calls is not None:
        return _call_each(call, json.loads(_unpacked(_calls)))
    call()
    return 0


def _call_each(call: Callable[[], None], calls: list[dict[str, str]]) -> int:
    """Call once for each of several environments, one after another: one that fails stops no other."""
    failed, given, folder = 0, dict(os.environ), os.getcwd()
    for place, env in enumerate(calls):
        began, before, _sender.has_table = time.monotonic(), _sender.row_count, False
        _set_back({**given, **env}, folder)
        status = _status(call)
        if os.getpid() != _sender.pid:  # a fork that came back is no call
            return status
        rows = _sender.row_count - before if _sender.has_table else None
        _sender.returned({"call": place, "status": status, "rows": rows, "seconds": round(time.monotonic() - began, 6)})
        failed += status != 0
    return 1 if failed else 0


def _set_back(env: dict[str, str], folder: str) -> None:
    """Give a call the environment and the folder of a run of its own, whatever the call before made of them."""
    if dict(os.environ) != env:
        os.environ.clear()
        os.environ.update(env)
    os.chdir(folder)


def _status(call: Callable[[], None]) -> int:
    """Call, and return the exit status that a run of its own would have had; its failure is told."""
    try:
        call()
        _join_threads()
    except (Exception, SystemExit) as error:  # a task may raise anything; a signal is for all calls
        if os.getpid() != _sender.pid:
            raise
        return _fail(error)
    return 0


def _declares_table(node: _ast.expr | None) -> bool:
    """Whether a return annotation says that there are rows, be it none."""
    is_none = isinstance(node, _ast.Constant) and node.value in (None, "None")
    return node is not None and not is_none and _name(node) not in ("NoReturn", "Never")


def _imported(name: str) -> Callable[..., Any]:
    """Import the task's file and return its one @task function."""
    if _FOLDER not in sys.path:
        sys.path.insert(0, _FOLDER)
    module = importlib.import_module(name)
    place = getattr(module, "__file__", None) or "Python itself"
    if not (os.path.exists(place) and os.path.samefile(place, os.path.join(_FOLDER, f"{name}.py"))):
        raise TaskError(f"{name}.py has the name of another module ({place}): rename it")
    marked = {id(value): value for value in vars(module).values() if getattr(value, "__heroku_task__", False) is True}
    own = [value for value in marked.values() if value.__module__ == module.__name__]
    if len(own) != 1:
        raise TaskError(f"{name}.py needs exactly one function marked with heroku_task's @task, and has {len(own)}")
    return own[0]  # type: ignore[no-any-return]  # a function, by its mark


# -- failures --------------------------------------------------------------------------------------


def _fail(error: BaseException) -> int:
    """Tell what went wrong, in the log and as a record; return the exit status."""
    if isinstance(error, _Gone) or (isinstance(error, BrokenPipeError) and _is_unread()):
        raise _Gone from None
    code = error.code if isinstance(error, SystemExit) else None
    if isinstance(error, SystemExit) and (code is None or (isinstance(code, int) and not code & 0xFF)):
        return 0
    _sender.flush()
    failure = _failure(error)
    try:
        sys.stderr.write(failure["traceback"])
    except (AttributeError, ValueError, OSError):  # closed by the task; the record has it too
        pass
    _sender.send("failure", failure)
    if isinstance(code, int):
        return code & 0xFF  # as the operating system will have it
    return {Terminated: 143, KeyboardInterrupt: 130}.get(type(error), 1)


def _is_unread() -> bool:
    """Whether nobody reads stdout, as poll(2) reports it."""
    from select import POLLERR, poll

    poller = poll()
    poller.register(1, 0)
    return any(event & POLLERR for _, event in poller.poll(0))


def _failure(error: BaseException) -> dict[str, Any]:
    from traceback import TracebackException

    report = TracebackException(type(error), error, error.__traceback__)
    places = [(entry.filename, entry.lineno or 0, entry.name, _span(entry)) for entry in report.stack]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno or 0, "<module>", None))
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    is_told = isinstance(error, (TaskError, Terminated, SystemExit))
    text = f"{type(error).__name__}: {_message(error)}\n" if is_told else _traceback(report)
    return {
        "type": type(error).__name__,
        "message": _clipped(_message(error), 4000),
        "frames": [_frame(*place) for place in places if _is_own(place[0])][-5:],
        "missing": missing if missing and "." not in missing else None,
        "traceback": _clipped(text, LONGEST_TRACEBACK),
    }


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"exit status {error.code}" if isinstance(error.code, int) else str(error.code)
    try:
        return error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # noqa: BLE001 - a foreign exception's own __str__
        return "(its message cannot be shown)"


def _clipped(text: str, room: int) -> str:
    """Keep the head and the tail of a text."""
    mark = "\n[...]\n"
    head = room // 4
    return text if len(text) <= room else text[:head] + mark + text[len(text) - (room - head - len(mark)) :]


def _traceback(report: TracebackException) -> str:
    """Return the traceback as Python prints it, without the frames of this file."""
    chain, seen = [report], 0
    while seen < len(chain):
        one, seen = chain[seen], seen + 1
        one.stack[:] = [entry for entry in one.stack if not _is_ours(entry)]
        others = [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]
        chain += [other for other in others if other is not None]
    return "".join(report.format())


def _is_ours(entry: FrameSummary) -> bool:
    """Whether a frame is this file's or the import machinery's, which say nothing about the task."""
    return entry.filename.startswith("<frozen importlib") or entry.filename in (_THIS_FILE, importlib.__file__)


def _is_own(file: str) -> bool:
    """Whether a file is the task's own: in the app's folder, not this helper, not an installed package."""
    if file in _SHIPPED:
        return True
    path = os.path.relpath(os.path.join(_FOLDER, file), _FOLDER)
    outside = path.startswith((".", "<")) or "site-packages" in path  # Heroku's Python lives in .heroku/
    return not outside and os.path.join(_FOLDER, path) != _THIS_FILE and os.path.exists(file)


def _span(entry: FrameSummary) -> tuple[int, int] | None:
    """Return where in its line the failing expression stands, in bytes of UTF-8; Python knows since 3.11."""
    begin, end = getattr(entry, "colno", None), getattr(entry, "end_colno", None)
    if begin is None or end is None:
        return None
    return begin, end if entry.end_lineno == entry.lineno else 1 << 16  # to the end of the line


def _frame(file: str, line: int, function: str, span: tuple[int, int] | None) -> dict[str, Any]:
    import linecache

    path = file if file in _SHIPPED else os.path.join(_FOLDER, file)
    lines = [(number, linecache.getline(path, number)) for number in range(max(1, line - 2), line + 1)]
    source = [[number, text.rstrip()[:300]] for number, text in lines if text.strip()]
    name = file if file in _SHIPPED else os.path.relpath(path, _FOLDER)
    frame = {"file": name, "line": line, "function": function, "source": source}
    failing = lines[-1][1].rstrip().encode()
    columns = [len(failing[:at].decode("utf-8", "replace")) for at in span or ()]
    return {**frame, "columns": columns} if columns and columns[0] < columns[1] else frame


# -- the command line ------------------------------------------------------------------------------


def _describe() -> int:
    """Print what each task of the Procfile takes, one row each; sources are read, not imported."""
    _sender.start("describe", None)
    try:
        with open("Procfile", encoding="utf-8") as file:
            lines = re.findall(_PROCFILE_LINE, file.read())
    except FileNotFoundError:
        raise TaskError("there is no Procfile here: it names the tasks") from None
    emit([_described(name, command.strip()) for name, command in lines if name not in _NOT_TASKS])
    return 0


def _described(name: str, command: str) -> dict[str, Any]:
    """Return what one task takes: as its source declares it, or as its file NAME.schema.json does."""
    match = re.search(_COMMAND, command)
    try:
        schema = _Source(f"{match[1]}.py").schema() if match else _written(name)
    except (OSError, SyntaxError, ValueError, RecursionError, TaskError) as error:
        return {"task": name, "parameters": None, "error": f"{type(error).__name__}: {error}"}
    # `calls`: this helper knows what RUN_CALLS asks for.
    return {"task": name, "parameters": schema, **({"calls": True} if match else {})}


def _written(name: str) -> Schema | None:
    """Return what a task of another language declares in a file, if there is one."""
    file_name = f"{name}.schema.json"
    if not os.path.exists(file_name):
        return None
    with open(file_name, encoding="utf-8-sig") as file:
        schema = json.load(file)
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise TaskError(f"{file_name} has to be a JSON Schema: an object whose `properties` are the task's parameters")
    return schema


def _main(words: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    if words == ["--describe"]:
        return _run(_describe)
    if len(words) == 1 and not words[0].startswith("-"):
        return _run(lambda: _run_task(words[0]))
    is_asked = words in ([], ["-h"], ["--help"])
    print(_USAGE, file=sys.stdout if is_asked else sys.stderr)
    return 0 if is_asked else 2


def _ended(work: Callable[[], int]) -> int:
    """Return the exit status of a process that does this work and nothing else."""
    try:
        status = work()
        _flush_streams()
    except (_Gone, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE  # as of any command whose reader went away
    return status


if __name__ == "__main__":
    # One module, not two: a task that imports heroku_task must meet this one, with its numbers and its key.
    sys.modules["heroku_task"] = sys.modules["__main__"]
    sys.exit(_ended(lambda: _main(sys.argv[1:])))
