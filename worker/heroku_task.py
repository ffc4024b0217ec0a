"""Read a task's parameters from the environment, and send its rows, progress and failures to the notebook.

Copy this one file into a Heroku app. It needs only Python 3.9 or later.

    from heroku_task import task, progress

    @task
    def simulate(n: int = 10, seed: int = 0):
        '''Estimate pi.  n: points to draw.'''
        for i in progress(range(n)):
            yield {"i": i}

The Procfile line is `simulate: python -m heroku_task simulate`. Rows, progress and failures are
written to the log as numbered, authenticated records. README.md specifies their format. Without the
environment variable RUN_KEY, as in a shell, rows are printed as plain JSON lines.
"""

# ruff: noqa: PERF203 - contextlib would slow down the start of every dyno

from __future__ import annotations

# Every dyno imports this file before its task, so start-up time counts: _ast, _thread and _sha2 replace
# ast, threading and hmac, which would double it.
import _ast
import _thread
import importlib
import io
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
    from types import CodeType, FrameType
    from typing import Any, TypeVar, overload

    T = TypeVar("T")
    F = TypeVar("F", bound=Callable[..., Any])
    Function = _ast.FunctionDef
    Schema = dict[str, Any]

__all__ = ["Secret", "emit", "emit_file", "metric", "progress", "task", "warm_up"]

MAX_LINE_BYTES = 4000  # below PIPE_BUF, so that a record is written in one piece
MAX_BATCH_BYTES = 100_000  # of rows in one record
BAR_SECONDS = 0.5  # between two states of a progress bar in the log
CHUNK_BYTES = 1_000_000  # of a table or a file in one record, approximately
MANY_COLUMNS = 1_250  # of a table, beyond which its records are larger, as each has a header for every column
MAX_FILES_BYTES = 5_000_000  # all files of a run together
WORKER_GRACE_SECONDS = 3  # that a stopped task may wait for its threads and pools: Heroku allows 30 in total
FLUSH_SECONDS = 0.1  # how long a row waits to share a record, and the pause between two progress records
MAX_TRACEBACK_CHARS = 20_000

_USAGE = """usage: python -m heroku_task NAME        run the task in NAME.py
       python -m heroku_task --describe  print the parameters of each task in the Procfile, as JSON rows

Parameters are environment variables:  n=10 seed=7 python -m heroku_task task"""
# Heroku's own rule: the colon is optional, the blank after it is not, and the last declaration of a name counts.
_PROCFILE_LINE = r"(?am)^[^\S\n]*([\w-]+):?[^\S\n]+(\S.*)$"
_COMMAND = r"\bpython[\d.]*\s(?:.*\s)?-m\s+heroku_task\s+(\w[\w-]*)(?!\S)"
_RUN_KEY = r"(hm-[0-9a-f]{8}):([0-9a-f]{64})"
_PADS = [bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C)]  # of HMAC, as tables for `translate`
_NOT_TASKS = {"web", "release", "describe"}
_APP_FOLDER = os.getcwd()
_THIS_FILE = os.path.abspath(__file__)
_BUNDLED_FILES: set[str] = set()  # file names of source that was sent with the run: linecache holds their lines


class TaskError(Exception):
    """The task cannot run because of its declaration or its parameters. The message is for the user."""


class Terminated(BaseException):
    """The dyno received SIGTERM: it was stopped, or reached its time limit."""


class _StdoutClosed(BaseException):
    """The reader of stdout has gone away."""


# -- the functions that a task uses ----------------------------------------------------------------


class Secret(str):
    """A string that must not be shown, such as an API token.

    Declare a parameter as `token: Secret` to pass it with `--secret token`. The notebook masks its
    value in all output.

    Examples
    --------
    >>> Secret("hunter2")
    Secret(***)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


if TYPE_CHECKING:

    @overload
    def task(function: F) -> F: ...

    @overload
    def task(*, history: bool = ..., cache: bool = ...) -> Callable[[F], F]: ...


def task(function: Any = None, **_: bool) -> Any:
    """Mark the one function of a file that is the task.

    Parameters
    ----------
    function : callable
        Its parameters are the task's parameters. Their annotations decide how environment variables
        are converted. README.md lists the supported types.
    history : bool
        False: notebooks do not remember the task's runs. Write it as a constant: it is read from the source.
    cache : bool
        True: a notebook may answer a call from an earlier run with the same parameters, if its user has set that.

    Returns
    -------
    callable
        The same function, or without a function a decorator.

    Examples
    --------
    >>> @task
    ... def double(n: int = 1):
    ...     return {"n": 2 * n}
    >>> double(3)
    {'n': 6}
    """
    if function is None:
        return task  # the keywords are read from the source
    function.__heroku_task__ = True
    return function


def warm_up(function: Callable[[], None]) -> Callable[[], None]:
    """Decorate a function without parameters that loads what all calls of a task share, such as a model.

    It runs once per dyno, before the first call: keep what it loads in a global name, and only in memory. Connections
    are opened in the task, because each call on a warm dyno is a process of its own.

    Examples
    --------
    >>> @warm_up
    ... def load():
    ...     global model
    ...     model = [0.5, 2.0]
    """
    function.__heroku_warm_up__ = True  # type: ignore[attr-defined]
    return function


def emit(rows: Any) -> None:
    """Send rows to the notebook while the task runs.

    Parameters
    ----------
    rows : dict, dataclass, namedtuple, iterable of these, or DataFrame
        One row, several rows or a table. The index of a DataFrame is not sent. An empty iterable
        declares a table without rows.

    Raises
    ------
    TypeError
        If a value is not a row, or a column holds a value that JSON cannot represent.
    RuntimeError
        If called in a child process, or after the task has ended.

    Examples
    --------
    >>> @task
    ... def squares(n: int = 3):
    ...     for i in range(n):
    ...         emit({"i": i, "square": i * i})
    """
    if _sender.is_keyed and _is_dataframe(rows):
        _sender.table(rows)
    else:
        _sender.rows(_as_rows(rows))


def emit_file(path: str | os.PathLike[str], name: str | None = None) -> None:
    """Send a file, such as a plot or a model, to the notebook, where it appears in `run.files`.

    Parameters
    ----------
    path : str or path-like
        The file to read.
    name : str, optional
        The key in `run.files`. The default is the last component of `path`. If a name is sent
        twice, the later file replaces the earlier one.

    Raises
    ------
    ValueError
        If the files of this run exceed 5,000,000 bytes in total.
    RuntimeError
        If called in a child process, or after the task has ended.

    Examples
    --------
    >>> @task
    ... def train():
    ...     with open("model.txt", "w") as file:
    ...         file.write("weights")
    ...     emit_file("model.txt")
    """
    with open(path, "rb") as file:
        data = file.read(MAX_FILES_BYTES + 1)
    _sender.file(name or os.path.basename(path), data)


def metric(name: str, value: float, step: int | None = None) -> None:
    """Report a number to watch while the task runs, such as a loss. It is not part of the result table.

    Parameters
    ----------
    name : str
        The name of the metric. The cell shows its latest value, and `run.metrics` holds all of them.
    value : float
        The value.
    step : int, optional
        The iteration that the value belongs to.

    Examples
    --------
    >>> metric("loss", 0.25, step=3)
    """
    _sender.metric(str(name), float(value), None if step is None else int(step))


def progress(items: Iterable[T], total: int | None = None, text: str | None = None) -> Iterator[T]:
    """Iterate over items and report how many are done.

    The first and the last state are always reported, and at most ten per second in between.

    Parameters
    ----------
    items : iterable
        The items to yield.
    total : int, optional
        The number of items. The default is `len(items)` if that is defined.
    text : str, optional
        A label for the progress bar.

    Yields
    ------
    object
        The items, unchanged.

    Examples
    --------
    >>> sum(progress(range(4), text="adding"))
    6
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]  # hasattr does not narrow the type
    done, reported, reported_at = 0, -1, 0.0
    for item in items:
        if reported < 0 or time.monotonic() - reported_at >= FLUSH_SECONDS:
            _sender.progress(done, total, text)
            reported, reported_at = done, time.monotonic()
        yield item
        done += 1
    if reported != done:
        _sender.progress(done, total, text)


# -- sending records -------------------------------------------------------------------------------


# The interpreter's own implementation, because hashlib would load OpenSSL. Python 3.12 replaced _sha256 by _sha2.
for _module in ("_sha2", "_sha256", "hashlib"):
    try:
        _sha256 = importlib.import_module(_module).sha256
        break
    except ImportError:
        continue


class _Sender:
    """Writes numbered, signed records to stdout, each in one write. Before `start`, it prints rows as JSON lines."""

    def __init__(self, run_key: str, nonce: str | None = None) -> None:
        match = re.fullmatch(_RUN_KEY, run_key) if run_key else None
        self._run_id, key = match.groups() if match else ("", "")
        self.has_key = bool(match)
        self._key = bytes.fromhex(key).ljust(64, b"\0")
        self._hashes = [_sha256(self._key.translate(pad)) for pad in _PADS]
        self._nonce = nonce or os.urandom(4).hex()
        self._number = 0
        self.pid, self.thread = os.getpid(), _thread.get_ident()
        self._lock, self._depth = _thread.RLock(), 0
        self._pending_rows: list[str] = []
        self._pending_bytes, self._flushed_at, self._has_timer = 2, 0.0, False
        self._pending_returns: list[Schema] = []
        self._deferred_error: BaseException | None = None
        self._checksum = _sha256(b"")
        self._rate_limiter = _RateLimiter(os.environ.pop("RUN_PACE", ""))
        self.is_keyed = self.has_ended = self.has_table = False
        self.status = 0
        self.row_count = self._file_bytes = 0

    def start(self, name: str, schema: Schema | None, **more: Any) -> None:
        """Send the declaration. With a key, rows are sent as records from here on."""
        self.is_keyed = self.has_key
        self.send("task", {"task": name, "parameters": schema, **more})

    def end(self, status: int) -> None:
        """Send the pending rows and the end record, which is the last."""
        with self:
            self.flush()
            checksum = self._checksum.hexdigest()[:24]
            self.send("end", {"status": status, "rows": self.row_count, "checksum": checksum})
            self.has_ended, self.status = True, status

    def rows(self, rows: Iterable[Schema]) -> None:
        """Send rows within FLUSH_SECONDS. An empty iterable declares a table without rows."""
        self._refuse_in_child()
        for row in rows:
            text = _to_json(row)
            with self:
                self._add_row(text)
        with self:
            if not self.has_table:
                self.send("rows", [])
            self.has_table = True

    def table(self, frame: Any, **more: Any) -> None:
        """Send a DataFrame with its column types, in one record per chunk of rows. more: added to the first header."""
        self._refuse_in_child()
        for rows, header, body in _chunks(frame):
            with self:
                self._refuse_after_end()
                self.flush()
                self._send_packed("table", {**header, **more}, body)
                more = {}
                self.has_table = True
                self.row_count += rows

    def file(self, name: str, data: bytes) -> None:
        """Send a complete file. Raises ValueError if it is too large."""
        self._refuse_in_child()
        if self._file_bytes + len(data) > MAX_FILES_BYTES:
            raise ValueError(f"{name} is too large: the files of a run may have {MAX_FILES_BYTES:,} bytes in total")
        self._file_bytes += len(data)
        parts = [data[at : at + CHUNK_BYTES] for at in range(0, len(data) or 1, CHUNK_BYTES)]
        for part, body in enumerate(parts):
            with self:
                self._refuse_after_end()
                self.flush()
                if self.is_keyed:
                    header = {"name": name, "part": part, "parts": len(parts), "size": len(data)}
                    self._send_packed("file", header, body)

    def add_return(self, call: Schema) -> None:
        """Send the outcome of one of several calls, after its rows, within FLUSH_SECONDS."""
        with self:
            self._pending_returns.append(call)
            self._flush_soon()

    def metric(self, name: str, value: float, step: int | None) -> None:
        """Send a metric."""
        self._send_status("metric", {"name": name, "value": value, "step": step})

    def progress(self, done: int, total: int | None, text: str | None) -> None:
        """Send how many items are done."""
        self._send_status("progress", {"done": done, "total": total, "text": text})

    def _send_status(self, kind: str, data: Schema) -> None:
        """Send a record that is not part of the result, after the pending rows; do nothing in a child process."""
        if self.is_keyed and not self.has_ended and not self.is_child():
            with self:
                self.flush()
                self.send(kind, _plain(data, kind))

    def flush(self) -> None:
        """Send the pending rows and returns."""
        with self:
            if self._pending_rows:
                payload, self._pending_rows, self._pending_bytes = "[" + ",".join(self._pending_rows) + "]", [], 2
                self._flushed_at = time.monotonic()
                self._send_text("rows", payload)
            if self._pending_returns:
                returns, self._pending_returns = self._pending_returns, []
                self._flushed_at = time.monotonic()
                self.send("return", returns)

    def send(self, kind: str, data: Any) -> None:
        """Send one record, if there is a key."""
        if self.is_keyed:
            with self:
                self._send_text(kind, _to_json(data))

    def stop(self, error: BaseException) -> None:
        """Raise an error in the main thread, but not before a record in progress has been written."""
        if not self._depth:
            raise error
        self._deferred_error = error

    def is_child(self) -> bool:
        """Whether this process was forked or was started by multiprocessing."""
        workers = sys.modules.get("multiprocessing.process")
        return os.getpid() != self.pid or (workers is not None and workers.parent_process() is not None)

    def __enter__(self) -> None:
        # Counted before the lock is taken: a signal that arrives in between must see the count.
        self._depth += self._is_main_thread()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._is_main_thread():
            self._depth -= 1
            if self._deferred_error and not self._depth:
                error, self._deferred_error = self._deferred_error, None
                raise error

    def _is_main_thread(self) -> bool:
        return _thread.get_ident() == self.thread

    def _refuse_in_child(self) -> None:
        if self.is_child():
            raise RuntimeError("a child process cannot emit: return its results to the parent process and emit there")

    def _refuse_after_end(self) -> None:
        if self.has_ended:
            raise RuntimeError("nothing can be emitted after the task has ended")

    def _add_row(self, text: str) -> None:
        self._refuse_after_end()
        self.has_table = True
        self.row_count += 1
        if not self.is_keyed:
            _write(text)
            return
        if self._pending_bytes + len(text) > MAX_BATCH_BYTES:
            self.flush()
        self._pending_rows.append(text)
        self._pending_bytes += len(text) + 1
        self._flush_soon()

    def _flush_soon(self) -> None:
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()
        elif not self._has_timer:
            # Without a timer, the row of a slow generator would wait for the next one.
            self._has_timer = True
            _start_thread(self._flush_later)

    def _flush_later(self) -> None:
        time.sleep(FLUSH_SECONDS)
        with self:
            self._has_timer = False
            try:
                self.flush()
            except _StdoutClosed:  # the main thread meets it at its next write
                return

    def _send_text(self, kind: str, payload: str) -> None:
        size = MAX_LINE_BYTES - 100  # the rest is for the fields before the payload
        if len(payload) > size and payload[0] in "[{":
            payload = _pack(payload, b"")
        for end in range(size, len(payload) + size, size):
            part = kind if end >= len(payload) else f"{kind}+"
            number, self._number = self._number, self._number + 1
            text = payload[end - size : end]
            mac = self._mac(f"{self._run_id} {self._nonce} {number} {part} {text}")
            self._checksum.update(mac.encode("ascii"))
            self._rate_limiter.wait()
            _write(f"@hm1 {self._nonce} {number} {part} {mac} {text}")

    def _send_packed(self, kind: str, header: Schema, body: bytes) -> None:
        self._send_text(kind, _pack(_to_json(header), body))

    def _mac(self, text: str) -> str:
        """Return the first 24 hex digits of the HMAC-SHA256, https://www.rfc-editor.org/rfc/rfc2104."""
        inner, outer = (one.copy() for one in self._hashes)
        inner.update(text.encode("ascii"))
        outer.update(inner.digest())
        return str(outer.hexdigest()[:24])


class _RateLimiter:
    """Limits the lines per second to RUN_PACE, because Heroku drops lines of a dyno that prints too fast."""

    def __init__(self, lines_per_second: str) -> None:
        rate = int(lines_per_second) if lines_per_second.isdigit() else 0
        self._interval = 1 / rate if rate else 0.0
        self._free_at = 0.0

    def wait(self) -> None:
        """Wait until one line may be written. After a pause, one second's worth of lines may be written at once."""
        if self._interval:
            now = time.monotonic()
            self._free_at = max(self._free_at + self._interval, now - 1)
            if self._free_at > now:
                time.sleep(self._free_at - now)


_to_json = json.JSONEncoder(separators=(",", ":")).encode
_record_fd = 1  # the file descriptor that records are written to


def _pack(header: str, body: bytes) -> str:
    """Compress a JSON header and the bytes after it, as Base64."""
    import zlib
    from binascii import b2a_base64

    return b2a_base64(zlib.compress(header.encode("ascii") + b"\n" + body, 6), newline=False).decode("ascii")


def _unpack(text: str) -> str:
    """Decompress Base64 text."""
    import zlib
    from binascii import a2b_base64

    return zlib.decompress(a2b_base64(text)).decode("utf-8")


def _write(text: str) -> None:
    """Write one line without buffering, after everything that the task has printed."""
    try:
        _flush_streams()
        line = text.encode("ascii") + b"\n"
        while line:
            try:
                line = line[os.write(_record_fd, line) :]
            except BlockingIOError:  # a child process made the pipe non-blocking
                os.set_blocking(_record_fd, True)
    except BrokenPipeError:
        raise _StdoutClosed from None


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError):  # closed by the task, or None
            continue


class _BarStream(io.TextIOWrapper):
    """A stream whose progress bars move in the log.

    A bar overwrites its line with carriage returns, but the log carries only complete lines, and no returns. So the
    line is sent as it is, every BAR_SECONDS; all but the first one begin with the codes that replace the line before.
    """

    _held, _sent_at, _mark = "", 0.0, ""
    originals: Any = ()  # are kept: the end of an object would close its file
    moving: _BarStream | None = None  # whose bar is the last line of the log

    def write(self, text: str) -> int:
        """Write complete lines and text without returns at once, and a bar now and then."""
        if not self._held and not _BarStream.moving and "\r" not in text:
            return super().write(text)
        with _bar_lock:
            lines, newline, rest = (self._held + text).rpartition("\n")
            if newline:
                self._begin_line()
                super().write(self._mark + "".join(_last_state(line) + "\n" for line in lines.split("\n")))
                self._mark = ""
                _BarStream.moving = None
            self._held = rest if "\r" in rest else ""
            if self._held:
                self._send_bar()
            elif rest:
                super().write(rest)
        return len(text)

    def end_bar(self) -> None:
        """Send a bar that its task has not ended."""
        with _bar_lock:
            if self._held.strip():
                self.write("\n")
            self._held = ""

    def _send_bar(self) -> None:
        bar = _last_state(self._held)
        if bar.strip() and time.monotonic() - self._sent_at >= BAR_SECONDS:
            self._begin_line()
            super().write(f"{self._mark}{bar}\n")
            ending = "\r" if self._held.endswith("\r") else ""
            self._held, self._mark, self._sent_at = f"\r{bar}{ending}", _UP, time.monotonic()
            _BarStream.moving = self

    def _begin_line(self) -> None:
        """Replace the last line of the log only if it is this stream's bar."""
        if _BarStream.moving is not self:
            self._mark = ""


_bar_lock = _thread.RLock()
_UP = "\x1b[1A\x1b[2K"  # one line up, and erase it


def _last_state(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


def _follow_bars() -> None:
    """Let progress bars move in the log."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if _sender.has_key and type(stream) is io.TextIOWrapper:
            bars = _BarStream(stream.buffer, stream.encoding, stream.errors, line_buffering=True)
            _BarStream.originals += (stream, bars)
            setattr(sys, name, bars)


def _end_bars() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _BarStream):
            stream.end_bar()


# Removed from the environment, so that a task that prints its environment does not print the key.
_sender = _Sender(os.environ.pop("RUN_KEY", ""))
_calls = os.environ.pop("RUN_CALLS", None)


# -- rows ------------------------------------------------------------------------------------------


def _as_rows(value: Any) -> Iterator[Schema]:
    """Yield the rows of a row, an iterable of rows or a table, with JSON values."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        _refuse_duplicate_columns(value.columns)
        value = value.to_dicts() if hasattr(value, "to_dicts") else value.to_dict("records")
    if _as_dict(value) is not None or isinstance(value, (str, bytes, type)) or not hasattr(value, "__iter__"):
        value = [value]
    return map(_to_row, value)


def _refuse_duplicate_columns(columns: Any) -> None:
    if len(set(map(str, columns))) < len(columns):
        raise TypeError(f"two columns of the table have the same name: {list(columns)!r:.200}")


def _as_dict(value: Any) -> dict[Any, Any] | None:
    """Return a mapping, a dataclass or a namedtuple as a dict; None for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, type):
        return None
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: getattr(value, one.name) for one in sys.modules["dataclasses"].fields(value)}
    if hasattr(value, "keys"):
        _refuse_duplicate_columns([*value.keys()])  # of a query
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - sqlite3.Row
    return None


def _to_row(value: Any) -> Schema:
    row = _as_dict(value)
    if row is None:
        raise TypeError(f"a row must be a dict of columns and values, not {type(value).__name__}: {value!r:.80}")
    return _plain_dict(row, _plain)


def _plain_dict(value: dict[Any, Any], plain: Callable[[Any, str], Any]) -> Schema:
    result = {str(key): plain(item, str(key)) for key, item in value.items()}
    if len(result) < len(value):
        raise TypeError(f"two keys of a row are the same when written as text: {list(value)!r:.200}")
    return result


def _plain(value: Any, column: str) -> Any:
    """Convert a value to what JSON can represent. Errors name the column."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, column)
    if isinstance(value, dict):
        return _plain_dict(value, lambda item, _: _plain(item, column))
    if isinstance(value, (list, tuple)):
        return [_plain(item, column) for item in value]
    if not isinstance(value, type):
        return _plain_object(value, column)
    raise _not_serializable(value, column)


def _plain_object(value: Any, column: str) -> Any:
    """Convert a value of a library, recognized by its attributes so that no library is imported."""
    name, dtype = type(value).__name__, str(getattr(value, "dtype", ""))
    if name in ("NaTType", "NAType") or (dtype.startswith("datetime64") and str(value) == "NaT"):
        return None
    if dtype.startswith("datetime64"):
        return _plain([*value] if value.shape else value.astype(str).tolist(), column)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    # Scalars and arrays of numpy, and Series; a list would keep neither durations nor the fields of records.
    if hasattr(value, "tolist") and not dtype.startswith(("timedelta64", "[", "{")):
        converted = value.tolist()
        if type(converted) is type(value):  # a longdouble returns itself
            raise _not_serializable(value, column)
        return _plain(converted, column)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, os.PathLike) or type(value).__module__ in ("decimal", "uuid"):
        return str(value)
    raise _not_serializable(value, column)


def _not_serializable(value: Any, column: str) -> TypeError:
    return TypeError(f"column {column!r} holds {type(value).__name__}, which JSON cannot represent: {value!r:.80}")


# -- tables: the columns of a DataFrame as bytes, with their types ---------------------------------

_NUMBERS = r"u?int(8|16|32|64)|float(16|32|64)|bool"
_NULLABLE = r"U?Int(8|16|32|64)|Float(32|64)|boolean"
_TIMES = r"(datetime64|timedelta64)\[(s|ms|us|ns)(, .+)?\]|period\[.+\]"
_MISSING_TIME = -(2**63)  # NaT, as pandas and numpy store it


def _is_dataframe(value: Any) -> bool:
    """Whether a value is a pandas DataFrame. It cannot be one if the task has not imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _chunks(frame: Any) -> Iterator[tuple[int, Schema, bytes]]:
    """Yield the chunks of a table as (number of rows, header, column bytes). An empty table is one chunk.

    Raises TypeError before the first chunk if a column or a label cannot be sent.
    """
    heads = _label_heads(list(frame.columns))
    columns = [_convert_column(frame.iloc[:, index], head["name"]) for index, head in enumerate(heads)]
    names = {} if list(frame.columns.names) == [None] else {"names": [*map(_encode_label, frame.columns.names)]}
    row_bytes = frame.memory_usage(index=False, deep=True).sum() // (len(frame) or 1)
    factor = min(len(columns) // MANY_COLUMNS + 1, 20)
    step = max(factor * CHUNK_BYTES // (int(row_bytes) or 1), 1)
    for at in range(0, len(frame) or 1, step):
        chunk = [_encode_column(column, slice(at, at + step)) for column in columns]
        buffers = [buffer for _, parts in chunk for buffer in parts]
        rows, sizes = min(step, len(frame) - at), [len(buffer) for buffer in buffers]
        header = {"rows": rows, "left": len(frame) - at - rows, "sizes": sizes, **names}
        coded = zip(heads, chunk)  # noqa: B905 - new in Python 3.10
        header["columns"] = [{**head, **column_head} for head, (column_head, _) in coded]
        yield rows, header, b"".join(buffers)


def _label_heads(labels: list[Any]) -> list[Schema]:
    """Return the `name` of each column, which is unique, and the `label` of those that are not text."""
    if len(set(labels)) < len(labels):
        raise TypeError(f"two columns of the table have the same name: {labels!r:.200}")
    heads: list[Schema] = []
    taken = {label for label in labels if isinstance(label, str)}
    for label in labels:
        name = str.__str__(label) if isinstance(label, str) else str(label)
        head = {} if isinstance(label, str) else {"label": _encode_label(label)}
        while head and name in taken:
            name += "_"
        taken.add(name)
        heads.append({"name": name, **head})
    return heads


def _encode_label(label: Any) -> list[Any]:
    """Return a column label as [type, value]."""
    kind = type(label).__name__
    if isinstance(label, tuple):
        return ["tuple", [*map(_encode_label, label)]]
    if label is None or isinstance(label, str) or type(label) in (bool, int, float):
        return ["json", label]
    if kind == "Interval":
        return ["interval", [label.closed, _encode_label(label.left), _encode_label(label.right)]]
    if kind == "date":
        return ["date", label.isoformat()]
    series = sys.modules["pandas"].Series([label])
    if re.fullmatch(f"{_NUMBERS}|{_TIMES}", str(series.dtype)):
        head, (numbers,), _ = _convert_column(series, kind)
        return ["json" if re.fullmatch(_NUMBERS, head["dtype"]) else head["dtype"], numbers.item()]
    raise TypeError(f"the column label {label!r:.80} ({kind}) cannot be sent. Rename it, for example to text.")


def _convert_column(series: Any, name: str) -> tuple[Schema, list[Any], list[bytes]]:
    """Return a column's header, its arrays (for the coding `json`: its list), and buffers that each chunk repeats."""
    dtype = str(series.dtype)
    if hasattr(series.dtype, "pyarrow_dtype"):
        return _convert_arrow(series, name)
    if dtype == "category":
        return _convert_category(series, name)
    if re.fullmatch(_NUMBERS, dtype):
        return {"coding": "numbers", "dtype": dtype, "numbers": dtype}, [series.to_numpy()], []
    if re.fullmatch(_NULLABLE, dtype):
        return _convert_nullable(series, dtype, "bool" if dtype == "boolean" else dtype.lower())
    if time_type := re.fullmatch(_TIMES, dtype):
        if time_type[3]:
            dtype = f"datetime64[{time_type[2]}, {_zone_name(series, name)}]"
        return {"coding": "numbers", "dtype": dtype, "numbers": "int64"}, [series.array.asi8], []
    if dtype.startswith("str"):  # its missing values are all alike
        values = [value if isinstance(value, str) else None for value in series.tolist()]
        kind = {"dtype": "string"} if dtype.startswith("string") else {"dtype": "", "source": "str"}
        return {"coding": "json", **kind}, values, []
    return {"coding": "json", "dtype": ""}, [_plain(value, name) for value in series.tolist()], []


def _convert_nullable(series: Any, dtype: str, numbers: str) -> tuple[Schema, list[Any], list[bytes]]:
    head = {"coding": "numbers", "dtype": dtype, "numbers": numbers, "mask": True}
    filler = False if numbers == "bool" else 0
    return head, [series.isna().to_numpy(), series.to_numpy(dtype=numbers, na_value=filler)], []


def _convert_category(series: Any, name: str) -> tuple[Schema, list[Any], list[bytes]]:
    categories = series.cat.categories
    if str(categories.dtype) == "object" and not {*map(type, categories)} <= {str, int, float, bool}:
        # As JSON, two of them might be equal.
        return _convert_column(series.astype(object).where(series.notna(), None), name)
    values = sys.modules["pandas"].Series(categories, dtype=categories.dtype)
    head, parts = _encode_column(_convert_column(values, name), slice(None))
    codes = series.cat.codes.to_numpy()
    coded = {"coding": "codes", "dtype": "category", "numbers": str(codes.dtype), "ordered": bool(series.cat.ordered)}
    return {**coded, "of": {**head, "rows": len(categories)}}, [codes], parts


def _convert_arrow(series: Any, name: str) -> tuple[Schema, list[Any], list[bytes]]:
    """Convert a column of Arrow's types as the nearest type of pandas; `source` has Arrow's own."""
    if str(series.dtype).startswith("dictionary"):
        series = series.astype(type(series.dtype)(series.dtype.pyarrow_dtype.value_type))
    source, kind, numpy_name = str(series.dtype), series.dtype.kind, str(series.dtype.numpy_dtype)
    if kind in "biuf":
        numbers = "float32" if numpy_name == "float16" else numpy_name
        dtype = {"b": "boolean", "u": f"UI{numbers[2:]}"}.get(kind, numbers.capitalize())
        head, arrays, _ = _convert_nullable(series, dtype, numbers)
    elif source.startswith(("timestamp", "duration")):
        zone = f", {_zone_name(series, name)}" if "tz=" in source else ""
        times = series.astype("int64[pyarrow]").to_numpy(dtype="int64", na_value=_MISSING_TIME)
        unit = re.split(r"[\[\],]", source)[1]
        name = "datetime64" if source.startswith("timestamp") else "timedelta64"
        head = {"coding": "numbers", "dtype": f"{name}[{unit}{zone}]", "numbers": "int64"}
        arrays = [times]
    else:
        dtype = "string" if source in ("string[pyarrow]", "large_string[pyarrow]") else ""
        head, arrays = {"coding": "json", "dtype": dtype}, [_plain(value, name) for value in series.tolist()]
    # A nested type has no name that a notebook could read.
    return {**head, **({} if "<" in source else {"source": source})}, arrays, []


def _zone_name(series: Any, name: str) -> str:
    """Return the IANA name of a column's time zone; without one its offset, if that never changes."""
    from datetime import timezone

    zone = series.dt.tz
    known = zone if isinstance(zone, str) else getattr(zone, "key", None) or getattr(zone, "zone", None)
    if known:
        return str(known)
    first = series.dropna().head(1).tolist()
    offset = first[0].utcoffset() if first else zone.utcoffset(None)
    file = getattr(zone, "_filename", "")  # from which dateutil has read the zone
    for candidate in (file and str(file).rpartition("zoneinfo/")[2], offset is not None and timezone(offset)):
        try:
            if candidate and series.dt.tz_localize(None).equals(series.dt.tz_convert(candidate).dt.tz_localize(None)):
                return str(candidate)
        except (LookupError, ValueError):  # not a zone that pandas knows
            continue
    reason = f"column {name!r} has times in {zone!r}, whose offset changes and which has no IANA name."
    raise TypeError(f"{reason} Convert it, for example with .dt.tz_convert('UTC').")


def _encode_column(column: tuple[Schema, list[Any], list[bytes]], rows: slice) -> tuple[Schema, list[bytes]]:
    """Return the header and the buffers of some rows of a column, in one of three codings: numbers, codes or json."""
    head, arrays, repeated = column
    if head["coding"] != "json":
        return head, [*(_shuffle_bytes(array[rows]) for array in arrays), *repeated]
    values = arrays[rows]
    if {*map(type, values)} <= {str, type(None)}:
        texts = dict.fromkeys(value for value in values if value is not None)
        places = {text: place for place, text in enumerate(texts)}
        if 2 * len(places) < len(values):
            return _encode_repeated(head, values, places)
    return head, [_to_json(values).encode("ascii")]


def _encode_repeated(head: Schema, values: list[Any], places: dict[str, int]) -> tuple[Schema, list[bytes]]:
    """Encode text that is mostly repeated: each text once, and its place for every row, -1 for null."""
    from array import array

    code = next(code for code in "bhiq" if len(places) < 2 ** (8 * array(code).itemsize - 1))
    codes = array(code, [places.get(value, -1) for value in values])
    of = {"coding": "json", "dtype": head["dtype"], "rows": len(places)}
    coded = {"coding": "codes", "numbers": f"int{8 * codes.itemsize}", "ordered": False, "of": of}
    return {**head, **coded}, [_shuffle_bytes(codes), _to_json([*places]).encode("ascii")]


def _shuffle_bytes(numbers: Any) -> bytes:
    """Return the first byte of every number, then every second byte, and so on, which compresses far better."""
    data, size = numbers.tobytes(), numbers.itemsize
    return data if size == 1 else b"".join(data[offset::size] for offset in range(size))


# -- the parameters of a task: from its source to JSON Schema --------------------------------------

_JSON_TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "str": "string",
    "list": "array",
    "List": "array",
    "dict": "object",
    "Dict": "object",
}
_FORMATS = {"date": "date", "datetime": "date-time"}
_BINARY_FORMATS = {"DataFrame": "dataframe", "bytes": "binary", "Path": "path"}  # which only a connection carries
# The keywords allowed in Annotated, and their values:
# https://json-schema.org/draft/2020-12/json-schema-validation
_NUMBER, _COUNT = "a number", "a whole number, 0 or more"
_KEYWORDS = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    "multipleOf": "a number above 0",
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    "enum": "a list",
    "description": "text",
}


class _Source:
    """The source of a task: its one @task function and the names that its annotations use. It is never executed."""

    def __init__(self, filename: str) -> None:
        try:
            with open(filename, "rb") as file:
                body = _parse(file.read(), filename, "exec").body
        except FileNotFoundError:
            raise TaskError(f"there is no {filename} beside heroku_task.py") from None
        self._names: dict[str, Any] = dict(filter(None, map(_binding, body)))
        self.function = _find_task(body, filename)

    def flags(self) -> dict[str, bool]:
        """Return what `@task(history=False, cache=True)` says, as far as it differs from the default."""
        calls = [node for node in self.function.decorator_list if isinstance(node, _ast.Call)]
        words = [word for call in calls if _decorator(call) == "task" for word in call.keywords]
        given = {word.arg: getattr(word.value, "value", None) for word in words}
        if unknown := [
            name for name, flag in given.items() if name not in {"history", "cache"} or type(flag) is not bool
        ]:
            raise TaskError(f"@task({unknown[0]}=...): expected history=False or cache=True")
        return {name: flag for name, flag in (("history", False), ("cache", True)) if given.get(name) is flag}

    def schema(self) -> Schema:
        """Return the JSON Schema of the function's parameters."""
        arguments = self.function.args
        if arguments.posonlyargs:
            raise TaskError(f"{self.function.name} has parameters before a `/`, which cannot be passed by name")
        no_defaults = [None] * (len(arguments.args) - len(arguments.defaults))
        defaults = [*no_defaults, *arguments.defaults, *arguments.kw_defaults]
        pairs = list(zip([*arguments.args, *arguments.kwonlyargs], defaults))  # noqa: B905 - new in Python 3.10
        properties = {argument.arg: self._property(argument, node) for argument, node in pairs}
        required = [argument.arg for argument, node in pairs if node is None]
        summary, help_texts = _parse_docstring(self.function, list(properties))
        for name, text in help_texts.items():
            properties[name].setdefault("description", text)
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return {**schema, "description": summary} if summary else schema

    def _property(self, argument: _ast.arg, default: _ast.expr | None) -> Schema:
        """Return the schema of one parameter, without the default of a secret one."""
        try:
            schema = self._type_schema(argument.annotation)
            if _is_secret(schema):
                return {**schema, "writeOnly": True}
        except TaskError as error:
            raise TaskError(f"{argument.arg}: {error}") from None
        schema = {**schema, **self._default(default)}
        kinds = schema.get("anyOf", [schema])
        if "default" in schema and not any(_is_within_limits(schema["default"], kind) for kind in kinds):
            message = f"the default {schema['default']!r:.80} is not allowed: expected {_expectation(schema)}"
            raise TaskError(f"{argument.arg}: {message}")
        return schema

    def _default(self, node: _ast.expr | None) -> Schema:
        """Return the default, if JSON can represent it."""
        try:
            return {} if node is None else {"default": json.loads(_to_json(self._evaluate(node)))}
        except (ValueError, TypeError, LookupError, RecursionError):
            return {}

    def _evaluate(self, node: Any) -> Any:
        """Evaluate a literal, a name bound to one, a member of an Enum or a date. Raises ValueError for the rest."""
        if isinstance(node, _ast.Constant):
            return node.value
        if isinstance(node, _ast.Name):
            return self._resolve(node.id, self._evaluate)
        if isinstance(node, _ast.Attribute):
            return self._class_members(_name_of(node.value))[node.attr]
        if isinstance(node, _ast.Dict):
            return {self._evaluate(key): self._evaluate(item) for key, item in zip(node.keys, node.values)}  # noqa: B905
        if isinstance(node, _ast.Call) and _name_of(node.func) in _FORMATS and not node.keywords:
            from datetime import date, datetime

            kind = date if _name_of(node.func) == "date" else datetime
            return kind(*map(self._evaluate, node.args)).isoformat()
        from ast import literal_eval

        return literal_eval(node)

    def _type_schema(self, node: _ast.expr | None) -> Schema:
        """Return the schema of an annotation. An unknown type accepts anything."""
        if isinstance(node, _ast.Constant):
            return self._constant_schema(node.value)
        if isinstance(node, _ast.BinOp) and isinstance(node.op, _ast.BitOr):
            return _any_of([self._type_schema(node.left), self._type_schema(node.right)])
        if isinstance(node, _ast.Subscript):
            items = node.slice.elts if isinstance(node.slice, _ast.Tuple) else [node.slice]
            return self._generic_schema(_name_of(node.value), items)
        name = _name_of(node)
        if isinstance(node, _ast.Name) and name in self._names:
            return self._enum_schema(name) or self._resolve(name, self._type_schema)
        if name == "Secret":
            return {"type": "string", "format": "password", "writeOnly": True}
        if name in _FORMATS:
            return {"type": "string", "format": _FORMATS[name]}
        if name in _BINARY_FORMATS:
            return {"format": _BINARY_FORMATS[name]}
        return {"type": _JSON_TYPES[name]} if name in _JSON_TYPES else {}

    def _constant_schema(self, annotation: Any) -> Schema:
        """Return the schema of an annotation in quotes, or of None."""
        try:
            if isinstance(annotation, str):
                return self._type_schema(_parse(annotation, "annotation", "eval").body)
        except (SyntaxError, ValueError):
            return {}
        return {"type": "null"} if annotation is None else {}

    def _generic_schema(self, name: str, items: list[_ast.expr]) -> Schema:
        if name == "Annotated":
            schema = self._type_schema(items[0])
            for item in items[1:]:
                schema = _add_keywords(schema, self._metadata(item))
            return schema
        if name == "Literal":
            choices = [self._default(item) for item in items]
            return {"enum": [choice["default"] for choice in choices]} if all(choices) else {}
        if name in ("Optional", "Union"):
            return _any_of([*map(self._type_schema, items), *[{"type": "null"}] * (name == "Optional")])
        if name in ("list", "List", "dict", "Dict"):
            key = "items" if name in ("list", "List") else "additionalProperties"
            inner = self._type_schema(items[-1])
            return {"type": _JSON_TYPES[name], key: inner} if inner else {"type": _JSON_TYPES[name]}
        return {}

    def _metadata(self, node: _ast.expr) -> Schema:
        """Return the keywords or the description that Annotated adds to a type."""
        try:
            value = self._evaluate(node)
        except (ValueError, TypeError, LookupError):
            if isinstance(node, _ast.Dict):
                raise TaskError("the keywords in Annotated must be literals") from None
            return {}  # metadata for another library
        if isinstance(value, str):
            return {"description": value}
        return _check_keywords(value) if isinstance(value, dict) else {}

    def _enum_schema(self, name: str) -> Schema:
        """Return the schema of an Enum in the file; empty if the name is not an Enum."""
        node = self._names[name]
        if not isinstance(node, _ast.ClassDef) or not {"Enum", "IntEnum", "StrEnum"} & {*map(_name_of, node.bases)}:
            return {}
        try:
            values = list(dict.fromkeys(self._class_members(name).values()))
        except (ValueError, TypeError, LookupError):
            values = []
        if not values or not all(isinstance(value, (str, int, float)) for value in values):
            raise TaskError(f"the values of {name} must be literal strings or numbers")
        return {"enum": values, "title": name}

    def _class_members(self, name: str) -> dict[str, Any]:
        """Return the public values of a class in the file, by name."""
        members: dict[str, Any] = {}
        for statement in getattr(self._names[name], "body", ()):
            binding = _binding(statement)
            if binding and not binding[0].startswith("_"):
                is_auto = isinstance(binding[1], _ast.Call) and _name_of(binding[1].func) == "auto"
                value = self._auto_value(name, binding[0], members) if is_auto else self._evaluate(binding[1])
                members[binding[0]] = value
        return members

    def _auto_value(self, name: str, member: str, members: dict[str, Any]) -> Any:
        """Return the value of Enum's auto()."""
        is_text = "StrEnum" in map(_name_of, self._names[name].bases)
        return member.lower() if is_text else [0, *members.values()][-1] + 1

    def _resolve(self, name: str, read: Callable[[Any], T]) -> T:
        """Read the node that a name is bound to. Until that is done the name is unbound, so that cycles end."""
        node = self._names.pop(name, None)
        if node is None:
            raise ValueError(name)
        try:
            return read(node)
        finally:
            self._names[name] = node


def _parse(source: bytes | str, filename: str, mode: str) -> Any:
    return compile(source, filename, mode, _ast.PyCF_ONLY_AST, dont_inherit=True)


def _binding(node: _ast.stmt) -> tuple[str, Any] | None:
    """Return the name that a class definition or an assignment binds, and the node that it is bound to."""
    if isinstance(node, _ast.ClassDef):
        return node.name, node
    if type(node).__name__ not in ("Assign", "AnnAssign", "TypeAlias"):  # TypeAlias is new in Python 3.12
        return None
    target = getattr(node, "targets", [getattr(node, "target", getattr(node, "name", None))])[0]
    return (target.id, node.value) if isinstance(target, _ast.Name) and node.value else None  # type: ignore[attr-defined]


def _find_task(body: list[_ast.stmt], filename: str) -> Function:
    """Return the one @task function of a file."""
    kinds = (_ast.FunctionDef, _ast.AsyncFunctionDef)
    found = [node for node in body if isinstance(node, kinds) and "task" in map(_decorator, node.decorator_list)]
    if len(found) != 1:
        names = ", ".join(function.name for function in found) or "none"
        raise TaskError(f"{filename} needs exactly one function marked with @task; found: {names}")
    if isinstance(found[0], _ast.AsyncFunctionDef):
        raise TaskError(f"{found[0].name} is async: make it a plain function that calls asyncio.run()")
    return found[0]


def _decorator(node: _ast.expr) -> str:
    """Return the name of a decorator, with or without arguments."""
    return _name_of(node.func if isinstance(node, _ast.Call) else node)


def _parse_docstring(function: Function, names: list[str]) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of the docstring and the help text of each parameter (`name: text`)."""
    first = function.body[0]
    text = first.value.value if isinstance(first, _ast.Expr) and isinstance(first.value, _ast.Constant) else ""
    if not isinstance(text, str) or not text:
        return "", {}
    start = rf"(?:^|\n|\s\s)\s*({'|'.join(names) or '(?!)'}):[ \t]+"
    help_texts = re.findall(rf"{start}(\S.*?)\s*(?=\s\s(?:{'|'.join(names)}):[ \t]|\n|$)", text)
    summary = re.split(rf"{start}|\n\s*\n", text.strip())[0]
    return " ".join(summary.split()), dict(help_texts)


def _check_keywords(keywords: dict[Any, Any]) -> Schema:
    """Reject an unknown keyword, because a misspelt limit would limit nothing, and a value of the wrong type."""
    for keyword, value in keywords.items():
        if keyword not in _KEYWORDS:
            raise TaskError(f"{keyword!r:.40} is not a keyword for Annotated: use one of {', '.join(_KEYWORDS)}")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0
        is_count = is_number and isinstance(value, int) and value >= 0
        is_list = isinstance(value, list) and bool(value)
        checks = {_NUMBER: is_number, _COUNT: is_count, "text": isinstance(value, str), "a list": is_list}
        if not checks.get(_KEYWORDS[keyword], is_number and value > 0):
            raise TaskError(f"{keyword} is {value!r:.40}: expected {_KEYWORDS[keyword]}")
    return json.loads(_to_json(keywords))  # type: ignore[no-any-return]  # it is a dict, as keywords is


def _add_keywords(schema: Schema, keywords: Schema) -> Schema:
    """Add keywords to a schema: the limits to each alternative of a union, the description to the union."""
    if "anyOf" not in schema:
        return {**schema, **keywords}
    limits = {keyword: limit for keyword, limit in keywords.items() if keyword != "description"}
    kinds = [kind if kind == {"type": "null"} else {**kind, **limits} for kind in schema["anyOf"]]
    description = {keyword: text for keyword, text in keywords.items() if keyword not in limits}
    return {**schema, "anyOf": kinds, **description}


def _any_of(schemas: list[Schema]) -> Schema:
    kinds = [kind for one in schemas for kind in (one["anyOf"] if one.keys() == {"anyOf"} else [one])]
    return {"anyOf": kinds} if all(kinds) else {}


def _is_secret(schema: Schema) -> bool:
    """Whether a value contains a secret."""
    inner = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    return bool(schema.get("writeOnly")) or any(isinstance(one, dict) and _is_secret(one) for one in inner)


def _name_of(node: _ast.AST | None) -> str:
    """Return `x` for both `x` and `module.x`."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


# -- the arguments of a task: from the environment -------------------------------------------------


def _read_arguments(schema: Schema, names: dict[str, Any]) -> dict[str, Any]:
    """Read the arguments of a task from the environment; raise TaskError with everything that is wrong.

    names: the globals of the task's module, which hold its Enums.
    """
    values, faults = {}, []
    for name, kind in schema["properties"].items():
        if name in os.environ:
            try:
                values[name] = _read_text(os.environ[name], kind, names)
            except (ValueError, OverflowError, RecursionError):
                shown = "a secret" if kind.get("writeOnly") else f"{os.environ[name]!r:.80}"
                faults.append(f"{name} is {shown}: expected {_expectation(kind)}")
        elif name in schema["required"]:
            faults.append(f"{name} is missing")
    if faults:
        raise TaskError("; ".join(faults))
    return values


def _read_text(text: str, schema: Schema, names: dict[str, Any]) -> Any:
    """Convert text to the type that the schema declares; raise ValueError if it does not fit."""
    kind = schema.get("type")
    if kind == "string" or text in schema.get("enum", ()):
        return _convert(text, schema, names)
    if kind in _READERS:
        return _convert(_READERS[kind](text), schema, names)
    try:
        return _convert(json.loads(text), schema, names)
    except (ValueError, RecursionError):  # not JSON, or nested too deeply
        if kind or "enum" in schema:
            raise
    # The type also accepts text, which is written without quotes.
    kinds = schema.get("anyOf")
    return _first_fit(text, kinds, lambda text, kind: _read_text(text, kind, names)) if kinds else text


def _read_boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    word = text.strip().lower()
    if word not in words:
        raise ValueError(text)
    return words[word]


_READERS: dict[Any, Callable[[str], Any]] = {"boolean": _read_boolean, "integer": int, "number": float}
_PYTHON_TYPES: dict[Any, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _convert(value: Any, schema: Schema, names: dict[str, Any]) -> Any:
    """Convert a JSON value to the type that the schema declares; raise ValueError if it does not fit."""
    kind = schema.get("type")
    if "anyOf" in schema:
        return _first_fit(value, schema["anyOf"], lambda value, kind: _convert(value, kind, names))
    if kind and type(value) not in _PYTHON_TYPES[kind]:
        raise ValueError(value)
    value = float(value) if kind == "number" else value
    if "enum" in schema and not any((kind or type(one) is type(value)) and one == value for one in schema["enum"]):
        raise ValueError(value)
    if "title" in schema:
        return names[schema["title"]](value)
    if kind == "array":
        value = [_convert(item, schema.get("items", {}), names) for item in value]
    if kind == "object":
        value = {key: _convert(item, schema.get("additionalProperties", {}), names) for key, item in value.items()}
    if not _is_within_limits(value, schema):
        raise ValueError(value)
    if schema.get("format") == "dataframe":
        raise ValueError(value)
    return _convert_format(value, schema["format"]) if "format" in schema and kind else value


_DAY = r"\d{4}-\d\d-\d\d"
_DATE_TIME = rf"({_DAY})(?:[Tt ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?)?"


def _convert_format(text: str, form: str) -> Any:
    """Convert text of a format to a date, a datetime or a Secret."""
    if form == "password":
        return Secret(text)
    from datetime import date, datetime

    match = re.fullmatch(_DAY if form == "date" else _DATE_TIME, text, re.ASCII)
    if match is None:
        raise ValueError(text)
    if form == "date":
        return date.fromisoformat(text)
    day, clock, fraction, zone = match.groups("")
    # Python 3.9 needs exactly six digits after the second, and does not know Z.
    micro = f".{fraction[:6]:0<6}" if fraction else ""
    return datetime.fromisoformat(f"{day}T{clock or '00:00'}{micro}{'+00:00' if zone in ('Z', 'z') else zone}")


def _is_within_limits(value: Any, schema: Schema) -> bool:
    """Whether a value keeps the limits that the schema sets for its type."""
    for kinds, size_of, limits in _LIMITS:
        if isinstance(value, kinds):
            size = size_of(value)
            return all(is_kept(size, schema[keyword]) for keyword, is_kept in limits.items() if keyword in schema)
    return True


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    steps = value / step
    # A float cannot represent 0.1 exactly, so a quotient close to a whole number counts as one.
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


def _first_fit(value: Any, kinds: list[Schema], read: Callable[[Any, Schema], Any]) -> Any:
    """Return the value as the first alternative that accepts it."""
    for kind in kinds:
        try:
            return read(value, kind)
        except ValueError:
            continue
    raise ValueError(value)


def _expectation(schema: Schema) -> str:
    """Describe what a schema accepts, in words."""
    limits = [text.format(schema[keyword]) for keyword, text in _LIMIT_TEXTS.items() if keyword in schema]
    return " ".join([_type_expectation(schema), *limits])


def _type_expectation(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_expectation, schema["anyOf"]))
    if "format" in schema:
        texts = {"date": "a date (YYYY-MM-DD)", "date-time": "a time (YYYY-MM-DDTHH:MM:SS)", "dataframe": "a DataFrame"}
        return texts.get(schema["format"], "text")
    inner = schema.get("items") or schema.get("additionalProperties")
    items = f" (each {_expectation(inner)})" if inner else ""
    return _TYPE_TEXTS.get(schema.get("type", ""), "anything") + items


_TYPE_TEXTS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a dict",
    "null": "null",
}
_LIMIT_TEXTS = {
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
    """Call `work` and return its exit status. Every error becomes a failure record."""
    _follow_bars()
    try:
        status = _run_with_signals(work)
    except BaseException as error:  # a task may raise anything, including SystemExit
        if os.getpid() != _sender.pid:  # a forked child that left the task is not the run
            raise
        status = _report_failure(error)
    if os.getpid() == _sender.pid:
        _end_bars()
        _sender.end(status)
    return status


def _run_with_signals(work: Callable[[], int]) -> int:
    if signal.getsignal(signal.SIGTERM) is not _on_signal:  # or a call before has done this
        signal.signal(signal.SIGTERM, _on_signal)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _on_signal)
        if hasattr(os, "register_at_fork"):
            _restore_signals_in_children()
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            _start_thread(lambda: _watch_signals(reader))
    status = work()
    _end_pools()
    _join_threads()
    return status


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Interrupt the task. Once it has finished, do nothing, so that the end record is complete."""
    while frame is not None and frame.f_code is not _run_with_signals.__code__:
        if frame.f_code in _fork_hooks:  # Python ignores what they raise; _watch_signals sends the signal again
            return
        frame = frame.f_back
    if frame is not None:
        # A handler instead of SIG_IGN, which programs that the task starts while it cleans up would inherit.
        signal.signal(number, _on_second_signal)
        _sender.stop(_interruption(number))


def _on_second_signal(number: int, frame: FrameType | None) -> None:
    """Let the task clean up, unless it only waits for workers that the first signal did not reach."""
    if _waits_for_workers(frame) and not _sender.has_ended:
        _sender.stop(_interruption(number))


def _interruption(number: int) -> BaseException:
    return Terminated("the task was stopped (SIGTERM)") if number == signal.SIGTERM else KeyboardInterrupt()


def _watch_signals(reader: int) -> None:
    """Wake the main thread up for a signal, in case the system has delivered it to another thread."""
    try:
        while signal.getsignal(number := ord(os.read(reader, 1))) not in (_on_signal, _on_second_signal):
            pass
    except (OSError, TypeError):  # the task has closed this file, too, as daemons do
        return
    while signal.getsignal(number) is _on_signal and not _sender.has_ended:
        time.sleep(0.05)
        signal.pthread_kill(_sender.thread, number)
    time.sleep(WORKER_GRACE_SECONDS)
    _end_waits_for_workers(number)


def _end_waits_for_workers(number: int) -> None:
    """Interrupt the main thread where it waits for threads and for pools whose processes the signal has ended.

    Their tasks never return, and a killed process can hold the lock of its pool for ever.
    """
    while True:
        if _waits_for_workers(sys._current_frames().get(_sender.thread)):  # noqa: SLF001 - the documented way to a stack
            if _sender.has_ended:
                os._exit(_sender.status)
            signal.pthread_kill(_sender.thread, number)
        time.sleep(0.5)


def _waits_for_workers(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in _WAITS.get(frame.f_globals.get("__name__", ""), ()):
            # An event loop waits for threads only at its end; before that, coroutines clean up.
            return "future" not in frame.f_locals or "shutdown_default_executor" in repr(frame.f_locals["future"])
        frame = frame.f_back
    return False


_WAITS = {
    "threading": ("_shutdown",),
    "concurrent.futures.thread": ("shutdown", "_python_exit"),
    "concurrent.futures.process": ("shutdown", "_python_exit"),
    "multiprocessing.pool": ("join", "terminate", "_terminate_pool"),
    "multiprocessing.util": ("_exit_function",),
    "asyncio.base_events": ("run_until_complete",),
}


_fork_hooks: set[CodeType] = set()


def _restore_signals_in_children() -> None:
    """Restore the default handlers in child processes, which Pool.terminate() relies on.

    Python drops a signal that reaches a new process before then, so signals wait until the handlers are restored.
    """
    held = _thread._local()  # noqa: SLF001 - `threading` takes time to import

    def hold() -> None:
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def reset() -> None:
        signal.set_wakeup_fd(-1)
        ours = [
            one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) in (_on_signal, _on_second_signal)
        ]
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        release()
        if signal.SIGINT in ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    _fork_hooks.update(hook.__code__ for hook in (hold, release, reset))
    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=reset)


def _end_pools() -> None:
    """Let pools of workers that the task has left open end, which Python does before it waits for threads at exit."""
    _staying.clear()
    for name in ("concurrent.futures.thread", "concurrent.futures.process"):
        if name in sys.modules:
            _start_thread(sys.modules[name]._python_exit)  # noqa: SLF001 - Python calls it at exit, and it waits


def _start_thread(work: Callable[[], object]) -> None:
    """Start a thread and wait until it runs: Python 3.10 and older would crash if it began while they exit."""
    waits = _thread.allocate_lock()
    waits.acquire()

    def run() -> None:
        waits.release()
        work()

    _thread.start_new_thread(run, ())
    waits.acquire()


def _join_threads() -> None:
    """Wait for the threads that Python would wait for at exit, so that their rows precede the end record."""
    for thread in _other_threads():
        thread.join()


def _other_threads() -> list[Any]:
    threading: Any = sys.modules.get("threading")
    found = threading.enumerate() if threading else ()
    return [one for one in found if one not in (threading.current_thread(), *_staying) and not one.daemon]


_staying: list[Any] = []  # threads of pools that the next call may use


def _pool_threads() -> list[Any]:
    """Return the threads of the pools that are open. They never end by themselves."""
    modules = [sys.modules.get(f"concurrent.futures.{kind}") for kind in ("thread", "process")]
    return [*getattr(modules[0], "_threads_queues", ()), *getattr(modules[1], "_threads_wakeups", ())]


def _run_task(name: str) -> int:
    """Run a task once, or once for each call in RUN_CALLS, and return the exit status."""
    schema = None
    try:
        source, schema = _sources.get(name) or _read_source(name)
    finally:
        _sender.start(name, schema)
    function = _import_task(name)

    def call() -> None:
        result = function(**_read_arguments(schema, vars(sys.modules[name])))
        for part in _parts(result):
            emit(part)
        if not _sender.has_table and (result is not None or _declares_table(source.function.returns)):
            emit([])

    if _calls is not None:
        return _call_each(call, json.loads(_unpack(_calls)))
    call()
    return 0


def _parts(result: Any) -> Iterator[Any]:
    """Yield what a task yields, and what it returns unless that is None."""
    if hasattr(result, "__next__"):
        result = yield from result
    if result is not None:
        yield result


_sources: dict[str, tuple[_Source, Schema]] = {}  # of the tasks that are prepared


def _read_source(name: str) -> tuple[_Source, Schema]:
    source = _Source(f"{name}.py")
    return source, source.schema()


def _prepare_task(name: str) -> None:
    """Do what all calls of a task have in common, on a dyno that stays for them."""
    source = _read_source(name)
    _import_task(name)
    _sources[name] = source


def _call_each(call: Callable[[], None], calls: list[dict[str, str]]) -> int:
    """Call once for each environment, in order. A call that fails does not stop the others."""
    failed, environ, folder = 0, dict(os.environ), os.getcwd()
    for index, env in enumerate(calls):
        started_at, rows_before, _sender.has_table = time.monotonic(), _sender.row_count, False
        _restore({**environ, **env}, folder)
        status = _call_status(call)
        if os.getpid() != _sender.pid:  # a forked child that returned from the task
            return status
        rows = _sender.row_count - rows_before if _sender.has_table else None
        seconds = round(time.monotonic() - started_at, 6)
        _sender.add_return({"call": index, "status": status, "rows": rows, "seconds": seconds})
        failed += status != 0
    return 1 if failed else 0


def _restore(environ: dict[str, str], folder: str) -> None:
    """Set the environment and the current folder, which the call before may have changed."""
    if dict(os.environ) != environ:
        os.environ.clear()
        os.environ.update(environ)
    os.chdir(folder)


def _call_status(call: Callable[[], None]) -> int:
    """Call, report a failure, and return the exit status that a separate run would have had."""
    try:
        call()
        _staying[:] = _pool_threads()
        _join_threads()
    except (Exception, SystemExit) as error:  # a task may raise anything; a signal ends all calls
        if os.getpid() != _sender.pid:
            raise
        return _report_failure(error)
    return 0


def _declares_table(node: _ast.expr | None) -> bool:
    """Whether a return annotation declares rows, so that a task without any returns an empty table."""
    is_none = isinstance(node, _ast.Constant) and node.value in (None, "None")
    return node is not None and not is_none and _name_of(node) not in ("NoReturn", "Never")


def _import_task(name: str) -> Callable[..., Any]:
    """Import the task's file and return its one @task function."""
    sys.argv[:] = [f"{name}.py"]  # as if it was a program of its own, which may use argparse
    if _APP_FOLDER not in sys.path:
        sys.path.insert(0, _APP_FOLDER)
    module = importlib.import_module(name)
    path = getattr(module, "__file__", None) or "Python itself"
    if not (os.path.exists(path) and os.path.samefile(path, os.path.join(_APP_FOLDER, f"{name}.py"))):
        raise TaskError(f"{name}.py has the name of another module ({path}): rename it")
    marked = {id(value): value for value in vars(module).values() if getattr(value, "__heroku_task__", False) is True}
    own = [value for value in marked.values() if value.__module__ == module.__name__]
    if len(own) != 1:
        raise TaskError(f"{name}.py needs exactly one function marked with heroku_task's @task, but has {len(own)}")
    for value in [*vars(module).values()]:
        if getattr(value, "__heroku_warm_up__", False) is True:
            value()
            value.__heroku_warm_up__ = False
    return own[0]  # type: ignore[no-any-return]  # only functions are marked


# -- failures --------------------------------------------------------------------------------------


def _report_failure(error: BaseException) -> int:
    """Write an error to stderr and send it as a record. Return the exit status."""
    if isinstance(error, _StdoutClosed) or (isinstance(error, BrokenPipeError) and _is_stdout_closed()):
        raise _StdoutClosed from None
    code = error.code if isinstance(error, SystemExit) else 1
    status = code & 0xFF if isinstance(code, int) else int(code is not None)  # the system keeps only these bits
    if not status:
        return 0
    _sender.flush()
    failure = _failure_record(error)
    try:
        _end_bars()
        sys.stderr.write(failure["traceback"])
    except (AttributeError, ValueError, OSError):  # closed by the task; the record has the traceback, too
        pass
    _sender.send("failure", failure)
    return {Terminated: 143, KeyboardInterrupt: 130}.get(type(error), status)


def _is_stdout_closed() -> bool:
    """Whether stdout is a pipe without a reader, according to poll(2)."""
    from select import POLLERR, poll

    poller = poll()
    poller.register(1, 0)
    return any(event & POLLERR for _, event in poller.poll(0))


def _failure_record(error: BaseException) -> dict[str, Any]:
    from traceback import TracebackException

    report = TracebackException(type(error), error, error.__traceback__)
    frames = [(entry.filename, entry.lineno or 1, entry.name, _column_span(entry)) for entry in report.stack]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 1, "<module>", None))  # or 1: none is known
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    needs_no_traceback = isinstance(error, (TaskError, Terminated, SystemExit))
    text = f"{type(error).__name__}: {_error_message(error)}\n" if needs_no_traceback else _format_traceback(report)
    return {
        "type": type(error).__name__,
        "message": _clip(_error_message(error), 4000),
        "frames": [_frame_record(*frame) for frame in frames if _is_task_file(frame[0])][-5:],
        "missing": missing if missing and "." not in missing else None,
        "traceback": _clip(text, MAX_TRACEBACK_CHARS),
    }


def _error_message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"exit status {error.code}" if isinstance(error.code, int) else str(error.code)
    try:
        return error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # noqa: BLE001 - the __str__ of an arbitrary exception
        return "(its message cannot be shown)"


def _clip(text: str, size: int) -> str:
    """Shorten a text by cutting out its middle."""
    head, mark = size // 4, "\n[...]\n"
    return text if len(text) <= size else text[:head] + mark + text[head + len(mark) - size :]


def _format_traceback(report: TracebackException) -> str:
    """Format a traceback as Python does, without the frames of this file."""
    chain = [report]
    for one in chain:  # which grows meanwhile
        one.stack[:] = [entry for entry in one.stack if not _is_helper_frame(entry)]
        chain += filter(None, [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())])
    return "".join(report.format())


def _is_helper_frame(entry: FrameSummary) -> bool:
    """Whether a frame belongs to this file or to the import machinery."""
    return entry.filename.startswith("<frozen importlib") or entry.filename in (_THIS_FILE, importlib.__file__)


def _is_task_file(file: str) -> bool:
    """Whether a file is the task's own: in the app's folder, and neither this helper nor an installed package."""
    if file in _BUNDLED_FILES:
        return True
    path = os.path.relpath(os.path.join(_APP_FOLDER, file), _APP_FOLDER)
    is_outside = path.startswith((".", "<")) or "site-packages" in path  # Heroku's Python is in .heroku/
    return not is_outside and os.path.join(_APP_FOLDER, path) != _THIS_FILE and os.path.exists(file)


def _column_span(entry: FrameSummary) -> tuple[int, int] | None:
    """Return the byte offsets of the failing expression in its line, which Python 3.11 and later know."""
    begin, end = getattr(entry, "colno", None), getattr(entry, "end_colno", None)
    if begin is None or end is None:
        return None
    return begin, end if entry.end_lineno == entry.lineno else 1 << 16  # to the end of the line


def _frame_record(file: str, line: int, function: str, span: tuple[int, int] | None) -> dict[str, Any]:
    import linecache

    path = file if file in _BUNDLED_FILES else os.path.join(_APP_FOLDER, file)
    lines = [(number, linecache.getline(path, number)) for number in range(max(1, line - 2), line + 1)]
    source = [[number, text.rstrip()[:300]] for number, text in lines if text.strip()]
    name = file if file in _BUNDLED_FILES else os.path.relpath(path, _APP_FOLDER)
    frame = {"file": name, "line": line, "function": function, "source": source}
    failing = lines[-1][1].rstrip().encode()
    columns = [len(failing[:at].decode("utf-8", "replace")) for at in span or ()]
    return {**frame, "columns": columns} if columns and columns[0] < columns[1] else frame


# -- the command line ------------------------------------------------------------------------------


def _describe() -> int:
    """Print the declaration of each task in the Procfile, one row each, without importing any task."""
    _sender.start("describe", None)
    try:
        with open("Procfile", encoding="utf-8", errors="replace") as file:
            commands = dict(re.findall(_PROCFILE_LINE, file.read()))
    except FileNotFoundError:
        raise TaskError("there is no Procfile in this folder to read the tasks from") from None
    emit([_describe_task(name, command.strip()) for name, command in commands.items() if name not in _NOT_TASKS])
    return 0


def _describe_task(name: str, command: str) -> dict[str, Any]:
    """Return the declaration of one task, from its source or from its file NAME.schema.json."""
    match = re.search(_COMMAND, command)
    try:
        source = _Source(f"{match[1]}.py") if match else None
        schema, flags = (source.schema(), source.flags()) if source else (_read_schema_file(name), {})
    except (OSError, SyntaxError, ValueError, RecursionError, TaskError) as error:
        return {"task": name, "parameters": None, "error": f"{type(error).__name__}: {error}"}
    # `calls` says that this version of the helper supports RUN_CALLS.
    return {"task": name, "parameters": schema, **({"calls": True} if match else {}), **flags}


def _read_schema_file(name: str) -> Schema | None:
    """Return the schema of a task in another language, or None if there is no file."""
    file_name = f"{name}.schema.json"
    if not os.path.exists(file_name):
        return None
    with open(file_name, encoding="utf-8-sig") as file:
        schema = json.load(file)
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise TaskError(f"{file_name} must be a JSON Schema: an object whose `properties` are the task's parameters")
    return schema


def _main(words: list[str]) -> int:
    """Execute the command line and return the exit status."""
    if words == ["--describe"]:
        return _run(_describe)
    if len(words) == 1 and not words[0].startswith("-"):
        return _run(lambda: _run_task(words[0]))
    is_help = words in ([], ["-h"], ["--help"])
    print(_USAGE, file=sys.stdout if is_help else sys.stderr)
    return 0 if is_help else 2


def _exit_status(work: Callable[[], int]) -> int:
    """Call `work` and return the exit status for the process."""
    try:
        status = work()
        _flush_streams()
    except (_StdoutClosed, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE  # the status of any command whose reader has gone away
    return status


if __name__ == "__main__":
    # A task that imports heroku_task must get this module, with its key and its record numbers, not a second copy.
    sys.modules["heroku_task"] = sys.modules["__main__"]
    sys.exit(_exit_status(lambda: _main(sys.argv[1:])))
