"""Tokens: where the token for an API host comes from, and what `login` keeps of it, in memory only; it asks nobody.

Order: what `login` was given in this process > `HEROKU_API_KEY` > netrc > `heroku auth:token`.
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
from heroku_magic.text.secret import Secret

# The official CLI without its telemetry, update check and writing to the user's git config.
_QUIET_CLI = {
    "DISABLE_TELEMETRY": "true",
    "HEROKU_SKIP_NEW_VERSION_CHECK": "true",
    "HEROKU_DISABLE_AUTOUPDATE": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


_TOKEN = re.compile(r"[!-~]+")  # what a header carries: anything else shows up in the errors of http.client


class NoToken(SettingsError):
    """No token was found for the API's host."""


@dataclass(frozen=True)
class Kept:
    """A token that `login` was given or made. ends_at: seconds since 1970, None: not known to end."""

    token: Secret
    source: str
    ends_at: float | None = None


_kept: dict[str, Kept] = {}
_of_cli: list[Secret] = []


def keep(url: str, kept: Kept) -> None:
    """Use this token for the host from now on, in this process alone."""
    _kept[url] = kept


def forget(url: str) -> Kept | None:
    """Use what the environment says again; return what was kept."""
    return _kept.pop(url, None)


def is_kept(url: str) -> bool:
    """Tell whether `login` gave a token for the host."""
    return url in _kept


def end_of(url: str) -> float | None:
    """Return when the kept token ends, seconds since 1970; None: there is none, or it is not known to end."""
    return _kept[url].ends_at if url in _kept else None


def find_token(url: str) -> tuple[Secret, str]:
    """Return the token for an API host and where it was found.

    Raises NoToken that says how to give one, SettingsError for one that has ended.
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
        f"No token for {urlsplit(url).netloc}: `%heroku login` asks for one, or set HEROKU_API_KEY, or log in with the "
        "official CLI (`heroku login`) in a terminal. Without an account use --local."
    )


def read(text: str, source: str) -> Secret:
    """Return a text as a token. Raises SettingsError, without the text, for what no request could carry."""
    if not _TOKEN.fullmatch(text.strip()):
        raise SettingsError(f"What {source} holds is no token: expected letters, digits and signs, without spaces.")
    return Secret(text.strip())


def _living(kept: Kept) -> Secret:
    if kept.ends_at is not None and time.time() >= kept.ends_at:
        at = datetime.fromtimestamp(kept.ends_at).astimezone()
        raise SettingsError(f"The token of {kept.source} ended at {at:%H:%M on %Y-%m-%d}: log in again.")
    return kept.token


def _netrc_token(url: str) -> Secret | None:
    """Look for the API host's entry, with and without its port, as the CLI writes it."""
    import netrc

    path = Path.home() / ("_netrc" if os.name == "nt" else ".netrc")
    try:
        hosts = netrc.netrc(str(path)).hosts
    except FileNotFoundError:
        return None
    except (OSError, netrc.NetrcParseError):
        # The parser's own message would quote the file, and the file holds passwords.
        raise SettingsError(f"{path} cannot be read as netrc. Mend it, or set HEROKU_API_KEY.") from None
    parts = urlsplit(url)
    entry = hosts.get(parts.netloc) or hosts.get(parts.hostname or "")
    return read(entry[2], str(path)) if entry and entry[2] else None


def forget_cli() -> None:
    """Ask the official CLI again, for somebody may have logged in or out there."""
    _of_cli.clear()


def _cli_token() -> Secret | None:
    """The official CLI's token, asked for once: starting it takes about a second."""
    if not _of_cli and (token := _ask_cli()):
        _of_cli.append(token)
    return _of_cli[0] if _of_cli else None


def _ask_cli() -> Secret | None:
    """Ask the official CLI, which may keep the token in the system's keychain."""
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
