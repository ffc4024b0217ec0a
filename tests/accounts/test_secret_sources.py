"""A secret comes from the environment, the keyring or a hidden prompt, and is a Secret from the start."""

from __future__ import annotations

import sys
import types

import pytest

from heroku_magic.accounts.secret_sources import SERVICE, find
from heroku_magic.errors import SettingsError
from heroku_magic.text.secret import Secret


@pytest.fixture
def ring(monkeypatch):
    """Replace the keyring package by one that contains what the test stores."""
    held = {}

    class KeyringError(Exception):
        pass

    def get_password(service, name):
        if "locked" in held:
            raise KeyringError
        if "broken" in held:
            raise TypeError
        return held.get((service, name))

    keyring = types.ModuleType("keyring")
    keyring.get_password = get_password
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = KeyringError
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return held


@pytest.fixture
def prompt(monkeypatch):
    prompts = []
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda text: prompts.append(text) or "typed")
    return prompts


def test_the_environment_comes_first(monkeypatch, ring, prompt):
    monkeypatch.setenv("API_PASSWORD", "from the environment")
    ring[SERVICE, "API_PASSWORD"] = "from the keyring"
    assert find("API_PASSWORD") == Secret("from the environment")
    assert prompt == []


def test_the_keyring_comes_second(ring, prompt):
    ring[SERVICE, "API_PASSWORD"] = "from the keyring"
    assert find("API_PASSWORD") == Secret("from the keyring")
    assert prompt == []


@pytest.mark.parametrize("state", ["empty", "locked", "broken", "no keyring"])
def test_the_prompt_comes_last(ring, prompt, monkeypatch, state):
    if state in {"locked", "broken"}:
        ring[state] = True
    if state == "no keyring":
        monkeypatch.setitem(sys.modules, "keyring", None)
    assert find("API_PASSWORD") == Secret("typed")
    assert prompt == ["Value of API_PASSWORD: "]


@pytest.mark.parametrize("value", [b"from the keyring", 12345678])
def test_what_a_keyring_returns_is_text_or_the_prompt_remains(ring, prompt, value):
    ring[SERVICE, "API_PASSWORD"] = value
    assert find("API_PASSWORD") == Secret("typed")
    with pytest.raises(SettingsError, match="API_PASSWORD is not in the keyring"):
        find("API_PASSWORD", "keyring")


def test_where_no_prompt_is_possible_the_error_names_all_sources(ring, monkeypatch):
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: False)
    with pytest.raises(SettingsError) as caught:
        find("API_PASSWORD")
    assert "environment variable API_PASSWORD" in str(caught.value)
    assert "keyring set heroku_magic API_PASSWORD" in str(caught.value)
