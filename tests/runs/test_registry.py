"""lookups: one request answers for all runs of an app."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from heroku_magic.runs import registry


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


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(registry, "_dynos", {})
    return Client()


def test_one_request_answers_for_all_that_ask_about_an_earlier_moment(client):
    before = time.monotonic()
    assert [registry.dynos_since(client, "app", before) for _ in range(3)] == [{"a"}] * 3
    assert client.asked == 1


def test_nobody_asks_again_too_early_nor_trusts_an_answer_that_is_too_old(client, monkeypatch):
    registry.dynos_since(client, "app", time.monotonic())
    client.ids = []
    assert registry.dynos_since(client, "app", time.monotonic()) is None
    assert registry.dynos_since(client, "other", time.monotonic()) == set()
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 0.0)
    assert registry.dynos_since(client, "app", time.monotonic()) == set()
    assert client.asked == 3


def test_an_account_with_few_requests_left_is_asked_more_rarely(client, monkeypatch):
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 0.0)
    registry.dynos_since(client, "app", time.monotonic())
    client.requests_left = 100

    assert registry.dynos_since(client, "app", time.monotonic()) is None
    assert client.asked == 1
