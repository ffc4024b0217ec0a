"""Done-callbacks are called whatever they do, and even if no thread can be started for them."""

from __future__ import annotations

import threading

import pytest

from heroku_magic.runs.callbacks import call_in_turn


@pytest.mark.parametrize("is_exiting", [False, True])
def test_callbacks_are_called_in_order_and_an_error_is_reported(monkeypatch, is_exiting):
    called, reported, ended = [], [], threading.Event()

    def no_thread(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")  # as from Python 3.12 on

    monkeypatch.setattr(threading, "excepthook", lambda failure: reported.append(failure.exc_type))
    if is_exiting:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
    call_in_turn([lambda: called.append(1), lambda: 1 / 0, lambda: called.append(2), ended.set])
    assert ended.wait(10)
    assert called == [1, 2]
    assert reported == [ZeroDivisionError]
