"""Reads what a warm dyno sends, and passes each call its part as if it were the dyno's log."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from heroku_magic.api.log_lines import LogLine
from heroku_magic.platform_facts.dyno_sizes import memory_bytes
from heroku_magic.protocol.channel import ChannelReader
from heroku_magic.protocol.records import hide_keys
from heroku_magic.runs.command_mark import marked
from heroku_magic.runs.lifecycle import STARTING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.resources import Dyno
    from heroku_magic.protocol.records import RunKey
    from heroku_magic.warm.warm_call import WarmCall


class Downlink:
    """What arrives from one dyno.

    acknowledge: gets the number of bytes that the dyno has read. release: called when a call that a thread waits for
    has ended.

    calls: in flight, by number, in the order in which the dyno runs them. hello: set once the dyno answers.
    early_lines: printed before the first call. versions: of packages on the dyno, by name. round_trip: the seconds
    that a message and its answer take. memory: bytes of all processes of the dyno at the last ping.
    """

    def __init__(self, key: RunKey, acknowledge: Callable[[int], None], release: Callable[[], None]) -> None:
        self.calls: dict[int, WarmCall] = {}
        self.hello = threading.Event()
        self.early_lines: deque[LogLine] = deque(maxlen=4)
        self.versions: dict[str, str] = {}
        self.round_trip, self.memory = 0.0, 0
        self._reader = ChannelReader(key)
        self._acknowledge, self._release = acknowledge, release
        self._task, self._dyno, self._quota = "", "", 0

    def open(self, task: str, info: Dyno) -> None:
        """Take note of what the lines of a dyno that runs a task say about it."""
        self._task, self._dyno, self._quota = task, info.name, memory_bytes(info.size)

    def take(self, received: list[bytes]) -> None:
        """Read lines: records of the dyno's server and of a call, and whatever else was printed."""
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        for line in (one.decode("ascii", "replace") for one in received):
            if not self._reader.is_own(line):
                lines = call.lines if (call := self.running_call()) else self.early_lines
                lines.append(self._line(now, "app", line))
            elif (record := self._reader.read(line)) is not None:
                self._act(now, *record)
        if (call := self.running_call()) is not None and call.on_done is None:
            call.flush()

    def running_call(self) -> WarmCall | None:
        """Return the oldest call in flight: the dyno runs one after the other."""
        return next(iter([*self.calls.values()]), None)  # of a copy, as other threads add calls

    def _act(self, now: str, kind: str, message: dict[str, Any]) -> None:
        """Act on a record of the server; its call gets the lines that a dyno's log would have."""
        call = self.calls.get(message["call"]) if "call" in message else self.running_call()
        if kind == "task":
            self.versions = message["versions"]
            self.hello.set()
        elif kind == "ack":
            self._acknowledge(message["bytes"])
        elif kind == "pong":
            self.round_trip, self.memory = time.monotonic() - message["at"], message["memory"]
        elif kind == "begin" and call is not None:
            call.begun_at = time.monotonic()
            if call.on_done is None:
                command = f"{STARTING}{marked(self._task, call.run)}`"
                call.lines += [self._line(now, "heroku", one) for one in (command, "State changed from starting to up")]
        elif kind == "text" and call is not None:
            lines = call.whole_lines(message["stream"], hide_keys(message["text"]))
            call.lines += [self._line(now, "app", one) for one in lines]
        elif kind == "done" and call is not None:
            self._end_call(now, call, message)

    def _end_call(self, now: str, call: WarmCall, message: dict[str, Any]) -> None:
        del self.calls[call.number]
        call.is_overdue, call.seconds = message.get("overdue", False), message.get("seconds")
        call.lines += [self._line(now, "app", one) for one in call.rest()]
        if call.on_done is None:
            call.lines += [self._line(now, "heroku", one) for one in self._last_lines(message)]
            call.flush()
            self._release()
        else:
            call.flush()
            call.on_done(message["status"] if "used" in message else None)

    def _last_lines(self, message: dict[str, Any]) -> list[str]:
        """Return what Heroku would log at the end of a call; R15 if the call would have filled the dyno."""
        texts = [f"Process exited with status {message['status']}", "State changed from up to complete"]
        if not (used := message.get("used")):
            return texts
        share = f"{used >> 20}M({used / self._quota:.1%})"
        return [f"Process running mem={share}", "Error R15 (Memory quota vastly exceeded)", *texts]

    def _line(self, now: str, source: str, message: str) -> LogLine:
        return LogLine(now, source, self._dyno, message)
