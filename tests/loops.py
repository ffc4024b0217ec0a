"""An event loop for tests in a process where a browser's driver keeps one running in the main thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor


def run_loop(coroutine):
    """Run a coroutine to its end in a thread of its own, and return its value."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()
