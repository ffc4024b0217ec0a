"""Pack a program and its values into the environment variables of a dyno.

`RUN_CODE` is a complete program: the worker's helper, the driver, the user's code and the values that all runs
share. `RUN_DATA` holds the values of one run.
"""

from __future__ import annotations

import json
import keyword
import math
import sys
import zlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.payload import MAX_BYTES, encode
from heroku_magic.bundle.shipped import cloudpickle_source, compress, run_code, sources
from heroku_magic.errors import InputTooLarge, InvalidParameters
from heroku_magic.protocol.environ import to_env, with_calls
from heroku_magic.protocol.spool import Spool
from heroku_magic.protocol.values import LARGE_DATA_HINT, MAX_ENV_BYTES, plain
from heroku_magic.text.sanitize import clean_line
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.bundle.program import Program

# The driver defines these names in every cell, so no value may replace them.
RESERVED_NAMES = ("emit", "emit_file", "metric", "progress", "display")
PIECE = 500_000  # bytes
MAX_PLAIN_CHARS = 200  # of values that travel as plain JSON
MAX_CODE_BYTES = 12_000_000  # of a program for an attached dyno
_RESERVED_BYTES = 200  # for the run's key and its rate limit, which are added later
_CODE_HINT = "Move the code that rarely changes into a module of the app (%heroku deploy) and import it."
_CLOUDPICKLE_HINT = "Add a line `cloudpickle` to the app's requirements.txt and deploy it: then each call sends less."


class Bundle:
    """A program, and how the values of each of its runs are encoded.

    env: what all runs share. `Bundle(name, env)` restores the bundle that an earlier process made.
    """

    def __init__(self, name: str, env: Mapping[str, str | Secret]) -> None:
        self.name = name
        self._hidden: list[str] = []
        self._env = {key: value for key, value in env.items() if key != "RUN_DATA"}

    def build_env(
        self, values: Mapping[str, Any] | None = None, *, reserved: int = 0, explains: bool = True
    ) -> dict[str, str | Secret]:
        """Return the environment of one run with the values that only this run has: a function's are its arguments.

        reserved: bytes that others will add. explains: whether the error about too many bytes says what takes them,
        which takes long where there are millions.

        Raises InvalidParameters for a value that cannot be encoded, and for more than an environment can hold.
        """
        env = {**self._env, **({"RUN_DATA": self._encode(values)} if values else {})}
        texts = [value.reveal() if isinstance(value, Secret) else value for value in env.values()]
        size = sum(len(text.encode()) for text in [*env, *texts]) + _RESERVED_BYTES + reserved
        if size > MAX_ENV_BYTES:
            raise InputTooLarge([self._describe_excess(size, values or {})] if explains else [])
        return env

    def build_call(self, values: Mapping[str, Any]) -> tuple[dict[str, str | Secret], Spool]:
        """Return the environment of a call on an attached dyno, and the values that travel beside it.

        Raises InvalidParameters for a value that cannot be encoded, and for a program that is too large.
        """
        env, spool = self._code_env(), Spool(self._hidden)
        if (size := len(str(env["RUN_CODE"]))) > MAX_CODE_BYTES:
            issue = (
                f'"{self.name}", with the variables that it uses, takes {size:,} bytes after compression, and at most '
                f"{MAX_CODE_BYTES:,} can be sent. Pass large values as arguments, which may be of any size."
            )
            raise InvalidParameters([issue])
        kind, data = self._spooled(values, spool)
        spool.add("RUN_DATA", kind, data)
        return env, spool

    def _code_env(self) -> dict[str, str | Secret]:
        return dict(self._env)

    def _spooled(self, values: Mapping[str, Any], spool: Spool) -> tuple[str, bytes]:
        """Return the kind and the content of the values, whose long parts a spool takes."""
        return "json", encode(values, spool)[0].encode()

    def build_batch_env(self, batch: Sequence[Mapping[str, Any]]) -> dict[str, str | Secret]:
        """Return the environment of a run that runs the program once per mapping of values, in sequence."""
        return with_calls(self._env, [{"RUN_DATA": self._encode(values)} for values in batch])

    def _encode(self, values: Mapping[str, Any]) -> str:
        header, body = encode(values)
        _refuse_excess(body)
        return compress(header.encode() + b"\n" + body) if body or len(header) > MAX_PLAIN_CHARS else header

    def _part_sizes(self, values: Mapping[str, Any]) -> dict[str, int]:
        """Return the compressed size of each named part."""
        sizes = {"code": len(str(self._env["RUN_CODE"]))}
        for name, value in values.items():
            header, body = encode({name: value})
            sizes[f'"{clean_line(name)}"'] = len(compress(header.encode() + body))
        return sizes

    def _describe_excess(self, size: int, values: Mapping[str, Any]) -> str:
        sizes = self._part_sizes(values)
        saved = sizes.pop("cloudpickle", 0)
        largest = max(sizes, key=lambda part: sizes[part])
        hint = _CODE_HINT if largest == "code" else LARGE_DATA_HINT
        hint = _CLOUDPICKLE_HINT if saved > size - MAX_ENV_BYTES else hint
        return (
            f'"{self.name}" takes {size:,} bytes after compression; {sizes[largest]:,} of them are {largest}. '
            f"A dyno's environment holds {MAX_ENV_BYTES:,}. {hint}"
        )


class CellBundle(Bundle):
    """A cell with the values that all its runs share. Raises InvalidParameters listing every problem.

    values: the names that the cell finds. names: the parameters that differ from run to run. secrets: travel as
    separate environment variables; the cell finds them as names, too.
    """

    def __init__(
        self,
        program: Program,
        values: Mapping[str, Any],
        names: Iterable[str] = (),
        secrets: Mapping[str, Secret] = MappingProxyType({}),
    ) -> None:
        names = [*names]
        if issues := _name_issues([*values, *names, *secrets]):
            raise InvalidParameters(issues)
        self._text, self._values, self._secrets = program.text, values, to_env(secrets)
        self._code = {"name": "cell", "text": program.text, "quiet": program.quiet, "secrets": sorted(secrets)}
        self._code["definitions"] = program.definitions()
        self._excess: InputTooLarge | None = None
        try:
            header, body = encode(values)
            _refuse_excess(body)
        except InputTooLarge as excess:
            header, body, self._excess = "{}", b"", excess
        modules = dict(sources("RemoteCell"))
        if '"$"' not in header and not names:  # plain JSON needs no decoder
            del modules["heroku_typed_decoder"], modules["heroku_columns"]
        super().__init__("cell", self._env_of(header, body, modules))

    def build_env(
        self, values: Mapping[str, Any] | None = None, *, reserved: int = 0, explains: bool = True
    ) -> dict[str, str | Secret]:
        """Return the environment of one run with the values that only this run has."""
        if self._excess is not None:
            raise self._excess
        return super().build_env(values, reserved=reserved, explains=explains)

    def _env_of(self, header: str, body: bytes, modules: Mapping[str, str]) -> dict[str, str | Secret]:
        program = run_code("RemoteCell", {**self._code, "values": header}, body, modules)
        return {"RUN_CODE": program, **self._secrets}

    def _code_env(self) -> dict[str, str | Secret]:
        return self._env_of("{}", b"", sources("RemoteCell"))

    def _spooled(self, values: Mapping[str, Any], spool: Spool) -> tuple[str, bytes]:
        _refuse_tables(values)
        return super()._spooled({**self._values, **values}, spool)

    def _encode(self, values: Mapping[str, Any]) -> str:
        _refuse_tables(values)
        return super()._encode(values)

    def _part_sizes(self, values: Mapping[str, Any]) -> dict[str, int]:
        return {**super()._part_sizes({**self._values, **values}), "code": len(compress(self._text.encode()))}


class CallBundle(Bundle):
    """A function, whose arguments differ from run to run. Raises InvalidParameters for what cannot be pickled.

    hidden: texts that no pickle may contain, such as the API token. allow_pickle: whether the dyno may pickle the
    result. has_cloudpickle: whether the app has that package; otherwise it travels along.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        secrets: Mapping[str, Secret] = MappingProxyType({}),
        *,
        hidden: Iterable[str] = (),
        allow_pickle: bool = False,
        has_cloudpickle: bool = False,
    ) -> None:
        from heroku_magic.bundle.pickler import pickle_function

        own = [*hidden, *(one.reveal() for one in secrets.values())]
        # Both do not fit into the environment.
        self._keeps_classes = has_cloudpickle or not allow_pickle
        self._call = pickle_function(function, own, keeps_classes=self._keeps_classes)
        self._cloudpickle = "" if has_cloudpickle else cloudpickle_source(can_pickle=allow_pickle)
        name, python, modules = self._call.name, list(sys.version_info[:2]), sources("RemoteCall")
        if not has_cloudpickle:
            modules = {**modules, "cloudpickle.cloudpickle": self._cloudpickle}
        if not self._keeps_classes:
            modules = {key: text for key, text in modules.items() if key != "heroku_classes"}
        code = {"name": name, "python": python, "sources": self._call.sources, "allow_pickle": allow_pickle}
        env = {
            "RUN_CODE": run_code("RemoteCall", code, self._call.data, modules),
            **to_env(secrets),
        }
        super().__init__(name, env)
        self._hidden = own

    def _spooled(self, values: Mapping[str, Any], spool: Spool) -> tuple[str, bytes]:
        from heroku_magic.bundle.pickler import pickle_arguments

        return "pickle", pickle_arguments(values, self._hidden, spool, keeps_classes=self._keeps_classes)

    def _encode(self, values: Mapping[str, Any]) -> str:
        from heroku_magic.bundle.pickler import pickle_arguments

        if text := _as_json(values, self._hidden):
            return text
        data = pickle_arguments(values, self._hidden, keeps_classes=self._keeps_classes, most=MAX_BYTES)
        _refuse_excess(data)
        return compress(b"pickle\n" + data)

    def _part_sizes(self, values: Mapping[str, Any]) -> dict[str, int]:
        sizes = {f'"{clean_line(name)}"': len(self._encode({name: value})) for name, value in values.items()}
        traced = json.dumps(self._call.sources).encode()
        sizes["code"] = len(compress(self._call.data + traced))
        return {**sizes, "cloudpickle": len(compress(self._cloudpickle.encode()))}


class RecordedCall(Bundle):
    """A function as it was sent before. env: its program and the secrets of the new call."""

    def _encode(self, values: Mapping[str, Any]) -> str:
        from heroku_magic.bundle.pickler import pickle_arguments

        hidden = [one.reveal() for one in self._env.values() if isinstance(one, Secret)]
        return _as_json(values, hidden) or compress(b"pickle\n" + pickle_arguments(values, hidden))


def _as_json(arguments: Mapping[str, Any], hidden: Iterable[str]) -> str:
    """Return a few plain arguments as JSON, which a dyno reads far faster than a pickle; empty for any others."""
    values = arguments.values()
    texts = [*arguments, *(one for one in values if type(one) is str)]
    if not all(map(_is_plain, values)) or any(one and one in text for one in hidden for text in texts):
        return ""
    text = json.dumps(arguments)
    return text if len(text) <= MAX_PLAIN_CHARS else ""


def _is_plain(value: Any) -> bool:
    """Whether JSON keeps a value exactly."""
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, str) or (type(value) is int and value.bit_length() <= 64)


def _refuse_tables(values: Mapping[str, Any]) -> None:
    """Refuse parameters that cannot become columns of the result, as those of a sweep do."""
    if issues := [f"{name}: {fault}" for name, value in values.items() if (fault := _fault_of_column(value))]:
        raise InvalidParameters(issues)


def _fault_of_column(value: Any) -> str:
    """Return why a value cannot become a column of the result, and what to do instead; empty if it can."""
    if type(value).__name__ == "DataFrame":
        return (
            "a DataFrame cannot be passed by --each, whose values become columns of the result. Send a list of them "
            "with -i, and sweep over its places, such as --each place={range(2)}."
        )
    try:
        plain(value)
    except TypeError as error:
        return str(error)
    return ""


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


def _refuse_excess(data: bytes) -> None:
    """Raise InputTooLarge for data that cannot fit into an environment, as soon as its compression shows that."""
    size = 0
    for at in range(0, len(data) if len(data) > PIECE else 0, PIECE):
        size += len(zlib.compress(data[at : at + PIECE], 1))
        if size > 4 * MAX_ENV_BYTES:
            raise InputTooLarge([f"The values take {len(data):,} bytes. {LARGE_DATA_HINT}"])
