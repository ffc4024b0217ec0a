"""Finds the scripts that a shell command runs, as far as its words show."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOME = "/app"  # https://devcenter.heroku.com/articles/dynos#local-environment-variables
_PYTHON = re.compile(r"python[\d.]*")
_PREFIX = re.compile(r"\w+=.*|exec|env|command|time|nohup", re.DOTALL)
_FLAGS = re.compile(r"-[bBdEiIOPqsSuvx]+")  # of Python, without a value
_FLAG_WITH_VALUE = re.compile(r"-[bBdEiIOPqsSuvx]*[WX](.*)")
_EXPANDED = re.compile(r"[$`*?\[{~\\]")  # only a shell can tell what it becomes


class Script(NamedTuple):
    """A file that a command runs. is_certain: the command is nothing else, so without the file it fails."""

    path: str
    is_certain: bool


def uses_python(command: str) -> bool:
    """Whether a word of a command is Python."""
    return any(_PYTHON.fullmatch(word) for words in _simple_commands(command) for word in words[:1])


def scripts(command: str) -> Iterator[Script]:
    """Yield the files of the app that a command runs, relative to the app."""
    commands = list(_simple_commands(command))
    folder = _HOME
    for words in commands:
        if words and words[0] in {"cd", "pushd", "popd"}:
            # A subshell has a folder of its own.
            if words[0] != "cd" or len(words) != 2 or words[1] == "-" or _EXPANDED.search(words[1]) or "(" in command:
                return
            folder = posixpath.join(folder, words[1])
        for word in _scripts(words):
            path = posixpath.normpath(posixpath.join(folder, word))
            if path.startswith(f"{_HOME}/") and not _EXPANDED.search(word):
                yield Script(path.removeprefix(f"{_HOME}/"), is_certain=len(commands) == 1)


def _simple_commands(command: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, without redirections, assignments and `exec`.

    https://www.gnu.org/software/bash/manual/html_node/Shell-Commands.html
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    is_target = False  # of a redirection
    try:
        for token in lexer:
            if token.startswith("#"):
                break
            is_operator = bool(token) and set(token) <= set("();<>|&")
            is_redirection = is_operator and bool(set(token) & set("<>")) and "(" not in token
            if is_operator and not is_redirection:
                yield _without_prefix(words)
                words = []
            elif not is_operator and not is_target:
                words.append(token)
            is_target = is_redirection
            if is_target and words and words[-1].isdecimal():
                words.pop()  # the number of a stream, as in 2>
    except ValueError:  # an open quotation
        return
    yield _without_prefix(words)


def _without_prefix(words: list[str]) -> list[str]:
    start = next((at for at, word in enumerate(words) if not _PREFIX.fullmatch(word)), len(words))
    return words[start:]


def _scripts(words: list[str]) -> list[str]:
    if not words:
        return []
    rest = words[1:]
    if words[0] in {"bash", "sh"}:
        while rest and re.fullmatch(r"-[a-bd-np-z]+", rest[0]):
            rest = rest[1:]
        return [word for word in rest[:1] if not word.startswith(("-", "+"))]
    if not _PYTHON.fullmatch(words[0]):
        return []
    while rest and rest[0].startswith("-"):
        match = _FLAG_WITH_VALUE.fullmatch(rest[0])
        if not match and not _FLAGS.fullmatch(rest[0]):
            break
        rest = rest[1 if not match or match[1] else 2 :]
    if rest[:2] == ["-m", "heroku_task"]:
        return ["heroku_task.py", *(f"{word}.py" for word in rest[2:3] if not word.startswith("-"))]
    return [word for word in rest[:1] if not word.startswith("-")]
