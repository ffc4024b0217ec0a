"""Waits for runs in an event loop without blocking it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from heroku_magic.runs.background import start_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
TURN_SECONDS = 0.2


class Cancellable(Protocol):
    """A run or a sweep."""

    def cancel(self) -> bool:
        """Request its end."""

    def call_when_done(self, callback: Callable[[Any], None]) -> None:
        """Call a function when it has ended, or at once."""


@contextmanager
def hears_interrupts() -> Iterator[None]:
    """Wake the loop a few times per second.

    On the Stop button, ipykernel schedules the end of an async cell in a way that does not wake a sleeping loop:
    https://github.com/ipython/ipykernel/blob/main/ipykernel/ipkernel.py, `handle_sigint`.
    """

    async def turn() -> None:
        while True:  # noqa: ASYNC110 - the loop only has to wake up
            await asyncio.sleep(TURN_SECONDS)

    turning = asyncio.ensure_future(turn())
    try:
        yield
    finally:
        turning.cancel()


async def wait_until_done(job: Cancellable) -> None:
    """Wait for the end of a job; cancelling the wait cancels the job."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end(_: Any) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(ended.set)

    job.call_when_done(end)
    try:
        with hears_interrupts():
            await ended.wait()
    except asyncio.CancelledError:
        job.cancel()
        raise


async def wait_for_future(future: Future[T]) -> T:
    """Wait for the result of a future of another thread; cancelling the wait cancels the future."""
    with hears_interrupts():
        return await asyncio.wrap_future(future)


async def start_in_thread(start: Callable[[], Cancellable]) -> Any:
    """Return the job that a function starts, which may take a while; a cancelled wait cancels the job, too."""
    started: list[Cancellable] = []
    has_left = threading.Event()

    def begin() -> Cancellable:
        started.append(start())
        if has_left.is_set():
            started[0].cancel()
        return started[0]

    try:
        with hears_interrupts():
            return await asyncio.to_thread(begin)
    except asyncio.CancelledError:  # the loop may end before the start does
        has_left.set()
        for job in started:
            job.cancel()
        raise


async def iterate(job: Cancellable, items: Iterator[T | None]) -> AsyncIterator[T]:
    """Yield the items of an iterator that blocks; cancelling the wait for one cancels the job.

    items: has a None every now and then, so that its thread notices that nobody wants more.
    """
    loop, has_left = asyncio.get_running_loop(), threading.Event()
    queue: asyncio.Queue[tuple[T, ...]] = asyncio.Queue()

    def put(*item: T) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        for item in items:
            if has_left.is_set():
                return
            if item is not None:
                put(item)
        put()

    start_thread(read, "heroku-events", lambda _: put())
    try:
        while item := await _next(queue):
            yield item[0]
    except asyncio.CancelledError:
        job.cancel()
        raise
    finally:
        has_left.set()


async def _next(queue: asyncio.Queue[T]) -> T:
    with hears_interrupts():
        return await queue.get()
