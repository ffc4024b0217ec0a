"""RunView -> HTML of bounded size that needs no style, class or script to be read; it displays nothing.

Colours are mixed from the text's own colour, so that they keep their contrast on a light and on a
dark page without knowing which it is. https://www.w3.org/TR/css-color-5/#color-mix
"""

from __future__ import annotations

from collections import deque
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from heroku_magic.display import words
from heroku_magic.display.run_view import LINES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Environment, Template

    from heroku_magic.display.run_view import RunView

LIVE_LINES = 200
# What is drawn 10 times a second stays below 64 kB, what is saved with the notebook below 256 kB:
# so many bytes of it for the log, and the rest, itself bounded by the view, has room enough.
LIVE_LOG = 46_000
FINAL_LOG = 190_000

_TONES = {"✓": "#1e9e4a", "✗": "#e0352b", "●": "#6d5dd3"}
_DOUBT = "#b07a00"


def html(view: RunView, *, final: bool, with_error: bool = False) -> str:
    """Draw the run as it is now (`final`: as what stays in the notebook).

    with_error: the text of the failure too, where no exception shows it.
    """
    lines = islice(view.latest(), LINES if final else LIVE_LINES)
    shown = _fitting(lines, FINAL_LOG if final else LIVE_LOG)
    return _template().render(
        view=view,
        words=words,
        final=final,
        error=view.error if with_error else "",
        lines=shown,
        log=_log_title(len(shown), view.count),
        tone=_TONES.get(words.mark(view), _DOUBT),
    )


def _fitting(lines: Iterator[str], size: int) -> list[str]:
    """Turn the newest lines first into as many as fit, oldest first, counted as the bytes they become."""
    from markupsafe import escape

    fitting: deque[str] = deque()
    for line in lines:
        size -= len(escape(line).encode()) + 1
        if size < 0:
            break
        fitting.appendleft(line)
    return [*fitting]


def _log_title(shown: int, count: int) -> str:
    if shown < count:
        return f"log, last {shown:,} of {count:,} lines; the whole log: run.logs()"
    return "log, 1 line" if count == 1 else f"log, {count:,} lines"


@cache
def _template() -> Template:
    return environment().get_template("run.html.j2")


def environment() -> Environment:
    """Return what reads this package's templates; whatever is put into them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("heroku_magic.display"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
