"""The certificate of this emulator's TLS ports, from an authority made for it alone."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = "127.0.0.1"


class Certificate:
    """Made at its first use, because that takes as long as the rest of the emulator's start.

    folder: returns the folder of the authority's file.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of a server on `HOST`."""
        return self._made[0]

    @property
    def authority(self) -> Path:
        """The file of the certificate authority that clients have to trust."""
        return self._made[1]

    @cached_property
    def _made(self) -> tuple[ssl.SSLContext, Path]:
        # https://github.com/python-trio/trustme
        import trustme

        authority = trustme.CA(organization_name="embedded Heroku")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_RENEGOTIATION
        authority.issue_cert("localhost", HOST).configure_cert(context)
        file = self._folder() / "embedded-heroku-ca.pem"
        authority.cert_pem.write_to_path(str(file))
        return context, file
