"""Completer: tells IPython what may stand at the cursor of a `%heroku` line; what that is, completion.py knows.

IPython takes it in two ways: as a matcher, with a word on each completion, since 8.6, and as a hook
before. Nothing is imported before the first completion, and whatever fails gives none.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.magics.completion import Match, Matches

    # The text of a line up to the cursor, and whether it is the cell's first line.
    Complete = Callable[[str, bool], Matches | None]

_NAME = "heroku_magic"
_LONGEST = 20
_LINE = r"[^%]*(%%?heroku|%%dyno)\s"


def register(shell: InteractiveShell, complete: Complete) -> None:
    """Give IPython our completions, in the way that its version has."""
    try:
        from IPython.core.completer import context_matcher
    except ImportError:
        shell.set_hook("complete_command", lambda _, event: _as_hook(complete, event), re_key=_LINE)  # type: ignore[no-untyped-call]
    else:
        matcher = context_matcher(identifier=_NAME)(lambda context: _as_matcher(complete, context))
        shell.Completer.custom_matchers.append(matcher)


def unregister(shell: InteractiveShell) -> None:
    """Take back what `register` gave; harmless where it gave nothing."""
    completer: Any = shell.Completer
    if hasattr(completer, "custom_matchers"):
        kept = [one for one in completer.custom_matchers if getattr(one, "matcher_identifier", "") != _NAME]
        completer.custom_matchers[:] = kept
    regexs = shell.strdispatchers["complete_command"].regexs
    for key in [key for key in regexs if getattr(key, "pattern", key) == _LINE]:
        del regexs[key]


def _as_matcher(complete: Complete, context: Any) -> Any:
    """A matcher's answer: https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.completer.html."""
    from IPython.core.completer import SimpleCompletion

    text = context.text_until_cursor
    matches = _matches(complete, text, is_first_line=context.cursor_line == 0)
    if matches is None or not matches.found:
        return {"completions": []}
    return {
        "completions": [SimpleCompletion(text=match.text, type=_on_one_line(match.told)) for match in matches.found],
        "matched_fragment": text[len(text) - matches.replaces :],
        "ordered": True,
        "suppress": True,
    }


def _on_one_line(told: str) -> str:
    """A word on a completion, cut and with blanks that do not break: JupyterLab's rows have room for one short line."""
    return (told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…").replace(" ", "\u00a0")


def _as_hook(complete: Complete, event: Any) -> list[str]:
    """A hook's answer: whole words as IPython cuts them, which are longer or shorter than ours."""
    matches = _matches(complete, event.text_until_cursor, is_first_line=True)
    return [_as_symbol(match, matches.replaces, event.symbol) for match in matches.found] if matches else []


def _as_symbol(match: Match, replaces: int, symbol: str) -> str:
    more = len(symbol) - replaces
    return symbol[:more] + match.text if more >= 0 else match.text[-more:]


def _matches(complete: Complete, text: str, *, is_first_line: bool) -> Matches | None:
    with suppress(Exception):
        return complete(text, is_first_line)
    return None
