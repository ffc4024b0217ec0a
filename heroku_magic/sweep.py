"""Sweep: many runs of one task over a grid, within Heroku's limits, over one log session; it draws nothing.

A thread of its own starts the runs: never more at once than `jobs`, and no faster than the account's
hourly requests come back. The result is in the grid's order, whatever order the runs end in.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import HerokuMagicError, RunCancelled, SweepFailed, TaskFailed
from heroku_magic.frames import grid_frame, table
from heroku_magic.run import Run
from heroku_magic.sharedlog import SharedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from heroku_magic.client import HerokuClient
    from heroku_magic.grid import Grid
    from heroku_magic.run import Order

RESERVE = 200  # requests of the hour that are left for looks and stops
REFILL = (
    4500 / 3600
)  # requests a second that come back: https://devcenter.heroku.com/articles/platform-api-reference#rate-limits
STOP_TIMEOUT = 40.0  # seconds: SIGTERM, 30 s, SIGKILL
NAMED = 5  # failures that an error names


@dataclass
class Cell:
    """One combination: `state` is queued, running, done, failed, or cancelled; `run` is its last try."""

    place: int
    parameters: Mapping[str, Any]
    state: str = "queued"
    attempts: int = 0
    run: Run | None = None
    error: HerokuMagicError | None = field(default=None, repr=False)


class Sweep:
    """Runs of a task for all combinations of a grid; made by `heroku.sweep()`.

    order: makes what is to be run of a combination. places: which combinations of the grid.
    retries: how often a run is tried again that the platform failed, and with `retry_tasks` one whose task did.
    """

    def __init__(
        self,
        client: HerokuClient,
        order: Callable[[Mapping[str, Any]], Order],
        grid: Grid,
        places: Sequence[int],
        *,
        task: str,
        jobs: int,
        retries: int = 0,
        retry_tasks: bool = False,
        fail_fast: bool = False,
    ) -> None:
        self.task = task
        self.jobs = jobs
        self.names = grid.names
        self.notes: list[str] = []
        self._client = client.with_say(self._note)
        self._order = order
        self._retries = retries
        self._retry_tasks = retry_tasks
        self._fail_fast = fail_fast
        self._cells = [Cell(number, grid[place]) for number, place in enumerate(places)]
        self._log: SharedLog | None = None
        self._ended: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_over = False
        self.started_at: float | None = None
        self.seconds: float | None = None

    # -- what a user reads ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        counted = ", ".join(f"{count} {state}" for state, count in self.counts().items())
        return f"<Sweep of {self.task} over {', '.join(self.names)}: {counted}>"

    def counts(self) -> dict[str, int]:
        """Return how many runs are in each state."""
        counted: dict[str, int] = {}
        for cell in self._cells:
            counted[cell.state] = counted.get(cell.state, 0) + 1
        return counted

    @property
    def cells(self) -> list[Cell]:
        """The combinations, in the grid's order."""
        return self._cells

    @property
    def partial(self) -> pd.DataFrame | None:
        """The rows of the runs that went well so far; None when none of them has a table."""
        done = [cell for cell in self._cells if cell.state == "done" and cell.run and cell.run.parts is not None]
        if not done:
            return None
        parts = [(cell.parameters, cell.run.parts or []) for cell in done if cell.run]
        return grid_frame(parts, self.names, self.facts())

    def facts(self) -> dict[str, Any]:
        """Return the sweep's facts as small plain values: what `df.attrs["heroku"]` holds."""
        runs = [cell.run.facts() for cell in self._cells if cell.run]
        prices = [run["dollars"] for run in runs]
        return {
            "task": self.task,
            "app": runs[0]["app"] if runs else None,
            "runs": len(self),
            **self.counts(),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "dyno_seconds": round(sum(run["seconds"] or 0 for run in runs), 3),
            "dollars": None if None in prices else sum(prices),
            "verified": all(run["verified"] for run in runs),
        }

    def runs(self) -> pd.DataFrame:
        """Return one row a run: its parameters, dyno, state, exit status, seconds, dollars, attempts, error."""
        columns = [*self.names, "run", "dyno", "state", "exit_status", "seconds", "dollars", "attempts", "error"]
        return table([self._row(cell) for cell in self._cells], columns)

    def _row(self, cell: Cell) -> dict[str, Any]:
        facts = cell.run.facts() if cell.run else {}
        error = str(cell.error).partition("\n")[0] if cell.error else None
        told = {name: facts.get(name) for name in ("run", "dyno", "exit_status", "seconds", "dollars")}
        return {**cell.parameters, **told, "state": cell.state, "attempts": cell.attempts, "error": error}

    # -- concurrent.futures' words ----------------------------------------------------------------

    def done(self) -> bool:
        """Tell whether all runs are over, well or badly."""
        return self._is_over

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the sweep is over, at most `timeout` seconds; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(self.done, timeout)

    def result(self, timeout: float | None = None) -> pd.DataFrame | None:
        """Wait, and return all runs' rows under each other; SweepFailed with `.partial` when some failed."""
        if not self.wait(timeout):
            message = f"the sweep is not over after {timeout} s; it goes on (cancel() would stop it)"
            raise TimeoutError(message)
        if error := self.exception():
            raise error.with_traceback(None)
        return self.partial

    def exception(self) -> SweepFailed | None:
        """Return what went wrong with a sweep that is over, or None."""
        failed = [cell for cell in self._cells if cell.state == "failed"]
        missing = [cell for cell in self._cells if cell.state in {"cancelled", "queued"}]
        if not failed and not missing:
            return None
        lines = [f"{len(failed)} of {len(self)} runs failed, {len(missing)} were not made."]
        lines += [f"  {self._named(cell)}: {str(cell.error).partition(chr(10))[0]}" for cell in failed[:NAMED]]
        lines += [f"  and {len(failed) - NAMED} more (sweep.runs() has them all)"] if len(failed) > NAMED else []
        return SweepFailed("\n".join(lines), self)

    def as_completed(self) -> Iterator[Run]:
        """Yield each run when it is over, those that are first."""
        seen: set[int] = set()
        while True:
            with self._changed:
                fresh = [cell for cell in self._cells if cell.place not in seen and cell.state in {"done", "failed"}]
                if not fresh and self._is_over:
                    return
                if not fresh:
                    self._changed.wait(1.0)
            for cell in fresh:
                seen.add(cell.place)
                if cell.run:
                    yield cell.run

    def cancel(self) -> bool:
        """Stop all dynos of the sweep, and start no more; False when it is over already."""
        if self._is_over:
            return False
        self._is_stopping = True
        for cell in self._cells:
            if cell.state == "running" and cell.run:
                cell.run.cancel()
        self._ended.put(None)
        return True

    # -- the engine, in its own thread ------------------------------------------------------------

    def start(self) -> Sweep:
        """Begin, and return at once."""
        self.started_at = time.time()
        threading.Thread(target=self._live, name=f"heroku-sweep-{self.task}", daemon=True).start()
        return self

    def _live(self) -> None:
        began = time.monotonic()
        try:
            self._drive()
        finally:
            self.seconds = time.monotonic() - began
            if self._log is not None:
                self._log.close()
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _drive(self) -> None:
        """Start runs while there is room, and take what ended."""
        waiting, running = list(reversed(self._cells)), 0
        while running or (waiting and not self._is_stopping):
            while waiting and running < self.jobs and not self._is_stopping:
                self._launch(waiting.pop())
                running += 1
            cell = self._ended.get()
            if cell is None:
                continue
            running -= 1
            if self._settle(cell):
                waiting.append(cell)
        for cell in waiting:
            cell.state = "cancelled"

    def _launch(self, cell: Cell) -> None:
        self._pace()
        order = self._order(cell.parameters)
        if self._log is None:
            self._log = SharedLog(self._client, order.app, say=self._note).start()
        cell.run = Run(self._client, order, log=self._log)
        cell.state, cell.attempts = "running", cell.attempts + 1
        cell.run.start()
        cell.run.add_done_callback(lambda _: self._ended.put(cell))

    def _pace(self) -> None:
        """While the hour's requests are nearly used up, start no faster than they come back."""
        if self._client.requests_left < RESERVE:
            self._note(f"The account's requests of this hour are nearly used up: one run every {1 / REFILL:.1f} s")
            time.sleep(1 / REFILL)

    def _settle(self, cell: Cell) -> bool:
        """Take note of how a run ended; whether it is tried again."""
        cell.error = cell.run.exception() if cell.run else None
        again = cell.attempts <= self._retries and self._may_try_again(cell.error)
        with self._changed:
            cell.state = "queued" if again else "done" if cell.error is None else "failed"
            if isinstance(cell.error, RunCancelled):
                cell.state = "cancelled"
            self._changed.notify_all()
        if cell.state == "failed" and self._fail_fast:
            self.cancel()
        return again

    def _may_try_again(self, error: HerokuMagicError | None) -> bool:
        if error is None or isinstance(error, RunCancelled) or self._is_stopping:
            return False
        return self._retry_tasks or not isinstance(error, TaskFailed)

    def _named(self, cell: Cell) -> str:
        return ", ".join(f"{name}={cell.parameters.get(name)!r}"[:60] for name in self.names)

    def _note(self, text: str) -> None:
        with self._changed:
            if text not in self.notes:
                self.notes.append(text)
            self._changed.notify_all()
