"""Preflight: what would spoil a run after its dyno costs money, looked at before the first one; it changes nothing."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from heroku_magic.accounts.tokens import end_of
from heroku_magic.errors import ApiError, SettingsError

if TYPE_CHECKING:
    from heroku_magic.api.client import HerokuClient


class Preflight:
    """What is known of one app and one token: each is asked for once, and never for the embedded Heroku."""

    def __init__(self, client: HerokuClient, app: str) -> None:
        self._client = client
        self._app = app
        self._is_checked = False
        self._expires_at: float | None = None

    def check(self, timeout: int) -> str | None:
        """Refuse an app whose log cannot be read; return what the user should know before a run of `timeout` seconds.

        Raises SettingsError.
        """
        if not self._is_checked:
            self._refuse_unreadable_log()
            self._expires_at = self._expiry()
            self._is_checked = True
        if self._expires_at is None or time.time() + timeout < self._expires_at:
            return None
        at = datetime.fromtimestamp(self._expires_at).astimezone()
        return (
            f"Your token expires at {at:%H:%M on %Y-%m-%d}, before this run has to end: the log and Ctrl-C work until "
            "then, the dyno ends at its time limit. A new one: `heroku login`, or a shorter --timeout."
        )

    def _refuse_unreadable_log(self) -> None:
        app = self._client.app(self._app)
        if app.generation is not None and app.generation.name == "fir":
            # https://devcenter.heroku.com/articles/generations
            reason = "is of the Fir generation, whose log has no history to repair a result from"
        elif app.space is not None and app.space.shield:
            # https://devcenter.heroku.com/articles/private-space-logging
            reason = "is in a Shield space, whose log goes elsewhere"
        else:
            return
        raise SettingsError(f"{app.name} {reason}: use an app of the Cedar generation, outside of Shield.")

    def _expiry(self) -> float | None:
        """When the token ends, seconds since 1970; None: never, or the token may not know."""
        try:
            seconds = self._client.token_expires_in()
        except ApiError:  # its scope is too narrow to ask; login knows the end of those that it made
            return end_of(self._client.base_url)
        return None if seconds is None else time.time() + seconds
