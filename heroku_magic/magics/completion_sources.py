"""What this process knows about tasks, dynos and apps without waiting, for completion.

Existing connections know their tasks. Apps and dynos are fetched by a background thread, so they are
complete the next time. Completion never connects, starts an emulator or a dyno, or prints anything.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from heroku_magic.accounts.settings import names_an_account, worker_folder
from heroku_magic.accounts.tokens import is_at_hand
from heroku_magic.api.host import base_url
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.platform_facts.procfile import process_types
from heroku_magic.protocol.task import RESERVED_TYPES, Task
from heroku_magic.text.notifier import discard, notifications_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heroku_magic.accounts.settings import Choice
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.app.heroku import Heroku

_INTERVAL = 10.0  # seconds between two fetches of the same list
_LONGEST_PROCFILE = 100_000


class CompletionSources:
    """The facts that completion offers. choice: the notebook's settings; variables: the names it defines."""

    def __init__(self, choice: Callable[[], Choice], variables: Callable[[], Iterable[str]]) -> None:
        self._choice = choice
        self._variables = variables
        self._fetched_at: dict[tuple[str, str], float] = {}
        self._apps: list[str] = []
        self._dynos: dict[tuple[str, str], list[str]] = {}

    def variables(self) -> list[str]:
        """Return the notebook's variables that are not hidden."""
        return sorted(name for name in self._variables() if not name.startswith("_"))

    def tasks(self, where: Mapping[str, str]) -> list[Task]:
        """Return the tasks that a connection knows, or those in the Procfile that the embedded Heroku would serve."""
        connection = self._connection(where)
        return (connection.known_tasks() if connection else []) or self._procfile_tasks(where)

    def dynos(self, where: Mapping[str, str]) -> list[str]:
        """Return the names of our dynos, as of the last fetch."""
        connection = self._connection(where)
        if connection is None:
            return []
        key = (connection.client.base_url, connection.app)
        self._fetch("dynos", "".join(key), lambda: self._dynos.update({key: connection.our_dynos()}))
        return list(dict.fromkeys([*connection.known_dynos(), *self._dynos.get(key, [])]))

    def apps(self) -> list[str]:
        """Return the names of the account's apps, as of the last fetch."""

        def fetch() -> None:
            client = _client()
            self._apps = sorted(app.name for app in client.apps()) if client else []

        self._fetch("apps", os.environ.get("HEROKU_HOST", ""), fetch)
        return self._apps

    def runs(self) -> list[str]:
        """Return the ids of the detached runs and the sweeps of this folder."""
        from heroku_magic.runs.detached import known
        from heroku_magic.sweeps.journal import FOLDER

        return [*(detached.run for detached in known()), *sorted(path.stem for path in FOLDER.glob("hs-*.jsonl"))]

    def recorded_runs(self) -> list[tuple[str, str]]:
        """Return the ids of the newest runs in the history, each with its task."""
        from heroku_magic.ledger.database import Database
        from heroku_magic.ledger.location import ledger_path

        path = ledger_path()
        newest = Database(path).select("sweep = ''", limit=20) if path else []
        return [("-1", "the last run"), *((entry.run, entry.task) for entry in newest)] if newest else []

    def _connection(self, where: Mapping[str, str]) -> Heroku | None:
        """Return the connection that a line would use, if it exists already."""
        choice = self._choice()
        is_local = "local" in where or "worker" in where or (choice.serves_folder and "app" not in where)
        app = where.get("app") or choice.app
        worker = where.get("worker") or choice.worker or choice.default_worker
        folder = expanded(worker).resolve() if worker else None
        if is_local:
            found = [one for one in _connections() if one.settings.is_local and folder in {None, one.settings.worker}]
        else:
            found = [one for one in _connections() if not app or one.app == app]
        return found[-1] if found else None

    def _procfile_tasks(self, where: Mapping[str, str]) -> list[Task]:
        """Return the tasks of the folder that the embedded Heroku would serve, if the line would run there."""
        choice = self._choice()
        is_local = bool({"local", "worker"} & where.keys()) or choice.serves_folder
        if not is_local and (where.get("app") or where.get("remote") or choice.app or names_an_account()):
            return []
        folder = worker_folder(where.get("worker") or choice.worker or choice.default_worker)
        with (folder / "Procfile").open(encoding="utf-8", errors="replace") as file:
            commands = process_types(file.read(_LONGEST_PROCFILE))
        return [Task(name, command, None) for name, command in commands.items() if name not in RESERVED_TYPES]

    def _fetch(self, kind: str, owner: str, fetch: Callable[[], None]) -> None:
        """Fetch a list in the background, unless that was done a moment ago. Errors mean no completions."""
        now = time.monotonic()
        if now - self._fetched_at.get((kind, owner), float("-inf")) < _INTERVAL:
            return
        self._fetched_at[kind, owner] = now

        def quietly() -> None:
            with suppress(Exception), notifications_to(discard):
                fetch()

        threading.Thread(target=quietly, daemon=True, name=f"heroku-{kind}").start()


def _connections() -> list[Heroku]:
    """The connections of this process, the one used last at the end."""
    from heroku_magic.app.open_connections import open_connections

    return [*open_connections.values()]


def _client() -> HerokuClient | None:
    """Return a client of the last connection or of a token that is at hand."""
    from heroku_magic.accounts.tokens import find_token
    from heroku_magic.api.client import HerokuClient

    if connections := _connections():
        return connections[-1].client
    return HerokuClient(base_url(), find_token(base_url())[0]) if is_at_hand(base_url()) else None
