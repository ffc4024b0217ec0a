"""Complete a line of `%heroku`, `%%heroku` or `%%dyno` at the cursor.

Completions come from the table of verbs and from `CompletionSources`. A line that cannot be read gets none.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.commands import COLON_FORMS, DYNO, HELP, MAGICS, VERBS
from heroku_magic.magics.expand import split
from heroku_magic.magics.option_values import SCOPES
from heroku_magic.platform_facts.dyno_sizes import DYNO_SIZES, HOURS_PER_MONTH
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.protocol.polars_frame import LIBRARIES
from heroku_magic.text.sanitize import clean_line, clipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from heroku_magic.magics.completion_sources import CompletionSources
    from heroku_magic.magics.verb import Option, Verb
    from heroku_magic.protocol.task import Parameter

_MAGIC = re.compile(r"\s*(?:[^%'\"#]*=\s*)?(?P<magic>%%?heroku|%%dyno)(?=\s)")
_WORD = re.compile(r"\w*")
_ASSIGNED = re.compile(r"(?P<name>\w+) *= *(?P<value>(?!=).*)")  # in the body of a cell
_MOST = 300  # completions, because an app may have 10,000 names


@dataclass(frozen=True)
class Match:
    """One completion, with its kind, type or price."""

    text: str
    hint: str = ""


@dataclass(frozen=True)
class Matches:
    """The completions, which replace the last `replaces` characters of the line."""

    replaces: int
    found: list[Match] = field(default_factory=list)


@dataclass(frozen=True)
class _Line:
    """A line up to the cursor.

    typed: the start of the word at the cursor. open: the option whose value that word is. used: the values of the
    options before it.
    """

    verb: Verb
    typed: str
    open: Option | None
    words: list[str]
    used: dict[str, list[str]]

    @property
    def where(self) -> dict[str, str]:
        """The last value of each option."""
        return {name: values[-1] for name, values in self.used.items()}

    @property
    def given(self) -> set[str]:
        """The names of parameters that the line mentions."""
        values = [one for option in ("arg", "each", "secret") for one in self.used.get(option, ())]
        return {name for one in values for name in one.partition("=")[0].split(",")}

    @property
    def left_to_body(self) -> set[str]:
        """The names of parameters whose values for a sweep the body assigns."""
        return {name for one in self.used.get("each", ()) if "=" not in one for name in one.split(",")}


def complete(text: str, sources: CompletionSources, *, is_first_line: bool = True) -> Matches | None:
    """Return the completions at the end of a line's text; None if it is not a line of ours.

    >>> [match.text for match in complete("%heroku lo", None).found]
    ['logs', 'login', 'logout']
    """
    magic = _MAGIC.match(text)
    if magic is None:
        return None
    cell = MAGICS.get(magic["magic"])
    if cell and (not is_first_line or text[: magic.start("magic")].strip()):
        return None
    try:
        words = split(text[magic.end() :])
    except InvalidOptions:  # a quote is open
        return None
    typed = words.pop() if words and not text[-1].isspace() else ""
    if "--" in words:
        return None
    if cell is None and not words:
        return _matching(typed, (Match(verb.name, "verb") for verb in VERBS.values()))
    name = "" if cell else words.pop(0)
    verb = cell or VERBS.get(COLON_FORMS.get(name, (name, {}))[0])
    return _of_line(_read(verb, words, typed), sources) if verb else None


def complete_body(text: str, others: Sequence[str], sources: CompletionSources) -> Matches | None:
    """Return the parameters and choices that fit into a line of the body of `%%heroku`; None elsewhere.

    text: the line up to the cursor. others: the other lines of the cell, from the first one on.
    """
    first, *body = others
    magic = _MAGIC.match(first)
    if magic is None or magic["magic"] != "%%heroku":
        return None
    try:
        line = _read(MAGICS["%%heroku"], split(first[magic.end() :]), "")
    except InvalidOptions:
        return None
    declared = [one for one in _declared(line, sources) if not one.is_secret]
    if assigned := _ASSIGNED.match(text):
        literals = next((one.literals for one in declared if one.name == assigned["name"]), [])
        typed = assigned["value"]
        if typed.startswith('"'):
            literals = [f'"{one[1:-1]}"' for one in literals if one[0] == "'" and '"' not in one]
        return _matching(typed, (Match(one, "choice") for one in literals))
    if not _WORD.fullmatch(text):
        return None
    given = (line.given - line.left_to_body) | {match["name"] for match in map(_ASSIGNED.match, body) if match}
    return _matching(text, (_as_match(one, " = ") for one in declared if one.name not in given))


def _read(verb: Verb, words: Iterable[str], typed: str) -> _Line:
    """Sort words, options and their values; unknown options are left to the parser."""
    plain: list[str] = []
    used: dict[str, list[str]] = {}
    open_option: Option | None = None
    for word in words:
        name, equals, value = word.partition("=")
        option = _option(verb, name)
        if open_option:
            used.setdefault(open_option.name, []).append(word)
            open_option = None
        elif option is None:
            plain += [] if word.startswith("-") else [word]
        elif option.metavar and not equals:
            open_option = option
        else:
            used.setdefault(option.name, []).append(value)
    return _Line(verb, typed, open_option, plain, used)


def _option(verb: Verb, name: str) -> Option | None:
    return next((option for option in verb.options if name.replace("_", "-") in option.names), None)


def _of_line(line: _Line, sources: CompletionSources) -> Matches:
    if line.open:
        return _values(line.open.kind, line.typed, line, sources)
    if line.typed.startswith("-"):
        name, equals, value = line.typed.partition("=")
        option = _option(line.verb, name)
        if equals:
            return _values(option.kind, value, line, sources) if option and option.metavar else Matches(0)
        return _matching(line.typed, _options(line))
    has_room = line.verb.most is None or len(line.words) < line.verb.most
    found = _values(line.verb.kind, line.typed, line, sources) if has_room else Matches(0)
    return found if found.found or line.typed else Matches(0, list(_options(line)))


def _options(line: _Line) -> Iterable[Match]:
    """Yield the options that can still be given, by their long names."""
    for option in (*line.verb.options, HELP):
        if option.many or option.name not in line.used:
            yield Match(option.names[-1], "option")


def _values(kind: str, typed: str, line: _Line, sources: CompletionSources) -> Matches:
    """Return the values of one kind, as the table of verbs names kinds."""
    if kind in {"name=value", "parameter"}:
        return _parameters(typed, line, sources, "=" if kind == "name=value" else "")
    if kind == "folder":
        return _paths(typed)
    by_kind: dict[str, Callable[[], Iterable[Match]]] = {
        "task": lambda: (Match(task.name, "task") for task in sources.tasks(line.where)),
        "dyno": lambda: (Match(name, "dyno") for name in sources.dynos(line.where) if name not in line.words),
        "app": lambda: (Match(name, "app") for name in sources.apps()),
        "run": lambda: (Match(name, "run") for name in sources.runs()),
        "recorded": lambda: (Match(name, hint) for name, hint in sources.recorded_runs()),
        **dict.fromkeys(("variable", "variables"), lambda: (Match(name, "variable") for name in sources.variables())),
        "secret": lambda: (_as_match(one, "") for one in _declared(line, sources) if one.is_secret),
        "size": _sizes,
        "verb": lambda: (Match(verb.name, "verb") for verb in VERBS.values()),
        "region": lambda: (Match("us", "United States"), Match("eu", "Europe")),
        "library": lambda: (Match(name, "library") for name in LIBRARIES),
        "scopes": lambda: (Match(scope, "scope") for scope in SCOPES),
        "none": lambda: [Match("none")],
    }
    typed = typed.rpartition(",")[2] if kind in {"scopes", "variables"} else typed  # lists
    typed = typed.lower() if kind == "size" else typed
    return _matching(typed, by_kind[kind]()) if kind in by_kind else Matches(0)


def _sizes() -> Iterable[Match]:
    for name, size in DYNO_SIZES.items():
        price = "from the monthly pool of hours" if size.is_pooled else f"${size.dollars / HOURS_PER_MONTH:.3f}/h"
        yield Match(name, price)


def _parameters(typed: str, line: _Line, sources: CompletionSources, ending: str) -> Matches:
    """Return names of parameters, each followed by `ending`; after `=` their choices, and after `$` variables."""
    name, equals, value = typed.partition("=")
    if equals and value.startswith("$"):
        return _matching(value, (Match(f"${name}", "variable") for name in sources.variables()))
    declared = _declared(line, sources)
    if equals:
        choices = next((one.choices for one in declared if one.name == name), [])
        return _matching(value, (Match(choice, "choice") for choice in choices))
    offered = (one for one in declared if one.name not in line.given and not one.is_secret)
    return _matching(typed, (_as_match(one, ending) for one in offered))


def _as_match(parameter: Parameter, ending: str) -> Match:
    kind = clipped(parameter.type).replace(" | ", " or ")  # front ends may wrap at a |
    return Match(f"{parameter.name}{ending}", f"{kind} {parameter.limits}".strip())


def _declared(line: _Line, sources: CompletionSources) -> list[Parameter]:
    """Return the parameters of the task that the line names, or of the default task."""
    if line.verb is DYNO:
        return []
    tasks = {task.name: task for task in sources.tasks(line.where)}
    default = next(iter(tasks)) if len(tasks) == 1 else "task"
    name = line.words[0] if line.words else default
    return tasks[name].parameters if name in tasks else []


def _paths(typed: str) -> Matches:
    """Return the folders whose path begins as typed."""
    folder, _, start = typed.rpartition("/")
    try:
        with os.scandir(expanded(f"{folder}/" if "/" in typed else ".")) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:  # no such folder
        return Matches(0)
    shown = (name for name in names if start.startswith(".") or not name.startswith((".", "__")))
    return _matching(start, (Match(f"{name}/", "folder") for name in shown if not re.search(r"[\s'\"${}]", name)))


def _matching(typed: str, offered: Iterable[Match]) -> Matches:
    """Return the matches that begin as typed, without names whose control characters would be inserted."""
    found: list[Match] = []
    for match in offered:
        if match.text.startswith(typed) and clean_line(match.text) == match.text and len(found) < _MOST:
            found.append(Match(match.text, clipped(match.hint)))
    return Matches(len(typed), found)
