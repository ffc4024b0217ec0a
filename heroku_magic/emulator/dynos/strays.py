"""Ends what left its dyno's process group (setsid) and outlived the dyno; Linux alone tells whose it is."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# Of Heroku's lab `runtime-dyno-metadata`: https://devcenter.heroku.com/articles/dyno-metadata
MARK = "HEROKU_DYNO_ID"


def end(dyno_ids: Collection[str]) -> None:
    """Kill the processes whose environment names one of these dynos, which are over."""
    marks = {f"{MARK}={dyno_id}".encode() for dyno_id in dyno_ids}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            is_stray = not marks.isdisjoint(environ.read_bytes().split(b"\0"))
        except OSError:
            continue  # not ours, or gone
        if is_stray:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(environ.parent.name), signal.SIGKILL)
