"""Determines the host of the Platform API from `HEROKU_HOST`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heroku_magic.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = frozenset({"localhost", "127.0.0.1"})
_HEROKU_HOSTS = ("heroku.com", "herokai.com", "herokuspace.com", "herokudev.com")


def base_url(environ: Mapping[str, str] | None = None) -> str:
    """Return the base URL of the API, reading `HEROKU_HOST` as the official CLI does.

    Any host other than Heroku's and loopback is rejected, because it would receive the token.
    """
    host = (environ or os.environ).get("HEROKU_HOST", "heroku.com").strip()
    parts = urlsplit(host if host.startswith("http") else f"https://api.{host}")
    name = parts.hostname or ""
    is_heroku = parts.scheme == "https" and any(name == good or name.endswith(f".{good}") for good in _HEROKU_HOSTS)
    if not is_heroku and name not in LOOPBACK:
        raise SettingsError(
            f"HEROKU_HOST is {host!r}: expected heroku.com, one of its subdomains, or "
            "http://127.0.0.1:PORT. The token is sent to no other host."
        )
    return f"{parts.scheme}://{parts.netloc}"
