"""Checks an app before its first run: whether its log can be read, and when the token expires."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from heroku_magic.accounts.tokens import clock_time, end_of
from heroku_magic.errors import ApiError, SettingsError

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient


class Preflight:
    """Checks once per connection whether the app's log can be read, and when the token expires."""

    def __init__(self, client: HerokuClient, app: str) -> None:
        self._client = client
        self._app = app
        self._is_checked = False
        self._expires_at: float | None = None

    def check(self, timeout: int) -> str | None:
        """Return a warning if the token expires within `timeout` seconds.

        Raises SettingsError for an app whose log cannot be read.
        """
        if not self._is_checked:
            self._refuse_unreadable_log()
            self._expires_at = self._expiry()
            self._is_checked = True
        if self._expires_at is None or time.time() + timeout < self._expires_at:
            return None
        return (
            f"Your token expires at {clock_time(self._expires_at)}, before the time limit of this run. Until then the "
            "log and Ctrl-C work; the dyno ends at its time limit. Get a new token with `heroku login`, or set a "
            "shorter --timeout."
        )

    def _refuse_unreadable_log(self) -> None:
        app = self._client.app(self._app)
        if app.generation is not None and app.generation.name == "fir":
            # https://devcenter.heroku.com/articles/generations
            reason = "is of the Fir generation, whose log keeps no history to recover lost lines from"
        elif app.space is not None and app.space.shield:
            # https://devcenter.heroku.com/articles/private-space-logging
            reason = "is in a Shield space, whose log cannot be read through the API"
        else:
            return
        raise SettingsError(f"{app.name} {reason}. Use an app of the Cedar generation outside Shield spaces.")

    def _expiry(self) -> float | None:
        """When the token expires, in seconds since 1970; None: never, or unknown."""
        try:
            seconds = self._client.token_expires_in()
        except ApiError:  # its scope is too narrow for the request, but login() remembers the tokens that it created
            return end_of(self._client.base_url)
        return None if seconds is None else time.time() + seconds
