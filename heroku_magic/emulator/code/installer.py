"""Installs an app's requirements with uv or pip, and gives the environment a pip of its own; says why it failed."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.platform_facts.installer_variables import PIP_SETTINGS, installer_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# `-m pip` would look for modules in the app's folder first.
_PIP = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; import runpy; runpy.run_module('pip', run_name='__main__')"
)
_BOOTSTRAP = (
    "import ensurepip, subprocess, sys; ensurepip.bootstrap(); "
    "sys.exit(subprocess.call([sys.executable, '-I', '-m', 'pip', *sys.argv[1:]]))"
)
# No hard links into uv's cache, no settings that pip would not read, and the best version of all indexes as for pip.
_UV_OPTIONS = ("--no-config", "--link-mode=copy", "--compile-bytecode", "--index-strategy=unsafe-best-match")
# uv's variable for a setting of pip, and what separates its values. https://docs.astral.sh/uv/reference/environment/
_UV_VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
# Settings of pip that do not change what is installed.
_HARMLESS = {
    *("disable-pip-version-check", "no-input", "quiet", "verbose", "progress-bar", "no-color", "retries", "user"),
    *("cache-dir", "no-cache-dir", "require-virtualenv", "break-system-packages", "root-user-action", "log"),
    *("no-warn-script-location", "no-python-version-warning", "prefer-binary", "config-file"),
}
# What a dyno installs goes into its own folder, because all dynos share the environment.
_PIP_OF_A_DYNO = """\
import os, sys

home = os.path.join(os.environ.get("HOME", ""), ".heroku", "python")
given = [one for one in sys.argv[1:] if one != "--user" or "install" not in sys.argv]
words = [one for one in given if not one.startswith("-")]
if "uninstall" in words and not {{"install", "download", "show", "help"}} & {{*words[: words.index("uninstall")]}}:
    sys.exit("pip uninstall: the packages of an app are those of its requirements.txt. Remove the line there.")
os.environ.update(PIP_IGNORE_INSTALLED="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
if not any(one.startswith(("-t", "--target", "--prefix")) for one in given):
    os.environ.update(PIP_PREFIX=home)
os.execv({python!r}, [{python!r}, "-I", "-c", {pip!r}, "--python", sys.executable, *given])
"""
_PATH_OF_A_DYNO = (
    "import os, sys; _p = os.path.join(os.environ.get('HOME', ''), '.heroku/python/lib', "
    "'python%d.%d' % sys.version_info[:2], 'site-packages'); os.path.isdir(_p) and sys.path.insert(-1, _p)\n"
)
# The installer's last lines, which hold its conclusion.
_MOST_LINES = 3
_NAMED_LINE = re.compile(r"-r \S*?requirements\.txt \(line (\d+)\)|from line (\d+) of \S*requirements\.txt")
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")


def add_pip(environment: Path) -> None:
    """Give an environment `pip` and `python -m pip`, which run ours: installing one would take seconds."""
    packages = _packages(environment)
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    text = _PIP_OF_A_DYNO.format(python=sys.executable, pip=_PIP)
    (packages / "pip" / "__main__.py").write_text(text, encoding="utf-8")
    (packages / "_dyno.pth").write_text(_PATH_OF_A_DYNO, encoding="utf-8")
    python = environment / "bin" / "python"
    for name in ("pip", "pip3", f"pip3.{sys.version_info[1]}"):
        script = environment / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -m pip "$@"\n', encoding="utf-8")
        script.chmod(0o755)


def for_dyno(environment: Path) -> dict[str, Any]:
    """Return the installers that a dyno may use for packages of its own, and the variables that they see.

    uv is only for a notebook without pip, whose settings it does not read.
    """
    needed, python = installer_variables(os.environ), str(environment / "bin" / "python")
    commands = [[sys.executable, "-c", _PIP, "--python", python, "install"]] if find_spec("pip") else []
    if not commands and (uv := _uv(needed, python)):
        commands = [uv]
    return {"installers": commands, "variables": {**needed, **PIP_SETTINGS}}


async def commands(environment: Path) -> list[tuple[list[str], dict[str, str]]]:
    """Return commands that install the requirements.txt of the folder where they run, each with its variables.

    A later one is for when those before it fail. uv comes first where it is present, unless pip has a setting that it
    lacks.
    """
    python = str(environment / "bin" / "python")
    needed = installer_variables(os.environ)
    has_pip = find_spec("pip") is not None
    pip = [sys.executable, "-c", _PIP, "--python", python] if has_pip else [python, "-I", "-c", _BOOTSTRAP]
    found = [([*pip, "install", "-r", "requirements.txt"], {**needed, **PIP_SETTINGS})]
    if uv := _uv(needed, python):
        translated = _uv_variables(await _pip_settings() if has_pip else _pip_variables())
        if translated is not None:
            found.insert(0, ([*uv, "-r", "requirements.txt"], {**translated, **needed}))
    return found


def _uv(variables: Mapping[str, str], python: str) -> list[str] | None:
    """Return the command of uv that installs for this Python; None where uv is not present."""
    uv = shutil.which("uv", path=f"{variables.get('PATH', '')}{os.pathsep}{Path(sys.executable).parent}")
    return [uv, "pip", "install", *_UV_OPTIONS, "--python", python] if uv else None


def move_editable(environment: Path, folder: Path) -> None:
    """Let an editable project be imported from the dyno's own copy of the folder that it was installed from.

    Heroku's buildpack rewrites these paths, too, because it builds in another folder than `/app`.
    """
    home = '__import__("os").environ.get("HOME", "")'
    for file in _packages(environment).iterdir():
        if file.suffix not in {".pth", ".py"}:
            continue
        text = before = file.read_text(encoding="utf-8", errors="surrogateescape")
        for path in {str(folder), os.path.realpath(folder)}:
            if file.suffix == ".pth":
                line = rf"(?m)^{re.escape(path)}(/.*)?$"
                text = re.sub(line, lambda match: f"import sys; sys.path.append({home} + {match[1] or ''!r})", text)
            elif file.name.startswith("__editable__"):
                text = re.sub(rf"""(['"]){re.escape(path)}(?=[/'"])""", lambda match: f"{home} + {match[1]}", text)
        if text != before:
            file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _pip_variables() -> dict[str, str]:
    """Return those of pip's settings that are environment variables, for a Python without pip."""
    names = (name for name in installer_variables(os.environ) if name.startswith("PIP_"))
    return {name[len("PIP_") :].lower().replace("_", "-"): os.environ[name] for name in names}


async def _pip_settings() -> dict[str, str]:
    """Return pip's settings of all its files and variables by name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PIP, "config", "list"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**installer_variables(os.environ), "PIP_QUIET": "0"},  # a quiet pip lists nothing
    )
    output, _ = await process.communicate()
    found: dict[str, tuple[int, str]] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        match = re.fullmatch(r"(global|install|:env:)\.([a-z-]+)=(.*)", line)
        if match is None:
            continue
        rank = ("global", "install", ":env:").index(match[1])
        if rank >= found.get(match[2], (0, ""))[0]:
            found[match[2]] = rank, str(ast.literal_eval(match[3]))
    return {name: value for name, (_, value) in found.items()}


def _uv_variables(settings: dict[str, str]) -> dict[str, str] | None:
    """Translate pip's settings; None if uv has no counterpart of one."""
    if not settings.keys() <= _UV_VARIABLES.keys() | _HARMLESS:
        return None
    used = {name: value for name, value in settings.items() if name in _UV_VARIABLES and value.split()}
    return {_UV_VARIABLES[name][0]: _UV_VARIABLES[name][1].join(value.split()) for name, value in used.items()}


def _packages(environment: Path) -> Path:
    return environment / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages"


def describe_failure(requirements: Path, output: Sequence[str]) -> str:
    """Return why requirements could not be installed: the line of the file, and the installer's own conclusion.

    output: the last lines of pip or uv.
    """
    printed = [line for line in output if line.strip()]
    wanted = requirements.read_text("utf-8", "replace").splitlines()
    number = _failing_line(wanted, printed)
    where = f", line {number}: {wanted[number - 1].strip()}" if number else ""
    headline = f"The app's requirements.txt could not be installed{where}"
    return "\n".join([headline, *(f"  {line[:250]}" for line in printed[-_MOST_LINES:])])


def _failing_line(wanted: Sequence[str], printed: Sequence[str]) -> int | None:
    """Return the number of the requirement that the output names last, or None."""
    names = {number: match[1] for number, text in enumerate(wanted, 1) if (match := _NAME.match(text))}
    for line in reversed(printed):
        if (match := _NAMED_LINE.search(line)) and 0 < (number := int(match[1] or match[2])) <= len(wanted):
            return number
        found = [number for number, name in names.items() if _mentions(line, name)]
        if found:
            return max(found, key=lambda number: len(names[number]))
    return None


def _mentions(line: str, name: str) -> bool:
    pattern = re.sub(r"[-_.]+", "[-_.]+", name)
    return re.search(rf"(?<![\w.-]){pattern}(?![\w-])", line, re.IGNORECASE) is not None
