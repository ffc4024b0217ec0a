"""Writes the `%%heroku` cell that is equal to a form."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PLAIN = re.compile(r"[\w./:@%+=,~-]+", re.ASCII)


def cell(
    task: str,
    values: Mapping[str, Any],
    secrets: Iterable[str],
    options: Mapping[str, Any],
    each: Mapping[str, Sequence[Any]] | None = None,
) -> str:
    """Return the cell that runs a task with these plain values.

    secrets: names of parameters; options: of the line; each: what is swept.

    >>> print(cell("simulate", {"n": 10, "class": "a b"}, ["KEY"], {"size": "eco", "local": True}))
    %%heroku simulate --size eco --local --secret KEY --arg class={'a b'}
    n = 10
    >>> print(cell("simulate", {"n": 10}, [], {}, {"seed": range(3)}))
    %%heroku simulate --each seed
    seed = range(0, 3)
    n = 10
    """
    swept, inline = _split(each or {})
    fixed, arguments = _split(values)
    line = ["%%heroku", task, *_options(options), *(f"--secret {name}" for name in secrets)]
    line += _each(each or {}, inline)
    line += [f"--arg {name}={_expression(value)}" for name, value in arguments.items()]
    body = [f"{name} = {value!r}" for name, value in {**swept, **fixed}.items()]
    return "\n".join([" ".join(line), *body])


def _each(each: Mapping[str, Any], inline: Mapping[str, Any]) -> list[str]:
    """The --each options, in order: the first name varies slowest."""
    if each and not inline:
        return [f"--each {','.join(each)}"]
    return [f"--each {name}={_expression(inline[name])}" if name in inline else f"--each {name}" for name in each]


def _split(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate the values that a body can assign from the values that only the line can pass."""
    # Names with a leading underscore are not sent from a body.
    names = {name for name in values if name.isidentifier() and not keyword.iskeyword(name) and name[0] != "_"}
    assigned = {name: value for name, value in values.items() if name in names}
    return assigned, {name: value for name, value in values.items() if name not in assigned}


def _options(options: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, list):
            words += [f"{option} {_word(one)}" for one in value]
        elif value is True:
            words.append(option)
        elif value is not False and value is not None:
            words.append(f"{option} {_word(value)}")
    return words


def _word(value: Any) -> str:
    """A value of an option, quoted so that the line reads it as the same value."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) and not text.startswith("-") else _expression(text)


def _expression(value: Any) -> str:
    """A value in braces; a space separates them from the braces of a dict."""
    text = repr(value)
    return f"{{ {text} }}" if text.startswith(("{", "[")) else f"{{{text}}}"
