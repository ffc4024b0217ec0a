"""HTML of runs and sweeps, of bounded size, that can be read without styles, classes and scripts.

Colours are mixed from the text's own colour, so that they keep their contrast on a light and on a
dark page without knowing which it is. https://www.w3.org/TR/css-color-5/#color-mix
"""

from __future__ import annotations

import time
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from heroku_magic.display import words
from heroku_magic.display.attachments import MOST_BYTES, AttachmentEncoder
from heroku_magic.display.run_view import MAX_LINES
from heroku_magic.display.value_scale import COLOURS
from heroku_magic.text import sgr
from heroku_magic.text.plural import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jinja2 import Template
    from markupsafe import Markup

    from heroku_magic.display.run_view import RunView
    from heroku_magic.display.sweep_view import SweepView

LIVE_LINES = 200
# A live drawing stays below 64 kB and a saved one below 256 kB. These are the bytes of the log in it:
# the view bounds the rest, which fits into the difference.
LIVE_LOG = 46_000
FINAL_LOG = 190_000

# Black, grey and white are each unreadable on a light or on a dark page. They become the page's own text, grey dimmed.
_NEUTRAL = {0: "", 7: "", 8: "color:color-mix(in srgb,currentColor 74%,transparent)", 15: ""}
_MARK_TONES = {words.MARKS[state]: words.TONES[state] for state in ("done", "failed", "running")}


def run_html(view: RunView, *, final: bool, with_error: bool = False, with_pictures: bool = False) -> str:
    """Draw a run as it is now; `final`: as it remains in the notebook.

    with_error: include the text of the failure, where no exception shows it. with_pictures: include pictures, where
    no other output shows them.
    """
    is_open = final and view.log_is_result
    opening = [*_fitting(map(_line, view.first_lines()), FINAL_LOG // 2)] if is_open else []
    following = view.line_count - len(opening)
    lines = map(_line, islice(view.latest(), min(MAX_LINES, following) if final else LIVE_LINES))
    shown = [*_fitting(lines, FINAL_LOG // 2 if is_open else FINAL_LOG if final else LIVE_LOG)][::-1]
    log = f"log, {quantity(view.line_count, 'line')}"
    fold = quantity(following, "more line") if opening else log
    if len(shown) < following:
        log = fold = f"log, last {len(shown):,} of {view.line_count:,} lines; full log: heroku_magic.last.logs()"
    return template("run.html.j2").render(
        view=view,
        words=words,
        final=final,
        error=view.error if with_error else "",
        files=[*AttachmentEncoder(MOST_BYTES if final else 0).encode(view.files, with_pictures=with_pictures)],
        opening=opening,
        lines=shown,
        log=log,
        fold=fold,
        as_of="" if view.is_final else words.as_of(view.clock()),
        tone=_MARK_TONES.get(words.mark(view), words.TONES["retried"]),
    )


def sweep_html(view: SweepView) -> str:
    """Draw a sweep as a grid of cells, a progress bar and its failures; a final view has a timeline."""
    return template("sweep.html.j2").render(
        view=view,
        tones=words.TONES,
        cells=words.CELL_STYLES,
        signs=words.SIGNS,
        colours=COLOURS,
        files_code=words.FILES_CODE,
        notes=[*map(words.with_commands, view.notes)],
        as_of=words.as_of(time.time()),
    )


def _fitting(lines: Iterable[Markup], size: int) -> Iterator[Markup]:
    """Yield as many lines of HTML as fit into so many bytes."""
    for line in lines:
        size -= len(line.encode()) + 1
        if size < 0:
            return
        yield line


def _line(text: str) -> Markup:
    """Return a line of a log as HTML, its colours as Jupyter's classes, which the page defines."""
    from markupsafe import Markup, escape

    if "\x1b" not in text:
        return escape(sgr.plain(text))
    return Markup("").join(escape(one.text) if one.is_plain else _span(one) for one in sgr.spans(text))


def _span(span: sgr.Span) -> Markup:
    from markupsafe import Markup

    colour, background = span.colour, span.background
    if "inverse" in span.flags and (colour is not None or background is not None):
        colour, background = background, colour
    classes = [f"ansi-{name}" for name in ("bold", "underline") if name in span.flags]
    classes += ["ansi-inverse"] if span.flags >= {"inverse"} and colour is background is None else []
    styles: list[str] = []
    if background is None and colour in _NEUTRAL:
        styles += filter(None, [_NEUTRAL[colour]])
        colour = None
    for value, part, name in ((colour, "fg", "color"), (background, "bg", "background-color")):
        if isinstance(value, int):
            classes.append(f"ansi-{sgr.COLOURS[value % 8]}{'-intense' if value > 7 else ''}-{part}")
        elif value is not None:
            styles.append(f"{name}:rgb{value}".replace(" ", ""))
    tag = Markup("<span")
    tag += Markup(' class="{}"').format(" ".join(classes)) if classes else ""
    tag += Markup(' style="{}"').format(";".join(styles)) if styles else ""
    return tag + Markup(">{}</span>").format(span.text)


@cache
def template(name: str, package: str = "heroku_magic.display") -> Template:
    """Return a template of a package; it escapes all values."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)
