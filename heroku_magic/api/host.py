r"""Decides which hosts are trusted: the API's own, from `HEROKU_HOST`, and those of the URLs that the API sends.

A host is judged and connected to by the same text. Two parsers of URLs may disagree on odd ones, such as
`https://evil.com\.heroku.com`, so only plain ones are accepted.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from heroku_magic.errors import ApiError, SettingsError
from heroku_magic.text.sanitize import short
from heroku_magic.text.secret import Secret

LOOPBACK = frozenset({"localhost", "127.0.0.1"})
_HEROKU_HOSTS = ("heroku.com", "herokai.com", "herokuspace.com", "herokudev.com")
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_PORTS = range(1, 65_536)
# The target may have what RFC 3986 allows in a path and a query: https://www.rfc-editor.org/rfc/rfc3986#section-3.3
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<target>[/?](?:[\w.~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?",
    re.ASCII | re.IGNORECASE,
)


_ATTACH_URL = re.compile(rf"rendezvous://({_HOST}):([0-9]{{1,5}})/([!-~]+)", re.ASCII | re.IGNORECASE)


class Address(NamedTuple):
    """Where to connect to, and the path with the query to request there, byte for byte."""

    origin: str
    host: str
    target: Secret

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this computer."""
        return self.host in LOOPBACK


def parse(url: str) -> Address | None:
    """Return the parts of a plain http URL, or None for any other text.

    >>> parse("https://API.heroku.com:443/apps?a=%2f")
    Address(origin='https://api.heroku.com:443', host='api.heroku.com', target=Secret(***))
    """
    match = _URL.fullmatch(url)
    if match is None or int(match["port"] or 1) not in _PORTS:
        return None
    scheme, host, target = match["scheme"].lower(), match["host"].lower(), match["target"] or "/"
    port = f":{match['port']}" if match["port"] else ""
    return Address(f"{scheme}://{host}{port}", host, Secret(target if target.startswith("/") else f"/{target}"))


def base_url() -> str:
    """Return the base URL of the API, reading `HEROKU_HOST` as the official CLI does.

    Any host other than Heroku's and loopback is rejected, because it would receive the token.
    """
    text = os.environ.get("HEROKU_HOST", "heroku.com").strip()
    address = parse(text if "://" in text else f"https://api.{text}")
    if address is not None and address.target.reveal() == "/":
        is_herokus = any(address.host == good or address.host.endswith(f".{good}") for good in _HEROKU_HOSTS)
        if address.is_loopback or (is_herokus and address.origin.startswith("https:")):
            return address.origin
    raise SettingsError(
        f"HEROKU_HOST is {short(text)}: expected heroku.com, one of its subdomains, or http://127.0.0.1:PORT. "
        "The token is sent to no other host."
    )


def sent_by_api(url: Secret) -> Address:
    """Return the address of a log, an output or an upload. Raises ApiError for a URL that is not safe to open."""
    address = parse(url.reveal())
    if address is None or not (address.is_loopback or address.origin.startswith("https:")):
        raise ApiError("The API sent a URL that is not safe to open. Expected a plain https URL without a user name.")
    return address


def attach_address(url: Secret) -> tuple[str, int, Secret] | None:
    """Return host, port and secret of a rendezvous URL that the API has sent, or None for any other text."""
    match = _ATTACH_URL.fullmatch(url.reveal())
    if match is None or int(match[2]) not in _PORTS:
        return None
    return match[1].lower(), int(match[2]), Secret(match[3])
