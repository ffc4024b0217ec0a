"""Waits for runs in an event loop without blocking it."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from heroku_magic.runs.background import start_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Future
    from types import FrameType

T = TypeVar("T")
TURN_SECONDS = 0.2
_waits: set[object] = set()  # in the main thread, which alone gets signals


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
    No task does it: it would be one of `asyncio.all_tasks()`, for which users wait.
    """
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def turn() -> None:
        timers[:] = [loop.call_later(TURN_SECONDS, turn)]

    turn()
    try:
        with _interrupts_cancel_cells():
            yield
    finally:
        timers[0].cancel()


@contextmanager
def _interrupts_cancel_cells() -> Iterator[None]:
    """Let Ctrl-C in IPython's terminal cancel the cell.

    Python's own handler breaks off the event loop, and IPython then leaves the cell's task waiting in it for ever.
    """
    wait = object()
    if threading.current_thread() is threading.main_thread():
        _waits.add(wait)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _cancel_cells)
    try:
        yield
    finally:
        _waits.discard(wait)
        if not _waits:
            _restore_handler()


def _restore_handler() -> None:
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is _cancel_cells:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _cancel_cells(number: int, frame: FrameType | None) -> None:
    """Cancel IPython's cells in the loop that runs; without one, and the second time, do what Python does."""
    _restore_handler()
    try:
        cells = [task for task in asyncio.all_tasks() if _is_cell(task)]
    except RuntimeError:  # no loop runs
        cells = []
    for task in cells:
        task.cancel()
    if not cells:
        signal.default_int_handler(number, frame)


def _is_cell(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__name__", "") == "run_cell_async"


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
