"""An event loop for tests in a process where a browser's driver keeps one running in the main thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future


def run_loop(coroutine):
    """Run a coroutine to its end in a thread of its own, and return its value.

    A test whose time is over does not wait for the thread, as it would for that of an executor.
    """
    outcome = Future()

    def run():
        try:
            outcome.set_result(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result()
