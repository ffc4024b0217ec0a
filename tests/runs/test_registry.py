"""One request for an app's dynos serves all runs."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from heroku_magic.errors import Unreachable
from heroku_magic.runs import registry


def no_thread(_):
    raise RuntimeError("can't create new thread at interpreter shutdown")  # as from Python 3.12 on


class Client:
    """A client that counts."""

    base_url = "http://127.0.0.1:1"

    def __init__(self):
        self.asked = 0
        self.requests_left = 4500
        self.ids = ["a"]

    def dynos(self, app):
        self.asked += 1
        return [SimpleNamespace(id=each) for each in self.ids]


def ids(dynos):
    return [dyno.id for dyno in dynos]


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(registry, "_dynos", {})
    return Client()


def test_one_request_serves_all_lookups_of_an_earlier_moment(client):
    before = time.monotonic()
    assert [ids(registry.dynos_since(client, "app", before)) for _ in range(3)] == [["a"]] * 3
    assert client.asked == 1


def test_lookups_are_neither_repeated_too_early_nor_outdated(client, monkeypatch):
    registry.dynos_since(client, "app", time.monotonic())
    client.ids = []
    assert registry.dynos_since(client, "app", time.monotonic()) is None
    assert registry.dynos_since(client, "other", time.monotonic()) == []
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 0.0)
    assert registry.dynos_since(client, "app", time.monotonic()) == []
    assert client.asked == 3


def test_lookups_are_rarer_when_few_requests_are_left(client, monkeypatch):
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 0.0)
    registry.dynos_since(client, "app", time.monotonic())
    client.requests_left = 100

    assert registry.dynos_since(client, "app", time.monotonic()) is None
    assert client.asked == 1


def test_a_lookup_that_failed_is_not_repeated_at_once_by_every_run(client, monkeypatch):
    monkeypatch.setattr(client, "dynos", broken)
    with pytest.raises(Unreachable):
        registry.dynos_since(client, "app", time.monotonic())

    assert registry.dynos_since(client, "app", time.monotonic()) is None


def broken(_):
    raise Unreachable("no connection")


def test_an_api_that_hangs_holds_up_no_other_run(client, monkeypatch):
    hangs = threading.Event()
    monkeypatch.setattr(client, "dynos", lambda _: hangs.wait(20) and [])
    waiting = threading.Thread(target=registry.dynos_since, args=(client, "app", time.monotonic()))
    waiting.start()
    while not registry._dynos:
        time.sleep(0.01)

    assert registry.dynos_since(client, "app", time.monotonic()) is None
    assert registry.dynos_since(Client(), "other", time.monotonic())
    hangs.set()
    waiting.join()


@pytest.mark.parametrize("limit", [5, 0])
def test_dynos_that_are_left_are_looked_for_while_python_exits(monkeypatch, capsys, limit):
    looked = []

    class Watched:
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def is_settled(self):
            return self.name == "settled"

        def check(self):
            looked.append(self.name)
            if self.error:
                raise self.error

        def leftover_message(self):
            return "" if self.name in looked and not self.error else f"{self.name} may still be running."

    found = {name: Watched(name) for name in ("stopped", "settled")}
    monkeypatch.setattr(registry, "_watched", {"lost": Watched("lost", Unreachable("no network")), **found})
    monkeypatch.setattr(registry, "_runs", {})
    monkeypatch.setattr(registry, "_is_ending", threading.Event())
    monkeypatch.setattr(registry, "STOP_TIMEOUT", limit)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    registry._stop_all()
    assert looked == (["lost", "stopped"] if limit else [])
    said = ["heroku_magic: lost may still be running."]
    assert capsys.readouterr().err.splitlines() == said + ([] if limit else [said[0].replace("lost", "stopped")])
