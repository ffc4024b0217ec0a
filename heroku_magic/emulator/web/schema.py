"""A hyper-schema of the links that the emulator serves; Heroku's own schema describes the data types.

https://devcenter.heroku.com/articles/platform-api-reference#schema
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.authorizations import ANY
from heroku_magic.emulator.web.api import ApiHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

_METHODS = ("get", "post", "patch", "put", "delete")


class SchemaHandler(ApiHandler):
    """The links of the API."""

    reads = ANY

    def get(self) -> None:
        """`GET /schema`."""
        self.respond(
            {
                "$schema": "http://interagent.github.io/interagent-hyper-schema",
                "title": "The part of the Platform API that the embedded Heroku serves",
                "type": ["object"],
                "definitions": {},
                "links": [
                    link
                    for path, handler in self.settings["table"].items()
                    if issubclass(handler, ApiHandler)
                    for link in _links(path, handler)
                ],
            }
        )


def _links(path: str, handler: type[ApiHandler]) -> Iterator[dict[str, Any]]:
    for method in _METHODS:
        if function := vars(handler).get(method):
            title = (function.__doc__ or "").partition("`: ")[2] or handler.__doc__ or ""
            yield {"method": method.upper(), "href": path.replace("([^/]+)", "{identity}"), "title": title.strip()}
