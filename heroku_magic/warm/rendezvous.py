r"""Connects to an attached dyno over rendezvous: TLS in both directions, without frames.

The client writes the secret of the attach URL, and gets `rendezvous\r\n` once the dyno's side is there.
https://github.com/heroku/rendezvous.rb
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from heroku_magic.api.host import attach_address
from heroku_magic.errors import AttachFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.text.secret import Secret

CONNECT_TIMEOUT = 5.0  # seconds: a closed port must not cost more
WRITE_TIMEOUT = 10.0  # seconds within which the network takes something: a connection may be half-open
GREETING_TIMEOUT = 30.0  # seconds after the dyno is up, as long as Heroku itself waits for the other side (R13)
GREETING_LOOK = 5.0  # seconds between two looks whether it is up
LONGEST_BOOT = 600.0  # the embedded Heroku may have to install packages first
MAX_GREETING = 100  # bytes
READ_BYTES = 1 << 14  # a record of TLS
READ_RECORDS = 16


class DynoConnection:
    """A TLS connection that one thread may read while another one writes, which an SSLSocket alone does not allow."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        tls.setblocking(False)
        self._tls = tls
        self._lock = threading.Lock()
        self._reading = selectors.DefaultSelector()
        self._reading.register(tls, selectors.EVENT_READ)

    def send(self, data: bytes) -> None:
        """Send everything; of several threads, one at a time. Raises OSError, also if nothing is taken for a while."""
        rest = memoryview(data)
        while rest:
            event = selectors.EVENT_WRITE
            with self._lock, suppress(ssl.SSLWantWriteError):
                try:
                    rest = rest[self._tls.send(rest) :]
                    continue
                except ssl.SSLWantReadError:
                    event = selectors.EVENT_READ
            if not self._wait(event, WRITE_TIMEOUT):
                raise TimeoutError(f"nothing could be sent for {WRITE_TIMEOUT:g} s")

    def receive(self) -> bytes:
        """Wait for data and return all that is there, up to about 256 kB; empty at the end. Raises OSError."""
        parts: list[bytes] = []
        event, is_waiting = selectors.EVENT_READ, self._holds_nothing()
        while True:
            if is_waiting and event == selectors.EVENT_READ:
                self._reading.select()
            elif is_waiting:
                self._wait(event)
            event, is_waiting = selectors.EVENT_READ, True
            with self._lock, suppress(ssl.SSLWantReadError):
                try:
                    while len(parts) < READ_RECORDS:
                        parts.append(self._tls.recv(READ_BYTES))
                        if len(parts[-1]) < READ_BYTES and not self._tls.pending():
                            break
                except ssl.SSLWantWriteError:
                    event = selectors.EVENT_WRITE
            if parts:
                return b"".join(parts)

    def _holds_nothing(self) -> bool:
        """Return whether all that has arrived of the latest record was read, so that only the socket has more."""
        with self._lock:
            return not self._tls.pending()

    def end(self) -> None:
        """End the connection; the reading thread gets the end and then closes it."""
        with suppress(OSError):
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the descriptor. Another connection may get it, so that no thread may read any more."""
        self._reading.close()
        self._tls.close()

    def _wait(self, event: int, timeout: float | None = None) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._tls, event)
            return bool(selector.select(timeout))


def connect(
    url: Secret, context: ssl.SSLContext, is_up: Callable[[], bool] = lambda: True
) -> tuple[DynoConnection, bytes]:
    """Return a connection to the dyno, and what it has sent already. Raises AttachFailed.

    is_up: returns whether the dyno has booted.
    """
    if (address := attach_address(url)) is None:
        scheme = re.match(r"[a-z]{1,20}(?=://)|", url.reveal())[0]  # type: ignore[index]  # it always matches
        reason = ", as to all dynos of Private Spaces and of the Fir generation" if scheme == "https" else ""
        raise AttachFailed(f"Heroku offers an unsupported kind of connection ({scheme}://) to this dyno{reason}.")
    host, port, secret = address
    try:
        deadline = time.monotonic() + CONNECT_TIMEOUT
        plain = socket.create_connection((host, port), CONNECT_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(max(deadline - time.monotonic(), 0.1))
        tls = context.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        raise AttachFailed(
            f"Port {port} of {host} cannot be reached ({error.strerror or type(error).__name__}). "
            "Many networks block it: allow outgoing connections to it, or run without --warm."
        ) from None
    try:
        tls.settimeout(GREETING_LOOK)
        tls.sendall(f"{secret.reveal()}\r\n".encode())
        rest = _read_greeting(tls, is_up)
    except OSError as error:
        tls.close()
        raise AttachFailed(f"The dyno did not answer ({error.strerror or type(error).__name__}).") from None
    except BaseException:
        tls.close()
        raise
    return DynoConnection(tls), rest


def _read_greeting(tls: ssl.SSLSocket, is_up: Callable[[], bool]) -> bytes:
    received, began, up_at = b"", time.monotonic(), None
    while b"\n" not in received:
        try:
            data = tls.recv(4096)
        except TimeoutError:
            now = time.monotonic()
            up_at = up_at or (now - GREETING_LOOK if is_up() else None)
            if now >= (began + LONGEST_BOOT if up_at is None else up_at + GREETING_TIMEOUT):
                raise
            continue
        received += data
        if not data or len(received) > MAX_GREETING + 4096:
            break
    greeting, _, rest = received.partition(b"\n")
    if greeting.strip() != b"rendezvous":
        raise AttachFailed("The connection to the dyno was closed before the dyno answered.")
    return rest
