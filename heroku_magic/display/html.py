"""HTML of runs and sweeps, of bounded size, that can be read without styles, classes and scripts.

Colours are mixed from the text's own colour, so that they keep their contrast on a light and on a
dark page without knowing which it is. https://www.w3.org/TR/css-color-5/#color-mix
"""

from __future__ import annotations

from collections import deque
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from heroku_magic.display import words
from heroku_magic.display.run_view import MAX_LINES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

    from heroku_magic.display.run_view import RunView
    from heroku_magic.display.sweep_view import SweepView

LIVE_LINES = 200
# A live drawing stays below 64 kB and a saved one below 256 kB. These are the bytes of the log in it:
# the view bounds the rest, which fits into the difference.
LIVE_LOG = 46_000
FINAL_LOG = 190_000

_MARK_TONES = {words.MARKS[state]: words.TONES[state] for state in ("done", "failed", "running")}


def run_html(view: RunView, *, final: bool, with_error: bool = False) -> str:
    """Draw a run as it is now; `final`: as it remains in the notebook.

    with_error: include the text of the failure, where no exception shows it.
    """
    lines = islice(view.latest(), MAX_LINES if final else LIVE_LINES)
    shown = _fit(lines, FINAL_LOG if final else LIVE_LOG)
    log = f"log, {words.quantity(view.line_count, 'line')}"
    if len(shown) < view.line_count:
        log = f"log, last {len(shown):,} of {view.line_count:,} lines; full log: run.logs()"
    return template("run.html.j2").render(
        view=view,
        words=words,
        final=final,
        error=view.error if with_error else "",
        lines=shown,
        log=log,
        tone=_MARK_TONES.get(words.mark(view), words.TONES["retried"]),
    )


def sweep_html(view: SweepView) -> str:
    """Draw a sweep as a grid of cells, a progress bar and its failures; a final view has a timeline."""
    return template("sweep.html.j2").render(view=view, tones=words.TONES, cells=words.CELL_STYLES, signs=words.SIGNS)


def _fit(lines: Iterator[str], size: int) -> list[str]:
    """Return as many lines as fit into so many bytes of HTML, oldest first; `lines` begin with the newest."""
    from markupsafe import escape

    fitting: deque[str] = deque()
    for line in lines:
        size -= len(escape(line).encode()) + 1
        if size < 0:
            break
        fitting.appendleft(line)
    return [*fitting]


@cache
def template(name: str, package: str = "heroku_magic.display") -> Template:
    """Return a template of a package; it escapes all values."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
