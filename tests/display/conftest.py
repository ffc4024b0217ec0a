"""Recorded event histories, and a run that replays one."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from heroku_magic.api.log_lines import LogLine
from heroku_magic.display.run_view import RunView
from heroku_magic.protocol.records import Declaration, End, Failure, Progress, Rows
from heroku_magic.runs.events import StateChange

SAMPLES = Path(__file__).parents[1] / "samples" / "events"
KINDS = {kind.__name__: kind for kind in (StateChange, LogLine, Declaration, Rows, Progress, Failure, End)}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1_729_203_802.0

    def __call__(self):
        return self.now


class Replay:
    """A run with known events; a number among them lets that many seconds pass without an event."""

    def __init__(self, events, clock):
        self.script = list(events)
        self.clock = clock
        self.timeouts = []

    def events(self, timeout=None):
        self.timeouts.append(timeout)
        for event in self.script:
            if isinstance(event, float):
                self.clock.now += event
                yield None
            elif isinstance(event, BaseException):
                self.script.remove(event)
                raise event
            else:
                yield event


def _event(kind, facts):
    return LogLine(**facts) if kind is LogLine else msgspec.convert(facts, kind)


@pytest.fixture
def history():
    def read(name):
        events = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
        return [_event(KINDS[event.pop("event")], event) for event in events]

    return read


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def fed(clock):
    """Create a view and feed it events."""

    def make(*events, **options):
        view = RunView(**{"clock": clock, "timer": clock, **options})
        for event in events:
            view.feed(event)
        return view

    return make


@pytest.fixture
def replay(clock):
    return lambda events: Replay(events, clock)


@pytest.fixture
def say():
    """Create a log line of the dyno's own process, or of another source."""
    return lambda message, source="app", dyno="run.4821": LogLine(
        "2024-10-17T22:23:22.209776+00:00", source, dyno, message
    )
