"""An app and how it is reached: the base class of `Heroku`, which its parts get to work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.accounts.apps import Account
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.runs.options import WARM_IDLE
from heroku_magic.runs.spec import RunSpec

if TYPE_CHECKING:
    from pathlib import Path

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.text.notifier import MessageCallback

EMBEDDED = "embedded"


class AppConnection:
    """The app, the client that reaches it, and the settings that hold for its runs."""

    def __init__(self, client: HerokuClient, app: str, settings: Settings, on_message: MessageCallback = print) -> None:
        self.app = app
        self.settings = settings
        self.client = client
        self.on_message = on_message  # of whoever connected last: connections are shared

    @property
    def account(self) -> Account:
        """The account that the app is used with."""
        return Account(self.client, is_embedded=self.settings.is_local, on_message=self.on_message)

    @property
    def app_name(self) -> str:
        """The name to show: the app's, "embedded" for a served folder, or both."""
        if not self.settings.is_local:
            return self.app
        return f"{self.app} ({EMBEDDED})" if self.settings.is_embedded else EMBEDDED

    @property
    def warm_idle(self) -> float:
        """Seconds that a warm dyno waits, and is billed, after its last call."""
        return WARM_IDLE

    def __repr__(self) -> str:
        folder = f" serving {self.settings.worker}" if self.settings.worker else ""
        return f"<Heroku {self.app_name}{folder}>"

    @property
    def requirements(self) -> Path | None:
        """The file that lists the packages of a served folder of the user's own; None for another app."""
        folder = self.settings.worker
        return folder / "requirements.txt" if folder and folder != shipped_worker() else None


def bare_spec(connection: AppConnection, task: str, size: str | None) -> RunSpec:
    """Return a run without parameters, whose price is known if a size is given here or in the settings."""
    app, settings = connection.app, connection.settings
    size, is_local = size or settings.size, settings.is_local
    return RunSpec(app, connection.app_name, task, "", {}, size=size, is_local=is_local, prices=settings.prices)
