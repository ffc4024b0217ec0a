"""The journal of the API's requests, for tests of clients: what was requested, and which status was the answer."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

# The newest requests are kept, and the body of one only if it is small.
MOST = 10_000
LARGEST_BODY = 20_000


@dataclass
class JournalEntry:
    """One request. path: with its query; body: None if there is none, if it is not JSON, or too large.

    status: None until there is a response, and for a connection that a fault has broken.
    """

    method: str
    path: str
    body: Any
    status: int | None = None


class RequestJournal:
    """The latest requests, in the order of their arrival. Headers are left out: they hold the token."""

    def __init__(self) -> None:
        self.entries: deque[JournalEntry] = deque(maxlen=MOST)

    def add(self, request: HTTPServerRequest) -> JournalEntry:
        """Note a request; its status follows."""
        entry = JournalEntry(str(request.method), str(request.uri), _body(request.body))
        self.entries.append(entry)
        return entry


def _body(data: bytes) -> Any:
    try:
        return json.loads(data) if 0 < len(data) <= LARGEST_BODY else None
    except (ValueError, RecursionError):
        return None
