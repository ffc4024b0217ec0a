"""Normalizes a task's declaration into the subset of JSON Schema that this package understands.

Tasks in other languages are declared in a hand-written file, which may use any JSON Schema. References
within the document are resolved; `const`, `oneOf` and lists of types become `enum` and `anyOf`; limits move
into the types that they limit. A schema that cannot be read accepts any value and is reported as a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.json_schema import LIMITS, expectation, fits, in_list
from heroku_magic.text.sanitize import clipped, short

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_PARTS = 1000  # per parameter, because references may double at each step
_MAX_DEPTH = 20
_LIMITING = (*LIMITS, "enum", "format")


def read_declaration(document: Any) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the normalized JSON Schema of a task's parameters (None: undeclared) and its faults.

    >>> read_declaration({"properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"const": 1}}})
    ({'properties': {'n': {'enum': [1]}}, '$defs': {'n': {'const': 1}}}, ())
    """
    if not isinstance(document, dict) or not isinstance(document.get("properties"), dict):
        return (document if isinstance(document, dict) else None), ()
    properties, faults = {}, []
    for name, schema in document["properties"].items():
        reader = _SchemaReader(document)
        read = properties[name] = reader.read(schema, (), 0)
        if read.get("default") is not None and not fits(read["default"], read):
            reader.fault = f"its default {short(read['default'])} is not allowed: expected {expectation(read)}"
        faults += [f"{clipped(name)}: {reader.fault}."] if reader.fault else []
    return {**document, "properties": properties}, tuple(faults)


class _SchemaReader:
    """Normalizes the schema of one parameter. fault: the first problem found in it, or empty."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._parts_left = _MAX_PARTS
        self.fault = ""

    def read(self, schema: Any, followed: tuple[str, ...], depth: int) -> dict[str, Any]:
        """Return a schema without references. followed: the references already resolved on the way."""
        self._parts_left -= 1
        if self._parts_left < 0 or depth > _MAX_DEPTH:
            return self._anything("its schema is too large or too deeply nested to check, so any value is accepted")
        if not isinstance(schema, dict):
            return {}
        if isinstance(reference := schema.get("$ref"), str):
            return self._resolve(reference, schema, followed, depth)
        return self._read_parts(_normalized(schema), followed, depth)

    def _resolve(
        self, reference: str, schema: Mapping[str, Any], followed: tuple[str, ...], depth: int
    ) -> dict[str, Any]:
        if reference in followed:
            return self._anything(f"its schema refers to itself ({clipped(reference)}), so any value is accepted")
        target = _target(self._document, reference)
        if target is None:
            return self._anything(f"{clipped(reference)} does not exist in its schema, so any value is accepted")
        rest = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        return self.read({**target, **rest}, (*followed, reference), depth + 1)

    def _read_parts(self, schema: dict[str, Any], followed: tuple[str, ...], depth: int) -> dict[str, Any]:
        for keyword in ("items", "additionalProperties"):
            if isinstance(schema.get(keyword), dict):
                schema = {**schema, keyword: self.read(schema[keyword], followed, depth + 1)}
        if kinds := in_list(schema, "anyOf"):
            schema = {**schema, "anyOf": [self.read(kind, followed, depth + 1) for kind in kinds]}
        return schema

    def _anything(self, fault: str) -> dict[str, Any]:
        self.fault = self.fault or fault
        return {}


def _normalized(schema: dict[str, Any]) -> dict[str, Any]:
    """Rewrite equivalent keywords to one form."""
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
        del schema["const"]
    if isinstance(schema.get("type"), list):
        schema = {**schema, "anyOf": [{"type": kind} for kind in schema["type"]]}
        del schema["type"]
    if "anyOf" not in schema and in_list(schema, "oneOf"):
        schema = {**schema, "anyOf": schema["oneOf"]}
        del schema["oneOf"]
    return _pushed_down(schema)


def _pushed_down(schema: dict[str, Any]) -> dict[str, Any]:
    """Move limits next to `anyOf` into each of its types except null."""
    kinds = in_list(schema, "anyOf")
    limits = {keyword: schema[keyword] for keyword in _LIMITING if keyword in schema}
    if not kinds or not limits:
        return schema
    limited = [{**limits, **kind} if isinstance(kind, dict) and kind != {"type": "null"} else kind for kind in kinds]
    rest = {keyword: value for keyword, value in schema.items() if keyword not in limits}
    return {**rest, "anyOf": limited}


def _target(document: Any, reference: str) -> dict[str, Any] | None:
    """Return the target of a JSON Pointer within the document: https://www.rfc-editor.org/rfc/rfc6901."""
    if not reference.startswith("#"):
        return None
    for part in filter(None, reference[1:].split("/")):
        key = part.replace("~1", "/").replace("~0", "~")
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else None
