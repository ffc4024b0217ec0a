"""Connections that cannot be made end soon, with the reason and a remedy."""

from __future__ import annotations

import socket
import ssl

import pytest

from heroku_magic.errors import AttachFailed
from heroku_magic.text.secret import Secret
from heroku_magic.warm import rendezvous
from heroku_magic.warm.rendezvous import DynoConnection, connect


def test_a_closed_port_is_named_and_the_secret_is_not():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(AttachFailed, match=f"Port {port} of 127.0.0.1 cannot be reached") as caught:
        connect(Secret(f"rendezvous://127.0.0.1:{port}/s3cret"), ssl.create_default_context())
    assert "s3cret" not in str(caught.value)
    assert "without --warm" in str(caught.value)


class Unread(socket.socket):
    """A connection whose other side reads nothing."""

    def send(self, data):
        try:
            return super().send(data)
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None


def test_a_connection_that_takes_nothing_more_is_an_error(monkeypatch):
    monkeypatch.setattr(rendezvous, "WRITE_TIMEOUT", 0.1)
    ours, theirs = socket.socketpair()
    connection = DynoConnection(Unread(fileno=ours.detach()))
    with theirs, pytest.raises(TimeoutError, match=r"nothing could be sent for 0\.1 s"):
        connection.send(bytes(10_000_000))
    connection.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ssh.example.com/s3cret", r"\(https://\).*Private Spaces"),
        ("gopher://h:5000/s3cret", r"unsupported .*\(gopher://\)"),
    ],
)
def test_another_kind_of_attach_url_is_refused_at_once(url, expected):
    with pytest.raises(AttachFailed, match=expected) as caught:
        connect(Secret(url), ssl.create_default_context())
    assert "s3cret" not in str(caught.value)


def test_a_server_without_tls_is_refused(api):
    port = api.url.rpartition(":")[2]
    with pytest.raises(AttachFailed, match="cannot be reached"):
        connect(Secret(f"rendezvous://127.0.0.1:{port}/s3cret"), ssl.create_default_context())


@pytest.mark.parametrize(
    "url",
    [
        "rendezvous://me@host.example:5000/s3cret",
        "rendezvous://host.example\\@evil.example:5000/s3cret",
        "rendezvous://\u017fsh.example:5000/s3cret",
        "rendezvous://host..example:5000/s3cret",
        "rendezvous://-host.example:5000/s3cret",
        "rendezvous://host.example.:5000/s3cret",
        "rendezvous://[::1]:5000/s3cret",
        "rendezvous://host.example:0/s3cret",
        "rendezvous://host.example:99999/s3cret",
        "rendezvous://host.example:\u0665000/s3cret",
        "rendezvous://host.example:5000/s3cret\r\nmore",
        "rendezvous://host.example/s3cret",
        "s3cret",
    ],
)
def test_an_attach_url_that_is_not_plain_is_not_opened(url, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(AttachFailed, match="an unsupported kind of connection") as caught:
        connect(Secret(url), ssl.create_default_context())
    assert "s3cret" not in str(caught.value)
