"""Fake sweeps: one at a fixed moment, and one that simulates itself on the clock."""

from __future__ import annotations

import heapq
import math
import random
import time
from types import SimpleNamespace

from heroku_magic.sweeps.outcomes import STATES

CODE = {state: code for code, state in enumerate(STATES)}


class Still:
    """A sweep at one moment; facts that are not given are unknown."""

    task, app, size, notes, started_at, seconds = "simulate", "embedded", None, (), None, None
    dollars = expected_dollars = None
    activity = ""

    def __init__(self, states=(), axes=(("seed", 0),), **facts):
        self.states = bytearray(CODE[state] for state in states)
        self.axes = [*axes]
        self.names = [name for name, _ in axes]
        self.failed, self.slow, self.dynos, self.over = [], None, [], True
        self.__dict__.update(facts)

    def __len__(self):
        return len(self.states)

    @property
    def age(self):
        return None if self.started_at is None else time.time() - self.started_at

    def parameters(self, place):
        found = {}
        for name, length in reversed(self.axes):
            place, found[name] = divmod(place, length or len(self) or 1)
        return {name: {"region": ["eu", "us"]}.get(name, range(10**9))[value] for name, value in found.items()}

    def counts(self):
        return {state: self.states.count(code) for state, code in CODE.items() if self.states.count(code)}

    def failures(self, most):
        return self.failed[:most]

    def known(self):
        return []

    def slowest(self):
        return self.slow

    def spans(self):
        return self.dynos

    def wait(self, timeout):
        return self.over


def outcome(parameters=None, error="ValueError: no data", *, log=(), seconds=14.2, attempts=1, dyno="run.4821"):
    return SimpleNamespace(
        parameters=parameters or {"seed": 13}, error=error, log=list(log), seconds=seconds, attempts=attempts, dyno=dyno
    )


def span(requested, up, ended, state="done"):
    return SimpleNamespace(requested_at=requested, up_at=up, ended_at=ended, state=state)


class Playing(Still):
    """A sweep that runs by the wall clock: `jobs` at once, each with a boot and a run, and some failures."""

    def __init__(self, axes, *, jobs=20, boot=0.6, run=1.0, bad=0.02, until=math.inf, **facts):
        super().__init__((), axes, **{"size": "standard-1x", "app": "my-app", "expected_dollars": 0.012} | facts)
        self.until = until
        chance = random.Random(7)
        free = [0.0] * jobs
        self.plan = []
        for _ in range(math.prod(length for _, length in axes)):
            begin = heapq.heappop(free)
            up = begin + boot * chance.uniform(0.6, 1.6)
            end = up + run * chance.lognormvariate(0, 0.4)
            heapq.heappush(free, end)
            self.plan.append((begin, up, end, "failed" if chance.random() < bad else "done"))
        self.length = max(end for _, _, end, _ in self.plan)
        self.started_at = time.time()

    def at(self):
        return min(time.time() - self.started_at, self.until)

    @property
    def states(self):
        now, codes = self.at(), bytearray(len(self.plan))
        for place, (begin, up, end, state) in enumerate(self.plan):
            if now >= begin:
                codes[place] = CODE["starting" if now < up else "running" if now < end else state]
        return codes

    @states.setter
    def states(self, states):
        """Ignore it: the states follow from the plan."""

    @property
    def age(self):
        return self.at()

    @property
    def seconds(self):
        return self.length if self.at() >= self.length else None

    @property
    def dollars(self):
        now = self.at()
        return sum(max(0, min(end, now) - begin) for begin, _, end, _ in self.plan) * 25 / (720 * 3600)

    def failures(self, most):
        now = self.at()
        failed = [place for place, (_, _, end, state) in enumerate(self.plan) if state == "failed" and end <= now]
        return [
            outcome(
                self.parameters(place),
                f"ValueError: no data for seed {place}",
                log=["loading the data", f"looking for seed {place}", f"ValueError: no data for seed {place}"],
                dyno=f"run.{4000 + place}",
            )
            for place in failed[:most]
        ]

    def slowest(self):
        now = self.at()
        known = [(end - begin, place) for place, (begin, _, end, _) in enumerate(self.plan) if end <= now]
        return outcome(self.parameters(max(known)[1]), seconds=max(known)[0]) if known else None

    def spans(self):
        now, began = self.at(), self.started_at
        return [
            span(began + begin, began + up if up <= now else None, began + end if end <= now else None, state)
            for begin, up, end, state in self.plan
            if begin <= now
        ]

    def wait(self, timeout):
        end = time.time() + timeout
        while time.time() < end and self.at() < self.length:
            time.sleep(0.01)
        return self.at() >= self.length
