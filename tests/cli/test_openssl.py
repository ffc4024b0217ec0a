"""A client of attached dynos that knows nothing of Heroku: `openssl s_client`, and bytes."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit

import pytest
from official import PATIENCE

pytestmark = pytest.mark.cli("openssl s_client")


@pytest.mark.parametrize(
    ("command", "more", "sent", "got"),
    [
        ("cat; echo end", {"force_no_tty": True}, b"one\ntwo\x04", b"one\ntwoend\n"),
        ("echo out; echo err >&2", {"force_no_tty": True}, b"", b"out\nerr\n"),
        ("cat", {}, b"one\n\x04", b"one\r\none\r\n"),
        ("stty size", {"env": {"COLUMNS": 91, "LINES": 33}}, b"", b"33 91\r\n"),
    ],
)
def test_bytes_pass_both_ways_until_the_dyno_ends(platform, command, more, sent, got):
    address = urlsplit(platform.create("tools", command, attach=True, **more)["attach_url"])
    trust = ("-verify_return_error", "-CAfile", platform.exports["NODE_EXTRA_CA_CERTS"])
    done = subprocess.run(
        ["openssl", "s_client", "-quiet", *trust, "-connect", address.netloc],
        input=address.path.removeprefix("/").encode() + b"\r\n" + sent,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == b"rendezvous\r\n" + got, done.stderr
