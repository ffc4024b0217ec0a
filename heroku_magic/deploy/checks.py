"""Finds what would make a build or a run fail, in an app's files before they are sent.

What the platform accepts is only a warning, however odd it is.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from heroku_magic.deploy import buildpack, requirements, syntax
from heroku_magic.deploy.commands import scripts, uses_python
from heroku_magic.deploy.findings import AppFiles, Finding
from heroku_magic.platform_facts.procfile import lines as procfile_lines
from heroku_magic.platform_facts.procfile import process_types
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from heroku_magic.deploy.commands import Script
    from heroku_magic.platform_facts.procfile import Line


def findings(names: Iterable[str], texts: Mapping[str, str]) -> list[Finding]:
    """Return what is certain to fail, and what the platform accepts but may surprise.

    names: of all files of an app; texts: the content of the smaller ones.
    """
    app, procfile = AppFiles(frozenset(names), texts), texts.get("Procfile", "")
    declared = process_types(procfile)
    found = [Finding(text, is_certain=False) for text in _procfile_warnings(procfile)]
    if "Procfile" not in app.names:
        expected = "it names the tasks, one `name: command` per line (%heroku init FOLDER writes one)."
        found.append(Finding(f"There is no Procfile: {expected}", is_certain=False))
    elif not declared:
        expected = "write each on a line of its own, as `name: command`."
        found.append(Finding(f"The Procfile declares no task: {expected}", is_certain=False))
    if buildpack.is_python_app(app) or any(map(uses_python, declared.values())):
        found += buildpack.findings(app)
        if "requirements.txt" in app.names:
            found += requirements.findings(app)
    for name, command in declared.items():
        found += _script_findings(app, name, command)
    is_decided = buildpack.is_in_charge(app)
    return [finding if is_decided else finding._replace(is_certain=False) for finding in found]


def _procfile_warnings(procfile: str) -> Iterator[str]:
    """Yield a warning for each line, and each process type, that may surprise."""
    lines = list(procfile_lines(procfile))
    yield from filter(None, map(_line_warning, lines))
    if "\ufffd" in procfile:
        yield "The Procfile is not UTF-8. Save it as UTF-8; the embedded Heroku reads no other."
    for name, count in Counter(line.name for line in lines if line.name).items():
        if count > 1:
            yield f"Procfile: {name} is declared {count} times; the last line counts."


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


def _script_findings(app: AppFiles, name: str, command: str) -> Iterator[Finding]:
    """Yield the scripts of a process type's command that are missing or do not parse."""
    requested = buildpack.requested_python(app)
    minor = requested[1][1] if requested and requested[1][0] == 3 else None
    for script in scripts(command):
        if not app.has(script.path):
            missing = f"{name} runs `{clean_line(command[:80])}`, but there is no {script.path}."
            # A file of that name elsewhere may be on the PYTHONPATH that the app sets.
            is_elsewhere = any(path.endswith(f"/{script.path.rpartition('/')[2]}") for path in app.names)
            yield Finding(clean_line(missing), script.is_certain and not is_elsewhere)
        elif script.path.endswith(".py") and (source := app.texts.get(script.path)) is not None:
            yield from _syntax_findings(script, source, minor)


def _syntax_findings(script: Script, source: str, minor: int | None) -> Iterator[Finding]:
    if found := syntax.problem(source, minor):
        where = f"{clean_line(script.path)}, line {found.line}," if found.line else clean_line(script.path)
        text = f"{where} is not valid source of Python {found.version}: {clean_line(found.message)}."
        yield Finding(text, found.is_certain and script.is_certain)
