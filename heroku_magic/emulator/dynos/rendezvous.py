r"""Rendezvous: where the clients of attached dynos come to, over TLS, each with a secret; it moves no bytes of theirs.

A client writes its secret, `\r\n` or not, and is greeted with `rendezvous\r\n`, at once and alone in
its TLS record: the official CLI throws its first chunk away, whatever it holds.
https://github.com/heroku/rendezvous.rb
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.emulator.dynos import certificates

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

# Hexadecimal digits of a secret: 128 random bits.
SECRET = 32
# Seconds in which a connection has to bring its secret, and those after it in which its line may end.
PATIENCE = 5.0
LINE_END = 0.05
# Connections that may be without a secret at once.
MOST_STRANGERS = 100


class Client(NamedTuple):
    """A client that has come with its secret."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Rendezvous:
    """One listener for all attached dynos, begun when the first one is created."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._made: tuple[ssl.SSLContext, Path] | None = None
        self._server: asyncio.Server | None = None
        self._awaited: dict[str, asyncio.Future[Client]] = {}
        self._strangers = 0

    @property
    def authority(self) -> Path:
        """The file of the authority that clients have to trust."""
        return self._certificate()[1]

    async def open(self) -> tuple[str, asyncio.Future[Client]]:
        """Return a URL that works once, and what brings its client; to cancel that makes the URL useless."""
        if self._server is None:
            context = self._certificate()[0]
            self._server = await asyncio.start_server(
                self._come, "127.0.0.1", 0, ssl=context, ssl_handshake_timeout=PATIENCE
            )
        secret = secrets.token_hex(SECRET // 2)
        client = asyncio.get_running_loop().create_future()
        self._awaited[secret] = client
        client.add_done_callback(lambda _: self._awaited.pop(secret, None))
        port = self._server.sockets[0].getsockname()[1]
        return f"rendezvous://127.0.0.1:{port}/{secret}", client

    def close(self) -> None:
        """Take no more clients."""
        if self._server is not None:
            self._server.close()

    def _certificate(self) -> tuple[ssl.SSLContext, Path]:
        if self._made is None:
            self._made = certificates.make(self._folder())
        return self._made

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._strangers >= MOST_STRANGERS:
            writer.close()
            return
        self._strangers += 1
        secret = ""
        with suppress(asyncio.TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            secret = await asyncio.wait_for(_secret(reader), PATIENCE)
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


async def _secret(reader: asyncio.StreamReader) -> str:
    """Read a secret and the end of its line, if it has one: heroku3 sends none."""
    secret = await reader.readexactly(SECRET)
    with suppress(asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await asyncio.wait_for(reader.readuntil(b"\n"), LINE_END)
    return secret.decode("ascii", "replace")
