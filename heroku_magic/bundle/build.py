"""Bundle: a program and values -> the environment that carries them to a dyno; it starts none.

`RUN_CODE` is a program of its own: the worker's helper, the driver, the user's source and the values
that all its runs share. `RUN_DATA` has those of one run. The command is the same for all: neither
source nor values are in it, for the app's log shows it.
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

from heroku_magic.bundle.minify import slim
from heroku_magic.bundle.payload import Inputs
from heroku_magic.bundle.program import Program, as_literal
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.environ import to_env, with_calls
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.values import LARGE_DATA_HINT, MAX_ENV_BYTES
from heroku_magic.text.sanitize import clean_line
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# The app's folder is out of the path until all of ours is loaded: a token.py there is no module of Python's.
COMMAND = (
    """python -c 'import os,sys;path=sys.path;sys.path=[one for one in path if one not in("",os.getcwd())];"""
    """import base64,zlib;exec(zlib.decompress(base64.b85decode(os.environ.pop("RUN_CODE"))))'"""
)
# Names that a cell finds there: no value may take their place.
TAKEN = ("emit", "emit_file", "metric", "progress", "display")
# What the driver needs of the helper, and what a cell may import from it.
_HELPER = (
    *("Secret", "emit", "emit_file", "metric", "progress", "task", "TaskError"),
    *("_BUNDLED_FILES", "_as_dict", "_call_each", "_calls", "_exit_status", "_is_dataframe"),
    *("_plain", "_run", "_sender", "_unpack"),
)
_START = """\
import os, sys, types
def load(name):
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__ = os.path.abspath("heroku_task.py")
    exec(compile(sources[name], module.__file__, "exec", dont_inherit=True), vars(module))
    return module
"""
# As whole paths: a cell may change the current folder.
_LOADED = """\
load('heroku_task')
driver = load('heroku_driver')
sys.path = [os.path.abspath(one) for one in path]
"""
_OWN = 200  # bytes that the run's key and its pace take
_CODE_ELSEWHERE = "Put what does not change between two tries into a module of the app (%heroku deploy), and import it."


class Bundle:
    """A program with the values that all its runs share. Raises InvalidParameters with every fault.

    values: names that the program finds, each a value that a parameter may have, or a DataFrame. names:
    those in which its runs differ. secrets: travel as environment variables of their own; a cell finds
    them as names, too.
    """

    def __init__(
        self,
        program: Program,
        values: Mapping[str, Any],
        names: Iterable[str] = (),
        secrets: Mapping[str, Secret] = MappingProxyType({}),
    ) -> None:
        if issues := [] if program.call else _refused([*values, *names, *secrets]):
            raise InvalidParameters(issues)
        self.name = program.name
        self._is_call = program.call is not None
        self._shared = Inputs(values)
        self._source = "".join(piece.text for piece in program.pieces)
        code = _squeezed(_text(program, self._shared, sorted(secrets)).encode())
        self._env = {"RUN_CODE": code, **to_env(secrets)}

    @classmethod
    def again(cls, name: str, env: Mapping[str, str | Secret]) -> Bundle:
        """Return a bundle that was made before, of the environment that all its runs share."""
        made = cls(Program(name, (), call=name), {})
        made._env = {one: value for one, value in env.items() if one != "RUN_DATA"}
        return made

    def env(self, values: Mapping[str, Any] | None = None) -> dict[str, str | Secret]:
        """Return the environment of one run. values: what it alone has; of a call, its arguments.

        Raises InvalidParameters for a value that has no form, and for more than there is room for.
        """
        own = Inputs(values or {}, with_tables=self._is_call)  # what a cell's runs differ in are columns of the result
        packed = _squeezed(json.dumps(own.coded).encode() + b"\n" + own.body) if own.coded else ""
        env = {**self._env, **({"RUN_DATA": packed} if packed else {})}
        self._check_room(env, own)
        return env

    def calls(self, several: Sequence[Mapping[str, Any]]) -> dict[str, str | Secret]:
        """Return the environment of a run that runs the program once for each of several values, one after another."""
        packed = []
        for values in several:
            own = Inputs(values)
            header = json.dumps(own.coded)
            packed.append({"RUN_DATA": _squeezed(header.encode() + b"\n" + own.body) if own.body else header})
        return with_calls(self._env, packed)

    def _check_room(self, env: Mapping[str, str | Secret], own: Inputs) -> None:
        texts = [value.reveal() if isinstance(value, Secret) else value for value in env.values()]
        size = sum(len(text.encode()) for text in [*env, *texts]) + _OWN
        if size <= MAX_ENV_BYTES:
            return
        sizes = {name: len(_squeezed(one.part(name))) for one in (self._shared, own) for name in one.coded}
        largest = max(sizes, key=lambda name: sizes[name], default="")
        code = len(_squeezed(self._source.encode()))
        is_code = code >= sizes.get(largest, 0)
        part = f"the code {code:,} of them" if is_code else f"{clean_line(largest)} {sizes[largest]:,} of them"
        told = f"{self.name} takes {size:,} bytes, compressed, {part}, and a dyno's environment has {MAX_ENV_BYTES:,}."
        raise InvalidParameters([f"{told} {_CODE_ELSEWHERE if is_code else LARGE_DATA_HINT}"])


@cache
def sources() -> dict[str, str]:
    """Return the text of each module that travels, as little of it as does the work."""
    helper = (shipped_worker() / "heroku_task.py").read_text(encoding="utf-8")
    folder = Path(__file__).parent / "remote"
    own = {name: slim((folder / f"{name}.py").read_text(encoding="utf-8")) for name in ("driver", "frames")}
    return {"heroku_task": slim(helper, _HELPER), **{f"heroku_{name}": text for name, text in own.items()}}


def _text(program: Program, shared: Inputs, secrets: list[str]) -> str:
    """The program that RUN_CODE is."""
    code = {**as_literal(program), "values": json.dumps(shared.coded), "secrets": secrets}
    started = f"driver.main({code!r}, {shared.body!r}, load)\n"
    return f"{_START}sources = {sources()!r}\n{_LOADED}{started}"


def _refused(names: Sequence[str]) -> list[str]:
    """What is wrong with the names of values."""
    issues = []
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            issues.append(f"{clean_line(name[:60])} is given twice: give each name once.")
        if not name.isidentifier() or keyword.iskeyword(name):
            issues.append(f"{clean_line(name[:60])} is no name of a variable.")
        elif name in TAKEN:
            issues.append(f"{name} is what the cell has from us on the dyno: choose another name.")
    return issues


def _squeezed(data: bytes) -> str:
    return b85encode(zlib.compress(data, 9)).decode("ascii")
