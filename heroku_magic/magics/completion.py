"""Completion: a line of `%heroku` up to the cursor -> what may stand there; it asks nobody and knows no IPython.

What is offered comes from the table of verbs and from `Facts`, which somebody else gathers. A line
that cannot be read gets nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from heroku_magic.api.dyno_sizes import DOLLARS_A_MONTH
from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.commands import COLON_FORMS, DYNO, HELP, MAGICS, SCOPES, VERBS
from heroku_magic.magics.expand import split
from heroku_magic.text.sanitize import clean_line, clipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heroku_magic.magics.commands import Option, Verb
    from heroku_magic.protocol.task import Parameter, Task

_MAGIC = re.compile(r"\s*(?:[^%'\"#]*=\s*)?(?P<magic>%%?heroku|%%dyno)(?=\s)")
_MOST = 300  # completions, of a stranger's 10,000 names
_HOURS_A_MONTH = 720


class Facts(Protocol):
    """What is known without waiting. `where` has the line's options --app, --worker … as far as they were typed."""

    def tasks(self, where: Mapping[str, str]) -> list[Task]: ...  # noqa: D102 - the names say it
    def dynos(self, where: Mapping[str, str]) -> list[str]: ...  # noqa: D102
    def apps(self) -> list[str]: ...  # noqa: D102
    def runs(self) -> list[str]: ...  # noqa: D102
    def variables(self) -> list[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Match:
    """One completion: the text, and a word on it: its help, type or price."""

    text: str
    told: str = ""


@dataclass(frozen=True)
class Matches:
    """What may stand at the cursor, instead of the last `replaces` characters of the line."""

    replaces: int
    found: list[Match] = field(default_factory=list)


@dataclass(frozen=True)
class _Line:
    """A line that was read up to the word at the cursor."""

    verb: Verb
    typed: str
    waiting: Option | None
    words: list[str]
    used: dict[str, list[str]]

    @property
    def where(self) -> dict[str, str]:
        """The options that have one value, by their names."""
        return {name: values[-1] for name, values in self.used.items()}


def complete(text: str, facts: Facts, *, is_first_line: bool = True) -> Matches | None:
    """Return what may stand at the end of a line's text; None: that is no business of ours.

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
        return _matching(typed, (Match(verb.name, verb.summary) for verb in VERBS.values()))
    verb = cell or _verb(words.pop(0))
    return _of_line(_read(verb, words, typed), facts) if verb else None


def _verb(name: str) -> Verb | None:
    return VERBS.get(COLON_FORMS.get(name, (name, {}))[0])


def _read(verb: Verb, words: Iterable[str], typed: str) -> _Line:
    """Tell words, options and their values apart; a wrong option is the parser's to refuse."""
    options = {name: option for option in verb.options for name in option.names}
    plain: list[str] = []
    used: dict[str, list[str]] = {}
    waiting: Option | None = None
    for word in words:
        name, equals, value = word.partition("=")
        option = options.get(name.replace("_", "-"))
        if waiting:
            used.setdefault(waiting.name, []).append(word)
            waiting = None
        elif option is None:
            plain += [] if word.startswith("-") else [word]
        elif option.metavar and not equals:
            waiting = option
        else:
            used.setdefault(option.name, []).append(value)
    return _Line(verb, typed, waiting, plain, used)


def _of_line(line: _Line, facts: Facts) -> Matches:
    if line.waiting:
        return _values(line.waiting.kind, line.typed, line, facts)
    if line.typed.startswith("-"):
        name, equals, value = line.typed.partition("=")
        option = next((one for one in line.verb.options if name.replace("_", "-") in one.names), None)
        if equals:
            return _values(option.kind, value, line, facts) if option and option.metavar else Matches(0)
        return _matching(line.typed, _options(line))
    has_room = line.verb.most is None or len(line.words) < line.verb.most
    found = _values(line.verb.kind, line.typed, line, facts) if has_room else Matches(0)
    return found if found.found or line.typed else Matches(0, list(_options(line)))


def _options(line: _Line) -> Iterable[Match]:
    """The options that may still come, each by its long name."""
    for option in (*line.verb.options, HELP):
        if option.many or option.name not in line.used:
            yield Match(option.names[-1], option.help)


def _values(kind: str, typed: str, line: _Line, facts: Facts) -> Matches:
    """What a value may be: by what the table of verbs calls it."""
    if kind in {"name=value", "parameter"}:
        return _parameters(typed, line, facts, "=" if kind == "name=value" else "")
    if kind == "folder":
        return _paths(typed)
    known: dict[str, Callable[[], Iterable[Match]]] = {
        "task": lambda: (Match(task.name, task.summary or "task") for task in facts.tasks(line.where)),
        "dyno": lambda: (Match(name, "dyno") for name in facts.dynos(line.where) if name not in line.words),
        "app": lambda: (Match(name, "app") for name in facts.apps()),
        "run": lambda: (Match(name, "run") for name in facts.runs()),
        **dict.fromkeys(("variable", "variables"), lambda: (Match(name, "variable") for name in facts.variables())),
        "secret": lambda: (_as_match(one, "") for one in _declared(line, facts) if one.is_secret),
        "size": _sizes,
        "verb": lambda: (Match(verb.name, verb.summary) for verb in VERBS.values()),
        "region": lambda: (Match("us", "United States"), Match("eu", "Europe")),
        "scopes": lambda: (Match(scope, "scope") for scope in SCOPES),
        "none": lambda: [Match("none")],
    }
    typed = typed.rpartition(",")[2] if kind in {"scopes", "variables"} else typed
    return _matching(typed, known[kind]()) if kind in known else Matches(0)


def _sizes() -> Iterable[Match]:
    yield Match("eco", "from the pool of hours")
    for size, dollars in DOLLARS_A_MONTH.items():
        yield Match(size, f"${dollars / _HOURS_A_MONTH:.3f}/h")


def _parameters(typed: str, line: _Line, facts: Facts, ending: str) -> Matches:
    """A parameter's name with what follows it, or after `=` a value: a choice, or a variable after `$`."""
    name, equals, value = typed.partition("=")
    if equals and value.startswith("$"):
        return _matching(value, (Match(f"${name}", "variable") for name in facts.variables()))
    declared = _declared(line, facts)
    if equals:
        choices = next((one.choices for one in declared if one.name == name), [])
        return _matching(value, (Match(choice, "choice") for choice in choices))
    given = {one.partition("=")[0] for values in line.used.values() for one in values}
    return _matching(typed, (_as_match(one, ending) for one in declared if one.name not in given and not one.is_secret))


def _as_match(parameter: Parameter, ending: str) -> Match:
    kind = clipped(parameter.type).replace(" | ", " or ")  # a line may break at a |
    return Match(f"{parameter.name}{ending}", f"{kind} {parameter.limits}".strip())


def _declared(line: _Line, facts: Facts) -> list[Parameter]:
    """The parameters of the task that the line names, or of the one that runs when it names none."""
    if line.verb is DYNO:
        return []
    tasks = {task.name: task for task in facts.tasks(line.where)}
    name = line.words[0] if line.words else "task" if "task" in tasks else next(iter(tasks), "")
    return tasks[name].parameters if name in tasks and (line.words or name == "task" or len(tasks) == 1) else []


def _paths(typed: str) -> Matches:
    """The folders that go on from what was typed."""
    folder, _, start = typed.rpartition("/")
    try:
        with os.scandir(Path(f"{folder}/" if "/" in typed else ".").expanduser()) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except (OSError, RuntimeError):  # no such folder, no such user
        return Matches(0)
    shown = (name for name in names if start.startswith(".") or not name.startswith((".", "__")))
    return _matching(start, (Match(f"{name}/", "folder") for name in shown if not re.search(r"[\s'\"${}]", name)))


def _matching(typed: str, offered: Iterable[Match]) -> Matches:
    """Those that begin as it was typed; names with hostile characters are left out, for they would be inserted."""
    found: list[Match] = []
    for match in offered:
        if match.text.startswith(typed) and clean_line(match.text) == match.text and len(found) < _MOST:
            found.append(Match(match.text, clipped(match.told)))
    return Matches(len(typed), found)
