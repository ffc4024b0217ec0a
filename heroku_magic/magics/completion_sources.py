"""Known: what this process knows of tasks, dynos and apps without waiting, for completion; it starts nothing.

Connections that were made know their tasks; apps and dynos are asked for by a background thread, for
the next time. No connection is made here, no emulator and no dyno started, and nothing is said.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.accounts.settings import worker_folder
from heroku_magic.accounts.tokens import is_kept
from heroku_magic.api.host import base_url
from heroku_magic.protocol.task import NO_TASKS, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heroku_magic.accounts.settings import Choice
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.app.heroku import Heroku

EVERY = 10.0  # seconds between two requests for the same
_LONGEST_PROCFILE = 100_000
_PROCESS_TYPE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$", re.MULTILINE)


class Known:
    """The facts that completion offers. chosen: what the notebook is set to; variables: the names it has."""

    def __init__(self, chosen: Callable[[], Choice], variables: Callable[[], Iterable[str]]) -> None:
        self._chosen = chosen
        self._variables = variables
        self._asked_at: dict[tuple[str, str], float] = {}
        self._apps: list[str] = []
        self._dynos: dict[tuple[str, str], list[str]] = {}

    def variables(self) -> list[str]:
        """Return the notebook's variables that are not hidden."""
        return sorted(name for name in self._variables() if not name.startswith("_"))

    def tasks(self, where: Mapping[str, str]) -> list[Task]:
        """Return the tasks that a connection knows, or those that the Procfile names which would be served."""
        connection = self._connection(where)
        return (connection.known_tasks() if connection else []) or self._served(where)

    def dynos(self, where: Mapping[str, str]) -> list[str]:
        """Return the names of our dynos that were there a moment ago."""
        connection = self._connection(where)
        if connection is None:
            return []
        key = (connection.client.base_url, connection.app)
        self._ask("dynos", key[0] + key[1], lambda: self._dynos.update({key: connection.our_dynos()}))
        return list(dict.fromkeys([*connection.known_dynos(), *self._dynos.get(key, [])]))

    def apps(self) -> list[str]:
        """Return the names of the account's apps, as far as they were asked for before."""
        self._ask("apps", os.environ.get("HEROKU_HOST", ""), self._note_apps)
        return self._apps

    def runs(self) -> list[str]:
        """Return the detached runs of this folder, and the sweeps."""
        from heroku_magic.runs.detached import known
        from heroku_magic.sweeps.journal import FOLDER

        return [*(detached.run for detached in known()), *sorted(path.stem for path in FOLDER.glob("hs-*.jsonl"))]

    def _note_apps(self) -> None:
        client = _client()
        self._apps = sorted(app.name for app in client.apps()) if client else []

    def _connection(self, where: Mapping[str, str]) -> Heroku | None:
        """The connection that a line would use, if it was made already."""
        chosen = self._chosen()
        is_local = "local" in where or "worker" in where or (chosen.is_local and "app" not in where)
        app = None if is_local else where.get("app") or chosen.app
        folder = _folder(where.get("worker") or chosen.worker) if is_local else None
        for one in reversed(_connections()):
            if one.settings.is_local if is_local else (not app or one.app == app):
                if folder and one.settings.worker != folder:
                    continue
                return one
        return None

    def _served(self, where: Mapping[str, str]) -> list[Task]:
        """The tasks of the folder that the embedded Heroku would serve, where it is that which would run them."""
        chosen = self._chosen()
        if not {"local", "worker"} & where.keys() and not chosen.is_local:
            named = [where.get("app"), where.get("remote"), chosen.app]
            if any([*named, *map(os.environ.get, ("HEROKU_APP", "HEROKU_API_KEY", "HEROKU_HOST"))]):
                return []
        folder = worker_folder(where.get("worker") or chosen.worker)
        with (folder / "Procfile").open(encoding="utf-8", errors="replace") as file:
            found = _PROCESS_TYPE.findall(file.read(_LONGEST_PROCFILE))
        return [Task(name, command, None) for name, command in found if name not in NO_TASKS]

    def _ask(self, what: str, of: str, work: Callable[[], None]) -> None:
        """Do some work in the background, where it was not done a moment ago."""
        now = time.monotonic()
        if now - self._asked_at.get((what, of), float("-inf")) >= EVERY:
            self._asked_at[what, of] = now
            threading.Thread(target=_quietly, args=(work,), daemon=True, name=f"heroku-{what}").start()


def _connections() -> list[Heroku]:
    """The connections there are; without connection.py there are none, and it is not imported to learn that."""
    module = sys.modules.get("heroku_magic.app.connect")
    return module.connections() if module else []


def _client() -> HerokuClient | None:
    """A client that says nothing: of the connection used last, or of a token that needs no search."""
    from heroku_magic.accounts.tokens import find_token
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.transport import say_nothing

    if found := _connections():
        return found[-1].client.with_say(say_nothing)
    is_at_hand = os.environ.get("HEROKU_API_KEY") or is_kept(base_url())
    return HerokuClient(base_url(), find_token(base_url())[0]) if is_at_hand else None


def _folder(folder: str | os.PathLike[str] | None) -> Path | None:
    return Path(folder).expanduser().resolve() if folder else None


def _quietly(work: Callable[[], None]) -> None:
    with suppress(Exception):
        work()
