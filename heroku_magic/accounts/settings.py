"""Chooses the app and the defaults of runs from arguments, `%config`, environment and git.

Order for the app: argument or option > `%config HerokuMagics` > `HEROKU_APP` > the notebook's default folder, which
the embedded Heroku serves. Git remotes are only suggested: a folder must not decide where money goes.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heroku_magic.accounts.tokens import is_at_hand
from heroku_magic.api.host import base_url
from heroku_magic.errors import SettingsError
from heroku_magic.platform_facts.dyno_sizes import DOLLARS_PER_MONTH
from heroku_magic.platform_facts.folders import expanded, suggest_folder
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.runs.options import DEFAULT_PACE, DEFAULT_TIMEOUT, LONGEST_TIMEOUT, check_count, is_lifetime

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING_SET = "nothing set"  # the source of an app that is not chosen anywhere

# https://devcenter.heroku.com/articles/platform-api-reference#app
APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
_GIT_URL = re.compile(r"(?:(?:ssh://)?git@heroku\.com[:/]|https://git\.heroku\.com/)([a-z][a-z0-9-]*)\.git/?")


@dataclass(frozen=True)
class Settings:
    """What a connection needs. `app` is None for the embedded Heroku, which serves `worker`.

    is_embedded: the app was created on the embedded Heroku. warm: runs use warm dynos where they can. prices: dollars
    per month by dyno size.
    """

    app: str | None = None
    app_source: str = ""
    worker: Path | None = None
    size: str | None = None
    timeout: int = DEFAULT_TIMEOUT
    pace: int = DEFAULT_PACE
    is_embedded: bool = False
    warm: bool = False
    prices: Mapping[str, float] = field(default_factory=lambda: DOLLARS_PER_MONTH)

    @property
    def is_local(self) -> bool:
        """Whether runs go to the embedded Heroku."""
        return self.app is None or self.is_embedded


@dataclass(frozen=True)
class Choice:
    """Where to run, by one source: a line's options, or `%config`."""

    app: str | None = None
    remote: str | None = None
    local: bool = False
    worker: str | os.PathLike[str] | None = None
    source: str = field(default="--app", compare=False)
    default_worker: Path | None = None  # the folder to serve where no app and no other folder is chosen

    @property
    def is_remote(self) -> bool:
        """Whether it names an app."""
        return bool(self.app or self.remote)

    @property
    def is_local(self) -> bool:
        """Whether it chooses the embedded Heroku."""
        return bool(self.local or self.worker)

    @property
    def serves_folder(self) -> bool:
        """Whether runs go to the embedded Heroku, by choice or because no app is chosen."""
        return self.is_local or bool(self.default_worker and not self.is_remote and not os.environ.get("HEROKU_APP"))

    def __post_init__(self) -> None:
        if self.is_remote and self.is_local:
            raise SettingsError(
                "An app and the embedded Heroku cannot be combined. Give --app (or --remote), "
                "or --local (or --worker), not both."
            )


_notebook: Callable[[], Choice] = Choice


def follow_notebook(choice: Callable[[], Choice]) -> None:
    """Let connections without a choice of their own use the notebook's; `Choice` ends that."""
    global _notebook  # noqa: PLW0603 - a process has one notebook
    _notebook = choice


def notebook_choice() -> Choice:
    """Return what the notebook's cells run on."""
    return _notebook()


class NoApp(SettingsError):
    """A token or a host is set, but no app; only the user may choose where money goes."""


def resolve(
    option: Choice,
    config: Choice | None = None,
    *,
    size: str | None = None,
    timeout: int | None = None,
    pace: int | None = None,
    prices: Mapping[str, float] | None = None,
    warm: bool = False,
) -> Settings:
    """Return the settings by these choices, the environment and git.

    Raises SettingsError when an app is known from git alone, and NoApp when the environment holds
    a token or a host without an app.
    """
    seconds = DEFAULT_TIMEOUT if timeout is None else timeout
    if not is_lifetime(seconds):
        raise SettingsError(f"timeout is {seconds!r}: expected seconds from 1 to {LONGEST_TIMEOUT} (24 hours).")
    pace = DEFAULT_PACE if pace is None else check_count("pace", pace, 0)
    settings = partial(Settings, size=size, timeout=seconds, pace=pace, prices=_price_list(prices), warm=warm)
    config = config or notebook_choice()
    for choice in (option, config):
        if choice.is_local:
            return settings(worker=worker_folder(choice.worker or config.worker or config.default_worker))
        if choice.is_remote:
            named = choice.app or _app_of_remote(choice.remote or "")
            return settings(named, choice.source if choice.app else "--remote")
    if app := os.environ.get("HEROKU_APP"):
        return settings(app, "HEROKU_APP")
    if config.default_worker:
        return settings(None, NOTHING_SET, worker_folder(config.default_worker))
    _refuse_git_alone()
    if names_an_account():
        raise NoApp("No app is chosen.")
    return settings(None, NOTHING_SET, worker_folder(None))


def names_an_account() -> bool:
    """Return whether the environment or a login shows that runs are meant for an account, not the embedded Heroku."""
    return bool(os.environ.get("HEROKU_APP") or os.environ.get("HEROKU_HOST")) or is_at_hand(base_url())


def _price_list(prices: Any) -> dict[str, float]:
    """Return Heroku's list prices, some of them replaced. Raises SettingsError."""
    expected = "expected dollars per month by dyno size, such as {'Standard-1X': 20.0}"
    prices = {} if prices is None else prices
    if not isinstance(prices, Mapping) or not all(isinstance(name, str) for name in prices):
        raise SettingsError(f"prices is {prices!r}: {expected}.")
    for name, price in prices.items():
        if type(price) is bool or not isinstance(price, Real) or not 0 <= float(price) < math.inf:
            raise SettingsError(f"The price of {name} is {price!r}: {expected}.")
    return {**DOLLARS_PER_MONTH, **{name.lower(): float(price) for name, price in prices.items()}}


def check_current_folder() -> None:
    """Raise SettingsError if the current folder was deleted, because nothing can be read or written then."""
    try:
        Path.cwd()
    except OSError:
        raise SettingsError("The current folder does not exist any more. Change to another one: %cd FOLDER") from None


def worker_folder(folder: str | os.PathLike[str] | None) -> Path:
    """Return the folder to serve: this one, else `./worker` if it has a Procfile, else the shipped one."""
    if folder:
        path = expanded(folder).resolve()
        if not (path / "Procfile").is_file():
            what = "has no Procfile" if path.is_dir() else "does not exist"
            raise SettingsError(
                f"{path} {what}: a worker folder names its tasks in a Procfile, one `name: command` per line."
                f"{suggest_folder(folder)}"
            )
        return path
    here = Path("worker").resolve()
    return here if (here / "Procfile").is_file() else shipped_worker()


def git_apps() -> dict[str, str]:
    """Return the Heroku apps that the current folder's git remotes name, by remote.

    Only the one that `git config heroku.remote` picks, if it picks one.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted
        return {}
    lines = _git_remotes(here, _git_state(here))
    entries = [line.split(" ", 1) for line in lines.splitlines() if " " in line]
    picked = next((value for key, value in entries if key == "heroku.remote"), None)
    apps = {}
    for key, url in entries:
        match = _GIT_URL.fullmatch(url)
        if match and key.startswith("remote."):
            apps[key[len("remote.") : -len(".url")]] = match[1]
    return {picked: apps[picked]} if picked in apps else apps


def _app_of_remote(remote: str) -> str:
    _git_remotes.cache_clear()  # money goes there, and a file that git's configuration includes may have changed
    apps = git_apps()
    if remote not in apps:
        known = ", ".join(f"{name} ({app})" for name, app in apps.items()) or "none"
        raise SettingsError(f"No git remote {remote!r} with a Heroku URL. Heroku remotes here: {known}.")
    return apps[remote]


def _refuse_git_alone() -> None:
    """Raise SettingsError if only git names an app."""
    apps = git_apps()
    if len(apps) == 1:
        ((remote, app),) = apps.items()
        raise SettingsError(
            f"The git remote {remote!r} names the app {app}. Because runs cost money, a git remote alone does not "
            f"select an app. Run `%heroku use {app}` first, or give --local for the embedded Heroku."
        )
    if apps:
        listed = "".join(f"\n  {remote}: {app}" for remote, app in apps.items())
        raise SettingsError(
            f"{len(apps)} git remotes name Heroku apps:{listed}\n"
            "Choose one with `%heroku use APP`, --app APP or --remote NAME; or --local for the embedded Heroku."
        )


def _git_state(folder: Path) -> tuple[object, ...]:
    """Return what changes with the git configuration of a folder, so that git need not run for every cell."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path is slow
    files = [f"{one}/.git/config" for one in (folder, *folder.parents)]
    files += [f"{os.environ.get('GIT_DIR', folder)}/config", os.environ.get("GIT_CONFIG_GLOBAL", "")]
    files += [f"{home}/.gitconfig", f"{home}/.config/git/config", "/etc/gitconfig"]
    names = [name for name in os.environ if name.startswith(("GIT_", "PATH", "XDG_"))]
    return (*map(_stamp, files), *((name, os.environ[name]) for name in names))


def _stamp(file: str) -> object:
    try:
        stat = os.stat(file)  # noqa: PTH116
    except NotADirectoryError:  # in a worktree, whose configuration is elsewhere: equal to no other stamp
        return object()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=8)
def _git_remotes(folder: Path, state: tuple[object, ...]) -> str:  # noqa: ARG001 - a part of the key
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "config", "--get-regexp", r"^(heroku\.remote|remote\..*\.url)$"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=10).stdout
