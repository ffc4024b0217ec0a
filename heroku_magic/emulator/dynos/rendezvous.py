r"""Rendezvous: the TLS listener that the clients of attached dynos connect to, each with a secret.

A client writes its secret, with or without `\r\n`, and gets `rendezvous\r\n` at once and alone in its TLS
record: the official CLI discards its first chunk, whatever it holds.
https://github.com/heroku/rendezvous.rb
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Hexadecimal digits of a secret: 128 random bits.
SECRET = 32
# Seconds in which a connection has to send its secret, and those after it in which its line may end.
PATIENCE = 5.0
LINE_END = 0.05
# Connections that may be without a secret at once.
MOST_STRANGERS = 100


class Client(NamedTuple):
    """A client that has connected with its secret."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Rendezvous:
    """One listener for all attached dynos, opened for the first one."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._awaited: dict[str, asyncio.Future[Client]] = {}
        self._strangers = 0

    @property
    def authority(self) -> Path:
        """The file of the certificate authority that clients have to trust."""
        return self._certificate[1]

    async def open(self) -> tuple[str, asyncio.Future[Client]]:
        """Return a URL that works once, and the future of its client; cancelling it makes the URL useless."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, "127.0.0.1", 0, ssl=self._certificate[0], ssl_handshake_timeout=PATIENCE
            )
        secret = secrets.token_hex(SECRET // 2)
        client = asyncio.get_running_loop().create_future()
        self._awaited[secret] = client
        client.add_done_callback(lambda _: self._awaited.pop(secret, None))
        port = self._server.sockets[0].getsockname()[1]
        return f"rendezvous://127.0.0.1:{port}/{secret}", client

    def close(self) -> None:
        """Accept no more clients."""
        if self._server is not None:
            self._server.close()

    @cached_property
    def _certificate(self) -> tuple[ssl.SSLContext, Path]:
        """A server's TLS context, with an authority made for this emulator alone."""
        # https://github.com/python-trio/trustme takes as long as the rest of the emulator's start.
        import trustme

        authority = trustme.CA(organization_name="embedded Heroku")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        file = self._folder() / "embedded-heroku-ca.pem"
        authority.cert_pem.write_to_path(str(file))
        return context, file

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._strangers >= MOST_STRANGERS:
            writer.close()
            return
        self._strangers += 1
        secret = ""
        with suppress(asyncio.TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            secret = await asyncio.wait_for(_read_secret(reader), PATIENCE)
        self._strangers -= 1
        awaited = self._awaited.get(secret)
        if awaited is None or awaited.done():
            writer.close()
            return
        writer.write(b"rendezvous\r\n")
        with suppress(ConnectionError):
            await writer.drain()
        if not awaited.done():
            awaited.set_result(Client(reader, writer))


async def _read_secret(reader: asyncio.StreamReader) -> str:
    """Read a secret and the end of its line, if there is one: heroku3 sends none."""
    secret = await reader.readexactly(SECRET)
    with suppress(asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await asyncio.wait_for(reader.readuntil(b"\n"), LINE_END)
    return secret.decode("ascii", "replace")
