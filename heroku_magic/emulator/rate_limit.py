"""The account's request budget: a bucket of 4,500 that refills within an hour.

https://devcenter.heroku.com/articles/platform-api-reference#rate-limits
"""

from __future__ import annotations

import time

CAPACITY = 4500


class RequestBudget:
    """How many requests are left. spent: how many have been made."""

    def __init__(self, left: int = CAPACITY) -> None:
        self.spent = 0
        self._left = float(left)
        self._updated_at = time.monotonic()

    @property
    def remaining(self) -> int:
        """Requests left now."""
        self._refill()
        return int(self._left)

    def spend(self) -> bool:
        """Take one request; False if none is left."""
        self._refill()
        if self._left < 1:
            return False
        self._left -= 1
        self.spent += 1
        return True

    def _refill(self) -> None:
        moment = time.monotonic()
        self._left = min(CAPACITY, self._left + (moment - self._updated_at) * CAPACITY / 3600)
        self._updated_at = moment
