"""What is under way to a dyno is limited by a window that grows with each acknowledgement."""

from __future__ import annotations

import threading

import pytest

from heroku_magic.warm import send_window
from heroku_magic.warm.send_window import FIRST, MOST, FlowControl, SendWindow


def test_the_window_doubles_with_each_acknowledged_window_up_to_its_limit():
    window, total, sizes = SendWindow(FlowControl()), 0, []
    while not sizes or sizes[-1] < MOST:
        sizes.append(window.size)
        window.wait_for(window.size)
        window.sent(window.size)
        total += window.size
        window.acknowledge(total)
    assert sizes[:4] == [16_000, 32_000, 64_000, 128_000]
    assert sizes[-1] == window.size == MOST


def test_more_than_the_window_waits_for_an_acknowledgement():
    window, passed = SendWindow(FlowControl()), threading.Event()
    window.wait_for(FIRST)
    window.sent(FIRST)
    waiting = threading.Thread(target=lambda: [window.wait_for(1_000), passed.set()])
    waiting.start()
    assert not passed.wait(0.05)
    window.acknowledge(8_000)
    waiting.join(10)
    assert passed.is_set()


def test_without_an_acknowledgement_the_next_connections_keep_the_first_window(monkeypatch):
    monkeypatch.setattr(send_window, "PATIENCE", 0.05)
    flow = FlowControl()
    window = SendWindow(flow)
    window.sent(FIRST)
    with pytest.raises(TimeoutError, match="no acknowledgement for"):
        window.wait_for(FIRST)

    following = SendWindow(flow)
    following.sent(10 * FIRST)
    following.acknowledge(10 * FIRST)
    assert following.size == FIRST


def test_the_end_of_the_connection_ends_the_wait():
    window = SendWindow(FlowControl())
    window.sent(FIRST)
    window.close()
    with pytest.raises(OSError, match="closed"):
        window.wait_for(FIRST)
