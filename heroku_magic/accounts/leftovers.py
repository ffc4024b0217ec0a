"""Owner: the mark that this process leaves on what it makes at Heroku for a while, to know leftovers of a crash by.

A token carries it in its description, a temporary app in its name. A mark is left over when its process
was one of this place and is gone. A place is a machine, or a container of it: of the processes of other
places nothing is known, so what they made is nobody's to take away.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
from contextlib import suppress
from pathlib import Path

_TOKEN = re.compile(r"heroku_magic on \S+ \(([0-9a-f]{6})\), process (\d{1,10})")
_APP = re.compile(r"hm-temp-([0-9a-f]{6})-([0-9a-f]{1,8})-[0-9a-f]{4}")

CAN_LOOK = os.name != "nt"  # there the look would be a Ctrl-C, so nothing counts as left over


def token_mark() -> str:
    """Return the description of a token that is made for this process."""
    return f"heroku_magic on {_host()} ({_place()}), process {os.getpid()}"


def app_mark() -> str:
    """Return a new name for a temporary app of this process, within the 30 characters that Heroku takes."""
    return f"hm-temp-{_place()}-{os.getpid():x}-{secrets.token_hex(2)}"


def is_token_left(description: str) -> bool:
    """Tell whether a token was made by a process of this place that is gone."""
    match = _TOKEN.fullmatch(description)
    return match is not None and match[1] == _place() and not _lives(int(match[2]))


def is_app_left(name: str) -> bool:
    """Tell whether an app is a temporary one of a process of this place that is gone."""
    match = _APP.fullmatch(name)
    return match is not None and match[1] == _place() and not _lives(int(match[2], 16))


def is_app_of_elsewhere(name: str) -> bool:
    """Tell whether an app is a temporary one of another place; whether its process lives is not known."""
    match = _APP.fullmatch(name)
    return match is not None and match[1] != _place()


def _host() -> str:
    return re.sub(r"\s", "-", platform.node()) or "localhost"


def _place() -> str:
    """The machine, and the container: two of one name count their processes apart."""
    processes = ""
    with suppress(OSError):
        processes = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{_host()} {processes}".encode()).hexdigest()[:6]


def _lives(pid: int) -> bool:
    if not CAN_LOOK:
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
