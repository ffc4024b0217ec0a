"""The failed runs of a sweep: as a list that shows itself, and as the text of the sweep's error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.sweeps.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from heroku_magic.runs.future import JobDisplay

NAMED = 5  # failures that a message names
EXPLAINED = 2  # of them with the lines of their source
_LONGEST = 25  # lines of one failure


class Failures(list[Outcome]):
    """The outcomes of failed runs, in the grid's order. names: of the parameters that differ from run to run."""

    def __init__(self, outcomes: Iterable[Outcome], names: Sequence[str], job_display: JobDisplay | None) -> None:
        super().__init__(outcomes)
        self.names = names
        self._display = job_display

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        return self._display.failures_bundle(self) if self._display else {"text/plain": repr(self)}

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(self._repr_mimebundle_()["text/plain"])  # IPython has its own text of lists


def describe_failures(
    failed: Sequence[Outcome], named: Callable[[Outcome], str], total: int, done: int, *, reason: str, left: str
) -> str:
    """Return the text of a sweep's error: what failed and why, what is left, and how to continue.

    named: returns the parameters of a run. reason: why the sweep stopped. left: which dynos are left.
    """
    missing = total - done - len(failed)
    counts = [f"{len(failed)} of {total} runs failed"] if failed else []
    counts += [f"{missing} of {total} runs were cancelled or not started"] if missing else []
    resume = "%heroku resume runs what is missing"
    kept = [f"{resume}. To use the results so far:"] if done else [f"No run has a result; {resume}."]
    kept += [f"res = heroku_magic.last.partial   # {done:,} of {total:,} runs"] if done else []
    headline = f"{', '.join(counts)}.{f' {reason}.' if reason else ''}"
    return "\n".join([headline, *filter(None, [left]), *_errors(failed, named), *kept])


def _errors(failed: Sequence[Outcome], named: Callable[[Outcome], str]) -> list[str]:
    """Return each different error with the first run that has it; the first ones with the lines of their source."""
    alike: dict[str, list[Outcome]] = {}
    for outcome in failed:
        alike.setdefault(first_line(outcome.error) or "", []).append(outcome)
    lines = []
    for place, (error, ones) in enumerate([*alike.items()][:NAMED]):
        more = f" and {len(ones) - 1} more" if len(ones) > 1 else ""
        lines += [f"  {named(ones[0])}{more}: {error}"]
        lines += [f"  {line}" for line in explanation(ones[0].error)] if place < EXPLAINED else []
    more_errors = len(alike) - NAMED
    return [*lines, f"  and {more_errors} other errors (heroku_magic.last.failures())"] if more_errors > 0 else lines


def explanation(error: Exception | None) -> list[str]:
    """Return the lines of an error between the first one and where a single run's rows and log are."""
    lines = str(error or "").splitlines()
    return [line for line in lines[1:] if "%heroku last" not in line][:_LONGEST]


def first_line(error: Exception | None) -> str | None:
    """Return the first line of an error."""
    return str(error).partition("\n")[0] if error else None
