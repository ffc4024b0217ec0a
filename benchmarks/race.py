"""Run several ways of doing one job in turns, and compute medians, spreads, ratios, and aims met or missed.

Each way is a *lane*, a generator function of a `Testbed`: the code before its first `yield` is the set-up, and
each further step does the job once. It yields None (the duration of the step is measured), the measured
number, or a `Step`. Each lane has its own process, so that processor time and memory can be attributed to
it. The lanes take turns, A B A B, so that other load on the machine affects both.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from benchmarks.testbed import Testbed, create_testbed, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection


class Step(NamedTuple):
    """The measurements of one step. cpu: processor time of the client in seconds; memory: its peak in MB."""

    value: float | None = None
    cpu: float | None = None
    memory: float | None = None


Measurement: TypeAlias = "float | Step | None"
Lane: TypeAlias = "Callable[[Testbed], Iterator[Measurement]]"


@dataclass(frozen=True)
class Aim:
    """The target of a race: an upper limit for ours / theirs (`ratio`), ours - theirs (`more`) or ours (`alone`).

    Where larger numbers are better, `least` is a lower limit for ours / theirs.
    """

    ratio: float | None = None
    least: float | None = None
    more: float | None = None
    alone: float | None = None

    def as_json(self) -> dict[str, float]:
        """Return the one limit that is set, or an empty dict."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def is_met(self, ours: Sequence[float], theirs: Sequence[float]) -> bool | None:
        """Return whether the median of the rounds meets the aim; None if there is no aim."""
        if self.alone is not None:
            return statistics.median(ours) <= self.alone
        if self.more is not None:
            return statistics.median([one - other for one, other in zip(ours, theirs, strict=True)]) <= self.more
        if self.least is not None:
            return ratio(ours, theirs) >= self.least
        return None if self.ratio is None else ratio(ours, theirs) <= self.ratio


NO_AIM = Aim()


@dataclass(frozen=True)
class Side:
    """One way of doing the job. aim: the aim of ours against it. missing: why it cannot run on this machine."""

    name: str
    lane: Lane
    aim: Aim = NO_AIM
    missing: str = ""


@dataclass(frozen=True)
class Race:
    """One job, done by heroku_magic and by others.

    unit: the unit of the numbers. files: files of the app. emulator: options of a shared emulator.
    repeats: measured rounds, after `warm_ups` unmeasured ones.
    """

    title: str
    unit: str
    ours: Side
    others: Sequence[Side]
    repeats: int = 5
    warm_ups: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    emulator: Sequence[str] | None = None


@dataclass(frozen=True)
class Record:
    """The results of one side: one Step per round, or why it did not run."""

    name: str
    steps: Sequence[Step] = ()
    not_run: str = ""

    @property
    def values(self) -> list[float]:
        """The measured numbers."""
        return [step.value for step in self.steps if step.value is not None]

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain values."""
        if self.not_run:
            return {"name": self.name, "not_run": self.not_run}
        return {
            "name": self.name,
            "median": statistics.median(self.values),
            "low": min(self.values),
            "high": max(self.values),
            "cpu_seconds": statistics.median(step.cpu or 0.0 for step in self.steps),
            "peak_mb": max(step.memory or 0.0 for step in self.steps),
            "values": self.values,
        }


@dataclass(frozen=True)
class Outcome:
    """The result of a race: ours, and each other side with its aim."""

    race: Race
    ours: Record
    others: Sequence[tuple[Side, Record]]

    def as_json(self) -> dict[str, Any]:
        """Return all sides as plain values, the others with ratio, aim, and whether it is met."""
        others = [{**record.as_json(), **self._compared(side, record)} for side, record in self.others]
        return {"race": self.race.title, "unit": self.race.unit, "ours": self.ours.as_json(), "others": others}

    def _compared(self, side: Side, other: Record) -> dict[str, Any]:
        if self.ours.not_run or other.not_run:
            return {"aim": side.aim.as_json()}
        ours, theirs = self.ours.values, other.values
        return {"ratio": ratio(ours, theirs), "aim": side.aim.as_json(), "met": side.aim.is_met(ours, theirs)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of ours / theirs over the rounds; the two sides of a round ran under the same load."""
    return statistics.median([one / other for one, other in zip(ours, theirs, strict=True)])


def run(race: Race) -> Outcome:
    """Run all sides of a race in turns."""
    with create_testbed(race.files, race.emulator) as testbed, ExitStack() as lanes:
        sides = [race.ours, *race.others]
        runners = [lanes.enter_context(_runner(side, testbed)) for side in sides]
        for _ in range(race.warm_ups):
            for runner in runners:
                runner.step()
        for _ in range(race.repeats):
            for runner in runners:
                runner.record_step()
        ours, *others = [runner.record for runner in runners]
        return Outcome(race, ours, list(zip(race.others, others, strict=True)))


class _Runner:
    """A lane in its own process, driven step by step, or the reason why it is not run."""

    def __init__(self, side: Side, pipe: Connection | None, not_run: str = "") -> None:
        self._side = side
        self._pipe = pipe
        self._steps: list[Step] = []
        self._not_run = not_run

    @property
    def record(self) -> Record:
        """The results so far."""
        return Record(self._side.name, () if self._not_run else self._steps, self._not_run)

    def step(self) -> Step | None:
        """Do the job once."""
        if self._pipe is None or self._not_run:
            return None
        try:
            self._pipe.send("step")
            reply = self._pipe.recv()
        except (EOFError, OSError):
            reply = "its process died"
        if isinstance(reply, str):
            self._not_run = f"failed: {reply}"
            return None
        return Step(*reply)

    def record_step(self) -> None:
        """Do the job once and keep the result."""
        if (step := self.step()) is not None:
            self._steps.append(step)


@contextmanager
def _runner(side: Side, testbed: Testbed) -> Iterator[_Runner]:
    if side.missing:
        yield _Runner(side, None, side.missing)
        return
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_drive, args=(there, side.lane, testbed))
    process.start()
    there.close()
    try:
        ready = _first_message(here)
        yield _Runner(side, here, "" if ready == "ready" else f"failed: {ready}")
    finally:
        with suppress(OSError):
            here.send("end")
        process.join(60)
        if process.is_alive():
            process.kill()


def _first_message(pipe: Connection) -> str:
    try:
        return str(pipe.recv())
    except EOFError:
        return "its process died"


def _drive(pipe: Connection, lane: Lane, testbed: Testbed) -> None:
    """Run one step of a lane for each request of the _Runner in the parent process."""
    _close_stdout()
    steps = lane(testbed)
    try:
        next(steps)
        pipe.send("ready")
        while pipe.recv() == "step":
            pipe.send(tuple(_measure(steps)))
    except Exception as error:  # noqa: BLE001 - any error is reported as the result
        pipe.send(f"{type(error).__name__}: {error}"[:500])
    finally:
        steps.close()  # type: ignore[attr-defined]  # lanes are generators


def _measure(steps: Iterator[Measurement]) -> Step:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    measurement = next(steps)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    step = measurement if isinstance(measurement, Step) else Step(measurement)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Step(
        seconds if step.value is None else step.value,
        cpu if step.cpu is None else step.cpu,
        peak_memory("self") if step.memory is None else step.memory,
    )


def _close_stdout() -> None:
    """Discard the output of a lane."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
