"""Connection: what is set, here and in the environment -> a Heroku; no other module starts the emulator."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from heroku_magic.accounts import settings as settings_
from heroku_magic.accounts.apps import Account
from heroku_magic.accounts.settings import Choice, NoApp, Settings
from heroku_magic.accounts.tokens import NoToken, find_token
from heroku_magic.api.client import HerokuClient
from heroku_magic.api.host import base_url
from heroku_magic.app.emulator_process import embedded, running
from heroku_magic.app.function import Decorator
from heroku_magic.app.heroku import EMBEDDED, Heroku, connected, shipped, shown
from heroku_magic.errors import NotFound
from heroku_magic.protocol.helper import shipped_worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from heroku_magic.app.emulator_process import Embedded
    from heroku_magic.text.notifier import MessageCallback
    from heroku_magic.text.secret import Secret

_connections: dict[tuple[str, str, Secret], Heroku] = {}
_announced: set[Path] = set()


def connect(
    app: str | None = None,
    *,
    remote: str | None = None,
    local: bool = False,
    worker: str | os.PathLike[str] | None = None,
    size: str | None = None,
    timeout: int | None = None,
    pace: int | None = None,
    prices: Mapping[str, float] | None = None,
    config: Choice | None = None,
    say: MessageCallback = print,
) -> Heroku:
    """Return a connection to an app on Heroku, or to the embedded Heroku where no app is known.

    app: a name or id; remote: a git remote that names it. local: force the embedded Heroku; worker:
    the folder that it serves (implies local). size, timeout (seconds): for runs that name none.
    pace: records a second that a task prints at most, for Heroku drops the lines of a dyno that prints
    too fast (0: as many as it can; never limited on the embedded Heroku). prices: dollars a month by dyno
    size, where Heroku's list is not yours.
    Raises SettingsError where the app or the token is not clear; nothing is guessed.

    >>> heroku = connect(local=True, say=lambda text: None)
    >>> heroku.run("hello", {"NAME": "Daniela"}) is None
    True
    """
    option = Choice(app=app, remote=remote, local=local, worker=worker)
    try:
        chosen = settings_.resolve(option, config, size=size, timeout=timeout, pace=pace, prices=prices)
    except NoApp:
        raise _no_app() from None
    return _connect_local(chosen, say) if chosen.is_local else _connect_remote(chosen, say)


def account(*, say: MessageCallback = print) -> Account:
    """Return the account on Heroku where there is a token, else that of the embedded Heroku.

    Apps that are created on the embedded Heroku are there as long as this process is.
    """
    url = base_url()
    try:
        token, source = find_token(url)
    except NoToken:
        if os.environ.get("HEROKU_HOST"):
            raise
    else:
        return Account(HerokuClient(url, token, token_source=source), on_message=say)
    server = embedded(settings_.worker_folder(None))
    client = HerokuClient(server.url, server.token, token_source=EMBEDDED)
    return Account(client, is_embedded=True, on_message=say)


def create_temporary(*, region: str | None = None, stack: str | None = None, say: MessageCallback = print) -> Heroku:
    """Return a connection to a new app in the account that is destroyed when this process ends, if not before."""
    owner = account(say=say)
    return connected(owner, owner.create_temporary(region=region, stack=stack), Settings())


@contextmanager
def temporary_app(
    folder: str | os.PathLike[str] = "worker",
    *,
    region: str | None = None,
    stack: str | None = None,
    allow: Iterable[str] = (),
    say: MessageCallback = print,
) -> Iterator[Heroku]:
    """Make an app of a folder for the time of a `with`, and give a connection to it.

    It is destroyed when the block or the process ends, whatever happens; after a crash
    `%heroku status` finds it. allow: as deploy() takes it.
    """
    with shipped(create_temporary(region=region, stack=stack, say=say), folder, allow) as heroku:
        yield heroku


function = Decorator(connect)


def connections() -> list[Heroku]:
    """Return the connections that this process made, that which was used last at the end."""
    return list(_connections.values())


def _connect_local(chosen: Settings, say: MessageCallback) -> Heroku:
    folder = chosen.worker or shipped_worker()
    server = embedded(folder)
    if folder not in _announced:
        _announced.add(folder)
        why = "No app is set: using" if chosen.app_source == settings_.NOTHING_SET else "Using"
        say(f"{why} the embedded Heroku, serving {shown(folder)}. A dyno there is a process of yours, no sandbox.")
    key = (server.url, server.app, server.token)
    known = _connections.get(key)
    if known is None:
        client = HerokuClient(server.url, server.token, token_source=EMBEDDED)
        known = _connections[key] = Heroku(client, server.app, chosen, say)
    known.settings, known.on_message = chosen, say
    _connections[key] = _connections.pop(key)  # the one used last stands last
    return known


def _connect_remote(chosen: Settings, say: MessageCallback) -> Heroku:
    url, app = base_url(), chosen.app or ""
    try:
        token, source = find_token(url)
    except NoToken:
        server = None if os.environ.get("HEROKU_HOST") else _embedded_with(app)
        if server is None:
            raise
        url, token, source = server.url, server.token, EMBEDDED
        chosen = replace(chosen, is_embedded=True)
    key = (url, app, token)
    known = _connections.get(key)
    if known is None:
        client = HerokuClient(url, token, token_source=source)
        known = _connections[key] = Heroku(client, app, chosen, say)
    known.settings, known.on_message = chosen, say
    _connections[key] = _connections.pop(key)
    return known


def _embedded_with(app: str) -> Embedded | None:
    """The embedded Heroku of this process where an app of this name was created."""
    for server in running():
        with suppress(NotFound):
            HerokuClient(server.url, server.token).app(app)
            return server
    return None


def _no_app() -> NoApp:
    """A token or a host is set but no app: list the account's apps."""
    url = base_url()
    token, source = find_token(url)
    client = HerokuClient(url, token)
    names = "".join(f"\n  {app.name}" for app in client.apps()) or " none"
    client.close()
    return NoApp(
        f"A token is set ({source}) but no app. The account's apps:{names}\n"
        "Choose one with `%heroku use NAME` or --app NAME; or --local for the embedded Heroku."
    )
