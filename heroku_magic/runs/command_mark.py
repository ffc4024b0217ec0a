"""Marks a dyno's command line with the id of its run, out of sight of what the command runs.

The mark finds the dyno of a lost create again. Heroku replaces a process type only in the first word of a command
(https://devcenter.heroku.com/articles/one-off-dynos), so the mark cannot always come first, and at the end it may
be part of a here-document or continue a line that ends in a backslash. The line of a process type may end in one, too,
which takes one blank away from what follows.
"""

from __future__ import annotations

import re

from heroku_magic.protocol.records import RUN_ID

_IDS = (
    re.compile(rf" #({RUN_ID})$"),
    re.compile(rf": ({RUN_ID}) \"\$_\"; "),
    re.compile(rf"[\w-]+ \${{({RUN_ID.replace('-', '_', 1)})-}} ", re.ASCII),
)
# A word that may be a process type, before more words. After these words of the shell, none may be inserted.
_PROCESS_TYPE = re.compile(
    r"(?!(?:case|coproc|do|elif|else|for|function|if|select|then|time|until|while) )[A-Za-z][\w-]*(?= (?!\s*\())",
    re.ASCII,
)
_ONLY_A_PROCESS_TYPE = re.compile(r"[\w-]+ *", re.ASCII)


def marked(command: str, run: str) -> str:
    r"""Return a command line with the id of its run; it still does the same.

    >>> marked("task --fast", "hm-0123abcd")
    'task --fast #hm-0123abcd'
    >>> marked("task", "hm-0123abcd")
    'task  #hm-0123abcd'
    >>> marked("(\ndate\n)", "hm-0123abcd")
    ': hm-0123abcd "$_"; (\ndate\n)'
    >>> marked("cat <<EOF\nhi\nEOF", "hm-0123abcd")
    'cat ${hm_0123abcd-} <<EOF\nhi\nEOF'
    """
    comment, prefix, word = _marks(run)
    if "\n" not in command and not command.endswith("\\"):
        return command + (" " if _ONLY_A_PROCESS_TYPE.fullmatch(command) else "") + comment
    if first := _PROCESS_TYPE.match(command):
        return f"{first[0]} {word}{command[first.end() + 1 :]}"
    return prefix + command


def run_id(command: str) -> str | None:
    """Return the id of the run that a command line carries, or None if heroku_magic did not start it.

    The first line of a command is enough.
    """
    comment, prefix, word = _IDS
    match = prefix.match(command) or word.match(command) or comment.search(command)
    return match[1].replace("_", "-") if match else None


def without_mark(text: str, run: str) -> str:
    """Return output of a run without its mark: a shell repeats a line that it cannot parse."""
    if f" #{run}" in text:  # a search in a text of many megabytes would take seconds
        text = re.sub(rf"\A({_ONLY_A_PROCESS_TYPE.pattern})  #{run}", r"\1", text, flags=re.ASCII)
    for mark in _marks(run):
        text = text.replace(mark, "")
    return text


def _marks(run: str) -> tuple[str, str, str]:
    r"""Return a comment, a command that preserves `$_`, and a word that expands to nothing."""
    return f" #{run}", f': {run} "$_"; ', f"${{{run.replace('-', '_')}-}} "
