"""RunView -> words: the text/plain form, and the words that the HTML form shares; no markup, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from heroku_magic.display.run_view import RunView

SEPARATOR = " · "
_MARKS = {"done": "✓", "failed": "✗", "cancelled": "■"}


def text(view: RunView, *, with_error: bool = False) -> str:
    """Return the summary and the notes; with_error: and the error, where no exception shows it."""
    error = [view.error] if with_error and view.error else []
    return "\n".join([summary(view), *details(view), *view.notes, *error])


def summary(view: RunView) -> str:
    """Return one line, as `simulate ✓ exit 0 · run.4821 · v12 · Standard-1X · embedded · 2.1 s`."""
    return SEPARATOR.join([f"{title(view)} {mark(view)} {status(view)}", *facts(view)])


def details(view: RunView) -> list[str]:
    """Return the newest metrics and the files, a line each, as far as there are any."""
    files = f"files: {', '.join(view.file_names)} · run.files has them" if view.files else ""
    return [line for line in (SEPARATOR.join(view.metrics), files) if line]


def start_line(view: RunView) -> str:
    """Return what a terminal shows when the dyno is known, as `hello · run.9313 · embedded · starting`."""
    return SEPARATOR.join([title(view), *_place(view), *_until(view), view.state])


def end_line(view: RunView) -> str:
    """Return what a terminal shows at the end of a run that had a start line, as `hello ✓ exit 0 · 0.1 s`."""
    return SEPARATOR.join([f"{title(view)} {mark(view)} {status(view)}", *_outcome(view)])


def title(view: RunView) -> str:
    """Return the task's name."""
    return view.fact("task") or "run"


def mark(view: RunView) -> str:
    """Return a sign for the state; `status` says the same in words."""
    unknown = view.succeeded and view.exit_status is None and view.fact("dyno")
    return "?" if unknown else _MARKS.get(view.state, "●")


def status(view: RunView) -> str:
    """Return the state in words, with the exit status as far as it is known; unknown is never 0."""
    code = view.exit_status
    if not view.is_final or (code is None and not view.fact("dyno")):
        return clean_line(view.state)
    if code is None:
        return "cancelled" if view.state == "cancelled" else f"{view.state}, exit status unknown"
    return f"exit {code}" if view.succeeded else f"{view.state}, exit {code}"


def facts(view: RunView) -> list[str]:
    """Return what else is known: dyno, release, size, app, time, rows."""
    return [*_place(view), *_outcome(view), *_until(view)]


def progress(view: RunView) -> str:
    """Return how far the task is, as `124/200 · 10.10/s · 00:08 left`; empty if it did not say."""
    if view.progress is None:
        return ""
    return SEPARATOR.join(part for part in (_meter(view), view.fact("progress")) if part)


def duration(seconds: float) -> str:
    """Return `2.1 s`, `1 min 12 s` or `2 h 05 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _place(view: RunView) -> list[str]:
    release = "" if view.release is None else f"v{view.release}"
    return [fact for fact in (view.fact("dyno"), release, view.fact("size"), view.fact("app")) if fact]


def _until(view: RunView) -> list[str]:
    """When the dyno ends by itself, in the reader's own time; of no interest once it is over."""
    if view.is_final or view.ends_at is None:
        return []
    return [f"ends by {datetime.fromtimestamp(view.ends_at).astimezone():%H:%M}"]


def _outcome(view: RunView) -> list[str]:
    known = [] if view.seconds is None else [_elapsed(view, view.seconds)]
    if view.is_final and not view.succeeded and view.progress is not None:
        known.append(f"at {_counts(view)}")
    return known + _rows(view)


def _elapsed(view: RunView, seconds: float) -> str:
    """Whole seconds while it runs: tenths that are a second old are no news."""
    return duration(seconds) if view.is_final or seconds >= 60 else f"{seconds:.0f} s"


def _rows(view: RunView) -> list[str]:
    if view.rows is None or (not view.rows and not view.succeeded):
        return []
    rows = "1 row" if view.rows == 1 else f"{view.rows:,} rows"
    if not view.is_final:
        return [f"{view.rows:,} of {view.rows + view.rows_left:,} rows" if view.rows_left else rows]
    if not view.succeeded:
        return [f"{rows} kept in .partial"]
    return [f"{rows} verified" if view.verified else f"{rows}, not verified"]


def _meter(view: RunView) -> str:
    """Say the rate and the time left in tqdm's words, from the first to the last progress told."""
    from tqdm.std import tqdm

    (start, first), (now, last) = view.first_progress, view.last_progress
    total = view.progress.total if view.progress else None
    if now <= start or last <= first:
        return _counts(view)
    left = SEPARATOR + "{remaining} left" if total and total > last else ""
    try:
        rate = (last - first) / (now - start)
        rate_field, unit = ("{rate_noinv_fmt}", "") if rate >= 1 else ("{rate_inv_fmt}", "it")
        shape = SEPARATOR.join([_counts(view), rate_field]) + left
        meter = tqdm.format_meter(last, total or 0, now - start, rate=rate, bar_format=shape, unit=unit)
    except OverflowError:  # a task may count further than a float reaches
        return _counts(view)
    return " ".join(meter.split())


def _counts(view: RunView) -> str:
    told = view.progress
    if told is None:
        return ""
    return f"{told.done:,}" if told.total is None else f"{told.done:,}/{told.total:,}"
