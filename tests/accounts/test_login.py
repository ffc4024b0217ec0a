"""Login finds or requests a token, checks it and creates a narrower one, which logout or the end of the process revokes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

from heroku_magic import InvalidOptions, SettingsError, account, connect, login, logout
from heroku_magic.accounts.leftovers import token_description
from heroku_magic.accounts.tokens import forget
from heroku_magic.errors import Forbidden, Unauthorized, Unreachable


@pytest.fixture
def platform(platform, monkeypatch):
    """Return an account whose token is not in the environment."""
    monkeypatch.delenv("HEROKU_API_KEY")
    yield platform
    forget(platform.url)


@pytest.fixture
def logged_in(platform, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", platform.token)
    return platform


@pytest.fixture
def typed(monkeypatch):
    """Return a list of the inputs that the user types at the prompt."""
    texts = []
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: texts.append(prompt) or texts.pop(0))
    return texts


def test_the_token_in_the_environment_is_found_and_its_source_is_named(logged_in):
    done = login()
    assert done.source == "HEROKU_API_KEY"
    assert done.email == "notebook@embedded.invalid"
    assert logged_in.token not in repr(done)


def test_without_a_token_the_user_is_prompted_and_the_token_is_kept(platform, typed):
    typed.append(platform.token)
    done = login()
    assert done.source == "the login of this notebook"
    assert account().email == "notebook@embedded.invalid"
    assert typed == ["API key: "]

    assert logout() is None
    with pytest.raises(SettingsError, match="%heroku login"):
        account()


def test_without_a_token_or_a_prompt_the_error_names_the_variable_to_set(platform):
    with pytest.raises(SettingsError, match="Set HEROKU_API_KEY before the kernel starts"):
        login()


def test_a_rejected_token_is_reported_and_another_one_is_requested(platform, typed, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", "long-gone")
    typed.append(platform.token)
    assert login().source == "the login of this notebook"
    assert typed == ["The token from HEROKU_API_KEY was rejected: it is wrong, expired or revoked. API key: "]


def test_a_rejected_typed_token_is_not_kept(platform, typed):
    typed.append("wrong")
    with pytest.raises(Unauthorized, match=r"wrong, expired or revoked: .* let %heroku login ask for another one"):
        login()
    with pytest.raises(SettingsError):
        account()


def test_a_token_of_limited_scope_is_used_and_revoked(logged_in):
    done = login(scope=["identity", "read"], expires=3600)
    assert done.scope == ("identity", "read")
    assert done.source == "a token with the scope identity, read, created with the token from HEROKU_API_KEY"
    assert account().email == "notebook@embedded.invalid"
    with pytest.raises(Forbidden, match="may not do this: use one with the necessary scope"):
        account().create("too-much")
    narrow = account().client

    assert logout() == "HEROKU_API_KEY"
    with pytest.raises(Unauthorized):
        narrow.account()
    assert [one.description for one in account().client.authorizations()] == ["embedded Heroku"]


def test_the_expiry_of_a_limited_token_is_checked_before_a_run(logged_in, monkeypatch):
    account().create("shop")
    login(scope=["identity", "read", "write"], expires=600)
    messages = []
    heroku = connect("shop", say=messages.append)
    warning = heroku._planner.preflight.check(3600)
    assert "expires at" in warning
    assert heroku._planner.preflight.check(60) is None


@pytest.mark.parametrize("options", [{"scope": "global"}, {"expires": 0}, {"expires": -5}, {"expires": 1.5}])
def test_a_scope_that_is_one_text_and_a_lifetime_that_is_no_number_of_seconds_are_refused(logged_in, options):
    ((name, given),) = options.items()
    with pytest.raises(InvalidOptions, match=f"^{name} is {given!r}: expected"):
        login(**options)
    assert len(account().client.authorizations()) == 1


def test_a_limited_token_cannot_create_another_token(logged_in, monkeypatch):
    token = narrow("identity")
    monkeypatch.setenv("HEROKU_API_KEY", token)
    assert login().source == "HEROKU_API_KEY"
    with pytest.raises(Forbidden, match="Only a token with the scope global can create others") as caught:
        login(scope=["read"], expires=600)
    assert token not in str(caught.value)


def test_a_token_that_may_not_read_its_owner_is_reported(logged_in, monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", narrow("read"))
    with pytest.raises(
        Forbidden, match="The token from HEROKU_API_KEY is valid, but its scope does not show whose it is"
    ):
        login()


@pytest.mark.parametrize("way", ["expired", "revoked"])
def test_an_expired_token_is_reported_where_no_prompt_is_possible(logged_in, monkeypatch, way):
    client = account().client
    authorization = client.authorize("of a test", ["identity"], 1 if way == "expired" else 60)
    monkeypatch.setenv("HEROKU_API_KEY", authorization.access_token.token.reveal())
    if way == "revoked":
        client.revoke(authorization.id)
    else:
        time.sleep(1.1)
    with pytest.raises(SettingsError, match="The token from HEROKU_API_KEY was rejected: it is wrong, expired or"):
        login()


def test_a_token_is_not_revoked_while_runs_need_it(embedded_heroku, monkeypatch, tmp_path):
    (tmp_path / "Procfile").write_text("task: sleep 60")
    running = embedded_heroku("--app", f"shop={tmp_path}")
    monkeypatch.setenv("HEROKU_HOST", running.url)
    monkeypatch.setenv("HEROKU_API_KEY", running.token)
    monkeypatch.chdir(tmp_path)
    login(scope=["identity", "write-protected"], expires=600)
    run = connect("shop").submit()
    for verb in (logout, login):
        with pytest.raises(SettingsError, match=f"The token is still needed for {run.id}"):
            verb()
    run.cancel()
    assert run.wait(40)
    assert logout() == "HEROKU_API_KEY"


def test_dynos_are_stopped_before_their_token_is_revoked(embedded_heroku, tmp_path):
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


def test_a_failed_revocation_is_reported_with_the_expiry_of_the_token(api, monkeypatch):
    scripted_login(api, monkeypatch)
    for _ in range(4):
        api.hang_up()
    with pytest.raises(Unreachable, match=r"it could not be revoked: .* It expires at \d\d:\d\d on"):
        logout()
    assert logout() == "HEROKU_API_KEY", "it is forgotten all the same"


def test_a_revocation_with_a_lost_response_is_not_an_error(api, monkeypatch):
    scripted_login(api, monkeypatch)
    api.hang_up()
    api.answer(404, {"id": "not_found", "message": "Couldn't find that authorization."})
    assert logout() == "HEROKU_API_KEY"


def test_a_token_with_a_lost_response_is_found_by_its_description_and_revoked(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    api.answer(200, {"email": "me@example.com"})
    api.hang_up()
    api.answer(200, [{"id": "others", "description": "CI"}, {"id": "lost", "description": token_description()}])
    api.answer(200, {})
    with pytest.raises(Unreachable):
        login(scope=["read"])
    assert [path for method, path, *_ in api.requests if method == "DELETE"] == ["/oauth/authorizations/lost"]


def scripted_login(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    api.answer(200, {"email": "me@example.com"})
    api.answer(201, {"id": "made", "access_token": {"token": "narrow", "expires_in": 600}})
    login(scope=["read"], expires=600)


def narrow(scope):
    """Create a token with one scope."""
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


def test_the_token_is_revoked_when_the_process_ends(logged_in):
    done = in_a_process("import heroku_magic; heroku_magic.login(scope=['read'], expires=600)")
    assert done.returncode == 0, done.stderr
    assert len(account().client.authorizations()) == 1


def test_the_tokens_of_a_crashed_process_are_found_and_revoked(logged_in):
    in_a_process("import heroku_magic, os; heroku_magic.login(scope=['read'], expires=600); os._exit(9)")
    left = account().leftovers()
    assert len(left.tokens) == 1
    (line,) = account().remove_leftovers()
    assert line.startswith("Revoked the token of heroku_magic on ")
    assert account().leftovers().tokens == []


def test_a_required_second_factor_is_reported_with_the_command_to_run(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "good")
    api.answer(403, {"id": "two_factor", "message": "A second authentication factor or pre-authorization is required."})
    with pytest.raises(Forbidden, match="`heroku login`"):
        login()


def test_the_expiry_of_a_token_that_heroku_lists_partly_hidden_is_checked_before_a_run(logged_in, monkeypatch):
    account().create("shop")
    monkeypatch.setenv("HEROKU_API_KEY", narrow("global"))
    heroku = connect("shop", say=lambda _: None)
    assert "expires at" in heroku._planner.preflight.check(3600)
    assert heroku._planner.preflight.check(60) is None


@pytest.mark.parametrize("answer", ["", "  ", None])
def test_login_without_a_token_leaves_cells_on_the_embedded_heroku(answer, start_shell, elsewhere, monkeypatch, capsys):
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: answer is not None)
    monkeypatch.setattr("getpass.getpass", lambda prompt: answer)
    shell = start_shell()

    assert shell.run_cell("%heroku login").success
    assert capsys.readouterr().out == "No token. Cells run on the embedded Heroku.\n"
    monkeypatch.setenv("HEROKU_HOST", "http://127.0.0.1:9")
    assert not shell.run_cell("%heroku login").success
