"""A declaration as it came -> one that everybody here can read: no references, few forms, bounded; it checks no value.

A task of another language declares itself in a file that somebody wrote, so any JSON Schema may come:
`$ref` is followed inside the document, `const`, `oneOf` and lists of types become `enum` and `anyOf`,
limits stand with the types that they limit. What cannot be read takes anything, and is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.json_schema import LIMITS, expectation, fits, in_list
from heroku_magic.text.sanitize import clipped, short

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_PARTS = 1000  # of one parameter: references may double at each step
_DEEPEST = 20
_PUSHED = (*LIMITS, "enum", "format")


def read_declaration(given: Any) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the JSON Schema of a task's parameters (None: it declares none) and what is wrong with it.

    >>> read_declaration({"properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"const": 1}}})
    ({'properties': {'n': {'enum': [1]}}, '$defs': {'n': {'const': 1}}}, ())
    """
    if not isinstance(given, dict) or not isinstance(given.get("properties"), dict):
        return (given if isinstance(given, dict) else None), ()
    properties, faults = {}, []
    for name, schema in given["properties"].items():
        reader = _Reader(given)
        read = properties[name] = reader.read(schema, (), 0)
        if read.get("default") is not None and not fits(read["default"], read):
            reader.fault = f"its default {short(read['default'])} does not fit: expected {expectation(read)}"
        faults += [f"{clipped(name)}: {reader.fault}."] if reader.fault else []
    return {**given, "properties": properties}, tuple(faults)


class _Reader:
    """Reads one parameter's schema; `fault` is the first thing that is wrong with it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._left = _MOST_PARTS
        self.fault = ""

    def read(self, schema: Any, followed: tuple[str, ...], depth: int) -> dict[str, Any]:
        """Return a schema without references; followed: those that led here."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            return self._anything("it is too large or too deep to be checked, so it takes anything")
        if not isinstance(schema, dict):
            return {}
        if isinstance(reference := schema.get("$ref"), str):
            return self._referred(reference, schema, followed, depth)
        return self._parts_read(_in_few_forms(schema), followed, depth)

    def _referred(
        self, reference: str, schema: Mapping[str, Any], followed: tuple[str, ...], depth: int
    ) -> dict[str, Any]:
        if reference in followed:
            return self._anything(f"it refers to itself ({clipped(reference)}), so it takes anything")
        target = _at(self._document, reference)
        if target is None:
            return self._anything(f"{clipped(reference)} leads nowhere in its document, so it takes anything")
        rest = {word: told for word, told in schema.items() if word != "$ref"}
        return self.read({**target, **rest}, (*followed, reference), depth + 1)

    def _parts_read(self, schema: dict[str, Any], followed: tuple[str, ...], depth: int) -> dict[str, Any]:
        for word in ("items", "additionalProperties"):
            if isinstance(schema.get(word), dict):
                schema = {**schema, word: self.read(schema[word], followed, depth + 1)}
        if kinds := in_list(schema, "anyOf"):
            schema = {**schema, "anyOf": [self.read(kind, followed, depth + 1) for kind in kinds]}
        return schema

    def _anything(self, fault: str) -> dict[str, Any]:
        self.fault = self.fault or fault
        return {}


def _in_few_forms(schema: dict[str, Any]) -> dict[str, Any]:
    """One form for what can be said in several."""
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
    """Limits that stand beside several types, with each type but null."""
    kinds = in_list(schema, "anyOf")
    limits = {word: schema[word] for word in _PUSHED if word in schema}
    if not kinds or not limits:
        return schema
    limited = [{**limits, **kind} if isinstance(kind, dict) and kind != {"type": "null"} else kind for kind in kinds]
    return {**{word: told for word, told in schema.items() if word not in limits}, "anyOf": limited}


def _at(document: Any, reference: str) -> dict[str, Any] | None:
    """What a JSON Pointer of the same document leads to: https://www.rfc-editor.org/rfc/rfc6901."""
    if not reference.startswith("#"):
        return None
    for part in filter(None, reference[1:].split("/")):
        key = part.replace("~1", "/").replace("~0", "~")
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else None
