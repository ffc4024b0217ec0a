"""Race: ways of doing one job, taken in turns -> medians, spreads, ratios, aims met or missed; it prints nothing.

A way is a *lane*, a generator function of the `Ground` that the race is run on: what stands before its
first `yield` is set-up, each further step does the job once. It yields None (the step's seconds count),
the number that counts, or a `Step`. Each lane has a process of its own, so that its processor time and
its memory are its own; the lanes take turns, A B A B, so that a busy machine is busy for both.
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

from benchmarks.ground import Ground, laid_out, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection


class Step(NamedTuple):
    """What doing a job once came to. cpu: seconds of processor time of the client; memory: its peak in MB."""

    value: float | None = None
    cpu: float | None = None
    memory: float | None = None


Told: TypeAlias = "float | Step | None"
Lane: TypeAlias = "Callable[[Ground], Iterator[Told]]"


@dataclass(frozen=True)
class Aim:
    """What ours over theirs has to be: `ratio`, or `more` (a difference), or `alone` (ours by itself) at most.

    A race whose larger numbers are the better ones has a ratio of at `least` so much.
    """

    ratio: float | None = None
    least: float | None = None
    more: float | None = None
    alone: float | None = None

    def as_json(self) -> dict[str, float]:
        """Return what is set: one of the four, or nothing."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def is_met(self, ours: Sequence[float], theirs: Sequence[float]) -> bool | None:
        """Tell whether the median of the rounds keeps to it; None: there is no aim."""
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
    """One way of doing the job. aim: of ours beside it. missing: why it cannot run on this machine."""

    name: str
    lane: Lane
    aim: Aim = NO_AIM
    missing: str = ""


@dataclass(frozen=True)
class Race:
    """One job, our way and others. unit: of the numbers. files: of the app; emulator: options of one that all share.

    repeats: rounds that count; one before them does not.
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
    """What one side came to: a Step a round, or why there is none."""

    name: str
    steps: Sequence[Step] = ()
    not_run: str = ""

    @property
    def values(self) -> list[float]:
        """The numbers that count."""
        return [step.value for step in self.steps if step.value is not None]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
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
    """What a race came to: ours, and each other side with its aim."""

    race: Race
    ours: Record
    others: Sequence[tuple[Side, Record]]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values: both sides, and for each other side the ratio, the aim, met or not."""
        others = [{**record.as_json(), **self._compared(side, record)} for side, record in self.others]
        return {"race": self.race.title, "unit": self.race.unit, "ours": self.ours.as_json(), "others": others}

    def _compared(self, side: Side, other: Record) -> dict[str, Any]:
        if self.ours.not_run or other.not_run:
            return {"aim": side.aim.as_json()}
        ours, theirs = self.ours.values, other.values
        return {"ratio": ratio(ours, theirs), "aim": side.aim.as_json(), "met": side.aim.is_met(ours, theirs)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return ours / theirs: the median over the rounds, of which each was run under the same load."""
    return statistics.median([one / other for one, other in zip(ours, theirs, strict=True)])


def run(race: Race) -> Outcome:
    """Run a race: all sides in turns."""
    with laid_out(race.files, race.emulator) as ground, ExitStack() as lanes:
        sides = [race.ours, *race.others]
        runners = [lanes.enter_context(_runner(side, ground)) for side in sides]
        for _ in range(race.warm_ups):
            for runner in runners:
                runner.step()
        for _ in range(race.repeats):
            for runner in runners:
                runner.keep_step()
        ours, *others = [runner.record for runner in runners]
        return Outcome(race, ours, list(zip(race.others, others, strict=True)))


class _Runner:
    """A lane in a process of its own, driven step by step; without a process it says why there is none."""

    def __init__(self, side: Side, pipe: Connection | None, not_run: str = "") -> None:
        self._side = side
        self._pipe = pipe
        self._steps: list[Step] = []
        self._not_run = not_run

    @property
    def record(self) -> Record:
        """What came of it."""
        return Record(self._side.name, () if self._not_run else self._steps, self._not_run)

    def step(self) -> Step | None:
        """Do the job once."""
        if self._pipe is None or self._not_run:
            return None
        try:
            self._pipe.send("step")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            answer = "its process died"
        if isinstance(answer, str):
            self._not_run = f"failed: {answer}"
            return None
        return Step(*answer)

    def keep_step(self) -> None:
        """Do the job once, and note what it came to."""
        if (step := self.step()) is not None:
            self._steps.append(step)


@contextmanager
def _runner(side: Side, ground: Ground) -> Iterator[_Runner]:
    if side.missing:
        yield _Runner(side, None, side.missing)
        return
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_drive, args=(there, side.lane, ground))
    process.start()
    there.close()
    try:
        ready = _first_word(here)
        yield _Runner(side, here, "" if ready == "ready" else f"failed: {ready}")
    finally:
        with suppress(OSError):
            here.send("end")
        process.join(60)
        if process.is_alive():
            process.kill()


def _first_word(pipe: Connection) -> str:
    try:
        return str(pipe.recv())
    except EOFError:
        return "its process died"


def _drive(pipe: Connection, lane: Lane, ground: Ground) -> None:
    """Walk a lane, a step whenever one is asked for: the other end of a _Runner."""
    _close_stdout()
    steps = lane(ground)
    try:
        next(steps)
        pipe.send("ready")
        while pipe.recv() == "step":
            pipe.send(tuple(_measured(steps)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the race says it
        pipe.send(f"{type(error).__name__}: {error}"[:500])
    finally:
        steps.close()  # type: ignore[attr-defined]  # lanes are generators


def _measured(steps: Iterator[Told]) -> Step:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    told = next(steps)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    step = told if isinstance(told, Step) else Step(told)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Step(
        seconds if step.value is None else step.value,
        cpu if step.cpu is None else step.cpu,
        peak_memory("self") if step.memory is None else step.memory,
    )


def _close_stdout() -> None:
    """What a lane shows is not what is measured."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
