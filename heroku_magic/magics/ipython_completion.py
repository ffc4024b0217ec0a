"""Register completion with IPython.

IPython 8.6 and later take a matcher, which adds a hint to each completion; older versions take a hook.
Nothing is imported before the first completion, and an error means no completions.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.magics.completion import Match, Matches

    # Takes the text of a line up to the cursor, whether it is the cell's first line, and the other lines of the cell.
    Complete = Callable[[str, bool, Sequence[str]], Matches | None]

_NAME = "heroku_magic"
_LONGEST_HINT = 20
_LINE = r"[^%]*(%%?heroku|%%dyno)\s"


def register(shell: InteractiveShell, complete: Complete) -> None:
    """Add our completions to IPython."""
    try:
        from IPython.core.completer import context_matcher
    except ImportError:
        shell.set_hook("complete_command", lambda _, event: _as_hook(complete, event), re_key=_LINE)  # type: ignore[no-untyped-call]
    else:
        matcher = context_matcher(identifier=_NAME)(lambda context: _as_matcher(complete, context))
        shell.Completer.custom_matchers.append(matcher)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`; harmless if nothing is registered."""
    completer: Any = shell.Completer
    if hasattr(completer, "custom_matchers"):
        kept = [one for one in completer.custom_matchers if getattr(one, "matcher_identifier", "") != _NAME]
        completer.custom_matchers[:] = kept
    regexs = shell.strdispatchers["complete_command"].regexs
    for key in [key for key in regexs if getattr(key, "pattern", key) == _LINE]:
        del regexs[key]


def _as_matcher(complete: Complete, context: Any) -> Any:
    """Return a matcher's result: https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.completer.html."""
    from IPython.core.completer import SimpleCompletion

    text = context.text_until_cursor
    lines = context.full_text.split("\n")
    others = [*lines[: context.cursor_line], *lines[context.cursor_line + 1 :]]
    matches = _matches(complete, text, is_first_line=context.cursor_line == 0, others=others)
    if matches is None or not matches.found:
        return {"completions": []}
    return {
        "completions": [SimpleCompletion(text=match.text, type=_short(match.hint)) for match in matches.found],
        "matched_fragment": text[len(text) - matches.replaces :],
        "ordered": True,
        "suppress": True,
    }


def _short(hint: str) -> str:
    """Shorten a hint and make its blanks non-breaking: JupyterLab's rows have room for one short line."""
    return (hint if len(hint) <= _LONGEST_HINT else f"{hint[: _LONGEST_HINT - 1]}…").replace(" ", "\u00a0")


def _as_hook(complete: Complete, event: Any) -> list[str]:
    """Return a hook's result: words as IPython splits them, which are longer or shorter than ours."""
    matches = _matches(complete, event.text_until_cursor, is_first_line=True)
    return [_as_symbol(match, matches.replaces, event.symbol) for match in matches.found] if matches else []


def _as_symbol(match: Match, replaces: int, symbol: str) -> str:
    more = len(symbol) - replaces
    return symbol[:more] + match.text if more >= 0 else match.text[-more:]


def _matches(complete: Complete, text: str, *, is_first_line: bool, others: Sequence[str] = ()) -> Matches | None:
    with suppress(Exception):
        return complete(text, is_first_line, others)
    return None
