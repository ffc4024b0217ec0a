"""The program that a dyno runs: our modules that travel, reduced to what is needed, and the line that starts them.

Every run has the same command, without code or values, because the app's log shows the command.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import zlib
from base64 import b85encode
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.minify import minify, parse, reduced, shorten_names, to_text, unparse
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.values import MAX_ENV_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heroku_magic.text.secret import Secret

# The app's folder joins the path only after our modules are loaded: a token.py there must not replace Python's.
COMMAND = (
    """python -c 'import os,sys;path=sys.path;sys.path=[one for one in path if one not in("",os.getcwd())];"""
    """import base64,zlib;exec(zlib.decompress(base64.b85decode(os.environ.pop("RUN_CODE"))))'"""
)
# The parts of the helper that the driver uses or a cell may import.
_HELPER_NAMES = (
    *("Secret", "emit", "emit_file", "metric", "progress", "task", "warm_up", "TaskError"),
    *("_BUNDLED_FILES", "_as_dict", "_call_each", "_calls", "_chunks", "_exit_status", "_flush_streams"),
    *("_is_dataframe", "_join_threads", "_plain", "_run", "_sender", "_unpack"),
)
_DEFINE_LOAD = """\
import os, sys, types
def load(name, optional=False):
    if optional and name not in sources:
        return None
    if name not in sys.modules:
        module = sys.modules[name] = types.ModuleType(name)
        module.__file__ = os.path.abspath("heroku_task.py")
        exec(compile(sources[name], module.__file__, "exec", dont_inherit=True), vars(module))
    return sys.modules[name]
"""
_NOT_RAW = re.compile(r"'''|['\\]\Z|[\r\0\ud800-\udfff]")  # cannot be in a raw string
# Absolute paths, because a cell may change the current folder.
_RESTORE_PATH = "sys.path = [os.path.abspath(one) for one in path]\n"
_LOAD_MODULES = f"load('heroku_task')\ndriver = load('heroku_driver')\n{_RESTORE_PATH}"
SMALL_BYTES = 1_500  # of data that compress best together with the program around them
FAST_BYTES = 500_000  # beyond which data hardly ever fits into an environment: it is compressed fast rather than well
_SERVER_FILES = "server", "receiver", "parents", "calls", "functions", "imports", "transfer", "rehearsal"
_OF_SERVER = ("heroku_task", "heroku_server", "heroku_receiver", "heroku_parents")
_UNUSED = r"^(un)?register_pickle|^list_registry|^is_tornado|^dump$"
_ONLY_PICKLES = (
    r"^(Pickler|dumps?|_extract|_find|_should|_lookup_module|_whichmodule|_is_registered|_walk|_decompose)"
    r"|^_get_(or_create|bases|cell)|_(reduce|getstate|getnewargs)$"
)


@cache
def sources(kind: str, *, has_bars: bool = True) -> dict[str, str]:
    """Return the minified text of each module that travels, by module name.

    kind: "RemoteCell", "RemoteCall" or "RemoteServer", which runs both of them and tasks. has_bars: progress bars move
    in the log.
    """
    folder = Path(__file__).parents[1]
    remote = folder / "bundle" / "remote"
    of_calls = {"heroku_typed_json": folder / "protocol" / "typed_json.py", "heroku_classes": remote / "classes.py"}
    paths = {
        "heroku_task": shipped_worker() / "heroku_task.py",  # in the order in which they compress best
        "heroku_driver": remote / "driver.py",
        "heroku_output": remote / "output.py",
        "heroku_columns": folder / "protocol" / "columns.py",
        "heroku_typed_decoder": folder / "protocol" / "typed_decoder.py",
        **(of_calls if kind != "RemoteCell" else {}),
        **({f"heroku_{name}": remote / f"{name}.py" for name in _SERVER_FILES} if kind == "RemoteServer" else {}),
    }
    cell, call = ("display", "show"), ("send_table", "to_base64")
    outputs = {"RemoteCell": cell, "RemoteCall": call}.get(kind, cell + call)
    names = {
        "heroku_columns": ("build_frame",),
        "heroku_calls": ("Parent",),
        "heroku_classes": ("ClassMaker",),
        "heroku_parents": ("Parents",),
        "heroku_receiver": ("Receiver", "ReceivedValues"),
        "heroku_transfer": ("Transfer", "prepare"),
        "heroku_driver": ("main", *(("RemoteCell", "RemoteCall") if kind == "RemoteServer" else (kind,))),
        "heroku_output": ("show_open_figures", "close_figures", *outputs),
        "heroku_server": ("main",),
        "heroku_task": _task_names(kind),
    }
    unused = () if has_bars else ("_follow_bars", "_end_bars")
    trees = {name: reduced(path.read_text(encoding="utf-8"), names.get(name), unused) for name, path in paths.items()}
    shorten_names(trees.values())
    return {name: to_text(tree) for name, tree in trees.items()}


def _task_names(kind: str) -> tuple[str, ...]:
    more = ("_APP_FOLDER", "_prepare_task", "_run_task", "_Sender") if kind == "RemoteServer" else ()
    return (*_HELPER_NAMES, *more)


@cache
def cloudpickle_source(*, can_pickle: bool) -> str:
    """Return the minified text of the installed cloudpickle, for apps that do not have it."""
    spec = importlib.util.find_spec("cloudpickle.cloudpickle")
    text = Path(str(spec and spec.origin)).read_text(encoding="utf-8")
    tree = parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "not PYPY":
            node.orelse = []  # dynos run CPython
    text = unparse(tree)
    names = [one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    unused = _UNUSED if can_pickle else f"{_UNUSED}|{_ONLY_PICKLES}"
    return minify(text, [name for name in names if not re.search(unused, name)])


def run_code(kind: str, code: Mapping[str, Any], body: bytes, modules: Mapping[str, str]) -> str:
    """Return the compressed source text that RUN_CODE carries; one that may just fit has no moving progress bars."""
    calls = [f"{_LOAD_MODULES}driver.main(driver.{kind}({code!r}, {data}, load))\n" for data in _expressions(body)]
    text = _pack_shortest(calls, modules)
    if not MAX_ENV_BYTES / 2 <= len(text) < 2 * MAX_ENV_BYTES:
        return text
    smaller = sources(kind, has_bars=False)
    return _pack_shortest(calls, {name: smaller.get(name, text) for name, text in modules.items()})


def _expressions(data: bytes) -> list[str]:
    """Return the Python expressions for bytes of which one is the shortest after compression.

    With escapes, they compress together with the program around them, but binary data of some length badly.
    """
    escaped = repr(data)
    if len(data) < SMALL_BYTES or len(escaped) < 2 * len(data):
        return [escaped]
    packed = f"__import__('zlib').decompress(__import__('base64').b85decode('{compress(data)}'))"
    return [packed] if len(data) >= FAST_BYTES else [escaped, packed]


def _pack_shortest(calls: Sequence[str], modules: Mapping[str, str]) -> str:
    return min((_pack_program(call, tuple(modules.items())) for call in calls), key=len)


@lru_cache(maxsize=16)
def _pack_program(start: str, modules: tuple[tuple[str, str], ...]) -> str:
    """Return compressed code with the texts of modules, as they are if possible, because escapes compress less well."""
    texts = [f"{name!r}:" + (repr(text) if _NOT_RAW.search(text) else f"r'''{text}'''") for name, text in modules]
    return compress(f"{_DEFINE_LOAD}sources = {{{','.join(texts)}}}\n{start}".encode())


def server_env(idle: float, *, keeps_state: bool = False) -> dict[str, str | Secret]:
    """Return the environment of a dyno that serves calls until none has come for `idle` seconds.

    keeps_state: all calls run in one process.
    """
    modules = tuple((name, sources("RemoteServer")[name]) for name in _OF_SERVER)
    load = f"load('heroku_task')\nserver = load('heroku_server')\n{_RESTORE_PATH}"
    return {"RUN_CODE": _pack_program(f"{load}server.main({idle!r}, {keeps_state}, load, sources)\n", modules)}


def server_modules() -> dict[str, str]:
    """Return the modules that calls need and that such a dyno gets over its connection, as they are many."""
    return {name: text for name, text in sources("RemoteServer").items() if name not in _OF_SERVER}


def compress(data: bytes) -> str:
    """Return data as text for an environment variable."""
    return b85encode(zlib.compress(data, 9 if len(data) < FAST_BYTES else 4)).decode("ascii")
