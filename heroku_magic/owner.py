"""Owner: the mark that this process leaves on what it makes at Heroku for a while, to know leftovers of a crash by.

A token carries it in its description, a temporary app in its name. A mark is left over when its process
was one of this machine and is gone; of other machines nothing is known.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets

_TOKEN = re.compile(r"heroku_magic on (\S+), process (\d{1,10})")
_APP = re.compile(r"hm-temp-([0-9a-f]{6})-([0-9a-f]{1,8})-[0-9a-f]{4}")


def token_mark() -> str:
    """Return the description of a token that is made for this process."""
    return f"heroku_magic on {_host()}, process {os.getpid()}"


def app_mark() -> str:
    """Return a new name for a temporary app of this process, within the 30 characters that Heroku takes."""
    return f"hm-temp-{_short_host()}-{os.getpid():x}-{secrets.token_hex(2)}"


def is_token_left(description: str) -> bool:
    """Tell whether a token was made by a process of this machine that is gone."""
    match = _TOKEN.fullmatch(description)
    return match is not None and match[1] == _host() and not _lives(int(match[2]))


def is_app_left(name: str) -> bool:
    """Tell whether an app is a temporary one of a process of this machine that is gone."""
    match = _APP.fullmatch(name)
    return match is not None and match[1] == _short_host() and not _lives(int(match[2], 16))


def _host() -> str:
    return re.sub(r"\s", "-", platform.node()) or "localhost"


def _short_host() -> str:
    return hashlib.sha256(_host().encode()).hexdigest()[:6]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
