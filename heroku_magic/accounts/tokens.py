"""Finds the token for an API host, and keeps that of `login` in memory.

Order: the token of `login` in this process > `HEROKU_API_KEY` > netrc > `heroku auth:token`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from heroku_magic.errors import SettingsError
from heroku_magic.platform_facts.folders import expanded
from heroku_magic.text.secret import Secret

# The official CLI without its telemetry, update check and writing to the user's git config.
_QUIET_CLI = {
    "DISABLE_TELEMETRY": "true",
    "HEROKU_SKIP_NEW_VERSION_CHECK": "true",
    "HEROKU_DISABLE_AUTOUPDATE": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


_TOKEN = re.compile(r"[!-~]+")  # valid in a header: http.client would quote anything else in an error


class NoToken(SettingsError):
    """No token was found for the API's host."""


@dataclass(frozen=True)
class Kept:
    """A token that `login` received or created. ends_at: seconds since 1970, None if unknown."""

    token: Secret
    source: str
    ends_at: float | None = None


_kept: dict[str, Kept] = {}
_of_cli: list[Secret] = []


def keep(url: str, kept: Kept) -> None:
    """Use this token for the host from now on, in this process alone."""
    _kept[url] = kept


def forget(url: str) -> Kept | None:
    """Forget the kept token and return it; the environment counts again."""
    return _kept.pop(url, None)


def is_kept(url: str) -> bool:
    """Return whether `login` keeps a token for the host."""
    return url in _kept


def is_at_hand(url: str) -> bool:
    """Return whether there is a token in this process, without a look at files or a call of the official CLI."""
    return is_kept(url) or bool(os.environ.get("HEROKU_API_KEY"))


def end_of(url: str) -> float | None:
    """Return when the kept token ends, seconds since 1970; None if unknown."""
    return _kept[url].ends_at if url in _kept else None


def clock_time(seconds: float) -> str:
    """Return the local time and date of a moment in seconds since 1970, such as `14:05 on 2026-11-30`."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%H:%M on %Y-%m-%d}"


def find_token(url: str) -> tuple[Secret, str]:
    """Return the token for an API host and where it was found.

    Raises NoToken, which says how to provide one, or SettingsError if it has expired.
    """
    if kept := _kept.get(url):
        return _living(kept), kept.source
    if key := os.environ.get("HEROKU_API_KEY"):
        return read(key, "HEROKU_API_KEY"), "HEROKU_API_KEY"
    if token := _netrc_token(url):
        return token, "netrc"
    if urlsplit(url).hostname == "api.heroku.com" and (token := _cli_token()):
        return token, "heroku auth:token"
    raise NoToken(
        f"There is no token for {urlsplit(url).netloc}. Run `%heroku login`, set HEROKU_API_KEY, or log in with the "
        "official CLI (`heroku login`) in a terminal. Without an account, use --local."
    )


def read(text: str, source: str) -> Secret:
    """Return a text as a token. Raises SettingsError, without the text, if it is not a valid header."""
    if not _TOKEN.fullmatch(text.strip()):
        raise SettingsError(
            f"The value of {source} is not a valid token. Expected letters, digits and punctuation, without spaces."
        )
    return Secret(text.strip())


def _living(kept: Kept) -> Secret:
    if kept.ends_at is not None and time.time() >= kept.ends_at:
        raise SettingsError(f"The token from {kept.source} expired at {clock_time(kept.ends_at)}. Log in again.")
    return kept.token


def _netrc_token(url: str) -> Secret | None:
    """Look for the API host's entry, with and without its port, as the CLI writes it."""
    import netrc

    path = expanded(os.environ.get("NETRC") or Path.home() / ("_netrc" if os.name == "nt" else ".netrc"))
    try:
        hosts = netrc.netrc(str(path)).hosts
    except FileNotFoundError:
        return None
    except (OSError, ValueError, netrc.NetrcParseError):
        # The parser's own message would quote the file, and the file holds passwords.
        raise SettingsError(f"{path} cannot be read as netrc. Correct it, or set HEROKU_API_KEY.") from None
    parts = urlsplit(url)
    entry = hosts.get(parts.netloc) or hosts.get(parts.hostname or "")
    return read(entry[2], str(path)) if entry and entry[2] else None


def forget_cli() -> None:
    """Query the official CLI again: its login may have changed."""
    _of_cli.clear()


def _cli_token() -> Secret | None:
    """Return the official CLI's token, cached: starting the CLI takes about a second."""
    if not _of_cli and (token := _query_cli()):
        _of_cli.append(token)
    return _of_cli[0] if _of_cli else None


def _query_cli() -> Secret | None:
    """Query the official CLI, which may keep the token in the system's keychain."""
    cli = shutil.which("heroku")
    if cli is None or not Path(cli).is_absolute() or Path(cli).parent == Path.cwd():
        return None
    is_interrupted = False
    try:
        answer = subprocess.run(
            [cli, "auth:token"],
            env={**os.environ, **_QUIET_CLI},
            cwd=Path.home(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    except KeyboardInterrupt:
        is_interrupted = True
    if is_interrupted:
        raise KeyboardInterrupt  # without frames that hold the environment
    token = answer.stdout.strip()
    return Secret(token) if answer.returncode == 0 and _TOKEN.fullmatch(token) else None
