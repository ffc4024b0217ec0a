"""The certificate of this emulator's TLS ports, from an authority made for it alone."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"


class Certificate:
    """A new certificate, which takes as long to make as the rest of the emulator's start.

    context: the TLS context of a server on `HOST`. authority: the file of the certificate authority that clients have
    to trust; its folder, in the given one, holds nothing else.
    """

    def __init__(self, folder: Path) -> None:
        # https://github.com/python-trio/trustme
        import trustme

        authority = trustme.CA(organization_name="embedded Heroku")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.options |= ssl.OP_NO_RENEGOTIATION
        authority.issue_cert("localhost", HOST).configure_cert(self.context)
        self.authority = folder / "authority" / "embedded-heroku-ca.pem"
        self.authority.parent.mkdir(mode=0o700)
        authority.cert_pem.write_to_path(str(self.authority))
        link = self.authority.with_name(f"{_subject_hash(authority.cert_pem.bytes())}.0")
        link.symlink_to(self.authority.name)


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
