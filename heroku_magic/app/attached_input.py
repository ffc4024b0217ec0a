"""Decides which runs use an attached dyno because their input is too large for a dyno's environment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heroku_magic.errors import InputTooLarge
from heroku_magic.text.notifier import notify
from heroku_magic.text.plural import size_text

if TYPE_CHECKING:
    from heroku_magic.protocol.spool import Spool
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.runs.spec import RunSpec


def refuse_detached(options: RunOptions, excess: InputTooLarge) -> None:
    """Raise the error again for a run that cannot take a large input, because nothing stays connected to its dyno."""
    if options.detach:
        raise InputTooLarge([f"{issue} Without --detach it may be of any size." for issue in excess.issues])


def attached_spec(spec: RunSpec, values: Spool | None) -> RunSpec:
    """Return the spec of a run whose values, if any, travel over a connection, and say so."""
    if values is None:
        return spec
    if not spec.is_warm:
        notify(
            f"{spec.task} runs on an attached dyno, which ends with the run: its input of {size_text(len(values))} "
            "cannot travel in a dyno's environment, which holds at most 32 kB of text."
        )
    return on_attached_dyno(spec, values)


def on_attached_dyno(spec: RunSpec, values: Spool | None) -> RunSpec:
    """Return the spec of a run on an attached dyno, which ends with the run unless it is a warm one."""
    return replace(spec, values=values, is_warm=True, is_once=not spec.keeps_dyno, falls_back=False)
