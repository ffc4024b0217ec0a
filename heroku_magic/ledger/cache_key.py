"""The key of a cached answer: the environment, the code or task, and the hashes of all parameters."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.payload import parse_raw_text, table_chunks
from heroku_magic.protocol.typed_json import TAG, Encoder
from heroku_magic.protocol.values import RawText, to_text

if TYPE_CHECKING:
    from collections.abc import Mapping


class ValueForm:
    """A parameter's value as typed JSON.

    value: the JSON, or the text of a value that was typed on a line. is_small: it has an exact form without arrays and
    tables. digest: its hash, which is the same in every process; empty for a value without an exact form.
    """

    def __init__(self, value: Any) -> None:
        encoder = Encoder(table_chunks)
        self.value, self.digest, self.is_small = None, "", False
        with suppress(TypeError, RecursionError):
            form = encoder.encode(parse_raw_text(value), "value")
            self.value = str(value) if isinstance(value, RawText) else form
            self.digest = sha256(json.dumps(_canonical(form)).encode("ascii") + b"\n" + encoder.body).hexdigest()
            self.is_small = not encoder.body


def digest_of(value: Any, kind: str, form: ValueForm | None = None) -> str:
    """Return the hash of a parameter: of a task, of the text or the file that reaches the dyno.

    form: of the value, if it is known.
    """
    if kind == "task" and isinstance(value, Path) and value.is_file():
        return _digest_of_file(value)
    if kind == "task":
        with suppress(TypeError):
            text = str(to_text(value, {}))
            # Typed quotes are part of a text; without the mark, the text within them would have the same form.
            mark = "\0" if isinstance(value, RawText) and text.startswith('"') else ""
            return sha256(f"{mark}{text}".encode()).hexdigest()
    return (form or ValueForm(value)).digest


def _digest_of_file(path: Path) -> str:
    """Return the hash of a file's name and content; empty if it cannot be read."""
    digest = sha256(b"\0" + os.fsencode(path.name) + b"\0")
    try:
        with path.open("rb") as file:
            while chunk := file.read(1_000_000):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def hash_base(kind: str, code: str, environment: str, *, takes_rows: bool) -> str:
    """Return what all calls of a task or of some code have in common."""
    return _hash([package_version(), kind, code, environment, takes_rows])


def full_key(base: str, digests: Mapping[str, str]) -> str:
    """Return the key of one call; empty if it must not be answered from the ledger."""
    return _hash([base, sorted(digests.items())]) if base and all(digests.values()) else ""


def _hash(parts: Any) -> str:
    return sha256(json.dumps(parts).encode("ascii")).hexdigest()


@cache
def package_version() -> str:
    """Return the version of this package."""
    return version("heroku-magic")


def _canonical(form: Any) -> Any:
    """Return typed JSON with sets in an order that does not depend on the process."""
    if isinstance(form, list):
        return [_canonical(item) for item in form]
    if not isinstance(form, dict):
        return form
    parts = {key: _canonical(item) for key, item in form.items()}
    return {**parts, "v": sorted(parts["v"], key=json.dumps)} if parts.get(TAG) in {"set", "frozenset"} else parts
