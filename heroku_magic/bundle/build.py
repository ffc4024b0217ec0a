"""Pack a program and its values into the environment variables of a dyno.

`RUN_CODE` is a complete program: the worker's helper, the driver, the user's source and the values
that all runs share. `RUN_DATA` holds the values of one run. Every run has the same command, without
source or values, because the app's log shows the command.
"""

from __future__ import annotations

import json
import keyword
import zlib
from base64 import b85encode
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.minify import minify
from heroku_magic.bundle.payload import Payload
from heroku_magic.bundle.program import Program, to_literal
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.environ import to_env, with_calls
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.values import LARGE_DATA_HINT, MAX_ENV_BYTES
from heroku_magic.text.sanitize import clean_line
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# The app's folder joins the path only after our modules are loaded: a token.py there must not replace Python's.
COMMAND = (
    """python -c 'import os,sys;path=sys.path;sys.path=[one for one in path if one not in("",os.getcwd())];"""
    """import base64,zlib;exec(zlib.decompress(base64.b85decode(os.environ.pop("RUN_CODE"))))'"""
)
# The driver defines these names in every cell, so no value may replace them.
RESERVED_NAMES = ("emit", "emit_file", "metric", "progress", "display")
# The parts of the helper that the driver uses or a cell may import.
_HELPER_NAMES = (
    *("Secret", "emit", "emit_file", "metric", "progress", "task", "TaskError"),
    *("_BUNDLED_FILES", "_as_dict", "_call_each", "_calls", "_exit_status", "_is_dataframe"),
    *("_plain", "_run", "_sender", "_unpack"),
)
_DEFINE_LOAD = """\
import os, sys, types
def load(name):
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = os.path.abspath("heroku_task.py")
    exec(compile(sources[name], module.__file__, "exec", dont_inherit=True), vars(module))
    return module
"""
# Absolute paths, because a cell may change the current folder.
_LOAD_MODULES = """\
load('heroku_task')
driver = load('heroku_driver')
sys.path = [os.path.abspath(one) for one in path]
"""
_RESERVED_BYTES = 200  # for the run's key and its rate limit, which are added later
_CODE_HINT = "Move the code that rarely changes into a module of the app (%heroku deploy) and import it."


class Bundle:
    """A program with the values that all its runs share. Raises InvalidParameters listing every problem.

    values: the names that the program finds, each with any value that a parameter may have, or a DataFrame.
    names: the parameters that differ from run to run. secrets: travel as separate environment variables;
    a cell finds them as names, too.
    """

    def __init__(
        self,
        program: Program,
        values: Mapping[str, Any],
        names: Iterable[str] = (),
        secrets: Mapping[str, Secret] = MappingProxyType({}),
    ) -> None:
        if issues := [] if program.call else _name_issues([*values, *names, *secrets]):
            raise InvalidParameters(issues)
        self.name = program.name
        self._is_call = program.call is not None
        self._shared = Payload(values)
        self._source = "".join(piece.text for piece in program.pieces)
        code = _compress(_run_code(program, self._shared, sorted(secrets)).encode())
        self._env = {"RUN_CODE": code, **to_env(secrets)}

    @classmethod
    def from_env(cls, name: str, env: Mapping[str, str | Secret]) -> Bundle:
        """Return the bundle that an earlier process made, from the environment that all its runs share."""
        bundle = cls(Program(name, (), call=name), {})
        bundle._env = {key: value for key, value in env.items() if key != "RUN_DATA"}
        return bundle

    def build_env(self, values: Mapping[str, Any] | None = None) -> dict[str, str | Secret]:
        """Return the environment of one run with the values that only this run has: a function's are its arguments.

        Raises InvalidParameters for a value that cannot be encoded, and for more than an environment can hold.
        """
        # The parameters of a cell's runs become columns of the result, where a table has no place.
        payload = Payload(values or {}, with_tables=self._is_call)
        packed = _compress(json.dumps(payload.headers).encode() + b"\n" + payload.body) if payload.headers else ""
        env = {**self._env, **({"RUN_DATA": packed} if packed else {})}
        self._check_size(env, payload)
        return env

    def build_batch_env(self, batch: Sequence[Mapping[str, Any]]) -> dict[str, str | Secret]:
        """Return the environment of a run that runs the program once per mapping of values, in sequence."""
        packed = []
        for values in batch:
            payload = Payload(values)
            header = json.dumps(payload.headers)
            packed.append({"RUN_DATA": _compress(header.encode() + b"\n" + payload.body) if payload.body else header})
        return with_calls(self._env, packed)

    def _check_size(self, env: Mapping[str, str | Secret], payload: Payload) -> None:
        texts = [value.reveal() if isinstance(value, Secret) else value for value in env.values()]
        size = sum(len(text.encode()) for text in [*env, *texts]) + _RESERVED_BYTES
        if size <= MAX_ENV_BYTES:
            return
        sizes = {name: len(_compress(one.serialize(name))) for one in (self._shared, payload) for name in one.headers}
        largest = max(sizes, key=lambda name: sizes[name], default="")
        code_size = len(_compress(self._source.encode()))
        is_code = code_size >= sizes.get(largest, 0)
        part = (
            f"{code_size:,} of them are code" if is_code else f'{sizes[largest]:,} of them are "{clean_line(largest)}"'
        )
        limit = f"A dyno's environment holds {MAX_ENV_BYTES:,}."
        hint = _CODE_HINT if is_code else LARGE_DATA_HINT
        raise InvalidParameters([f'"{self.name}" takes {size:,} bytes after compression; {part}. {limit} {hint}'])


@cache
def sources() -> dict[str, str]:
    """Return the minified text of each module that travels, by module name."""
    helper = (shipped_worker() / "heroku_task.py").read_text(encoding="utf-8")
    package = Path(__file__).parents[1]
    files = {"driver": package / "bundle" / "remote" / "driver.py", "columns": package / "protocol" / "columns.py"}
    remote = {f"heroku_{name}": minify(file.read_text(encoding="utf-8")) for name, file in files.items()}
    return {"heroku_task": minify(helper, _HELPER_NAMES), **remote}


def _run_code(program: Program, shared: Payload, secrets: list[str]) -> str:
    """Return the source text that RUN_CODE carries."""
    code = {**to_literal(program), "values": json.dumps(shared.headers), "secrets": secrets}
    call = f"driver.main({code!r}, {shared.body!r}, load)\n"
    # A cell finds tables only among the values that all its runs share.
    has_tables = program.call or any("tables" in header for header in shared.headers.values())
    travelling = {name: text for name, text in sources().items() if has_tables or name != "heroku_columns"}
    return f"{_DEFINE_LOAD}sources = {travelling!r}\n{_LOAD_MODULES}{call}"


def _name_issues(names: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of a cell's values."""
    issues = []
    for name in dict.fromkeys(names):
        shown = f'"{clean_line(name[:60])}"'
        if names.count(name) > 1:
            issues.append(f"{shown} is given twice. Give each name once.")
        if not name.isidentifier() or keyword.iskeyword(name):
            issues.append(f"{shown} is not a valid variable name.")
        elif name in RESERVED_NAMES:
            issues.append(f"{shown} is a function that every cell has on the dyno. Choose another name.")
    return issues


def _compress(data: bytes) -> str:
    return b85encode(zlib.compress(data, 9)).decode("ascii")
