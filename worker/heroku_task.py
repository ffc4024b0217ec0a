"""Tasks for heroku_magic: declare a function's parameters once, send its rows, fail in a way that can be read.

Copy this one file into an app. It needs nothing but Python 3.9, and runs nothing when it is imported.

    from heroku_task import task, progress

    @task
    def simulate(n: int = 10, seed: int = 0):
        \"\"\"Estimate pi.  n: points to draw.\"\"\"
        for i in progress(range(n)):
            yield {"i": i}

The Procfile line is `simulate: python -m heroku_task simulate`. A notebook's cell then finds rows,
progress and failures in the log as records: numbered, authenticated lines, whose format is written
down in README.md. Without a RUN_KEY (in any shell) rows are printed as plain JSON lines.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import sys
import threading
import time
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, NoReturn, Optional, TypeVar

if TYPE_CHECKING:
    from types import FrameType, ModuleType, TracebackType

__all__ = ["emit", "progress", "task"]

T = TypeVar("T")

LONGEST_RECORD = 4000  # bytes of a line: below PIPE_BUF, so that nobody else's output cuts it
BATCH = 3000  # characters of rows that are worth a record
PATIENCE = 0.1  # seconds that a row waits for company, and between two words of progress
LONGEST_TRACEBACK = 20_000

_USAGE = """usage: python -m heroku_task NAME        run the task in NAME.py
       python -m heroku_task --describe  print what the Procfile's tasks take, one JSON row each

Parameters are environment variables:  n=10 seed=7 python -m heroku_task task"""
_PROCFILE_LINE = re.compile(r"([-\w]+):\s*(.+?)\s*")
_COMMAND = re.compile(r"python[\d.]*\b.*\s-m\s+heroku_task\s+(\w+)\b")
_NOT_TASKS = {"web", "release", "describe"}
_HELP = re.compile(r"(?:^|\s{2,}|\n)\s*(\w+):[ \t]+(.+?)(?=\s{2,}\w+:[ \t]|\n|$)")


class TaskError(Exception):
    """The task cannot be run as it is: a sentence for whoever wrote it or called it."""


# -- what a task uses ------------------------------------------------------------------------------


def task(function: Callable[..., T]) -> Callable[..., T]:
    """Mark the one function of a file that is the task. Its types say how the environment is read."""
    function.__heroku_task__ = True  # type: ignore[attr-defined]  # a mark on a function
    return function


def emit(rows: Any) -> None:
    """Send a row (a dict), rows (a list of dicts), or a table (a DataFrame)."""
    _sender.rows(list(_as_rows(rows)))


def progress(items: Iterable[T], total: Optional[int] = None, text: Optional[str] = None) -> Iterator[T]:
    """Yield the items and tell how many are done, at most ten times a second; the first and the last always."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]  # asked for a line above
    done, told = 0, -1
    told_at = float("-inf")
    for item in items:
        if time.monotonic() - told_at >= PATIENCE:
            _sender.progress(done, total, text)
            told, told_at = done, time.monotonic()
        yield item
        done += 1
    if told != done:
        _sender.progress(done, total, text)


# -- sending records -------------------------------------------------------------------------------


class _Sender:
    """Writes records to stdout: numbered, signed, each one write. Without a key it prints rows as JSON lines."""

    def __init__(self, run_key: Optional[str], nonce: Optional[str] = None) -> None:
        run, _, key = (run_key or "").partition(":")
        self._run = run
        self._key = bytes.fromhex(key) if key else None
        self._nonce = nonce or os.urandom(4).hex()
        self._number = 0
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._waiting: list[str] = []
        self._size = 0
        self._timer: Optional[threading.Timer] = None
        self.row_count = 0
        self.has_table = False

    @property
    def is_keyed(self) -> bool:
        """Whether somebody reads records."""
        return self._key is not None

    def rows(self, rows: list[dict[str, Any]]) -> None:
        """Send rows, soon: they wait a moment for company. An empty list says that there is a table."""
        if os.getpid() != self._process:
            message = "rows were emitted in a child process: give them back to the parent and emit them there"
            raise RuntimeError(message)
        texts = [json.dumps(row, separators=(",", ":")) for row in rows]
        with self._lock:
            self.row_count += len(texts)
            for text in texts:
                self._wait(text)
            if not texts and not self.has_table and self.is_keyed:
                self.send("rows", "[]")
            self.has_table = True

    def progress(self, done: int, total: Optional[int], text: Optional[str]) -> None:
        """Send how far the task is."""
        if self.is_keyed and os.getpid() == self._process:
            self.flush()
            self.send("progress", json.dumps({"done": done, "total": total, "text": text}, separators=(",", ":")))

    def flush(self) -> None:
        """Send the rows that wait."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._waiting:
                payload, self._waiting, self._size = "[" + ",".join(self._waiting) + "]", [], 0
                self.send("rows", payload)

    def send(self, kind: str, payload: str) -> None:
        """Send one record, in parts where it is too long for a line; a forked child has none to send."""
        if os.getpid() != self._process:
            return
        with self._lock:
            room = LONGEST_RECORD - 100
            while len(payload) > room:
                self._write(kind + "+", payload[:room])
                payload = payload[room:]
            self._write(kind, payload)

    def _wait(self, text: str) -> None:
        if not self.is_keyed:
            _write_line(text)
            return
        if self._size + len(text) > BATCH:
            self.flush()
        self._waiting.append(text)
        self._size += len(text) + 1
        if self._timer is None:
            # A slow generator's row must not wait for its next one.
            self._timer = threading.Timer(PATIENCE, self.flush)
            self._timer.daemon = True
            self._timer.start()

    def _write(self, kind: str, payload: str) -> None:
        import hmac

        assert self._key is not None  # noqa: S101 - records are sent with a key alone
        signed = f"{self._run} {self._nonce} {self._number} {kind} {payload}".encode("ascii")
        mac = hmac.digest(self._key, signed, "sha256").hex()[:24]
        line = f"@hm1 {self._nonce} {self._number} {kind} {mac} {payload}"
        # SIGTERM waits for the whole record: half of one would cost its number.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            _write_line(line)
            self._number += 1
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _write_line(text: str) -> None:
    """Write one line at once, after what the task printed before it."""
    sys.stdout.flush()
    sys.stderr.flush()
    line = text.encode("ascii", "backslashreplace") + b"\n"
    while line:
        line = line[os.write(1, line) :]


# The key is taken out of the environment, so that a task which prints that does not print the key.
_sender = _Sender(os.environ.pop("RUN_KEY", None))


# -- rows ------------------------------------------------------------------------------------------


def _as_rows(value: Any) -> Iterator[dict[str, Any]]:
    """Take a row, rows or a table apart."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = value.to_dict("records")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
        for item in value:
            yield _row(item)
    else:
        yield _row(value)


def _row(value: Any) -> dict[str, Any]:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "__dataclass_fields__"):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if not isinstance(value, dict):
        message = f"a row is a dict of columns and values, not {type(value).__name__}: {value!r:.80}"
        raise TypeError(message)
    return {str(key): _plain(item, str(key)) for key, item in value.items()}


def _plain(value: Any, column: str) -> Any:
    """Return a value as JSON has it."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item, column) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, column) for item in value]
    return _converted(value, column)


def _converted(value: Any, column: str) -> Any:
    """Return what stands in JSON for a date, a number of numpy's, an Enum member, a path ..."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    for convert in ("tolist", "item"):  # numpy's arrays and scalars
        if hasattr(value, convert):
            return _plain(getattr(value, convert)(), column)
    if hasattr(type(value), "__members__"):
        return _plain(value.value, column)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if type(value).__module__.partition(".")[0] in ("decimal", "pathlib", "uuid", "fractions"):
        return str(value)
    message = f"column {column!r} holds {type(value).__name__}, which has no form in JSON: {value!r:.80}"
    raise TypeError(message)


# -- what a task takes: one way from its source to JSON Schema -------------------------------------


def declaration(source: str, filename: str) -> dict[str, Any]:
    """Return the JSON Schema of the parameters of the one @task function in a source, without running it."""
    functions = [
        node for node in ast.parse(source, filename).body if isinstance(node, ast.FunctionDef) and _is_task(node)
    ]
    if len(functions) != 1:
        found = ", ".join(function.name for function in functions) or "none"
        message = f"{filename} needs exactly one function marked @task; found: {found}"
        raise TaskError(message)
    return _schema(functions[0])


def _is_task(function: ast.FunctionDef) -> bool:
    names = [
        node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in function.decorator_list
    ]
    return "task" in names


def _schema(function: ast.FunctionDef) -> dict[str, Any]:
    given = function.args
    names = [*given.posonlyargs, *given.args]
    defaults: list[Optional[ast.expr]] = [*[None] * (len(names) - len(given.defaults)), *given.defaults]
    pairs = [*zip(names, defaults), *zip(given.kwonlyargs, given.kw_defaults)]  # noqa: B905 - equally long
    text = ast.get_docstring(function) or ""
    help_texts = dict(_HELP.findall(text))
    properties = {}
    for argument, default in pairs:
        entry = _type(argument.annotation)
        if default is not None:
            entry.update(_default(default))
        if argument.arg in help_texts:
            entry["description"] = help_texts[argument.arg].strip()
        properties[argument.arg] = entry
    required = [argument.arg for argument, default in pairs if default is None]
    summary = re.split(r"\s{2,}\w+:[ \t]|\n\s*\n|\n\s*\w+:[ \t]", text)[0].strip()
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {**schema, "description": " ".join(summary.split())} if summary else schema


def _default(node: ast.expr) -> dict[str, Any]:
    try:
        value = ast.literal_eval(node)
        json.dumps(value)
    except (ValueError, TypeError):
        return {}
    return {"default": list(value) if isinstance(value, tuple) else value}


_SIMPLE = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "list": "array", "dict": "object"}


def _type(node: Optional[ast.expr]) -> dict[str, Any]:
    """Return the schema of an annotation; what is not known takes anything."""
    if isinstance(node, ast.Constant):
        if node.value is None:
            return {"type": "null"}
        return _type(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else {}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _any_of(_type(node.left), _type(node.right))
    name = _name(node.value if isinstance(node, ast.Subscript) else node)
    if not isinstance(node, ast.Subscript):
        kind = _SIMPLE.get(name.lower() if name in ("List", "Dict") else name)
        return {"type": kind} if kind else {}
    items = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return {"enum": [ast.literal_eval(item) for item in items]}
    if name == "Optional":
        return _any_of(_type(items[0]), {"type": "null"})
    if name == "Union":
        return _any_of(*map(_type, items))
    if name in ("list", "List"):
        return {"type": "array", **({"items": inner} if (inner := _type(items[0])) else {})}
    if name in ("dict", "Dict"):
        return {"type": "object", **({"additionalProperties": inner} if (inner := _type(items[-1])) else {})}
    return {}


def _name(node: Optional[ast.expr]) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _any_of(*schemas: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for schema in schemas for kind in schema.get("anyOf", [schema])]
    return {"anyOf": kinds} if all(kinds) else {}


# -- the environment -> a task's arguments ---------------------------------------------------------


def arguments(schema: dict[str, Any]) -> dict[str, Any]:
    """Read a task's arguments from the environment; raise TaskError with all that is wrong."""
    values, faults = {}, []
    for name, kind in schema["properties"].items():
        if name not in os.environ:
            if name in schema["required"]:
                faults.append(f"{name} is missing")
            continue
        try:
            values[name] = _decoded(os.environ[name], kind)
        except ValueError as fault:
            faults.append(f"{name} is {os.environ[name]!r:.80}: expected {fault}")
    if faults:
        raise TaskError("; ".join(faults))
    return values


def _decoded(text: str, schema: dict[str, Any]) -> Any:
    """Read a text as its type says."""
    if "enum" in schema:
        for choice in schema["enum"]:
            if text == choice or (not isinstance(choice, str) and text == json.dumps(choice)):
                return choice
        raise ValueError("one of " + ", ".join(map(repr, schema["enum"])))
    kind = schema.get("type")
    if kind == "string":
        return text
    if kind == "boolean":
        return _boolean(text)
    value = _number(text, int, "a whole number") if kind == "integer" else None
    value = _number(text, float, "a number") if kind == "number" else value
    return value if value is not None else _from_json(text, schema)


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError("true or false")


def _number(text: str, kind: Callable[[str], Any], name: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(name) from None


def _from_json(text: str, schema: dict[str, Any]) -> Any:
    """Read JSON; where text is taken too, what is no JSON is text."""
    kinds = schema.get("anyOf", [schema])
    is_untyped = not schema.keys() & {"type", "anyOf", "enum"}
    try:
        value = json.loads(text)
    except ValueError:
        if is_untyped or {"type": "string"} in kinds or any("enum" in kind and text in kind["enum"] for kind in kinds):
            return text
        raise ValueError("JSON of " + " or ".join(str(kind.get("type", "anything")) for kind in kinds)) from None
    if is_untyped or any(_fits(value, kind) for kind in kinds):
        return value
    if {"type": "string"} in kinds:
        return text
    raise ValueError(" or ".join(str(kind.get("type", kind)) for kind in kinds))


_PYTHON = {"integer": int, "number": (int, float), "boolean": bool, "string": str, "array": list, "object": dict}


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema.get("type")
    if kind == "null" or kind is None:
        return kind is None or value is None
    if not isinstance(value, _PYTHON[kind]) or (isinstance(value, bool) and kind != "boolean"):  # type: ignore[arg-type]  # types and tuples
        return False
    if isinstance(value, list) and "items" in schema:
        return all(_fits(item, schema["items"]) for item in value)
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        return all(_fits(item, schema["additionalProperties"]) for item in value.values())
    return True


# -- running a task --------------------------------------------------------------------------------


def run(work: Callable[[], None]) -> int:
    """Do a task's work and return the exit status; whatever goes wrong becomes a failure record."""
    status = 0
    signal.signal(signal.SIGTERM, _terminate)
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - a task may raise anything, SystemExit and KeyboardInterrupt too
        status = _fail(error)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending anyway, and has its end to tell
    if _sender.is_keyed:
        _sender.flush()
        _sender.send("end", json.dumps({"status": status, "rows": _sender.row_count}, separators=(",", ":")))
    sys.stdout.flush()
    return status


class _Terminated(BaseException):
    """SIGTERM came: the dyno was stopped, or its time is over."""


def _terminate(_: int, __: Optional[FrameType]) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated("the dyno was told to stop (SIGTERM)")


def run_task(name: str) -> None:
    """Declare the task of NAME.py, import it, call it with the environment's values, send what it gives."""
    schema = None
    try:
        schema = _declared(f"{name}.py")
    finally:
        if _sender.is_keyed:
            _sender.send("task", json.dumps({"task": name, "parameters": schema}, separators=(",", ":")))
    _send_result(_function(name)(**arguments(schema)))


def _declared(filename: str) -> dict[str, Any]:
    try:
        with open(filename, encoding="utf-8") as file:
            return declaration(file.read(), filename)
    except OSError:
        raise TaskError(f"there is no {filename} beside heroku_task.py: the Procfile names it") from None


def _function(name: str) -> Callable[..., Any]:
    """Import the task's file and return its one @task function."""
    import importlib

    sys.path.insert(0, os.getcwd())
    module: ModuleType = importlib.import_module(name)
    marked = [value for value in vars(module).values() if getattr(value, "__heroku_task__", False)]
    own = [value for value in marked if value.__module__ == module.__name__]
    if len(own) != 1:
        raise TaskError(f"{name}.py needs exactly one function marked @task")
    return own[0]  # type: ignore[no-any-return]  # a function, by its mark


def _send_result(result: Any) -> None:
    if isinstance(result, GeneratorType) or hasattr(result, "__next__"):
        for item in result:
            _sender.rows(list(_as_rows(item)))
        if not _sender.has_table:
            _sender.rows([])
    elif result is not None:
        emit(result)


def _fail(error: BaseException) -> int:
    """Tell what went wrong, in the log and as a record; return the exit status."""
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return 0
    if isinstance(error, BrokenPipeError) and not _sender.is_keyed:
        return 1
    text = _traceback(error)
    sys.stderr.write(text)
    if _sender.is_keyed:
        _sender.flush()
        _sender.send("failure", json.dumps(_failure(error, text), separators=(",", ":")))
    if isinstance(error, SystemExit):
        return error.code & 0xFF if isinstance(error.code, int) else 1
    return {_Terminated: 143, KeyboardInterrupt: 130}.get(type(error), 1)


def _failure(error: BaseException, text: str) -> dict[str, Any]:
    kind = {_Terminated: "Terminated", TaskError: "TaskError"}.get(type(error), type(error).__name__)
    missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else None
    return {
        "type": kind,
        "message": _message(error)[:4000],
        "frames": _frames(error),
        "missing": missing.partition(".")[0] if missing and not os.path.exists(f"{missing}.py") else None,
        "traceback": text if len(text) <= LONGEST_TRACEBACK else text[:5000] + "\n[...]\n" + text[-15000:],
    }


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"exit status {error.code}" if isinstance(error.code, int) else str(error.code)
    if isinstance(error, SyntaxError):
        return error.msg
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a foreign exception's own __str__
        return "(its message cannot be shown)"


def _traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it, without this file's own frames."""
    import traceback

    if isinstance(error, (TaskError, _Terminated)):
        return f"{type(error).__name__.lstrip('_')}: {error}\n"
    return "".join(traceback.format_exception(type(error), error, _own_frames(error.__traceback__)))


def _own_frames(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    """Leave out the frames that led to the task: this file's and the import machinery's."""
    while trace is not None and (
        trace.tb_frame.f_code.co_filename == __file__ or "importlib" in trace.tb_frame.f_code.co_filename
    ):
        trace = trace.tb_next
    return trace


def _frames(error: BaseException) -> list[dict[str, Any]]:
    """Return the last places in the app's own files, with their source lines."""
    import traceback

    here = os.getcwd() + os.sep
    places = [(entry.filename, entry.lineno or 0, entry.name) for entry in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((os.path.join(here, error.filename), error.lineno or 0, "<module>"))
    own = [
        {"file": file[len(here) :], "line": line, "function": name, "source": _source(file, line)}
        for file, line, name in places
        if file.startswith(here) and file != os.path.abspath(__file__) and "site-packages" not in file
    ]
    return own[-5:]


def _source(file: str, line: int) -> list[list[Any]]:
    import linecache

    lines = ((number, linecache.getline(file, number)) for number in range(max(1, line - 2), line + 1))
    return [[number, text.rstrip()[:300]] for number, text in lines if text.strip()]


# -- the command line ------------------------------------------------------------------------------


def describe() -> None:
    """Print what each task of the Procfile takes, one row each; sources are read, not imported."""
    try:
        with open("Procfile", encoding="utf-8") as file:
            lines = [match for line in file if (match := _PROCFILE_LINE.fullmatch(line.rstrip("\n")))]
    except OSError:
        raise TaskError("there is no Procfile here: it names the tasks") from None
    emit([_described(match[1], match[2]) for match in lines if match[1] not in _NOT_TASKS])


def _described(name: str, command: str) -> dict[str, Any]:
    match = _COMMAND.search(command)
    if match is None:
        return {"task": name, "parameters": None}
    try:
        with open(f"{match[1]}.py", encoding="utf-8") as file:
            return {"task": name, "parameters": declaration(file.read(), f"{match[1]}.py")}
    except (OSError, SyntaxError, ValueError, TaskError) as error:
        return {"task": name, "parameters": None, "error": f"{type(error).__name__}: {error}"}


def main(words: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    if words == ["--describe"]:
        return run(describe)
    if len(words) != 1 or words[0].startswith("-"):
        print(_USAGE)
        return 0 if words in ([], ["-h"], ["--help"]) else 2
    return run(lambda: run_task(words[0]))


if __name__ == "__main__":
    # One module, not two: a task that imports heroku_task must meet this one, with its numbers and its key.
    sys.modules["heroku_task"] = sys.modules["__main__"]
    exit_status = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(exit_status)
