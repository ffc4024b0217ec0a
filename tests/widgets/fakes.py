"""A declared task, and fake runs that end when a test decides."""

from __future__ import annotations

import math
import threading
import time

from heroku_magic.protocol.task import Task

SCHEMA = {
    "description": "Estimate pi.\n\nSlowly.",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10, "description": "points <b>to</b> draw"},
        "rate": {"type": "number", "default": 0.5},
        "method": {"enum": ["naive", "fast"], "default": "fast"},
        "deep": {"type": "boolean", "default": False},
        "label": {"type": "string", "default": "one"},
        "day": {"type": "string", "format": "date", "default": "2024-02-29"},
        "at": {"type": "string", "format": "date-time", "default": "2024-02-29T12:30:00"},
        "weights": {"type": "array", "items": {"type": "number"}, "default": [1.0]},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    },
}
SIMULATE = Task("simulate", "python -m heroku_task simulate", SCHEMA)


class FakeRun:
    def __init__(self, values, sources):
        self.values, self.sources = values, sources
        self.state, self.exit_status, self.seconds, self.partial, self.dyno = "up", None, None, None, "run.1"
        self.is_cancelled = False
        self._over = threading.Event()

    def cancel(self):
        self.is_cancelled = True
        self.end("cancelled", 143)

    def end(self, state="done", exit_status=0):
        self.state, self.exit_status, self.seconds = state, exit_status, 2.06
        self._over.set()

    def wait(self, timeout=10):
        return self._over.wait(timeout)


class FakeSweep(FakeRun):
    def __init__(self, values, sources, each):
        super().__init__(values, sources)
        self.each = each
        self.count = math.prod(len(values) for values in each.values())
        self.states = {"running": self.count}

    def __len__(self):
        return self.count

    def counts(self):
        return self.states

    def end(self, state="done", exit_status=0):
        self.states = {state: self.count}
        super().end(state, exit_status)


class Runs:
    """What a form submits to; it waits until `delay` is set."""

    def __init__(self):
        self.started = []
        self.error = None
        self.threads = []
        self.delay = threading.Event()
        self.delay.set()

    def __call__(self, values, sources, each):
        self.threads.append(threading.current_thread())
        assert self.delay.wait(10)
        if self.error is not None:
            raise self.error
        self.started.append(FakeSweep(values, sources, each) if each else FakeRun(values, sources))
        return self.started[-1]


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
