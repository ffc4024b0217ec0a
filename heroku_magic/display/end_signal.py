"""Signals the end of long work: a browser notification in a notebook, the bell in a terminal."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from heroku_magic.display.outputs import in_notebook, is_live_terminal, new_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep

LEAST = 30.0  # seconds: who waits for less is still looking
_ASK = "if (window.Notification && Notification.permission === 'default') Notification.requestPermission();"
# A saved notebook runs this again when it is opened, so the end has to be recent.
_SHOW = (
    "if (window.Notification && Notification.permission === 'granted' && Date.now() - %d < 60000) "
    "new Notification('heroku_magic', {body: %s});"
)


def signal_end(job: Run | Sweep, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Notify the user when a run or a sweep ends after more than 30 s. Call it in the thread of the cell."""
    began = clock()
    handle = new_output({"application/javascript": _ASK, "text/plain": ""}) if in_notebook() else None

    def signal(ended: Run | Sweep) -> None:
        if (seconds := clock() - began) <= LEAST:
            return
        outcome = "is done" if ended.exception() is None else "has failed or was stopped"
        message = f"{getattr(ended, 'task', None) or ended.id} {outcome} after {seconds:.0f} s"
        if handle is not None:
            script = _SHOW % (time.time() * 1000, json.dumps(message))
            handle.update({"application/javascript": script, "text/plain": message}, raw=True)
        elif is_live_terminal():
            sys.stdout.write("\a")  # it moves no text, so a thread may ring it
            sys.stdout.flush()

    job.call_when_done(signal)
