r"""Rendezvous: the TLS listener that the clients of attached dynos connect to, each with a secret.

A client writes its secret, with or without `\r\n`, and gets `rendezvous\r\n` when its dyno is there too, alone in
its TLS record: the official CLI discards its first chunk, whatever it holds.
https://github.com/heroku/rendezvous.rb
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.emulator.certificate import HOST
from heroku_magic.emulator.descriptors import ListeningSocket
from heroku_magic.emulator.dynos.connection import TlsConnection
from heroku_magic.emulator.errors import stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.emulator.certificate import Certificate
    from heroku_magic.emulator.faults import Faults

# Hexadecimal digits of a secret: 128 random bits.
SECRET = 32
# Seconds in which a connection has to send its secret, and those after it in which its line may end.
PATIENCE = 5.0
LINE_END = 0.05
# Connections that may be without a secret at once, apart from the clients that are awaited.
MOST_STRANGERS = 100
BACKLOG = 1024
# Round trips before the secret arrives: TCP's handshake, TLS's, and the secret's own way.
BEFORE_SECRET = 2.5


class Client(NamedTuple):
    """A client that has connected with its secret. number: the ordinal of its attach, which decides its faults."""

    connection: TlsConnection
    number: int


class Rendezvous:
    """One listener for all attached dynos, opened for the first one. round_trip: seconds, added to each connection.

    certificate: returns that of the listener.
    """

    def __init__(self, certificate: Callable[[], Certificate], faults: Faults, round_trip: float) -> None:
        self._certificate = certificate
        self._faults = faults
        self._round_trip = round_trip
        self._listening: ListeningSocket | None = None
        self._awaited: dict[str, tuple[int, asyncio.Future[Client]]] = {}
        self._count = 0
        self._is_closed = False
        self._strangers: dict[asyncio.Task[None], None] = {}
        self._hanging: set[asyncio.Task[None]] = set()

    def open(self) -> tuple[str, asyncio.Future[Client]]:
        """Return a URL that works once, and the future of its client; cancelling it makes the URL useless."""
        if self._is_closed:
            raise stopping()
        if self._listening is None:
            self._listening = ListeningSocket(_bound())
            self._listening.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._listening, self._accept)
        secret = secrets.token_hex(SECRET // 2)
        client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._count += 1
        self._awaited[secret] = self._count, client
        client.add_done_callback(lambda _: self._awaited.pop(secret, None))
        door: socket.socket = self._listening
        if self._faults.strikes("attach-refused", self._count):
            door = _bound()  # it does not listen, and nobody else gets its port meanwhile
            client.add_done_callback(lambda _: door.close())
        return f"rendezvous://{HOST}:{door.getsockname()[1]}/{secret}", client

    def close(self) -> None:
        """Accept no more clients."""
        self._is_closed = True
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()

    def _accept(self) -> None:
        """Accept all that wait; if strangers become too many, the oldest has to go."""
        with suppress(OSError):
            while self._listening is not None:
                accepted, _ = self._listening.accept()
                stranger = asyncio.ensure_future(self._receive(TlsConnection(accepted, self._certificate().context)))
                self._strangers[stranger] = None
                stranger.add_done_callback(lambda task: self._strangers.pop(task, None))
                if len(self._strangers) > MOST_STRANGERS + len(self._awaited):
                    next(iter(self._strangers)).cancel()

    async def _receive(self, connection: TlsConnection) -> None:
        """Bring a client to its dyno, or close its connection."""
        awaited = None
        try:
            with suppress(asyncio.TimeoutError, OSError):
                await asyncio.wait_for(connection.shake_hands(), PATIENCE)
                await asyncio.sleep(BEFORE_SECRET * self._round_trip)
                awaited = self._awaited.pop(await asyncio.wait_for(_read_secret(connection), PATIENCE), None)
        finally:
            if awaited is None or awaited[1].done():
                connection.close()
        if awaited is None or awaited[1].done():
            return
        number, client = awaited
        if self._faults.strikes("attach-hang", number):
            hanging = asyncio.ensure_future(_hang(connection))
            self._hanging.add(hanging)
            hanging.add_done_callback(self._hanging.discard)
        else:
            client.set_result(Client(connection, number))


async def _read_secret(connection: TlsConnection) -> str:
    """Read a secret and the end of its line, if there is one: heroku3 sends none."""
    line, target = b"", memoryview(bytearray(1024))
    with suppress(asyncio.TimeoutError):
        while b"\n" not in line and len(line) < len(target):
            patience = LINE_END if len(line) >= SECRET else None
            size = await asyncio.wait_for(connection.receive_into(target), patience)
            if not size:
                return ""
            line += bytes(target[:size])
    secret, end, rest = line.partition(b"\n")
    connection.put_back(rest if end else line[SECRET:])
    return (secret.removesuffix(b"\r") if end else line[:SECRET]).decode("ascii", "replace")


async def _hang(connection: TlsConnection) -> None:
    await connection.wait_for_end()
    connection.close()


def _bound() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.bind((HOST, 0))
    bound.setblocking(False)
    return bound
