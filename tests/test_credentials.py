"""credentials: login finds a token or asks, checks it, makes a narrower one; logout and the process's end take it back."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from heroku_magic import SettingsError, account, connect, login, logout
from heroku_magic.errors import Forbidden, Unauthorized
from heroku_magic.tokens import forget

pytest_plugins = ["heroku_magic.emulator.pytest"]


@pytest.fixture
def platform(embedded_heroku, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    running = embedded_heroku()
    monkeypatch.setenv("HEROKU_HOST", running.url)
    yield running
    forget(running.url)


@pytest.fixture
def logged_in(platform, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", platform.token)
    return platform


@pytest.fixture
def typed(monkeypatch):
    """What the user types at the prompt."""
    texts = []
    monkeypatch.setattr("heroku_magic.asking._can_ask", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: texts.append(prompt) or texts.pop(0))
    return texts


def test_the_token_of_the_environment_is_found_and_named(logged_in):
    done = login()
    assert done.source == "HEROKU_API_KEY"
    assert done.email == "notebook@embedded.invalid"
    assert logged_in.token not in repr(done)


def test_without_a_token_the_user_is_asked_and_used_from_then_on(platform, typed):
    typed.append(platform.token)
    done = login()
    assert done.source == "the login of this notebook"
    assert account().email == "notebook@embedded.invalid"
    assert typed == ["API key: "]

    assert logout() is None
    with pytest.raises(SettingsError, match="%heroku login"):
        account()


def test_without_a_token_and_nobody_to_ask_it_says_what_to_set(platform):
    with pytest.raises(SettingsError, match="Set HEROKU_API_KEY before the kernel starts"):
        login()


def test_a_token_that_is_not_accepted_is_named_and_another_one_asked_for(platform, typed, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", "long-gone")
    typed.append(platform.token)
    assert login().source == "the login of this notebook"
    assert typed == ["The token of HEROKU_API_KEY is not accepted: it is wrong, expired or revoked. API key: "]


def test_what_was_typed_wrong_is_not_kept(platform, typed):
    typed.append("wrong")
    with pytest.raises(Unauthorized, match=r"wrong, expired or revoked: .* let %heroku login ask for another one"):
        login()
    with pytest.raises(SettingsError):
        account()


def test_a_narrow_token_is_used_and_revoked(logged_in):
    done = login(scope=["identity", "read"], expires=3600)
    assert done.scope == ("identity", "read")
    assert account().email == "notebook@embedded.invalid"
    with pytest.raises(Forbidden, match="has no right to do this: use one with the scope it needs"):
        account().create("too-much")
    narrow = account().client

    assert logout() == "HEROKU_API_KEY"
    with pytest.raises(Unauthorized):
        narrow.account()
    assert [one.description for one in account().client.authorizations()] == ["embedded Heroku"]


def test_the_end_of_a_narrow_token_is_known_before_a_run(logged_in, monkeypatch):
    account().create("shop")
    login(scope=["identity", "read", "write"], expires=600)
    said = []
    heroku = connect("shop", say=said.append)
    warning = heroku._preflight.check(3600)
    assert "expires at" in warning
    assert heroku._preflight.check(60) is None


def test_a_narrow_token_makes_no_other(logged_in, monkeypatch):
    login(scope=["identity"], expires=600)
    token = account().client._transport.token
    logout_before = forget(logged_in.url)
    assert logout_before.token == token
    monkeypatch.setenv("HEROKU_API_KEY", token.reveal())
    with pytest.raises(Forbidden, match="Only a token of the scope global makes others") as caught:
        login(scope=["read"], expires=600)
    assert token.reveal() not in str(caught.value)


def in_a_process(program):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_process_ends_and_so_does_its_token(logged_in):
    done = in_a_process("import heroku_magic; heroku_magic.login(scope=['read'], expires=600)")
    assert done.returncode == 0, done.stderr
    assert len(account().client.authorizations()) == 1


def test_what_a_crash_left_is_found_and_taken_away(logged_in):
    in_a_process("import heroku_magic, os; heroku_magic.login(scope=['read'], expires=600); os._exit(9)")
    left = account().leftovers()
    assert len(left.tokens) == 1
    (line,) = account().remove_leftovers()
    assert line.startswith("token (heroku_magic on ")
    assert line.endswith(" revoked")
    assert account().leftovers().tokens == []


def test_a_second_factor_is_asked_for_in_words(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    api.answer(403, {"id": "two_factor", "message": "A second authentication factor or pre-authorization is required."})
    with pytest.raises(Forbidden, match="`heroku login`"):
        login()
