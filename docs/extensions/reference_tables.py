"""Fill the reference pages with tables that are made from the code, where a page has `<!-- table: NAME -->`."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import TYPE_CHECKING

from heroku_magic import errors
from heroku_magic.emulator.__main__ import _OPTIONS
from heroku_magic.emulator.faults import FAULTS
from heroku_magic.emulator.timings import Timings
from heroku_magic.emulator.web.routes import TABLE
from heroku_magic.magics.commands import DYNO, VERBS
from heroku_magic.magics.verb_group import VerbGroup
from heroku_magic.runs.options import RunOptions, SweepOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sphinx.application import Sphinx

    from heroku_magic.magics.verb import Option, Verb

_MARK = re.compile(r"<!-- table: ([\w-]+) -->")
_METHODS = ("get", "post", "put", "patch", "delete")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = _MARK.sub(lambda mark: TABLES[mark[1]](), source[0])


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """Return text as Markdown code; nothing stays nothing."""
    return f"`{text}`" if text not in {"", None} else ""


def verbs() -> str:
    """Return a section per verb, with its options and examples."""
    return "\n\n".join(_verb(verb) for verb in (*VERBS.values(), DYNO))


def _verb(verb: Verb) -> str:
    line, cell = f"%heroku {verb.usage}", f"{verb.magic} {'[TASK] ' if verb is not DYNO else ''}[options]"
    title = verb.magic if verb is DYNO else f"%heroku {verb.name}"
    usage = "\n".join([*([] if verb is DYNO else [line]), *([cell] if verb.magic else [])])
    parts = [f"### `{title}`", f"{verb.summary[:1].upper()}{verb.summary[1:]}.", f"```text\n{usage}\n```", verb.body]
    parts += [_option_table(verb.options)] if verb.options else []
    examples = "\n".join([*verb.examples, *(f"\n{cell}" for cell in verb.cell_examples)])
    return "\n\n".join([*filter(None, parts), f"```text\n{examples.strip()}\n```"])


def _option_table(options: Iterable[Option]) -> str:
    rows = ((code(one.usage), one.help + (" (may be repeated)" if one.many else "")) for one in options)
    return table(("option", "effect"), rows)


def options_in_python() -> str:
    """Return the keyword arguments of runs and sweeps, with their defaults and options."""
    return table(
        ("keyword argument", "default", "option", "effect"),
        (
            (code(one.name), code(repr(one.default)), code(one.metadata["names"][-1]), one.metadata["help"])
            for kind in (RunOptions, SweepOptions)
            for one in fields(kind)
            if one.metadata and not (kind is SweepOptions and one.name == "max_cost")
        ),
    )


def settings() -> str:
    """Return the settings of `%config HerokuMagics`."""
    traits = VerbGroup.class_traits(config=True)
    rows = ((code(f"HerokuMagics.{name}"), code(repr(one.default())), one.help) for name, one in traits.items())
    return table(("setting", "default", "meaning"), ((a, "the list prices" if "{" in b else b, c) for a, b, c in rows))


def error_table() -> str:
    """Return the errors, indented below what they inherit from, with their meaning and remedy."""
    return table(("error", "what it means", "what to do"), _errors(errors.HerokuMagicError, 0))


def _errors(kind: type, depth: int) -> Iterator[tuple[str, str, str]]:
    public = not kind.__name__.startswith("_")
    if public:
        yield ("&emsp;" * depth + code(kind.__name__), *meaning_and_remedy(kind))
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _errors(child, depth + public)


def meaning_and_remedy(kind: type) -> tuple[str, str]:
    """Return the first two paragraphs of an error's docstring; the second is empty where a section begins."""
    paragraphs = [re.sub(r"\s+", " ", text) for text in inspect.getdoc(kind).split("\n\n")]
    remedy = paragraphs[1] if len(paragraphs) > 1 and "---" not in paragraphs[1] else ""
    return paragraphs[0], remedy


def emulator_options() -> str:
    """Return the options of the embedded Heroku's command line."""
    options = _OPTIONS.items()
    rows = ((code(f"{flag} {settings.get('metavar', '')}".strip()), text) for flag, (text, settings) in options)
    return table(("option", "effect"), rows)


def emulator_faults() -> str:
    """Return the faults that can be turned on."""
    return table(
        ("fault", "value", "effect"),
        ((code(name), kind.description, effect) for name, (kind, effect) in FAULTS.items()),
    )


def emulator_times() -> str:
    """Return the times that can be changed; their meaning is the comment beside each."""
    rows = re.findall(r"^    (\w+): float = (\S+)  # (.+)$", inspect.getsource(Timings), re.MULTILINE)
    return table(
        ("time", "seconds", "from what to what"),
        ((code(name.replace("_", "-")), seconds, meaning) for name, seconds, meaning in rows),
    )


def emulator_routes() -> str:
    """Return the routes, with what the handler of each method says beyond its own path."""
    rows = []
    for path, handler in TABLE.items():
        for method in (name for name in _METHODS if name in vars(handler)):
            text = re.sub(r"\s+", " ", inspect.getdoc(getattr(handler, method)).partition("\n\n")[0])
            note = re.sub(r"^`[^`]*`(?:,? (?:and|or) [^:]*)?[.:;]?\s*", "", text)
            rows.append((code(f"{method.upper()} {path.replace('([^/]+)', '{name}')}"), note[:1].upper() + note[1:]))
    return table(("request", "remarks"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "verbs": verbs,
    "options": options_in_python,
    "settings": settings,
    "errors": error_table,
    "emulator-options": emulator_options,
    "emulator-faults": emulator_faults,
    "emulator-times": emulator_times,
    "emulator-routes": emulator_routes,
}
