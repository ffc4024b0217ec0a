"""Finds what would make a build or a run fail, in an app's files before they are sent."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.procfile import lines as procfile_lines
from heroku_magic.procfile import process_types
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heroku_magic.procfile import Line

# https://devcenter.heroku.com/articles/python-support#supported-package-managers
MANAGERS = ("requirements.txt", "Pipfile.lock", "poetry.lock", "uv.lock")
OLDEST = (3, 10)  # https://devcenter.heroku.com/articles/python-support#supported-python-versions
_VERSION = re.compile(r"(?:python-)?3\.(\d{1,2})(?:\.\d{1,3})?")
_PYTHON = re.compile(r"python[\d.]*")


class Process(NamedTuple):
    """A process type that a Procfile declares."""

    name: str
    command: str


def processes(procfile: str) -> tuple[list[Process], list[str]]:
    """Return the process types that a Procfile declares, and a warning for each line that may surprise."""
    lines = list(procfile_lines(procfile))
    names = [line.name for line in lines if line.name]
    issues = list(filter(None, map(_line_warning, lines)))
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    issues += [f"Procfile: {name} is declared {names.count(name)} times; the last line counts." for name in twice]
    return [Process(*entry) for entry in process_types(procfile).items()], issues


def _line_warning(line: Line) -> str:
    """Return how Heroku reads a line of a Procfile, if that may surprise."""
    where = f"Procfile, line {line.number}"
    shown = f"`{clean_line(line.text.strip()[:60])}`"
    if line.text.startswith("\ufeff"):
        return f"{where} begins with a byte-order mark, so Heroku ignores it. Save the file without one."
    if not line.name:
        return f"{where}: Heroku ignores {shown}: expected `name: command`, with a blank after the colon."
    if not line.has_colon:
        return f"{where}: Heroku runs `{clean_line(line.command[:60])}` as {line.name}: expected `name: command`."
    return ""


def warnings(names: Iterable[str], texts: Mapping[str, str]) -> list[str]:
    """Return what the platform accepts but may surprise. The parameters are those of `problems`."""
    if "Procfile" not in names:
        return [
            "There is no Procfile: it names the tasks, one `name: command` per line (%heroku init FOLDER writes one)."
        ]
    declared, issues = processes(texts.get("Procfile", ""))
    if not declared:
        issues.append("The Procfile declares no task: write each on a line of its own, as `name: command`.")
    return issues


def problems(names: Iterable[str], texts: Mapping[str, str]) -> list[str]:
    """Return all problems of an app. names: of all its files; texts: the content of the smaller ones."""
    known, issues = frozenset(names), []
    declared, _ = processes(texts.get("Procfile", ""))
    if _uses_python(known, declared):
        issues += _packages(known) + _versions(known, texts)
        minor = _minor(texts)
        for process in declared:
            issues += _script(process, known, texts, minor)
    return issues


def _uses_python(names: frozenset[str], declared: list[Process]) -> bool:
    return any(name in names for name in MANAGERS) or any(_PYTHON.search(process.command) for process in declared)


def _packages(names: frozenset[str]) -> list[str]:
    found = [name for name in MANAGERS if name in names]
    if not found:
        return ["Heroku's Python buildpack needs one file of packages: add a requirements.txt (it may be empty)."]
    if len(found) > 1:
        return [f"Heroku's Python buildpack accepts one file of packages, but there are {', '.join(found)}: keep one."]
    return []


def _versions(names: frozenset[str], texts: Mapping[str, str]) -> list[str]:
    """Return the problems of the files that choose the Python version."""
    issues = []
    for name in (".python-version", "runtime.txt"):
        if name in names and not _VERSION.fullmatch(_first_line(texts.get(name, ""))):
            shown = clean_line(_first_line(texts.get(name, ""))[:40])
            issues.append(f"{name} says {shown!r}: expected a version such as 3.13.")
    minor = _minor(texts)
    if minor is not None and (3, minor) < OLDEST:
        issues.append(f"Python 3.{minor} is too old for Heroku: expected 3.{OLDEST[1]} or newer.")
    if "uv.lock" in names and ".python-version" not in names:
        issues.append("With uv.lock Heroku also needs a .python-version.")
    return issues


def _minor(texts: Mapping[str, str]) -> int | None:
    """The declared Python's minor version, if one is declared."""
    for name in ("runtime.txt", ".python-version"):
        if match := _VERSION.fullmatch(_first_line(texts.get(name, ""))):
            return int(match[1])
    return None


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in lines if line and not line.startswith("#")), "")


def _script(process: Process, names: frozenset[str], texts: Mapping[str, str], minor: int | None) -> list[str]:
    """Return the scripts of a command that are missing or do not parse."""
    issues = []
    for script in _scripts(process.command):
        if script not in names:
            issues.append(
                f"{process.name} runs `{clean_line(process.command[:80])}`, but there is no {clean_line(script)}."
            )
        elif script.endswith(".py"):
            issues += _unparsed(script, texts.get(script, ""), minor)
    return issues


def _scripts(command: str) -> list[str]:
    """Return the files that a plain command runs; commands for a shell are not interpreted."""
    words = command.split()
    if not words or not _PYTHON.fullmatch(words[0]):
        return [words[1]] if len(words) > 1 and words[0] in {"bash", "sh"} and not words[1].startswith("-") else []
    rest = words[1:]
    if rest[:2] == ["-m", "heroku_task"]:
        named = [f"{word.replace('.', '/')}.py" for word in rest[2:3] if not word.startswith("-")]
        return ["heroku_task.py", *named]
    while rest and rest[0] in {"-u", "-B", "-E", "-s", "-I", "-O"}:
        rest = rest[1:]
    return rest[:1] if rest and rest[0].endswith(".py") else []


def _unparsed(script: str, source: str, minor: int | None) -> list[str]:
    try:
        ast.parse(source, feature_version=(3, minor) if minor else None)
    except (SyntaxError, ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        declared = f" of Python 3.{minor}" if minor else ""
        return [f"{clean_line(script)}{where} is not valid source{declared}: {clean_line(said)}."]
    return []
