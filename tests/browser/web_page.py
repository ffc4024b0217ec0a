"""A page of its own in a headless Chromium, for tests of web pages that need no JupyterLab."""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 20_000  # milliseconds


class WebPage:
    """One page without any history. outside: requests to other machines; complaints: what its console reports."""

    def __init__(self, browser, **settings) -> None:
        self._context = browser.new_context(viewport={"width": 1000, "height": 900}, **settings)
        self._context.set_default_timeout(PATIENCE)
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.page = self._context.new_page()
        self._context.on("request", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)

    def close(self) -> None:
        """Close the page and forget what it has stored."""
        self._context.close()

    def _note(self, request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https"} and address.hostname not in {"127.0.0.1", "localhost"}:
            self.outside.append(request.url)


@contextmanager
def served(folder: Path):
    """Serve a folder of static files; return the origin of its pages."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
