"""Follow the log of a dyno that prints at full speed, against curl and `heroku logs`, and measure the memory."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.command import run_alone
from benchmarks.race import Aim, Measurement, Race, Side, Step
from benchmarks.testbed import (
    APP,
    EVENTS,
    MANY,
    PlainApi,
    Program,
    cli_environment,
    missing_cli,
    missing_program,
    official_cli,
    peak_memory,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.testbed import Testbed

START = 100  # lines before the clock starts, so that opening the stream is not measured
HEAD_START = 1  # seconds before the dyno prints, so that its reader is connected


def races(*, quick: bool) -> list[Race]:
    """Follow a million lines, and fewer for the official CLI, which would take minutes."""
    many, some, few = (3000, 2000, 1000) if quick else (1_000_000, 100_000, 100_000)
    lacking = missing_program("curl")
    repeats = 1 if quick else 5
    curls = [
        Side("curl -sN", partial(curl, lines=many), Aim(least=0.9), lacking),
        Side("curl -sN, as events", partial(curl, lines=many, events=True), Aim(least=0.9), lacking),
    ]
    logs = partial(heroku_logs, lines=some)
    cli = Side("heroku logs --tail (official CLI)", logs, Aim(least=5), missing_cli())
    whole = Side("heroku logs --tail (official CLI)", logs, missing=missing_cli())
    return [
        _race(f"following {many:,} lines", partial(logstream, lines=many), curls, repeats),
        _race(f"following {some:,} lines", partial(logstream, lines=some), [cli], repeats),
        _race(f"following {some:,} lines, whole run", partial(whole_run, lines=some), [whole], repeats),
        _memory_race(many, few),
    ]


def _race(title: str, ours: Any, others: list[Side], repeats: int) -> Race:
    name = "LogStream" if ours.func is logstream else "heroku.run(command=…)"
    return Race(title, "lines/s", Side(name, ours), others, repeats, emulator=[MANY])


def _memory_race(many: int, few: int) -> Race:
    ours = Side(f"{many:,} lines", partial(memory, lines=many))
    same = Side(f"{few:,} lines", partial(memory, lines=few), Aim(ratio=1.1))
    return Race("peak memory of a run", "MB", ours, [same], repeats=1, warm_ups=0, emulator=[MANY])


def flood(lines: int) -> str:
    """Return a command that prints a number of lines."""
    return f"sleep {HEAD_START}; seq 1 {lines}"


class Meter:
    """Counts lines and measures their speed."""

    def __init__(self, lines: int) -> None:
        self.done = threading.Event()
        self.speed = 0.0
        self._lines, self._seen, self._began = lines, 0, 0.0

    def __call__(self, item: Any) -> None:
        """Count the lines of one batch."""
        self.count(len(item))

    def count(self, more: int) -> None:
        """Count more lines."""
        self._seen += more
        if not self._began and self._seen > START:
            self._began = time.perf_counter()
        if self._seen >= self._lines and not self.done.is_set():
            self.speed = self._lines / (time.perf_counter() - self._began)
            self.done.set()


def logstream(testbed: Testbed, *, lines: int) -> Iterator[Measurement]:
    """Follow with the reader that runs use."""
    from heroku_magic.api.log_stream import LogStream

    heroku = testbed.remote()
    yield
    while True:
        dyno = heroku.client.create_dyno(APP, flood(lines), {}, size=None, time_to_live=600).name
        meter = Meter(lines)
        stream = LogStream(heroku.client, APP, dyno, meter).start()
        assert meter.done.wait(300)
        stream.close()
        yield meter.speed


def curl(testbed: Testbed, *, lines: int, events: bool = False) -> Iterator[Measurement]:
    """Follow the same log with curl, reading its output in large chunks."""
    api, options, newlines = PlainApi(testbed), ["-H", f"Accept: {EVENTS}"] if events else [], 3 if events else 1
    yield
    while True:
        url = api.log_url(api.start(flood(lines)))
        yield _read(Program(["curl", "-sN", *options, url], stdout=-1), lines, newlines)


def heroku_logs(testbed: Testbed, *, lines: int) -> Iterator[Measurement]:
    """Follow the same log with the official CLI."""
    api, environment = PlainApi(testbed), cli_environment(testbed)
    yield
    while True:
        dyno = api.start(f"sleep 4; {flood(lines)}")
        command = [str(official_cli()), "logs", "--app", APP, "--dyno-name", dyno, "--tail"]
        yield _read(Program(command, stdout=-1, env=environment, cwd=testbed.folder.parent), lines, 1)


def _read(program: Program, lines: int, newlines: int) -> Step:
    """Read the output of a program until all lines have arrived."""
    meter = Meter(lines * newlines)
    while not meter.done.is_set() and (chunk := os.read(program.output.fileno(), 1 << 20)):
        meter.count(chunk.count(b"\n"))
    program.end()
    assert meter.done.is_set(), "lines were lost"
    return Step(meter.speed / newlines, program.cpu, program.memory)


def whole_run(testbed: Testbed, *, lines: int) -> Iterator[Measurement]:
    """Iterate over the events of a run, as a user does."""
    from heroku_magic.api.log_lines import LogLine

    heroku = testbed.remote()
    yield
    while True:
        run, seen, began = heroku.submit(command=flood(lines), rows=False), 0, 0.0
        for event in run:
            seen += type(event) is LogLine
            if seen > START and not began:
                began = time.perf_counter()
            if seen >= lines:
                break
        yield lines / (time.perf_counter() - began)


def memory(testbed: Testbed, *, lines: int) -> Iterator[Measurement]:
    """Run the command and measure the peak memory of this process."""
    heroku = testbed.remote()
    yield
    heroku.run(command=flood(lines), rows=False)
    yield peak_memory("self")


if __name__ == "__main__":
    run_alone(__file__)
