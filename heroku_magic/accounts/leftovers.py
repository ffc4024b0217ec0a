"""Tags temporary apps and tokens with this machine and process, so that a later run can clean up after a crash.

The tag is part of a token's description or an app's name. It identifies the machine, its boot and its container,
each of which numbers its own processes: whether those of another container still run is unknown, so their apps and
tokens are left alone.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import secrets
from contextlib import suppress
from functools import cache
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
    return _is_leftover(_TOKEN.fullmatch(description))


def is_leftover_app(name: str) -> bool:
    """Return whether a temporary app belongs to a process of this machine that has ended."""
    return _is_leftover(_APP.fullmatch(name), base=16)


def is_app_of_other_machine(name: str) -> bool:
    """Return whether a temporary app belongs to another machine, where its process may still run."""
    match = _APP.fullmatch(name)
    return match is not None and match[1] != _machine()


def _is_leftover(tag: re.Match[str] | None, base: int = 10) -> bool:
    """Return whether a tag names a process of this machine that has ended. base: that of the process's number."""
    return tag is not None and tag[1] == _machine() and not _is_running(int(tag[2], base))


def _host() -> str:
    return re.sub(r"\s", "-", platform.node()) or "localhost"


@cache
def _machine() -> str:
    """Return a hash of machine id, boot id and container. Cloned machines may share the first, but never the second.

    Where the boot is unknown, each process has a tag of its own and nothing counts as left over.
    """
    boot = _read("/proc/sys/kernel/random/boot_id") or _system_value("kern.bootsessionuuid")
    machine = _read("/etc/machine-id") or _read("/var/lib/dbus/machine-id") or _system_value("kern.uuid")
    container = ""
    with suppress(OSError):
        container = str(Path("/proc/self/ns/pid").readlink())
    identity = f"{machine} {boot} {container}" if boot else secrets.token_hex(16)
    return hashlib.sha256(identity.encode()).hexdigest()[:6]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _system_value(name: str) -> str:
    """Return a value that macOS's `sysctl` has under a name; empty on other systems."""
    if platform.system() != "Darwin":
        return ""
    value, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
    failed = ctypes.CDLL(None).sysctlbyname(name.encode(), value, ctypes.byref(size), None, 0)
    return "" if failed else value.value.decode("ascii", "replace")


def _is_running(pid: int) -> bool:
    if not CAN_CHECK:
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs as another user
    return True
