"""The help of the verbs, as text that fits into a narrow notebook and a terminal."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from heroku_magic.magics.commands import HELP, VERBS
from heroku_magic.text.wrapping import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.magics.verb import Verb

_OVERVIEW = """\
%%heroku [TASK] [options] runs a task; the cell's body sets its parameters.
%%dyno [options] runs the cell's own code. The verbs of %heroku:

{verbs}

For more help: %heroku VERB --help, %%heroku --help, %%dyno --help, and
%heroku tasks TASK for a task. The Tab key completes all of these. An example:

  %%heroku
  n = 10"""


def help_text(verb: Verb, *, is_cell: bool) -> str:
    """Return the help of a verb, or of its cell magic; for the verb `help`, the overview of all verbs."""
    if verb.name == "help":
        rows = (_row(f"%heroku {one.usage}", one.summary, 42) for one in VERBS.values())
        return _OVERVIEW.format(verbs="\n".join(rows))
    is_cell = is_cell and bool(verb.magic)
    words = verb.words.replace(" [-- COMMAND]", "") or "[options]"
    examples = verb.cell_examples if is_cell else (verb.session, *verb.examples)
    blocks = [
        f"{verb.magic} {words}" if is_cell else f"%heroku {verb.usage}",
        textwrap.fill(verb.summary, WIDTH, initial_indent="  ", subsequent_indent="  "),
        verb.body if is_cell else "",
        *_options(verb),
        "For example:\n" + "\n\n".join(textwrap.indent(example, "  ") for example in examples if example),
    ]
    return "\n\n".join(filter(None, blocks))


def _options(verb: Verb) -> Iterator[str]:
    """Yield the options, each group of them below its heading."""
    groups: dict[str, list[str]] = {}
    for option in (*verb.options, replace(HELP, group=verb.options[-1].group if verb.options else "")):
        groups.setdefault(option.group, []).append(_row(option.usage, option.help, 24))
    for heading, rows in groups.items():
        yield "\n".join([f"{heading}:", *rows] if heading else rows)


def _row(left: str, right: str, width: int) -> str:
    """Return two columns; the right one wraps below itself."""
    indent = " " * (width + 3)
    return textwrap.fill(right, WIDTH, initial_indent=f"  {left:<{width}} ", subsequent_indent=indent)
