"""The words, signs and colours of runs and sweeps, shared by text and HTML; and a run described in them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from heroku_magic.text import sgr
from heroku_magic.text.plural import quantity
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup
    from typing_extensions import TypeIs

    from heroku_magic.display.run_view import RunView
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep

    Paint = Callable[[str, str], str]

SEPARATOR = " · "
_COMMAND = re.compile(r"`([^`\n]+)`")
FILES_CODE = "available in {one.place: one.files for one in heroku_magic.last.known()}"  # of a sweep
_NEAR = 600.0  # seconds before its end at which a dyno's deadline is shown
MARKS = {"running": "●", "done": "✓", "failed": "✗", "cancelled": "■"}
# A run as a cell of its sweep.
SIGNS = {"queued": "·", "starting": "○", "running": "●", "retried": "↻", "done": "■", "failed": "✗", "cancelled": "□"}
# Middle tones, with a contrast of at least 3:1 on a white and on a black page. Words mix them with the text's
# own colour; a site without colour mixing keeps the plain tone.
TONES = {
    "queued": "#797979",
    "starting": "#7766dd",
    "running": "#6d5dd3",
    "retried": "#b07a00",
    "done": "#1e9e4a",
    "failed": "#e0352b",
    "cancelled": "#797979",
}
# Middle tones of areas, such as the bars of a timeline.
FILLS = {
    "queue": "#9a9a9a33",
    "boot": "#c08a1e",
    "done": "#229955",
    "failed": "#dd3333",
    "cancelled": "#888888",
    "running": "#7766dd",
}
# Codes of a terminal.
_TERMINAL_COLOURS = {"done": 32, "failed": 31, "retried": 33, "starting": 34, "running": 34, "cancelled": 90}
# A sweep has up to a thousand cells, so every byte counts. A sign is visible where its colour is not enough.
CELL_STYLES = {
    "queued": "background:#8883",
    "starting": "background:#76d6",
    "running": "background:#76d;color:#fff",
    "retried": "background:#b70;color:#fff",
    "done": "background:#295",
    "failed": "background:#d33;color:#fff",
    "cancelled": "background:#8883;color:#888",
}


def unpainted(state: str, words: str) -> str:  # noqa: ARG001 - as `painted`
    """Return words without a colour."""
    return words


def painted(state: str, words: str) -> str:
    """Return words in the colour of a state, for a terminal."""
    code = _TERMINAL_COLOURS.get(state)
    return f"\x1b[{code}m{words}\x1b[0m" if code else words


def text(view: RunView, *, with_error: bool = False) -> str:
    """Return the summary and the notes, and a log that is the result; with_error: also the error."""
    return "\n".join([*report(view, with_error=with_error), *result_log(view)])


def report(view: RunView, *, with_error: bool = False) -> list[str]:
    """Return the summary, the files and metrics, and the notes; with_error: also the error."""
    error = [view.error] if with_error and view.error else []
    return [summary(view), *details(view), *view.notes, *error]


def result_log(view: RunView) -> list[str]:
    """Return the first lines of a log that is the result itself, and how many follow; empty if it is not."""
    if not view.log_is_result:
        return []
    lines = [sgr.plain(line) for line in view.first_lines()]
    more = view.line_count - len(lines)
    return [*lines, *([f"… {quantity(more, 'more line')}"] if more else [])]


def summary(view: RunView, paint: Paint = unpainted) -> str:
    """Return one line, as `simulate ✓ exit 0 · run.4821 · v12 · Standard-1X · embedded · 2.1 s`."""
    if view.cached:
        return SEPARATOR.join([f"cached {view.cached}", _headline(view, paint), *_rows(view)])
    return SEPARATOR.join([_headline(view, paint), *facts(view)])


def details(view: RunView) -> list[str]:
    """Return a line of the newest metrics and a line of the files, if there are any."""
    files = f"files: {', '.join(view.file_names)} · available in heroku_magic.last.files" if view.files else ""
    return [line for line in (SEPARATOR.join(view.metrics), files) if line]


def start_line(view: RunView) -> str:
    """Return what a terminal shows when the dyno is known, as `hello · run.9313 · embedded · starting`."""
    return SEPARATOR.join([title(view), *_location(view), *_deadline(view), view.state])


def end_line(view: RunView, paint: Paint = unpainted) -> str:
    """Return what a terminal shows at the end of a run that had a start line, as `hello ✓ exit 0 · 0.1 s`."""
    return SEPARATOR.join([_headline(view, paint), *_result(view)])


def _headline(view: RunView, paint: Paint) -> str:
    return f"{title(view)} {paint(view.state, f'{mark(view)} {status(view)}')}"


def as_of(now: float) -> str:
    """Return when a live picture was drawn, as `as of 19:31:07`: it stays in a notebook whose kernel is gone."""
    return f"as of {datetime.fromtimestamp(now).astimezone():%H:%M:%S}"


def title(view: RunView) -> str:
    """Return the task's name."""
    return view.fact("task") or "run"


def mark(view: RunView) -> str:
    """Return a sign for the state; `status` says the same in words."""
    is_unknown = view.succeeded and view.exit_status is None and view.fact("dyno")
    return "?" if is_unknown else MARKS.get(view.state, MARKS["running"])


def status(view: RunView) -> str:
    """Return the state in words, with the exit status if it is known; unknown is never 0."""
    code = view.exit_status
    if not view.is_final or (code is None and not view.fact("dyno")):
        return clean_line(view.state)
    if code is None:
        return "cancelled" if view.state == "cancelled" else f"{view.state}, exit status unknown"
    return f"exit {code}" if view.succeeded else f"{view.state}, exit {code}"


def facts(view: RunView) -> list[str]:
    """Return what else is known: dyno, release, size, app, time, rows."""
    return [*_location(view), *_result(view), *_deadline(view)]


def progress(view: RunView) -> str:
    """Return how far the task is, as `124/200 · 10.10/s · 00:08 left`; empty if it does not report progress."""
    if view.progress is None:
        return ""
    return SEPARATOR.join(part for part in (_meter(view), view.fact("progress")) if part)


def duration(seconds: float) -> str:
    """Return `2.1 s`, `1 min 12 s` or `2 h 05 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def whole_seconds(seconds: float) -> str:
    """Return `12 s` or `1 min 12 s`, for a duration that still changes: tenths would only flicker."""
    return f"{seconds:.0f} s" if seconds < 59.5 else duration(round(seconds))


def outcome(run: Run | Sweep) -> str:
    """Return how a run ended, as `✓ exit 0 · 10 rows · 2.1 s`, or a sweep, as `✓ 24 of 24 runs done · 9.3 s`."""
    table = run.partial
    rows = "" if table is None else quantity(len(table), "row")
    seconds = "" if run.seconds is None else f"{run.seconds:.1f} s"
    return SEPARATOR.join(filter(None, [_sweep_state(run) if _is_sweep(run) else _run_state(run), rows, seconds]))


def _is_sweep(run: Run | Sweep) -> TypeIs[Sweep]:
    return hasattr(run, "counts")


def _run_state(run: Run) -> str:
    code = "exit status unknown" if run.exit_status is None else f"exit {run.exit_status}"
    return f"{MARKS.get(run.state, MARKS['running'])} {code if run.state == 'done' else f'{run.state}, {code}'}"


def _sweep_state(sweep: Sweep) -> str:
    counts = sweep.counts()
    done = f"{counts.get('done', 0):,} of {quantity(len(sweep), 'run')} done"
    others = [f"{count:,} {state}" for state, count in counts.items() if state != "done"]
    state = next((state for state in ("failed", "cancelled") if counts.get(state)), "done")
    return f"{MARKS[state]} {', '.join([done, *others])}"


def _location(view: RunView) -> list[str]:
    release = "" if view.release is None else f"v{view.release}"
    return [fact for fact in (view.fact("dyno"), release, view.fact("size"), view.fact("app")) if fact]


def _deadline(view: RunView) -> list[str]:
    """When the dyno ends by itself, in local time, where that is near or the user wants all details."""
    if view.is_final or view.ends_at is None or not (view.verbose or view.ends_at - view.clock() < _NEAR):
        return []
    return [f"ends by {datetime.fromtimestamp(view.ends_at).astimezone():%H:%M}"]


def _result(view: RunView) -> list[str]:
    parts = []
    if view.seconds is not None:
        parts.append(duration(view.seconds) if view.is_final else whole_seconds(view.seconds))
    if view.is_final and not view.succeeded and not _is_behind(view):
        parts += [f"at {counts}"] if (counts := _counts(view)) else []
    return parts + _rows(view)


def _is_behind(view: RunView) -> bool:
    """Return whether a task that yields a row per step got further than its last progress, which waits for 0.1 s."""
    if view.progress is None or view.rows is None:
        return False
    return view.progress.done < view.rows <= (view.progress.total or view.rows)


def _rows(view: RunView) -> list[str]:
    if view.rows is None or (not view.rows and not view.succeeded):
        return []
    rows = quantity(view.rows, "row")
    if not view.is_final:
        return [f"{view.rows:,} of {view.rows + view.rows_left:,} rows" if view.rows_left else rows]
    if not view.succeeded:
        return [f"{rows} kept in .partial"]
    return [f"{rows} verified" if view.verified else f"{rows}, not verified"]


def _meter(view: RunView) -> str:
    """Format the rate and the time left as tqdm does, from the first to the last reported progress."""
    from tqdm.std import tqdm

    (start, first), (now, last) = view.first_progress, view.last_progress
    total = view.progress.total if view.progress else None
    if now <= start or last <= first:
        return _counts(view)
    try:
        rate = (last - first) / (now - start)
        rate_field, unit = ("{rate_noinv_fmt}", "") if rate >= 1 else ("{rate_inv_fmt}", "it")
        left = [f"{whole_seconds((total - last) / rate)} left"] if total and total > last else []
        shape = SEPARATOR.join([_counts(view), rate_field, *left])
        meter = tqdm.format_meter(last, total or 0, now - start, rate=rate, bar_format=shape, unit=unit)
    except OverflowError:  # a task may count further than a float reaches
        return _counts(view)
    return " ".join(meter.split())


def _counts(view: RunView) -> str:
    if view.progress is None:
        return ""
    done, total = view.progress.done, view.progress.total
    return f"{done:,}" if total is None else f"{done:,}/{total:,}"


def with_commands(message: str) -> Markup:
    """Return a message as HTML, with its commands, which stand between backticks, as code."""
    from markupsafe import Markup, escape

    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(message))))  # noqa: S704 - it is escaped
