"""What a JSON Schema says that a control depends on: kind, null, bounds, secret; it checks no value.

A schema may come from a stranger's app: whatever is not understood says nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 2**53  # a browser's numbers are exact up to here


def without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a type takes besides null; of several kinds, all of them.

    >>> without_null({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None})
    {'default': None, 'type': 'integer'}
    """
    kinds, names = schema.get("anyOf"), schema.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if not _is_null(kind)]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**rest, **others[0]} if len(others) == 1 and isinstance(others[0], dict) else {**rest, "anyOf": others}
    if isinstance(names, list):
        left = [name for name in names if name != "null"]
        return {**schema, "type": left[0] if len(left) == 1 else left}
    return schema


def takes_null(schema: Mapping[str, Any]) -> bool:
    """Tell whether a type takes null."""
    kinds, names, choices = schema.get("anyOf"), schema.get("type"), schema.get("enum")
    return (
        (isinstance(kinds, list) and any(map(_is_null, kinds)))
        or (isinstance(names, list) and "null" in names)
        or (isinstance(choices, list) and None in choices)
    )


def takes_many(schema: Mapping[str, Any]) -> bool:
    """Tell whether a type takes a list."""
    return kind_of(schema) in {"array", ""} and not schema.get("enum")


def is_secret(schema: Mapping[str, Any]) -> bool:
    """Tell whether a value may be seen by nobody."""
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def kind_of(schema: Mapping[str, Any]) -> str:
    """Return the one type of a schema; empty if it has none or several."""
    kind = schema.get("type")
    return kind if isinstance(kind, str) and "anyOf" not in schema else ""


def bound(schema: Mapping[str, Any], key: str) -> float | None:
    """Return a bound or a step that a browser can hold."""
    value = schema.get(key)
    return value if value is not None and is_number(value) and abs(value) <= LARGEST else None


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number; True is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_null(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("type") == "null"
