"""Connects to an app on Heroku or on the embedded Heroku, as arguments, configuration and environment specify."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.accounts import settings as settings_
from heroku_magic.accounts.apps import Account
from heroku_magic.accounts.settings import Choice, NoApp, Settings
from heroku_magic.accounts.tokens import NoToken, find_token
from heroku_magic.api.client import HerokuClient
from heroku_magic.api.host import base_url
from heroku_magic.app.connection import EMBEDDED
from heroku_magic.app.emulator_process import embedded, running
from heroku_magic.app.function import Decorator
from heroku_magic.app.heroku import Heroku
from heroku_magic.app.management import deployed, shown
from heroku_magic.app.open_connections import open_connections
from heroku_magic.app.packages import THIS_COMPUTER, resolve
from heroku_magic.app.recorded_app import show_as_last
from heroku_magic.app.run_cache import find_answer
from heroku_magic.app.sweep_cache import find_sweep
from heroku_magic.display.outputs import show_notice
from heroku_magic.errors import ApiError, NotFound, SettingsError
from heroku_magic.ledger.location import caches_declared
from heroku_magic.ledger.recorder import recorder
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.runs.options import RunOptions, SweepOptions, pick
from heroku_magic.runs.registry import places
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from heroku_magic.app.emulator_process import Embedded
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.text.notifier import MessageCallback
    from heroku_magic.text.secret import Secret

_announced: set[Path] = set()
_account_server: Embedded | None = None


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
    warm: bool = False,
    config: Choice | None = None,
    say: MessageCallback = show_notice,
) -> Heroku:
    """Return a connection to an app on Heroku, or to the embedded Heroku if no app is set anywhere.

    Parameters
    ----------
    app
        The app's name or id. If None: the app of `remote`, the one that the notebook's cells use, or `HEROKU_APP`.
    remote
        A git remote that names the app.
    local
        Use the embedded Heroku, whatever app is set.
    worker
        The folder that the embedded Heroku serves; implies `local`.
    size
        The dyno size of runs that name none.
    timeout
        The time limit in seconds of runs that name none.
    pace
        Records per second that a task prints at most, because Heroku drops lines of a dyno that prints too fast; 0
        removes the limit. The embedded Heroku has none.
    prices
        Dollars per month by dyno size, if they differ from Heroku's list prices.
    warm
        Run tasks, cells and functions on warm dynos where that is possible, and otherwise on dynos of their own.
    config
        The notebook's configuration, for values that are not given here.
    say
        Called with messages to the user.

    Returns
    -------
    Heroku
        The same object for the same app and token.

    Raises
    ------
    SettingsError
        If it is not clear which app or token to use. Neither is guessed.

    Examples
    --------
    >>> heroku = connect(local=True, say=lambda message: None)
    >>> heroku.run("hello", {"NAME": "Daniela"}) is None
    True
    """
    if "" in {app, remote, worker}:  # that of an empty variable is no choice
        raise SettingsError("The name of an app, a remote or a folder is empty. Name one, or leave the argument out.")
    for name, flag in (("local", local), ("warm", warm)):
        if not isinstance(flag, bool):  # a text such as "no" is true
            raise SettingsError(f"{name} is {flag!r}: expected True or False.")
    settings_.check_current_folder()
    option = Choice(app=app, remote=remote, local=local, worker=worker)
    try:
        chosen = settings_.resolve(option, config, size=size, timeout=timeout, pace=pace, prices=prices, warm=warm)
    except NoApp:
        raise _no_app() from None
    return _connect_local(chosen, say) if chosen.is_local else _connect_remote(chosen, say)


def account(*, say: MessageCallback = show_notice) -> Account:
    """Return the account on Heroku if there is a token, otherwise the account of the embedded Heroku.

    Apps that are created on the embedded Heroku exist as long as this process.

    Parameters
    ----------
    say
        Called with messages to the user.

    Raises
    ------
    SettingsError
        If `HEROKU_HOST` is set but there is no token.

    Examples
    --------
    >>> account(say=lambda message: None)
    <Account at the embedded Heroku>
    """
    url = base_url()
    try:
        token, source = find_token(url)
    except NoToken:
        if os.environ.get("HEROKU_HOST"):
            raise
    else:
        return Account(HerokuClient(url, token, token_source=source), on_message=say)
    server = _server_of_account()
    client = HerokuClient(server.url, server.token, token_source=EMBEDDED)
    return Account(client, is_embedded=True, on_message=say)


def _server_of_account() -> Embedded:
    """The embedded Heroku on which apps are created: the same one as long as it runs, whatever folder is current."""
    global _account_server  # noqa: PLW0603 - a process has one account on the embedded Heroku
    if _account_server is None or not _account_server.is_alive:
        _account_server = embedded(settings_.worker_folder(None))
    return _account_server


def create_temporary(
    *, region: str | None = None, stack: str | None = None, say: MessageCallback = show_notice
) -> Heroku:
    """Return a connection to a new app, which is destroyed when this process ends, if not before."""
    owner = account(say=say)
    return Heroku.of_new_app(owner, owner.create_temporary(region=region, stack=stack), Settings())


@contextmanager
def temporary_app(
    folder: str | os.PathLike[str] = "worker",
    *,
    region: str | None = None,
    stack: str | None = None,
    allow: Iterable[str] = (),
    say: MessageCallback = show_notice,
) -> Iterator[Heroku]:
    """Deploy a folder to a new app for the duration of a `with` block.

    The app is destroyed when the block or the process ends, whatever happens. `%heroku status` finds an app that a
    crash left behind.

    Parameters
    ----------
    folder
        The worker folder.
    region, stack
        Such as `"eu"` and `"heroku-24"`; Heroku's defaults if None.
    allow
        Paths in the folder that are sent although they look like secrets.
    say
        Called with messages to the user.

    Yields
    ------
    Heroku
        A connection to the app.

    Raises
    ------
    DeployRefused, BuildFailed
        As `Heroku.deploy` does.
    """
    with deployed(create_temporary(region=region, stack=stack, say=say), folder, allow) as heroku:
        yield heroku


class ChosenApp:
    """The app that `connect()` chooses, connected to when the ledger has no answer."""

    def submit(self, task: str | None, parameters: Mapping[str, Any], **options: Any) -> Run:
        """Start a call, or return an earlier run that answers it."""
        return answer_of_folder(task, parameters, options) or connect().submit(task, parameters, **options)

    def sweep(
        self, task: str | None, each: Mapping[str, Any], parameters: Mapping[str, Any] | None = None, **options: Any
    ) -> Sweep:
        """Start a call for each of several arguments, or return a sweep that earlier runs answer as a whole."""
        answered = answer_sweep_of_folder(task, each, parameters or {}, options)
        return connect().sweep(task, each, parameters, **options) if answered is None else answered


def answer_of_folder(
    task: str | None, parameters: Mapping[str, Any], options: Mapping[str, Any], **where: Any
) -> Run | None:
    """Return an earlier run that answers a call on a served folder, without starting an embedded Heroku for it.

    where: keyword arguments of `connect`. None: there is no such run, or the call goes to an app.
    """
    wanted = pick(RunOptions, options)
    folder = _folder_for(wanted, **where)
    run = None if folder is None else find_answer(task, parameters, _with_packages(wanted), folder, lambda: None)
    if run is not None:
        show_as_last(run)
    return run


def answer_sweep_of_folder(
    task: str | None, each: Mapping[str, Any], parameters: Mapping[str, Any], options: Mapping[str, Any], **where: Any
) -> Sweep | None:
    """Return a sweep on a served folder that earlier runs answer as a whole, as `answer_of_folder` does for a run."""
    wanted, more = pick(RunOptions, options), pick(SweepOptions, options)
    folder = _folder_for(wanted, **where)
    call = task, each, parameters
    sweep = None if folder is None else find_sweep(call, _with_packages(wanted), more, folder, lambda: None)
    if sweep is not None:
        show_as_last(sweep.start())
        recorder.follow(sweep, ())
    return sweep


def _folder_for(options: RunOptions, config: Choice | None = None, **where: Any) -> Settings | None:
    """Return the settings of a call on a served folder that the ledger may answer; None for any other call."""
    if not options.wants_cache and not caches_declared():
        return None
    try:
        chosen = settings_.resolve(Choice(**where), config)
    except SettingsError:  # connecting reports it
        return None
    return None if chosen.app else chosen


def _with_packages(options: RunOptions) -> RunOptions:
    return replace(options, packages=resolve(options.packages, THIS_COMPUTER))


function = Decorator(ChosenApp)


def _connect_local(chosen: Settings, say: MessageCallback) -> Heroku:
    folder = chosen.worker or shipped_worker()
    server = embedded(folder)
    if folder not in _announced:
        _announced.add(folder)
        say(
            f"Running on the embedded Heroku (no account). Code runs as you, not sandboxed.\nIt serves {shown(folder)}."
        )
    return _shared(server.url, server.app, server.token, source=EMBEDDED, chosen=chosen, say=say)


def _connect_remote(chosen: Settings, say: MessageCallback) -> Heroku:
    url, app = base_url(), chosen.app or ""
    try:
        token, source = find_token(url)
    except NoToken:
        server = None if os.environ.get("HEROKU_HOST") else _embedded_with(app)
        if server is None:
            raise
        url, token, source = server.url, server.token, EMBEDDED
        if app == server.app:
            return _connect_local(replace(chosen, app=None, worker=server.folder), say)
        chosen = replace(chosen, is_embedded=True)
    return _shared(url, app, token, source=source, chosen=chosen, say=say)


def _shared(url: str, app: str, token: Secret, *, source: str, chosen: Settings, say: MessageCallback) -> Heroku:
    """The connection that this process has to an app with a token, or a new one."""
    key = (url, app, token)
    connection = open_connections.pop(key, None)
    if connection is None:
        connection = Heroku(HerokuClient(url, token, token_source=source), app, chosen, say)
    connection.settings, connection.on_message = chosen, say
    open_connections[key] = connection
    return connection


def open_apps() -> list[Heroku]:
    """Return the apps on the embedded Herokus of this process, and the apps that its runs used, if they answer."""
    servers = {server.url: server for server in running()}
    went_to = {(place.host, place.app) for place in places().values()}
    latest = {(url, app): connection for (url, app, _), connection in [*open_connections.items()]}  # of several tokens
    found = [
        connection
        for (url, app), connection in latest.items()
        if (url, app) in went_to and (url in servers or not connection.settings.is_local) and _answers(connection)
    ]
    for server in servers.values():
        client = HerokuClient(server.url, server.token, token_source=EMBEDDED)
        for name in (app.name for app in client.apps()):
            chosen = Settings(worker=server.folder) if name == server.app else Settings(name, is_embedded=True)
            known = open_connections.get((server.url, name, server.token))
            found.append(known or Heroku(client, name, chosen, show_notice))
    return [*dict.fromkeys(found)]


def _answers(connection: Heroku) -> bool:
    """Return whether an app can be reached; if not, notify the user that it is left out."""
    try:
        connection.client.app(connection.app)
    except ApiError as error:
        notify(f"{connection.app_name} is left out: {error}")
        return False
    return True


def _embedded_with(app: str) -> Embedded | None:
    """The embedded Heroku of this process on which an app of this name was created."""
    for server in running():
        with suppress(NotFound):
            HerokuClient(server.url, server.token).app(app)
            return server
    return None


def _no_app() -> NoApp:
    """The error for a token or a host without an app, listing the account's apps."""
    url = base_url()
    token, source = find_token(url)
    client = HerokuClient(url, token)
    names = "".join(f"\n  {app.name}" for app in client.apps()) or " none"
    client.close()
    return NoApp(
        f"A token is set ({source}) but no app. The account's apps:{names}\n"
        "Choose one with `%heroku use NAME` or --app NAME, or use --local for the embedded Heroku."
    )
