"""Values of a task that no environment variable holds: tables, bytes, files, and long texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.helper import helper_task
from heroku_magic.protocol.json_schema import in_list
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heroku_magic.protocol.spool import Spool
    from heroku_magic.protocol.task import Task

UNKNOWN = {"anyOf": [{"format": "dataframe"}, {"format": "binary"}]}
LONG = 1_000  # bytes; a longer text may travel beside the environment


def kind_of(schema: Any, value: Any) -> str:
    """Return how a value travels to a parameter that is declared to take it: as a "table", "bytes" or "file".

    Empty: as text, as an environment variable.

    >>> kind_of({"format": "binary"}, b"abc"), kind_of({"type": "integer"}, 3), kind_of({"format": "path"}, "a.csv")
    ('bytes', '', '')
    """
    kinds = [schema, *in_list(schema, "anyOf")] if isinstance(schema, dict) else []
    formats = {kind.get("format") for kind in kinds if isinstance(kind, dict) and "type" not in kind}
    if "dataframe" in formats and any(base.__name__ == "DataFrame" for base in type(value).__mro__):
        return "table"
    if "binary" in formats and isinstance(value, bytes | bytearray | memoryview):
        return "bytes"
    return "file" if "path" in formats and isinstance(value, Path) and value.is_file() else ""


def split(task: Task, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters that are environment variables, and the parameters that travel beside them."""
    schemas = _schemas(task, parameters) if helper_task(task.command) else {}
    beside = {name: value for name, value in parameters.items() if kind_of(schemas.get(name), value)}
    return {name: value for name, value in parameters.items() if name not in beside}, beside


def _schemas(task: Task, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the declarations of parameters; the dyno checks values for those of an undeclared task."""
    if task.schema is None:
        return dict.fromkeys(names, UNKNOWN)
    return {one.name: one.schema for one in task.parameters}


def add_values(
    task: Task, values: Mapping[str, Any], spool: Spool, encode_table: Callable[[Any, str, Spool], Any]
) -> list[str]:
    """Add the values of a task that travel beside its environment; return what is wrong with them."""
    schemas, issues = _schemas(task, values), []
    for name, value in values.items():
        kind = kind_of(schemas.get(name), value)
        try:
            with spool.one_value():
                if kind == "file":
                    spool.add_file(name, value)
                elif kind == "bytes":
                    spool.add(name, "bytes", bytes(value) if isinstance(value, memoryview) else value)
                else:
                    form = encode_table(value, name, spool)
            if kind == "table":
                spool.add(name, kind, json.dumps(form).encode())
        except TypeError as error:
            issues.append(f"{error}, and cannot be passed exactly.")
        except OSError as error:
            issues.append(f"{name}: {value} cannot be read ({error.strerror}).")
    return issues


def move_long_texts(env: dict[str, str | Secret], spool: Spool, most: int) -> None:
    """Move the longest texts of an environment that is too large to where other values are."""
    left = sum(len(name) + len(_text(value).encode()) for name, value in env.items())
    long = [name for name, value in env.items() if isinstance(value, str) and len(value) > LONG]
    for name in sorted(long, key=lambda name: -len(_text(env[name]))):
        if left <= most:
            return
        data = _text(env.pop(name)).encode()
        left -= len(name) + len(data)
        spool.add(name, "text", data)


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
