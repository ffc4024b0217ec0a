"""The processes of a warm dyno, as the one that owns its connection sees them."""

from __future__ import annotations

import socket

from heroku_magic.bundle.remote.parents import ParentProcess


def test_what_a_process_says_is_read_once_and_without_waiting():
    ours, theirs = socket.socketpair()
    parent = ParentProcess(0, ours)
    theirs.sendall(b"pid=7\n")
    assert parent.read() == b"pid=7\n"
    assert parent.read() is None
    theirs.close()
    assert parent.read() == b""
    ours.close()
    assert parent.read() == b""
