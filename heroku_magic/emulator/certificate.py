"""The certificate of this emulator's TLS ports, from an authority made for it alone."""

from __future__ import annotations

import hashlib
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
        """The file of the certificate authority that clients have to trust; its folder holds nothing else."""
        return self._made[1]

    @cached_property
    def _made(self) -> tuple[ssl.SSLContext, Path]:
        # https://github.com/python-trio/trustme
        import trustme

        authority = trustme.CA(organization_name="embedded Heroku")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_RENEGOTIATION
        authority.issue_cert("localhost", HOST).configure_cert(context)
        file = self._folder() / "authority" / "embedded-heroku-ca.pem"
        file.parent.mkdir(mode=0o700)
        authority.cert_pem.write_to_path(str(file))
        (file.parent / f"{_subject_hash(authority.cert_pem.bytes())}.0").symlink_to(file.name)
        return context, file


def _subject_hash(pem: bytes) -> str:
    """Return the name by which OpenSSL finds a certificate in a folder, without its suffix.

    https://docs.openssl.org/master/man1/openssl-rehash/
    """
    from cryptography import x509

    attributes = x509.load_pem_x509_certificate(pem).subject
    canonical = x509.Name([x509.NameAttribute(each.oid, str(each.value).lower()) for each in attributes])
    # OpenSSL leaves out the head of the outer sequence.
    digest = hashlib.sha1(canonical.public_bytes()[2:], usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"
