"""Describes a run as it was requested, for the ledger: without secrets, and inputs only by their hashes."""

from __future__ import annotations

import inspect
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.ledger.cache_key import ValueForm, digest_of, hash_base
from heroku_magic.protocol.task import DEFAULT_TASK
from heroku_magic.protocol.typed_decoder import Decoder
from heroku_magic.protocol.values import RawText
from heroku_magic.runs.options import RunOptions
from heroku_magic.runs.request import RunRequest
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.runs.spec import RunSpec

# The options that the ledger keeps with a run, so that `rerun` repeats them.
RECORDED = frozenset(
    {"size", "timeout", "packages", "rows", "any_type", "override", "max_cost", "warm", "isolate", "allow_pickle"}
)
MANY_BYTES = 1_000_000  # of a value, beyond which its hash takes too long for a run that needs none


def describe_request(
    task: str | None, parameters: Mapping[str, Any], options: RunOptions, spec: RunSpec, settings: Settings, **more: Any
) -> RunRequest:
    """Return what was requested. spec: the run that it became. more: other fields of the request."""
    secrets = [name for name in parameters if isinstance(parameters[name], Secret) or name in spec.secrets]
    shown = {name: value for name, value in parameters.items() if name not in secrets}
    kind = kind_of(options)
    return RunRequest(
        app=spec.app,
        folder=str(settings.worker or ""),
        kind=kind,
        task=task,
        code=_text(options.code) if options.code else options.command or "",
        bundle=str(spec.env["RUN_CODE"]) if callable(options.code) else "",
        **describe_values(shown, kind, options),
        secrets=[*dict.fromkeys([*options.secrets, *secrets])],
        options=_changed_options(options),
        **more,
    )


def describe_request_again(
    request: RunRequest, parameters: Mapping[str, Any], options: RunOptions, settings: Settings
) -> RunRequest:
    """Return an earlier request of the same code or task with these parameters and options."""
    return msgspec.structs.replace(
        request,
        folder=str(settings.worker or ""),
        **describe_values(parameters, request.kind, options),
        options=_changed_options(options),
        is_kept=options.history,
    )


def describe_values(values: Mapping[str, Any], kind: str, options: RunOptions) -> dict[str, Any]:
    """Return the fields of a request that describe parameters, none of which is a secret."""
    inputs = frozenset(options.inputs)
    forms = {name: ValueForm(value) for name, value in values.items() if options.wants_cache or not is_large(value)}
    return {
        "values": {name: one.value for name, one in forms.items() if one.is_small and name not in inputs},
        "raw": [name for name, value in values.items() if isinstance(value, RawText)],
        "hashes": {
            name: digest_of(value, kind, forms[name]) if name in forms else "" for name, value in values.items()
        },
    }


def recorded_values(request: RunRequest) -> dict[str, Any]:
    """Return the values that a request keeps; inputs are not among them."""
    decoder = Decoder(b"", list)
    return {
        name: RawText(form) if name in request.raw else decoder.decode(form) for name, form in request.values.items()
    }


def kind_of(options: RunOptions) -> str:
    """Return what the options say is run: a "task", "command", "cell" or "function"."""
    if options.code is None:
        return "task" if options.command is None else "command"
    return "cell" if isinstance(options.code, str) else "function"


def hash_code(options: RunOptions) -> str:
    """Return the hash of a cell's or a command's text, or of a function with all that it uses; empty for a task."""
    if callable(options.code):
        if options.warm and not options.wants_cache:  # pickling it takes longer than a warm call
            return ""
        from heroku_magic.bundle.pickle_hash import stable_hash
        from heroku_magic.bundle.pickler import pickle_function

        return stable_hash(pickle_function(options.code).data)
    text = options.command if options.code is None else options.code
    return "" if text is None else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cache_base(task: str | None, options: RunOptions, environment: str, code_hash: str) -> str:
    """Return what all calls of a task or of some code have in common; empty if they cannot be cached."""
    kind = kind_of(options)
    keeps_out = options.cache is False or not options.isolate  # state of earlier calls may be in the result
    if not environment or kind == "command" or keeps_out or [*options.secrets]:
        return ""
    if kind == "function" and not code_hash:
        return ""
    environment = " ".join([environment, *options.packages])
    return hash_base(kind, code_hash or task or "", environment, takes_rows=options.rows)


def cache_bases(task: str | None, options: RunOptions, environment: str, code_hash: str) -> list[str]:
    """Return what earlier calls of the same task or code may have in common: one that names no task may run `task`."""
    names = [DEFAULT_TASK, None] if task is None else [task]
    bases = [cache_base(name, options, environment, code_hash) for name in names]
    return [*dict.fromkeys(filter(None, bases))]


def is_large(value: Any) -> bool:
    """Return whether hashing a value takes longer than a run should wait for it."""
    usage = getattr(value, "memory_usage", None)
    if callable(usage) and hasattr(value, "columns"):
        return int(usage(index=False).sum()) > MANY_BYTES
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size > MANY_BYTES
    return isinstance(value, list | tuple | set | dict | str | bytes) and len(value) > MANY_BYTES // 10


def _changed_options(options: RunOptions) -> dict[str, Any]:
    """Return the recorded options that differ from their defaults."""
    defaults = RunOptions()
    changed = {name: getattr(options, name) for name in RECORDED if getattr(options, name) != getattr(defaults, name)}
    return {name: [*value] if name in {"override", "packages"} else value for name, value in changed.items()}


def _text(code: str | Callable[..., Any]) -> str:
    """Return a cell's text, or the source text of a function, as far as there is one."""
    if isinstance(code, str):
        return code
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return getattr(code, "__name__", type(code).__name__)
