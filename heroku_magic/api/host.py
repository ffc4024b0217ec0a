"""The host of the Platform API, as `HEROKU_HOST` names it."""

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
    """Return the API's base URL as `HEROKU_HOST` says it, read as the official CLI reads it.

    A host that is neither Heroku's nor loopback is refused: the token would go there.
    """
    host = (environ or os.environ).get("HEROKU_HOST", "heroku.com").strip()
    parts = urlsplit(host if host.startswith("http") else f"https://api.{host}")
    name = parts.hostname or ""
    is_heroku = parts.scheme == "https" and any(name == good or name.endswith(f".{good}") for good in _HEROKU_HOSTS)
    if not is_heroku and name not in LOOPBACK:
        raise SettingsError(
            f"HEROKU_HOST is {host!r}: expected heroku.com, one of its subdomains, or "
            "http://127.0.0.1:PORT. The token goes nowhere else."
        )
    return f"{parts.scheme}://{parts.netloc}"
