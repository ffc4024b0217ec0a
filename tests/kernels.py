"""A real Jupyter kernel for tests: run a cell, see its messages as they arrive."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parent.parent


class Kernel:
    """One kernel with its messages."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def start(self, code):
        """Send a cell; return its message id. A cell that fails does not let the kernel pass over the next one."""
        return self.client.execute(code, stop_on_error=False)

    def messages(self, sent, timeout=30):
        """Yield (seconds, message) of a cell until the kernel is idle again."""
        began = time.monotonic()
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != sent:
                continue
            yield time.monotonic() - began, message
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return

    def run(self, code, timeout=30):
        """Run a cell; return what it showed."""
        return Output([message for _, message in self.messages(self.start(code), timeout)])

    def complete(self, code, at=None):
        """Ask for what may stand at a place of a cell (its end): the front end's own request; the texts."""
        reply = self.client.complete(code, at, reply=True, timeout=30)["content"]
        return reply["matches"]

    def wait_for_text(self, sent, text, timeout=30):
        """Wait until a cell's display shows a text."""
        for _, message in self.messages(sent, timeout):
            if text in str(message["content"].get("data", "")) + str(message["content"].get("text", "")):
                return
        raise AssertionError(f"{text!r} was never shown")


NOTICE = 'role="note"'


class Output:
    """What a cell showed."""

    def __init__(self, messages):
        self.messages = messages

    def of(self, kind):
        """Return the contents of a kind of message, without notices."""
        found = [message["content"] for message in self.messages if message["msg_type"] == kind]
        return [content for content in found if NOTICE not in content.get("data", {}).get("text/html", "")]

    @property
    def text(self):
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def value(self):
        return next((content["data"]["text/plain"] for content in self.of("execute_result")), None)

    @property
    def error(self):
        return next(((content["ename"], content["evalue"]) for content in self.of("error")), None)

    @property
    def shown(self):
        """The last state of the display."""
        drawn = [*self.of("display_data"), *self.of("update_display_data")]
        return drawn[-1]["data"]["text/html"] if drawn else ""


@contextmanager
def kernel(folder, **env):
    """Start a kernel in a folder, with heroku_magic loaded."""
    import os

    manager = KernelManager(kernel_name="python3")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    manager.start_kernel(cwd=str(folder), env={**os.environ, "PYTHONPATH": path, **env})
    client = manager.client()
    client.context.rcvhwm = 0  # a test that reads slowly loses no message
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        started = Kernel(manager, client)
        loaded = started.run("%load_ext heroku_magic")
        assert loaded.error is None, loaded.error
        yield started
    finally:
        client.stop_channels()
        client.context.destroy(linger=0)  # left to the garbage collector it is a warning in somebody else's test
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
