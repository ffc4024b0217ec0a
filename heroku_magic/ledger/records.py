"""Makes entries of runs and sweeps: bounded, masked, and complete enough to show them again."""

from __future__ import annotations

import json
import platform
import time
import zlib
from base64 import b85decode
from collections import deque
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.api.log_lines import LogLine
from heroku_magic.bundle.payload import parse_raw_text, size_of
from heroku_magic.errors import InvalidParameters
from heroku_magic.ledger.cache_key import digest_of, full_key, package_version
from heroku_magic.ledger.entry import LEVEL, Details, Entry, Payload, pack, serialized, unpack, write_parts
from heroku_magic.ledger.folder_hash import hash_folder, last_change
from heroku_magic.protocol.call_value import decode_row
from heroku_magic.protocol.helper_records import length
from heroku_magic.protocol.records import Declaration, End, Failure, Metric, Progress, Returns, Rows
from heroku_magic.protocol.tables import Table
from heroku_magic.protocol.typed_json import TAG
from heroku_magic.protocol.values import RawText
from heroku_magic.runs.events import StateChange
from heroku_magic.sweeps.axis_record import AxisRecord, write_axis, write_shortened
from heroku_magic.sweeps.journal import encode_value
from heroku_magic.text.sanitize import mask_emails, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heroku_magic.runs.events import Event
    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.grid import Axis
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.text.redact import Mask

SWEEP_OPTIONS = ("jobs", "chunk", "retries", "retry_tasks", "fail_fast", "max_cost", "plot")
MAX_LINES = 10_000  # of a log, the last ones
MAX_TEXT = 20_000  # characters of a line or an error
MAX_EVENTS = 20_000  # others, such as metrics
MAX_FILES = 20_000_000  # bytes of all files of a run
MAX_AXIS = 1_000_000  # bytes of the texts among the values of a sweep
MAX_ROWS = 20_000_000  # bytes of its result
MAX_REQUESTED = 100_000  # bytes of a function's program or of a parameter, which stay when rows, logs and files go
EVENTS: tuple[type[Any], ...] = (LogLine, StateChange, Declaration, Progress, Metric, Failure, Returns, End)
_KINDS = {kind: number for number, kind in enumerate(EVENTS)}


def run_record(run: Run, mask: Mask) -> tuple[Entry, Payload]:
    """Return the entry of a run that has ended."""
    facts, request, error = run.facts(), run.request, run.exception()
    lost: list[str] = []
    payload = Payload(
        rows=_rows(run.parts, mask, lost),
        log=pack(write_events(run.past_events(), mask)),
        files=_files(run.files, mask, lost),
        program=(masked := _masked_request(request, mask)).bundle,
    )
    details = Details(
        request=msgspec.structs.replace(masked, bundle=""),
        facts=mask.value(facts),
        host=run.host,
        release=run.release,
        slug=request.slug if request.folder or request.release == run.release else "",
        size=run.size,
        dyno=run.dyno,
        versions=versions(run.declaration),
        lost=lost,
        error_type=type(error).__name__ if error else "",
        was_evicted=run.was_evicted,
    )
    entry = Entry(
        run=run.id,
        task=mask.text(run.task),
        app=run.app,
        started=run.started_at or time.time(),
        seconds=run.seconds,
        dollars=facts["dollars"],
        exit_status=run.exit_status,
        state=run.state,
        rows=None if run.parts is None else sum(map(length, run.parts)),
        error=masked_text(str(error), mask) if error else None,
        key=_key(details.request, facts, run.started_at, {}) if error is None and not lost else "",
        parameters=_shown(details.request),
        program=_hash_of(payload.program),
        details=pack(details),
    )
    return entry, payload


def sweep_record(sweep: Sweep, mask: Mask, spent: float = 0.0) -> tuple[Entry, Payload]:
    """Return the entry of a sweep, which may not have ended. spent: dollars before it was resumed."""
    error = sweep.exception() if sweep.done() else None
    grid, indices = sweep.plan.grid, sweep.plan.indices
    axes = [_axis(axis, mask, is_exact=bool(sweep.request.code)) for axis in grid.axes]
    masked = _masked_request(sweep.request, mask)
    details = Details(
        request=msgspec.structs.replace(masked, bundle=""),
        facts=mask.value(sweep.facts()),
        host=sweep.host,
        slug=sweep.request.slug,
        size=sweep.size,
        versions=versions(None),
        axes=[axis for axis, _ in axes],
        lost_axes=[
            name for axis, is_whole in axes for name in axis.names if not is_whole or name in sweep.plan.attached
        ],
        in_step=grid.in_step,
        indices=None if isinstance(indices, range) else [*indices],
        sweep_options={name: getattr(sweep.options, name) for name in SWEEP_OPTIONS},
        notes=[masked_text(note, mask) for note in sweep.notes],
    )
    entry = Entry(
        run=sweep.id,
        task=sweep.task,
        app=sweep.app,
        started=sweep.started_at or time.time(),
        seconds=sweep.seconds,
        dollars=None if sweep.dollars is None else sweep.dollars + spent,
        state=_sweep_state(sweep),
        rows=sum(length(part) for outcome in sweep.known() for part in outcome.parts or ()) or None,
        error=masked_text(str(error), mask) if error else None,
        cached=_only_answer(sweep),
        parameters=_shown(details.request, {name: f"{len(sweep)} values" for name in sweep.names}),
        program=_hash_of(masked.bundle),
        details=pack(details),
    )
    return entry, Payload(program=masked.bundle)


def sweep_run_record(sweep: Sweep, outcome: Outcome, mask: Mask, *, is_new: bool = True) -> tuple[Entry, Payload]:
    """Return the entry of one combination of a sweep. is_new: it ran now, and not before the sweep was resumed."""
    lost: list[str] = []
    facts, request = outcome.facts, _masked_request(sweep.request, mask)
    lines = [LogLine("", "app", str(outcome.dyno or ""), line) for line in outcome.log]
    payload = Payload()
    if outcome.source is None:
        payload.rows, payload.files = _rows(outcome.parts, mask, lost), _files(outcome.files, mask, lost)
        payload.log = pack(write_events(lines, mask)) if lines else b""
    details = _sweep_run_details(sweep, outcome, request, mask, lost)
    shown = {name: shown_value(value) for name, value in outcome.parameters.items()}
    is_answer = is_new and not (outcome.error or outcome.source or lost) and mask.value(shown) == shown
    entry = Entry(
        run=str(facts.get("run", "")),
        sweep=sweep.id,
        place=outcome.place,
        task=sweep.task,
        app=sweep.app,
        started=_start_of(outcome) or sweep.started_at or time.time(),
        seconds=outcome.seconds,
        dollars=facts.get("dollars") if outcome.source is None else 0.0,
        exit_status=facts.get("exit_status"),
        state=outcome.state,
        rows=None if outcome.parts is None else sum(map(length, outcome.parts)),
        error=masked_text(str(outcome.error), mask) if outcome.error else None,
        cached=str(facts.get("cached", "")),
        key=_key(request, facts, sweep.started_at, outcome.parameters) if is_answer else "",
        parameters=json.dumps(mask.value({**json.loads(_shown(details.request)), **shown})),
        details=pack(details),
    )
    return entry, payload


def _start_of(outcome: Outcome) -> float | None:
    """Return when the run of a combination started, which may be long before the sweep was resumed; None if unknown."""
    text = outcome.facts.get("started_at")
    return datetime.fromisoformat(text).timestamp() if text else None


def _sweep_run_details(sweep: Sweep, outcome: Outcome, request: RunRequest, mask: Mask, lost: list[str]) -> Details:
    facts = outcome.facts
    return Details(
        request=msgspec.structs.replace(request, code="", code_hash="", bundle=""),
        facts=mask.value(dict(facts)),
        host=sweep.host,
        release=facts.get("release"),
        size=facts.get("size"),
        dyno=facts.get("dyno"),
        attempts=outcome.attempts,
        versions=versions(None),
        metrics=mask.value(dict(outcome.metrics)),
        lost=lost,
        error_type=type(outcome.error).__name__ if outcome.error else "",
        source=outcome.source,
    )


def write_events(events: Iterable[Event], mask: Mask) -> list[tuple[int, Event]]:
    """Return the last lines and the other events but rows and files in order, masked as a cell shows them."""
    lines: deque[tuple[int, Event]] = deque(maxlen=MAX_LINES)
    others: deque[tuple[int, Event]] = deque(maxlen=MAX_EVENTS)
    for number, event in enumerate(events):
        if isinstance(event, LogLine):
            lines.append((number, event))
        elif type(event) in _KINDS:
            others.append((number, event))
    last = max((number for number, event in others if isinstance(event, Progress)), default=None)
    kept = [(at, event) for at, event in others if not isinstance(event, Progress) or at == last]
    ordered = sorted([*lines, *kept], key=lambda numbered: numbered[0])
    return [(_KINDS[type(event)], _masked_event(event, mask)) for _, event in ordered]


def read_events(data: bytes) -> list[Event]:
    """Return the events of compressed bytes."""
    return [msgspec.convert(form, EVENTS[kind]) for kind, form in unpack(data)] if data else []


def versions(declaration: Declaration | None) -> dict[str, str]:
    """Return the versions of this package and of Python, here and on the dyno."""
    on_dyno = {"python on the dyno": declaration.python} if declaration and declaration.python else {}
    return {"heroku_magic": package_version(), "python": platform.python_version(), **on_dyno}


def shown_value(value: Any) -> Any:
    """Return a parameter's value as JSON; what has no such form becomes text."""
    value = parse_raw_text(value)
    try:
        return json.loads(json.dumps(value, allow_nan=False))  # a dict may have keys that are no text
    except (TypeError, ValueError, RecursionError):
        return short(value)


def _shown(request: RunRequest, more: Mapping[str, Any] | None = None) -> str:
    """Return the parameters as a table of the history shows them: JSON by name, and the hash of an input."""
    values = {name: _shown_form(form, is_raw=name in request.raw) for name, form in request.values.items()}
    hashes = {name: digest for name, digest in request.hashes.items() if name not in values}
    inputs = {name: f"sha256:{digest[:12]}" if digest else "(not kept)" for name, digest in hashes.items()}
    return json.dumps({**values, **inputs, **(more or {})})


def _shown_form(form: Any, *, is_raw: bool) -> Any:
    if is_raw:
        return parse_raw_text(RawText(form))
    if isinstance(form, dict) and TAG in form:
        return form.get("v") if isinstance(form.get("v"), str) else json.dumps(form)
    return form


def _rows(parts: Sequence[Rows | Table] | None, mask: Mask, lost: list[str]) -> bytes:
    if parts is None:
        return b""
    if sum(map(_size_of_part, parts)) > MAX_ROWS:
        lost.append("rows")
        return b""
    with suppress(TypeError):  # a value has no exact form
        data = write_parts(parts)
        if mask.occurs_in(data):
            data = write_parts([_masked_part(part, mask) for part in parts])
        if not mask.occurs_in(data):
            return zlib.compress(data, LEVEL)
    lost.append("rows")
    return b""


def _size_of_part(part: Rows | Table) -> int:
    """Return about how many bytes the arrays, tables and texts in a part take."""
    if isinstance(part, Table):
        return sum(len(column.values) for column in part.columns.values())
    return size_of(part.rows) if part.typed else 0


def _masked_part(part: Rows | Table, mask: Mask) -> Rows | Table:
    if isinstance(part, Table):
        return part.redacted(mask)
    if part.typed:
        return Rows([decode_row(encode_value(row["value"]), mask, allow_pickle=False) for row in part.rows], typed=True)
    return Rows(mask.value(part.rows), part.verified)


def _files(files: Mapping[str, bytes], mask: Mask, lost: list[str]) -> bytes:
    kept, size = {}, 0
    for name, content in files.items():
        if size + len(content) > MAX_FILES or mask.occurs_in(content):
            lost.append(mask.text(name))
        else:
            kept[mask.text(name)] = content
            size += len(content)
    return pack(kept) if kept else b""


def _masked_event(event: Event, mask: Mask) -> Event:
    if isinstance(event, LogLine):
        return event.with_message(masked_text(event.message, mask))
    if isinstance(event, Failure):
        hidden = event.redacted(mask)
        message, traceback = mask_emails(hidden.message), mask_emails(hidden.traceback)
        return msgspec.structs.replace(hidden, message=message, traceback=traceback)
    if isinstance(event, StateChange):
        note, error = (text and masked_text(text, mask) for text in (event.note, event.error))
        event = msgspec.structs.replace(event, note=note, error=error)
    fields = {name: mask.value(value) for name, value in msgspec.to_builtins(event).items()}
    masked: Event = msgspec.convert(fields, type(event))
    return masked


def _masked_request(request: RunRequest, mask: Mask) -> RunRequest:
    """Return a request with stars for secrets, without hashes of what contained one, and without what is too large."""
    values, code = mask.value(request.values), mask.text(request.code)
    is_masked = code != request.code or mask.occurs_in(_program(request.bundle))
    masked = [name for name, value in request.values.items() if repr(values.get(name)) != repr(value)]
    return msgspec.structs.replace(
        request,
        code=code,
        code_hash="" if is_masked else request.code_hash,
        bundle="" if is_masked or len(request.bundle) > MAX_REQUESTED else request.bundle,
        values={name: value for name, value in values.items() if len(serialized(value)) <= MAX_REQUESTED},
        hashes={**request.hashes, **dict.fromkeys(masked, "")},
        base="" if is_masked else request.base,
        options=mask.value(request.options),
        is_masked=is_masked,
    )


def _hash_of(program: str) -> str:
    return sha256(program.encode("ascii")).hexdigest() if program else ""


@lru_cache(maxsize=4)  # all runs of a sweep have the same one
def _program(bundle: str) -> bytes:
    """Return the text of a function's program, with what travels in it; empty for none."""
    return zlib.decompress(b85decode(bundle)) if bundle else b""


def masked_text(text: str, mask: Mask) -> str:
    """Return a text as a cell shows it, not too long."""
    return mask.text(mask_emails(text[:MAX_TEXT]), ends=len(text) <= MAX_TEXT)


def _key(request: RunRequest, facts: Mapping[str, Any], since: float | None, swept: Mapping[str, Any]) -> str:
    """Return what a cached answer is found by; empty unless the run ended well and is known to have run this code.

    since: when the run or its sweep started. swept: the parameters that differ from run to run of a sweep.
    """
    ended_well = facts.get("exit_status") == 0 and facts.get("verified")
    is_current = request.release in {0, facts.get("release")} or bool(request.folder)
    if not (ended_well and is_current and _is_unchanged(request, since)):
        return ""
    digests = {name: digest_of(value, request.kind) for name, value in swept.items()}
    return full_key(request.base, {**request.hashes, **digests})


def _is_unchanged(request: RunRequest, since: float | None) -> bool:
    """Return whether a served folder has had the same files since the run was requested: none was even changed back."""
    folder = Path(request.folder)
    if not request.folder or not request.base:
        return True
    return hash_folder(folder) in request.slug and last_change(folder) <= (since or 0.0)


def _axis(axis: Axis, mask: Mask, *, is_exact: bool) -> tuple[AxisRecord, bool]:
    """Return an axis as plain values, and whether it has them all: arrays, tables and large values become text."""
    is_whole = False
    with suppress(InvalidParameters):
        record = write_axis(axis, is_exact=is_exact)
        is_whole = size_of(record.values) <= MAX_AXIS
    if not is_whole:
        record = write_shortened(axis, is_exact=is_exact)
    masked = mask.value(record.values)
    return msgspec.structs.replace(record, values=masked), is_whole and masked == record.values


def _only_answer(sweep: Sweep) -> str:
    """Return the id of a run that answered a sweep; empty if the sweep had a run of its own."""
    known = sweep.known()
    is_answered = len(known) == len(sweep) and all(outcome.source for outcome in known)
    return str(known[0].facts["cached"]) if is_answered else ""


def _sweep_state(sweep: Sweep) -> str:
    counts = sweep.counts()
    if not sweep.done():
        return "running"
    return next((state for state in ("failed", "cancelled") if counts.get(state)), "done")
