"""Follows the reports of lines that were lost before they reached an app's log.

What ships the lines of dynos to the log sends such a report (L12) under its own name, so the log session of a dyno
does not contain it: https://devcenter.heroku.com/articles/error-codes#l12-local-buffer-overflow
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from heroku_magic.api.error_codes import SHIPPER, is_loss_report
from heroku_magic.api.log_stream import LogStream
from heroku_magic.errors import LogStreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_lines import LogLine

OPENING = 5.0  # seconds that a dyno waits for the stream to be open
_TURN = 0.1


class LossStream:
    """Passes the reports to a sink until `close()`. is_broken: whether some cannot be read."""

    def __init__(self, client: HerokuClient, app: str, sink: Callable[[list[LogLine]], None]) -> None:
        self.is_broken = False
        self._sink = sink
        self._stream = LogStream(client, app, SHIPPER, self._take)

    def start(self) -> LossStream:
        """Start following."""
        self._stream.start()
        return self

    def wait_until_open(self, is_cancelled: Callable[[], bool]) -> None:
        """Wait for the stream: a report that is older than the last 1,500 lines of the app cannot be read later."""
        until = time.monotonic() + OPENING
        while not self._stream.wait_until_open(_TURN) and not self.is_broken and not is_cancelled():
            self.is_broken = time.monotonic() > until

    def close(self) -> None:
        """Stop following."""
        self._stream.close()

    def _take(self, item: list[LogLine] | LogStreamError) -> None:
        if isinstance(item, LogStreamError):
            self.is_broken = True
        elif losses := [line for line in item if is_loss_report(line)]:
            self._sink(losses)
