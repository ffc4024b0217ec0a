"""What the emulator serves, as a hyper-schema of its links; Heroku's own schema has the data types.

https://devcenter.heroku.com/articles/platform-api-reference#schema
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.authorizations import ANY
from heroku_magic.emulator.web.api import ApiHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

_METHODS = ("get", "post", "patch", "put", "delete")


class Schema(ApiHandler):
    """The links of the API."""

    reads = ANY

    def get(self) -> None:
        """`GET /schema`."""
        from heroku_magic.emulator.web.routes import TABLE

        links = [
            link for path, handler in TABLE.items() if issubclass(handler, ApiHandler) for link in _links(path, handler)
        ]
        self.answer(
            {
                "$schema": "http://interagent.github.io/interagent-hyper-schema",
                "title": "The Platform API, as far as the embedded Heroku serves it",
                "type": ["object"],
                "definitions": {},
                "links": links,
            }
        )


def _links(path: str, handler: type[ApiHandler]) -> Iterator[dict[str, Any]]:
    for method in _METHODS:
        if answers := vars(handler).get(method):
            title = (answers.__doc__ or "").partition("`: ")[2] or handler.__doc__ or ""
            yield {"method": method.upper(), "href": path.replace("([^/]+)", "{identity}"), "title": title.strip()}
