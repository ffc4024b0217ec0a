"""The certificate that attached clients verify: of an authority made for this emulator alone; it serves nobody.

https://github.com/python-trio/trustme
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "embedded-heroku-ca.pem"


def make(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context, and the file of the authority that a client has to trust.

    trustme is imported here: it takes as long as all else that the emulator does at its start.
    """
    import trustme

    authority = trustme.CA(organization_name="embedded Heroku")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    file = folder / NAME
    authority.cert_pem.write_to_path(str(file))
    return context, file
