"""The rules of Heroku's Python buildpack about package and version files, which stop a build.

https://github.com/heroku/heroku-buildpack-python/tree/main/lib
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from heroku_magic.deploy.findings import Finding
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.deploy.findings import AppFiles

# https://devcenter.heroku.com/articles/python-support#supported-package-managers
MANAGERS = ("requirements.txt", "Pipfile.lock", "poetry.lock", "uv.lock")
# https://devcenter.heroku.com/articles/python-support#supported-python-versions
OLDEST, NEWEST = 10, 14

# The files by which the buildpack recognizes an app: its bin/detect.
_PROJECT_FILES = {
    *MANAGERS,
    *(".python-version", "runtime.txt", "Pipfile", "pdm.lock", "pyproject.toml", "setup.cfg", "setup.py"),
    *("__init__.py", "app.py", "main.py", "manage.py", "server.py"),
    *("requeriments.txt", "requirement.txt", "requirements", "requirements.text", "Requirements.txt"),
    *("requirements.txt.txt", "requirments.txt", "__pycache__", ".venv", "venv"),
}
# Another buildpack comes first, or a hook changes the files: https://devcenter.heroku.com/articles/buildpacks
_DECIDED_ELSEWHERE = {"Gemfile", "package.json", "project.clj", "bin/pre_compile", "bin/post_compile"}
# The files of buildpacks that come after it.
_DECIDED_LATER = {
    *("pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "gradlew", "build.sbt"),
    *("composer.json", "index.php", "go.mod"),
}
# Names that the buildpack takes for a misspelled .python-version.
_MISSPELLED = {
    *(" .python-version", ". python-version", ".python_version.txt", ".python_version", ".python-version "),
    *(",python-version", ".python-version.", ".python-version.py", ".python-version.rtf", ".python-version.txt"),
    *(".python-version.TXT", ".Python-version", ".python.version", ".pythonversion", "'.python-version'"),
    *("python_version.txt", "python_version", "python-version.", "python-version.txt", "python-version"),
}
VERSION_FILES = ("runtime.txt", ".python-version", "Pipfile.lock")  # the first one that is there decides
_VERSION = re.compile(r"(?P<prefix>python-)?(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)(\.(0|[1-9]\d*))?", re.ASCII)
_BLANKS = "\t\v\f\r \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u2028\u2029\u205f\u3000"


def is_python_app(app: AppFiles) -> bool:
    """Whether the buildpack recognizes the app by its files."""
    return any(map(app.has, _PROJECT_FILES))


def is_in_charge(app: AppFiles) -> bool:
    """Whether the buildpack alone decides, by the files as they are."""
    return not _DECIDED_ELSEWHERE & app.names and (is_python_app(app) or not _DECIDED_LATER & app.names)


def findings(app: AppFiles) -> Iterator[Finding]:
    """Yield what the buildpack rejects, and what it ignores in silence."""
    yield from _package_findings(app)
    yield from _folder_findings(app)
    yield from _version_findings(app)


def requested_python(app: AppFiles) -> tuple[str, tuple[int, int]] | None:
    """Return the file that requests a Python and the version, such as (3, 13); None if there is no valid request."""
    source, versions = _requested(app)
    match = _parse(source, versions[0]) if len(versions) == 1 else None
    return (source, (int(match["major"]), int(match["minor"]))) if match else None


def _package_findings(app: AppFiles) -> Iterator[Finding]:
    found = [name for name in MANAGERS if name in app.names]
    if "Pipfile" in app.names and "Pipfile.lock" not in app.names:
        yield Finding(
            "There is a Pipfile without a Pipfile.lock: run `pipenv lock`, or use a requirements.txt instead."
        )
    elif not found:
        yield Finding("Heroku's Python buildpack needs one file of packages: add a requirements.txt (it may be empty).")
    elif len(found) > 1:
        files = ", ".join(found)
        yield Finding(f"Heroku's Python buildpack accepts one file of packages, but there are {files}: keep one.")
    if not _is_json(app.texts.get("Pipfile.lock", "{}")):
        yield Finding("Pipfile.lock is not valid JSON: run `pipenv lock` to write it again.")
    for name in ("poetry.lock", "uv.lock"):
        if name in app.names and "pyproject.toml" not in app.names:
            yield Finding(f"There is a {name} without the pyproject.toml that it locks.")


def _folder_findings(app: AppFiles) -> Iterator[Finding]:
    remedy = "remove it, or name it in .slugignore."
    for folder in (".venv", "venv"):
        if f"{folder}/pyvenv.cfg" in app.names:
            yield Finding(f"{folder}/ is a virtual environment, which Heroku rejects: {remedy}")
    if app.has(".heroku/python"):
        yield Finding(f".heroku/python/ is where Heroku installs Python, so it must not exist yet: {remedy}")


def _version_findings(app: AppFiles) -> Iterator[Finding]:
    misspelled = sorted(_MISSPELLED & app.names)
    if "runtime.txt" in app.names:
        if ".python-version" in app.names:
            yield Finding("runtime.txt overrides .python-version: keep one of them.", is_certain=False)
        if "uv.lock" in app.names:
            yield Finding("Heroku does not support runtime.txt beside uv.lock: use a .python-version instead.")
    elif misspelled:
        yield Finding(f"{clean_line(repr(misspelled[0]))} is a misspelled .python-version: rename it.")
    elif "uv.lock" in app.names and ".python-version" not in app.names:
        yield Finding("With uv.lock Heroku also needs a .python-version.")
    source, versions = _requested(app)
    if len(versions) > 1:
        yield Finding(f"{source} has {len(versions)} versions: keep one.")
    elif source:
        yield from _judge(source, versions[0])


def _judge(source: str, version: str) -> Iterator[Finding]:
    """Yield what is wrong with a requested version."""
    match = _parse(source, version)
    if match is None:
        expected = "python-3.13" if source == "runtime.txt" else "3.13"
        encoding = ", as plain UTF-8 without a byte-order mark" if {"\ufeff", "\ufffd", "\0"} & set(version) else ""
        yield Finding(f"{source} says {clean_line(version[:40])!r}: expected a version such as {expected}{encoding}.")
        return
    major, minor = int(match["major"]), int(match["minor"])
    if (major, minor) < (3, OLDEST):
        yield Finding(f"Python {major}.{minor} is too old for Heroku: expected 3.{OLDEST} or newer.")
    elif major > 3 or minor > NEWEST:
        # A new minor version appears each October (PEP 602), 3.14 in 2025: what is not out yet is certainly unknown.
        is_future = major > 3 or minor > time.gmtime().tm_year - 2011
        newest = f"3.{NEWEST} is the newest version that is known to work"
        yield Finding(f"Heroku may not support Python {major}.{minor}: {newest}.", is_certain=is_future)


def _parse(source: str, version: str) -> re.Match[str] | None:
    """Return the parts of a version, which has the prefix `python-` in a runtime.txt and nowhere else."""
    match = _VERSION.fullmatch(version)
    return match if match and bool(match["prefix"]) == (source == "runtime.txt") else None


def _requested(app: AppFiles) -> tuple[str, list[str]]:
    """Return the file that decides the version and what it says; an empty text if no file does."""
    for name in VERSION_FILES[:2]:
        if name in app.names:
            text = app.texts.get(name)
            return ("", []) if text is None else (name, _version_lines(text) or [""])
    version = _locked_version(app.texts.get("Pipfile.lock", ""))
    return ("", []) if version is None else ("Pipfile.lock", [version])


def _version_lines(text: str) -> list[str]:
    lines = [line.strip(_BLANKS) for line in text.split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def _locked_version(lock: str) -> str | None:
    try:
        requires = json.loads(lock)["_meta"]["requires"]
        given = [requires.get("python_full_version"), requires.get("python_version")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    # As jq has it, an empty text is a version, too.
    return next((str(version) for version in given if version is not None and version is not False), None)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
