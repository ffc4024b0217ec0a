"""Describes why a run failed: what failed, where, and what to do.

The text starts with the task's own exception, so that `evalue` does, too. It is based on the failure
record or, for a script without the worker's helper, on the end of its log and its exit status.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from heroku_magic.errors import FailedRun, ResultIncomplete, TaskFailed
from heroku_magic.protocol.helper import HELPER
from heroku_magic.runs import missing_package
from heroku_magic.runs.options import LONGEST_TIMEOUT
from heroku_magic.runs.tracebacks import causes, failure_in, remarks
from heroku_magic.text.excerpt import carets, numbered
from heroku_magic.text.sanitize import clean, clean_line
from heroku_magic.text.wrapping import WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.protocol.records import Failure, SourceFrame
    from heroku_magic.runs.log_reader import RunLog
    from heroku_magic.runs.spec import RunSpec

_NO_MODULE = re.compile(r"(?:ModuleNotFoundError|\S*python[\d.]*): No module named '?([\w.]+)")  # also of `python -m`
_MEANING = {
    126: "the command is not executable",
    127: "the command was not found on the dyno",
    128: "the dyno could not be started",
    137: "SIGKILL: out of memory, or it did not end within 30 s of SIGTERM",
    143: "SIGTERM: the dyno was stopped from outside",
}
NOT_INSTALLED = 7  # the exit status of `bundle/remote/packages.py`
_LONGEST = 2000  # characters of an exception's message


def failure_of(
    run: FailedRun, log: RunLog, output: Sequence[str], time_limit: int | None, *, spec: RunSpec, place: str
) -> ResultIncomplete | TaskFailed | None:
    """Return the error of a run that has ended, or None after a success.

    output: the last lines of the task's output. time_limit: in seconds, if it was reached. place: where the
    whole output is, if not in the app's log.
    """
    if not run.exit_status and log.decoder.failure is None and time_limit is None:
        problem = log.problem()
        outcome = "succeeded, but" if run.exit_status == 0 else "ended with an unknown exit status, and"
        if problem:
            return ResultIncomplete(f"{run.task} {outcome} its result is incomplete: {problem}.", run)
        if run.exit_status == 0:
            return None
    troubles = [text for code, text in log.troubles.items() if code.startswith("R")]
    text = describe_failure(
        spec,
        run.exit_status,
        log.decoder.failure,
        output,
        time_limit=time_limit,
        dyno=run.dyno or "",
        place=place,
        troubles=[*troubles, *filter(None, [log.disagreement()])],
        is_out_of_memory="R15" in log.troubles,
        has_rows=bool(log.decoder.row_count),
    )
    return TaskFailed(text, run)


def describe_failure(
    spec: RunSpec,
    status: int | None,
    failure: Failure | None,
    log: Sequence[str],
    *,
    time_limit: int | None,
    dyno: str,
    place: str = "",
    troubles: Sequence[str] = (),
    is_out_of_memory: bool = False,
    has_rows: bool = True,
) -> str:
    """Return the error's text: headline, source lines, remedy, where to find more.

    status: None if unknown. log: the last messages of the task. time_limit: in seconds, if it was
    reached. dyno: whose log has more. place: where there is more instead. troubles: explanations, such as of the error
    codes that Heroku logged. is_out_of_memory: whether Heroku ended the dyno for its memory. has_rows: whether the run
    has sent any.
    """
    reason = "its time limit was reached" if time_limit is not None else "out of memory" if is_out_of_memory else ""
    ending = f"{spec.task} {_outcome(status, reason)}"
    failure = failure or failure_in(log)
    source, module, remedy = "", None, ""
    if time_limit is not None:
        consequence = "the call was ended" if spec.keeps_dyno else "Heroku ended the task"
        headline = f"the time limit of {time_limit} s was reached, so {consequence}"
        budget = ", and raise --max-cost" if spec.counts_boot else ""
        remedy = f"Set a longer one with --timeout TIME (at most {LONGEST_TIMEOUT // 3600}h){budget}."
    elif failure is not None and not (is_out_of_memory and failure.type == "Terminated"):
        headline = clean(f"{failure.type}: {failure.message}".rstrip(": ")[:_LONGEST])
        source, module = _source_lines(failure.frames), failure.missing
        found = [*remarks(failure.traceback, failure.message), source, *causes(failure.traceback)]
        source = "\n".join(filter(None, found))
    else:
        headline = (installer_message(log) if status == NOT_INSTALLED else "") or ending
    if module is None:
        module = next((match[1] for match in map(_NO_MODULE.match, reversed(log)) if match), None)
    if module == HELPER:
        remedy = missing_package.HELPER_REMEDY
    if module and not missing_package.may_be_installed(module):
        module = None
    outcome = "" if headline == ending else ending
    rows = "rows so far: %heroku last" if has_rows else ""
    places = [place] if place else [rows, f"whole log: %heroku logs {dyno}"]
    footer = _filled([outcome, *places])
    package = ""
    if module:
        package = missing_package.remedy(module, spec.requirements, accepts_packages=spec.accepts_packages)
    lines = [headline, source, *troubles, remedy, package, footer]
    if module and spec.requirements:
        lines.append(f"\n{missing_package.cell(module, spec.requirements)}")
    return "\n".join(filter(None, lines))


def installer_message(log: Sequence[str]) -> str:
    """Return what `bundle/remote/packages.py` says about packages that it cannot install, which ends the dyno."""
    begins = [at for at, line in enumerate(log) if line.startswith("The dyno cannot install ")]
    return clean("\n".join(log[begins[-1] :])[:_LONGEST]) if begins else ""


def _filled(parts: Sequence[str]) -> str:
    """Join parts that are not empty, in as many lines as a narrow terminal needs; no part is broken."""
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and len(f"{lines[-1]} · {part}") <= WIDTH:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return "\n".join(lines)


def _outcome(status: int | None, reason: str) -> str:
    """Return how a task ended; reason: what is known beyond the exit status."""
    if status is None:
        return "ended with an unknown exit status"
    meaning = reason or _MEANING.get(status) or _signal(status)
    return f"ended with exit status {status}" + (f" ({meaning})" if meaning else "")


def _signal(status: int) -> str:
    """Return the name of the signal behind a shell's exit status above 128."""
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return ""


def _source_lines(frames: Sequence[SourceFrame]) -> str:
    """Format the innermost frames in the task's own files, with the failing lines marked."""
    lines = []
    for frame in frames[-2:]:
        lines.append(f"  {clean_line(frame.file)}:{frame.line}  in {clean_line(frame.function)}")
        for number, text in frame.source[-3:]:
            lines.append(numbered(number, text, is_failing=number == frame.line))
            lines += [carets(text, *frame.columns)] if frame.columns and number == frame.line else []
    return "\n".join(filter(None, lines))
