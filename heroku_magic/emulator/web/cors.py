"""Which web pages may use the API, and the headers that let their browsers do so.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re

# A page from a file, or in a sandbox, has this origin.
OPAQUE = "null"
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_FOR_PREFLIGHTS = {
    "Access-Control-Allow-Methods": "DELETE, GET, HEAD, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, "
    "If-None-Match, Last-Event-ID, Range, User-Agent, X-Requested-With",
    "Access-Control-Max-Age": "86400",
}


def read_origin(text: str) -> str:
    """Return an origin as browsers spell it. Raises ValueError for what is not one.

    >>> read_origin("https://Pages.example:443/")
    'https://pages.example'
    """
    match = _ORIGIN.fullmatch(text)
    if match is None or int(match[3] or 1) not in range(1, 65_536):
        if text == OPAQUE:
            return OPAQUE
        raise ValueError(
            f'"{text}" is not an origin: expected a scheme, a host and perhaps a port, such as http://127.0.0.1:8000, '
            'or "null" for pages that are opened from a file'
        )
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    number = f":{int(port)}" if port and str(int(port)) != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{host}{number}"


def response_headers(origin: str) -> dict[str, str]:
    """Return what lets a page of this origin read a response."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Next-Range, Content-Range, RateLimit-Remaining, Request-Id",
    }


def preflight_headers(*, is_private: bool) -> dict[str, str]:
    """Return what lets a page send a request that is not simple. is_private: it asks to leave the public network."""
    return {**_FOR_PREFLIGHTS, **({"Access-Control-Allow-Private-Network": "true"} if is_private else {})}
