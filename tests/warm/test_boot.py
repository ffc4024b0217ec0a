"""A boot tells when it is over, and when any call may have its dyno."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from heroku_magic.warm.boot import Boot


def test_a_dyno_that_is_let_go_after_its_boot_is_looked_at_once_more():
    seen, is_over = [], threading.Event()
    dyno = SimpleNamespace(release=lambda: seen.append("released"))

    def make(boot):
        boot.dyno = dyno
        return dyno

    def note_end():
        seen.append("end")
        is_over.set()

    boot = Boot(make, note_end).start()
    assert is_over.wait(10)
    assert seen == ["end"]
    boot.let_go()
    assert seen == ["end", "released", "end"]
