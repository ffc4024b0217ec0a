"""A sweep -> one live output in a cell or a terminal: how many runs are where, and which failed; it starts none.

A sweep is looked at ten times a second, however many events its runs have.
"""

from __future__ import annotations

import time
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from heroku_magic.display import text as words
from heroku_magic.display.html import environment
from heroku_magic.display.live import INTERVAL, TERMINAL_INTERVAL, in_notebook
from heroku_magic.outcomes import STATES
from heroku_magic.safetext import clean_line, mask_emails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template

FAILURES = 8  # that are named
LONGEST = 300  # characters of a failure
SIGNS = {"queued": "·", "starting": "○", "running": "●", "retried": "↻", "done": "■", "failed": "✗", "cancelled": "□"}
TONES = {"running": "#6d5dd3", "done": "#1e9e4a", "failed": "#e0352b"}


class Failed(Protocol):
    """One run of a sweep, as far as it is shown."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it is made with."""

    @property
    def error(self) -> Exception | None:
        """What it failed with."""


class Shown(Protocol):
    """What can be shown: a sweep."""

    @property
    def task(self) -> str:
        """What is run."""

    @property
    def names(self) -> Sequence[str]:
        """The parameters that differ."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for the user."""

    @property
    def started_at(self) -> float | None:
        """Seconds since 1970."""

    @property
    def seconds(self) -> float | None:
        """How long it took, once it is over."""

    @property
    def states(self) -> bytes:
        """Where each combination stands, in the grid's order."""

    def failures(self, most: int) -> Sequence[Failed]:
        """The first ones that failed."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most so many seconds; tell whether it is over."""

    def facts(self) -> Mapping[str, Any]:
        """Small plain values."""


class SweepOutput:
    """The place where one sweep is shown; made in the cell's own thread."""

    def __init__(self, sweep: Shown, *, quiet: bool = False) -> None:
        self._sweep = sweep
        self._quiet = quiet
        self._handle: Any = _empty() if in_notebook() else None
        self._told = ""
        self._told_at = 0.0

    def follow(self) -> None:
        """Draw what happens until the sweep is over."""
        interval = INTERVAL if self._handle else TERMINAL_INTERVAL
        while not self._sweep.wait(interval):
            if not self._quiet:
                self._draw(SweepView(self._sweep))
        view = SweepView(self._sweep)
        if not self._quiet or view.failures:
            self._draw(view, final=True)

    def _draw(self, view: SweepView, *, final: bool = False) -> None:
        if self._handle is not None:
            self._handle.update({"text/html": html(view, final=final), "text/plain": text(view)}, raw=True)
        elif (told := text(view)) != self._told:
            self._told = told
            print(told, flush=True)  # noqa: T201 - a terminal's display is what is printed


class SweepView:
    """What there is to see of a sweep at one moment; all texts are safe to show."""

    def __init__(self, sweep: Shown) -> None:
        self.title = clean_line(sweep.task)
        self.names = clean_line(", ".join(sweep.names))
        self.states = [STATES[code] for code in sweep.states]
        self.total = len(self.states)
        self.is_over = sweep.seconds is not None
        self.seconds = sweep.seconds if sweep.seconds is not None else time.time() - (sweep.started_at or time.time())
        self.notes = [clean_line(note) for note in sweep.notes]
        self.failures = [_failure(one, sweep.names) for one in sweep.failures(FAILURES)]
        self.more_failures = self.count("failed") - len(self.failures)
        self.facts = sweep.facts() if self.is_over else {}

    def count(self, state: str) -> int:
        """How many runs are in a state."""
        return self.states.count(state)

    @property
    def ended(self) -> int:
        """How many runs are over."""
        return self.total - sum(map(self.count, ("queued", "starting", "running", "retried")))

    @property
    def groups(self) -> list[tuple[str, str]]:
        """The runs' states in the grid's order, as (state, so many signs)."""
        return [(state, SIGNS[state] * len([*same])) for state, same in groupby(self.states)]

    @property
    def mark(self) -> str:
        """A sign for how it stands."""
        if not self.is_over:
            return "●"
        return "✓" if self.count("done") == self.total else "✗" if self.count("failed") else "■"

    @property
    def told(self) -> list[str]:
        """The facts of the status line."""
        counted = [f"{self.count(state)} {state}" for state in SIGNS if self.count(state)]
        return [f"{self.ended}/{self.total} runs", *counted, words.duration(self.seconds), *self._left, *self._price]

    @property
    def _left(self) -> list[str]:
        """When it will be over, at the pace so far."""
        if self.is_over or not self.ended:
            return []
        return [f"about {words.duration(self.seconds / self.ended * (self.total - self.ended))} left"]

    @property
    def _price(self) -> list[str]:
        dollars = self.facts.get("dollars")
        return [f"${dollars:.4f} at list price"] if dollars else []


def text(view: SweepView) -> str:
    """Return the sweep in words."""
    lines = [f"{view.title} over {view.names} {view.mark} {words.SEPARATOR.join(view.told)}", *view.failures]
    more = [f"and {view.more_failures} more failures: sweep.runs() has them all"] if view.more_failures else []
    return "\n".join([*lines, *more, *view.notes])


def html(view: SweepView, *, final: bool) -> str:
    """Return the sweep as a grid of signs, a bar, and its failures."""
    kind = "done" if view.mark == "✓" else "failed" if view.is_over else "running"
    return _template().render(view=view, final=final, tones=TONES, tone=TONES[kind])


def _failure(cell: Failed, names: Sequence[str]) -> str:
    where = ", ".join(f"{name}={cell.parameters.get(name)!r}"[:60] for name in names)
    said = str(cell.error).partition("\n")[0][:LONGEST]
    return clean_line(mask_emails(f"✗ {where}: {said}"))


def _empty() -> Any:
    from IPython.display import display

    return display({"text/html": "", "text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no hints in IPython


@cache
def _template() -> Template:
    return environment().get_template("sweep.html.j2")
