"""Checks requirements.txt and the files that it includes, by the rules of pip.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from heroku_magic.deploy.findings import Finding
from heroku_magic.platform_facts.requirements import NO_SUCH_OPTION, lines
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heroku_magic.deploy.findings import AppFiles

_OPTIONS = re.compile(r"\s+-.*$")  # the options of one requirement, such as --hash
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ARCHIVE = re.compile(r".*\.(whl|zip|tar\.gz|tgz|tar|tar\.bz2|tbz|tar\.xz|txz|tlz|tar\.lz|tar\.lzma)", re.IGNORECASE)


def findings(app: AppFiles, file: str = "requirements.txt", seen: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """Yield the lines that pip rejects on every computer but the user's own."""
    for line in lines(app.texts.get(file, "")):
        where = f"{clean_line(file)}, line {line.number}"
        if "${" in line.text:
            continue
        if line.problem:
            # A pip that is newer than this list may have more options.
            is_certain = not line.problem.startswith(NO_SUCH_OPTION)
            yield Finding(f"{where}: pip does not accept `{clean_line(line.text[:80])}`: {line.problem}.", is_certain)
        elif line.option in {"r", "c"}:
            yield from _included(app, posixpath.join(posixpath.dirname(file), line.value), where, seen | {file})
        elif line.option == "e":
            yield from _local(app, line.value, where) if not _URL.match(line.value) else ()
        elif not line.text.startswith("-"):
            yield from _requirement(app, _OPTIONS.sub("", line.text), where)


def _included(app: AppFiles, path: str, where: str, seen: frozenset[str]) -> Iterator[Finding]:
    path = posixpath.normpath(path)
    if _URL.match(path) or path.startswith("/"):
        return
    if not app.has(path):
        yield Finding(f"{where} includes {clean_line(path)}, which is not among the files that are sent.")
    elif path not in seen:
        yield from findings(app, path, seen)


def _requirement(app: AppFiles, text: str, where: str) -> Iterator[Finding]:
    from packaging.requirements import InvalidRequirement, Requirement

    target = text.partition(";")[0].strip()
    if _URL.match(target):
        yield from _file_url(target, where)
    elif (
        target.startswith(".") or "/" in target.partition("@")[0] or ("@" not in target and _ARCHIVE.fullmatch(target))
    ):
        yield from _local(app, target, where)
    else:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            yield Finding(f"{where}: pip does not accept `{clean_line(text[:80])}`: expected `name==version`.")
            return
        if requirement.url and not requirement.marker:
            yield from _file_url(requirement.url, where)
        if str(requirement).lower().replace("_", "-") == "pkg-resources==0.0.0":
            yield Finding(f"{where}: pkg-resources is a leftover of Debian's pip: remove the line.", is_certain=False)


def _file_url(url: str, where: str) -> Iterator[Finding]:
    if url.startswith("file:") and not url.startswith("file:///app/"):
        yield Finding(f"{where} names a file of this computer (`{clean_line(url[:80])}`): expected `name==version`.")


def _local(app: AppFiles, target: str, where: str) -> Iterator[Finding]:
    """Yield what is missing of a local project or archive, whose path is relative to the app."""
    path = posixpath.normpath(re.sub(r"\[[^]]*\]$", "", target.partition(";")[0].strip()))
    if path.startswith("/"):
        return
    prefix = "" if path == "." else f"{path}/"
    is_project = {f"{prefix}pyproject.toml", f"{prefix}setup.py"} & app.names
    if not (is_project or path in app.names):
        yield Finding(f"{where}: `{clean_line(target[:80])}` is not a project or archive in the files that are sent.")
