"""credentials: login finds a token or asks, checks it, makes a narrower one; logout and the process's end take it back."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

from heroku_magic import SettingsError, account, connect, login, logout
from heroku_magic.accounts.leftovers import token_description
from heroku_magic.accounts.tokens import forget
from heroku_magic.errors import Forbidden, Unauthorized, Unreachable


@pytest.fixture
def platform(platform, monkeypatch):
    """An account whose token the environment does not hold."""
    monkeypatch.delenv("HEROKU_API_KEY")
    yield platform
    forget(platform.url)


@pytest.fixture
def logged_in(platform, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", platform.token)
    return platform


@pytest.fixture
def typed(monkeypatch):
    """What the user types at the prompt."""
    texts = []
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
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
    assert done.source == "a token of the scope identity, read, made with the one of HEROKU_API_KEY"
    assert account().email == "notebook@embedded.invalid"
    with pytest.raises(Forbidden, match="may not do this: use one with the necessary scope"):
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
    warning = heroku._planner.preflight.check(3600)
    assert "expires at" in warning
    assert heroku._planner.preflight.check(60) is None


def test_a_narrow_token_makes_no_other(logged_in, monkeypatch):
    token = narrow("identity")
    monkeypatch.setenv("HEROKU_API_KEY", token)
    assert login().source == "HEROKU_API_KEY"
    with pytest.raises(Forbidden, match="Only a token of the scope global makes others") as caught:
        login(scope=["read"], expires=600)
    assert token not in str(caught.value)


def test_a_token_too_narrow_to_tell_whose_it_is_is_said(logged_in, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", narrow("read"))
    with pytest.raises(Forbidden, match="The token of HEROKU_API_KEY is good, but too narrow to tell whose it is"):
        login()


@pytest.mark.parametrize("way", ["expired", "revoked"])
def test_a_token_that_has_ended_is_said_where_nobody_can_be_asked(logged_in, monkeypatch, way):
    client = account().client
    made = client.authorize("of a test", ["identity"], 1 if way == "expired" else 60)
    monkeypatch.setenv("HEROKU_API_KEY", made.access_token.token.reveal())
    if way == "revoked":
        client.revoke(made.id)
    else:
        time.sleep(1.1)
    with pytest.raises(SettingsError, match="The token of HEROKU_API_KEY is not accepted: it is wrong, expired or"):
        login()


def test_a_token_that_runs_need_is_not_revoked_under_them(embedded_heroku, monkeypatch, tmp_path):
    (tmp_path / "Procfile").write_text("task: sleep 60")
    running = embedded_heroku("--app", f"shop={tmp_path}")
    monkeypatch.setenv("HEROKU_HOST", running.url)
    monkeypatch.setenv("HEROKU_API_KEY", running.token)
    monkeypatch.chdir(tmp_path)
    login(scope=["identity", "write-protected"], expires=600)
    run = connect("shop").submit()
    for verb in (logout, login):
        with pytest.raises(SettingsError, match=f"{run.id} would be out of reach"):
            verb()
    run.cancel()
    assert run.wait(40)
    assert logout() == "HEROKU_API_KEY"


def test_dynos_are_stopped_before_the_token_is_revoked_that_stops_them(embedded_heroku, tmp_path):
    (tmp_path / "Procfile").write_text("task: sleep 60")
    running = embedded_heroku("--app", f"shop={tmp_path}", "--time", "grace=0.5")
    program = """
        import heroku_magic
        heroku = heroku_magic.connect("shop")
        heroku_magic.login(scope=["identity", "write-protected"], expires=600)
        run = heroku_magic.connect("shop").submit(command="sleep 60")
        run.wait_for_dyno(20)
    """
    done = in_a_process(program, HEROKU_HOST=running.url, HEROKU_API_KEY=running.token)
    assert done.returncode == 0, done.stderr
    assert "was stopped" in done.stderr
    assert "may still" not in done.stderr


def test_a_token_that_cannot_be_revoked_is_said_with_its_end(api, monkeypatch):
    scripted_login(api, monkeypatch)
    for _ in range(4):
        api.hang_up()
    with pytest.raises(Unreachable, match=r"it could not be revoked: .* It ends by itself at \d\d:\d\d on"):
        logout()
    assert logout() == "HEROKU_API_KEY", "it is forgotten all the same"


def test_a_revocation_whose_answer_was_lost_is_no_error(api, monkeypatch):
    scripted_login(api, monkeypatch)
    api.hang_up()
    api.answer(404, {"id": "not_found", "message": "Couldn't find that authorization."})
    assert logout() == "HEROKU_API_KEY"


def test_a_token_whose_answer_was_lost_is_revoked_by_its_mark(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    api.answer(200, {"email": "me@example.com"})
    api.hang_up()
    api.answer(200, [{"id": "others", "description": "CI"}, {"id": "lost", "description": token_description()}])
    api.answer(200, {})
    with pytest.raises(Unreachable):
        login(scope=["read"])
    assert [path for method, path, *_ in api.asked if method == "DELETE"] == ["/oauth/authorizations/lost"]


def scripted_login(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    api.answer(200, {"email": "me@example.com"})
    api.answer(201, {"id": "made", "access_token": {"token": "narrow", "expires_in": 600}})
    login(scope=["read"], expires=600)


def narrow(scope):
    """A token of one scope."""
    return account().client.authorize("of a test", [scope], 600).access_token.token.reveal()


def in_a_process(program, **environ):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environ},
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
    assert line.startswith("Revoked the token of heroku_magic on ")
    assert account().leftovers().tokens == []


def test_a_second_factor_is_asked_for_in_words(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    api.answer(403, {"id": "two_factor", "message": "A second authentication factor or pre-authorization is required."})
    with pytest.raises(Forbidden, match="`heroku login`"):
        login()


def test_the_end_of_a_token_that_lists_show_in_part_is_known_before_a_run(logged_in, monkeypatch):
    account().create("shop")
    monkeypatch.setenv("HEROKU_API_KEY", narrow("global"))
    heroku = connect("shop", say=lambda _: None)
    assert "expires at" in heroku._planner.preflight.check(3600)
    assert heroku._planner.preflight.check(60) is None
