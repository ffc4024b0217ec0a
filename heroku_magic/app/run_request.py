"""Describes a run as it was requested, for the ledger: without secrets, and inputs only by their hashes."""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.payload import parse_raw_text, table_chunks
from heroku_magic.protocol.typed_json import TAG, Encoder
from heroku_magic.protocol.values import RawText
from heroku_magic.runs.options import RunOptions
from heroku_magic.runs.request import RunRequest
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.runs.spec import RunSpec

RECORDED = ("size", "timeout", "rows", "any_type", "override", "max_cost", "warm", "allow_pickle")


def describe_request(
    task: str | None,
    parameters: Mapping[str, Any],
    options: RunOptions,
    spec: RunSpec,
    settings: Settings,
    *,
    slug: str = "",
    is_kept: bool = True,
) -> RunRequest:
    """Return what was requested. spec: the run that it became. slug: the id of the app's code."""
    secrets = [name for name in parameters if isinstance(parameters[name], Secret) or name in spec.secrets]
    shown = {name: value for name, value in parameters.items() if name not in secrets}
    forms = {name: _Form(value) for name, value in shown.items()}
    inputs = frozenset(options.inputs)
    defaults = RunOptions()
    changed = {name: getattr(options, name) for name in RECORDED if getattr(options, name) != getattr(defaults, name)}
    return RunRequest(
        app=spec.app,
        folder=str(settings.worker or ""),
        kind=kind_of(options),
        task=task,
        code=_text(options.code) if options.code else options.command or "",
        bundle=str(spec.env["RUN_CODE"]) if callable(options.code) else "",
        values={name: one.value for name, one in forms.items() if one.is_small and name not in inputs},
        raw=[name for name, value in shown.items() if isinstance(value, RawText)],
        hashes={name: one.digest for name, one in forms.items()},
        secrets=[*dict.fromkeys([*options.secrets, *secrets])],
        options={name: [*value] if name == "override" else value for name, value in changed.items()},
        slug=slug,
        is_kept=is_kept and options.history,
    )


def kind_of(options: RunOptions) -> str:
    """Return what the options say is run: a "task", "command", "cell" or "function"."""
    if options.code is None:
        return "task" if options.command is None else "command"
    return "cell" if isinstance(options.code, str) else "function"


def hash_value(value: Any) -> str:
    """Return the hash of a value, which is the same in every process; empty for a value without an exact form."""
    return _Form(value).digest


class _Form:
    """A value as typed JSON. is_small: it has neither arrays nor tables, and an exact form. digest: its hash."""

    def __init__(self, value: Any) -> None:
        encoder = Encoder(table_chunks)
        self.value, self.digest, self.is_small = None, "", False
        with suppress(TypeError, RecursionError):
            form = encoder.encode(parse_raw_text(value), "value")
            self.value = str(value) if isinstance(value, RawText) else form
            self.digest = sha256(json.dumps(_canonical(form)).encode("ascii") + b"\n" + encoder.body).hexdigest()
            self.is_small = not encoder.body


def _canonical(form: Any) -> Any:
    """Return typed JSON with sets in an order that does not depend on the process."""
    if isinstance(form, list):
        return [_canonical(item) for item in form]
    if not isinstance(form, dict):
        return form
    parts = {key: _canonical(item) for key, item in form.items()}
    return {**parts, "v": sorted(parts["v"], key=json.dumps)} if parts.get(TAG) in {"set", "frozenset"} else parts


def _text(code: str | Callable[..., Any]) -> str:
    """Return a cell's text, or the source text of a function, as far as there is one."""
    if isinstance(code, str):
        return code
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return getattr(code, "__name__", type(code).__name__)
