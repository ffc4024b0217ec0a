"""Look-ups: which dynos an app has, asked at most once in ten seconds for all runs of this process; it judges none."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient

EVERY = 10.0  # seconds between two requests for the dynos of one app
RARELY = 60.0  # the same while the account has few requests left: creates and stops need them more
FEW = 200

_lock = threading.Lock()
_known: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}


def dynos_since(client: HerokuClient, app: str, moment: float) -> frozenset[str] | None:
    """Return the ids of the app's dynos as they were at some time after a moment of the monotonic clock.

    None: nobody has asked since, and it is too early to ask again. Raises ApiError.
    """
    key = (client.base_url, app)
    with _lock:
        taken_at, ids = _known.get(key, (float("-inf"), frozenset()))
        if taken_at >= moment:
            return ids
        if time.monotonic() - taken_at < (EVERY if client.requests_left > FEW else RARELY):
            return None
        asked_at = time.monotonic()
        ids = frozenset(dyno.id for dyno in client.dynos(app))
        _known[key] = asked_at, ids
        return ids
