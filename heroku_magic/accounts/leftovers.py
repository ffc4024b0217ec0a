"""Tags temporary apps and tokens with this machine and process, so that a later run can clean up after a crash.

The tag is part of a token's description or an app's name. A container counts as a machine: whether processes of
other machines still run is unknown, so their apps and tokens are left alone.
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

CAN_CHECK = os.name != "nt"  # on Windows os.kill(pid, 0) would send Ctrl-C, so nothing counts as left over


def token_description() -> str:
    """Return the description for a token of this process."""
    return f"heroku_magic on {_host()} ({_machine()}), process {os.getpid()}"


def temporary_app_name() -> str:
    """Return a new name for a temporary app of this process, within Heroku's limit of 30 characters."""
    return f"hm-temp-{_machine()}-{os.getpid():x}-{secrets.token_hex(2)}"


def is_leftover_token(description: str) -> bool:
    """Return whether a token was created by a process of this machine that has ended."""
    match = _TOKEN.fullmatch(description)
    return match is not None and match[1] == _machine() and not _is_running(int(match[2]))


def is_leftover_app(name: str) -> bool:
    """Return whether a temporary app belongs to a process of this machine that has ended."""
    match = _APP.fullmatch(name)
    return match is not None and match[1] == _machine() and not _is_running(int(match[2], 16))


def is_app_of_other_machine(name: str) -> bool:
    """Return whether a temporary app belongs to another machine, where its process may still run."""
    match = _APP.fullmatch(name)
    return match is not None and match[1] != _machine()


def _host() -> str:
    return re.sub(r"\s", "-", platform.node()) or "localhost"


def _machine() -> str:
    """Return a hash of host name and container: two of the same name number their processes independently."""
    processes = ""
    with suppress(OSError):
        processes = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{_host()} {processes}".encode()).hexdigest()[:6]


def _is_running(pid: int) -> bool:
    if not CAN_CHECK:
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
