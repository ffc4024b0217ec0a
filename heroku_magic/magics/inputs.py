"""Inputs: the line of a cell whose body is code -> the values that the code finds, looked up in the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.expand import look_up
from heroku_magic.magics.parser import IN_BODY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.magics.parser import Parsed


def inputs(parsed: Parsed, namespace: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what --input and --arg give, and the values of each --each; a name that is given twice is an error."""
    taken, arguments = dict.fromkeys(parsed.options.get("input", ())), dict(parsed.arguments)
    given = [*taken, *arguments, *(name for name, _ in parsed.each)]
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise InvalidOptions(f"{', '.join(twice)}: given twice. Give each name once, by --input, --arg or --each.")
    values = {name: look_up(name, namespace, told=f"--input {name}") for name in taken}
    return {**values, **arguments}, {name: _each(name, value, namespace) for name, value in parsed.each}


def _each(name: str, value: Any, namespace: Mapping[str, Any]) -> Any:
    """The values of one `--each`: no body assigns them, so where the line gives none a variable has them."""
    return look_up(name, namespace, told=f"--each {name}") if value is IN_BODY else value
