"""Launcher: starts the runs that somebody has to be made, within Heroku's limits, over one log session; it judges none.

Who has jobs is asked for one whenever there is room, and is told when its run is over. Everything
happens in one thread of the launcher's own.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from heroku_magic.api.shared_log import SharedLog
from heroku_magic.errors import RateLimited, Refused
from heroku_magic.runs.run import Run
from heroku_magic.runs.running import is_ending
from heroku_magic.sweeps.throttle import LONGEST_WAIT, REFILL, RESERVE, Pace, Room
from heroku_magic.text.notifier import keeps_notifications, notify

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.detached import Detached
    from heroku_magic.runs.spec import RunSpec

TICK = 0.2  # seconds between two looks while nothing ends


@dataclass(eq=False)
class Job:
    """One run to make. places: which combinations it is of. makes_calls: it is of several, each in a call of its own.

    detached: it was started by another process. read: how many of its calls were taken note of.
    """

    order: RunSpec = field(repr=False)
    places: tuple[int, ...] = ()
    makes_calls: bool = False
    detached: Detached | None = field(default=None, repr=False)
    run: Run | None = None
    read: int = 0


class Desk(Protocol):
    """Who has jobs; called in the launcher's thread. running: the jobs whose runs are not over."""

    running: list[Job]

    def most_at_once(self, size: str | None) -> int:
        """Return how many runs there may be at once; size: of the first dyno, None before there is one."""

    def take(self) -> Job | None:
        """Return the next job; None: there is none now."""

    def left(self) -> int:
        """Return how many jobs are still to be made, as far as that is known."""

    def is_finished(self) -> bool:
        """Tell whether there will be no more jobs."""

    def began(self, job: Job) -> None:
        """Its run was started."""

    def put_back(self, job: Job) -> None:
        """Its run was refused for want of room: it did not begin."""

    def ended(self, job: Job) -> None:
        """Its run is over."""

    def look(self) -> None:
        """Time has passed, or something has changed."""

    def stop(self, reason: str) -> None:
        """Have no more made, and stop what runs."""

    def over(self) -> None:
        """All runs are over, and no job is left."""


class Launcher:
    """Runs for one desk, until it is finished."""

    def __init__(self, client: HerokuClient, desk: Desk) -> None:
        self._client = client
        self._desk = desk
        self._room, self._pace = Room(), Pace()
        self._log: SharedLog | None = None
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._size: str | None = None
        self._is_paced = False

    def start(self, name: str) -> None:
        """Begin, and return at once."""
        threading.Thread(target=keeps_notifications(self._live), name=name, daemon=True).start()

    def nudge(self) -> None:
        """There may be more to do."""
        self._inbox.put(None)

    def _live(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever, and no dyno may go on
            notify(f"A fault of heroku_magic: {type(error).__name__}. All dynos were told to stop.")
            self._desk.stop("It met a fault of heroku_magic")
        finally:
            if self._log is not None:
                self._log.close()
            self._desk.over()

    def _work(self) -> None:
        while self._desk.running or not self._desk.is_finished():
            self._launch()
            self._settle(self._next())
            self._desk.look()

    def _launch(self) -> None:
        """Start runs while there is room."""
        while self._has_room():
            if self._delay() or (job := self._desk.take()) is None:
                return
            log = self._log = self._log or SharedLog(self._client, job.order.app).start()
            run = job.run = Run(self._client, job.order, job.detached, log=log, on_exit=self.nudge)
            self._desk.began(job)
            run.start().add_done_callback(partial(self._over, job))

    def _has_room(self) -> bool:
        if is_ending() or not self._desk.left():
            return False
        return self._occupied() < self._room.limit(self._desk.most_at_once(self._known_size()))

    def _over(self, job: Job, _: Run) -> None:
        self._inbox.put(job)

    def _occupied(self) -> int:
        """How many dynos there are, or are asked for."""
        return len(self._occupying())

    def _occupying(self) -> list[Job]:
        """Whose runs need room: one whose dyno is over may still read its last lines."""
        return [job for job in self._desk.running if job.run is not None and not job.run.has_exited]

    def _known_size(self) -> str | None:
        """The size of the first dyno that has one: what Heroku gave, not what was asked for."""
        if self._size is None:
            self._size = next((job.run.size for job in self._desk.running if job.run and job.run.size), None)
        return self._size

    def _delay(self) -> float:
        left = self._client.requests_left
        seconds = self._pace.delay(time.monotonic(), left)
        if left <= RESERVE and not self._is_paced:
            self._is_paced = True
            last = _clock(self._desk.left() / REFILL)
            notify(
                f"The account's requests of this hour are nearly used up: one run every {1 / REFILL:.1f} s, "
                f"the last of them at about {last}."
            )
        return seconds

    def _next(self) -> Job | None:
        try:
            return self._inbox.get(timeout=TICK)
        except queue.Empty:
            return None

    def _settle(self, job: Job | None) -> None:
        """Take note of a run that is over, or of one that there was no room for."""
        if job is None or job.run is None:
            return
        error = job.run.exception()
        if isinstance(error, RateLimited):
            self._wait_for_quota(error)
        # A dyno that was there is billed, and may have done its work: that is a try, whatever its run failed with.
        is_unmade = job.run.dyno is None or job.detached is not None
        if is_unmade and isinstance(error, RateLimited):
            self._desk.put_back(job)
        elif isinstance(error, Refused) and error.id == "cannot_run_above_limit":
            self._desk.put_back(job)
            self._make_do(error)
        else:
            self._room.ended()
            self._pace.accepted()
            self._desk.ended(job)
        if self._log is not None and self._log.is_broken:  # nobody could read what the next ones say
            self._desk.stop("The log of its runs broke")

    def _wait_for_quota(self, error: RateLimited) -> None:
        seconds = error.retry_after or LONGEST_WAIT
        notify(f"The account's requests of this hour are used up: it goes on at about {_clock(seconds)}.")
        self._pace.refused(time.monotonic(), seconds)

    def _make_do(self, error: Refused) -> None:
        """Go on with as many dynos as there are; with none of ours, wait for somebody else's to end."""
        running = sum(job.run is not None and job.run.dyno is not None for job in self._occupying())
        self._room.refused(running)
        notify(f"{error.said} On with {max(running, 1)} at once.")
        if not running:
            self._pace.refused(time.monotonic())


def _clock(seconds: float) -> str:
    """The time of day in so many seconds."""
    return f"{datetime.now().astimezone() + timedelta(seconds=seconds):%H:%M}"
