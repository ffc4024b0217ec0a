"""The token comes from a login, the environment, netrc or the Heroku CLI, and is never shown."""

from __future__ import annotations

import os
import time
import traceback

import pytest

from heroku_magic.accounts.tokens import Kept, NoToken, end_of, find_token, forget, forget_cli, is_kept, keep
from heroku_magic.errors import SettingsError
from heroku_magic.text.secret import Secret

URL = "https://api.heroku.com"


pytestmark = pytest.mark.usefixtures("elsewhere")


def test_the_environments_token_comes_first(home, monkeypatch, elsewhere):
    write_netrc(home, "machine api.heroku.com login me password from-netrc")
    assert find_token("https://api.heroku.com") == (Secret("from-netrc"), "netrc")

    monkeypatch.setenv("HEROKU_API_KEY", "from-environment")
    assert find_token("https://api.heroku.com") == (Secret("from-environment"), "HEROKU_API_KEY")


def test_netrc_is_searched_for_the_api_host_with_or_without_its_port(home):
    write_netrc(home, "machine 127.0.0.1:5000 login me password with-port\ndefault login any password other")

    assert find_token("http://127.0.0.1:5000")[0] == Secret("with-port")
    with pytest.raises(SettingsError, match="HEROKU_API_KEY"):
        find_token("http://127.0.0.1:5001")


def test_an_invalid_netrc_is_named_and_not_quoted(home):
    write_netrc(home, "machine api.heroku.com login me pass wörd-secret")

    with pytest.raises(SettingsError, match="cannot be read as netrc") as caught:
        find_token("https://api.heroku.com")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_netrc_that_is_no_text_is_named(home):
    write_netrc(home, "")
    (home / ".netrc").write_bytes(b"\xff\xfemachine api.heroku.com")

    with pytest.raises(SettingsError, match=r"netrc cannot be read as netrc\. Correct it, or set HEROKU_API_KEY\."):
        find_token(URL)


def test_the_environment_may_name_another_netrc(home, monkeypatch):
    write_netrc(home, "machine api.heroku.com login me password from-home")
    (home / "other").write_text("machine api.heroku.com login me password from-other\n")

    monkeypatch.setenv("NETRC", "~/other")
    assert find_token(URL) == (Secret("from-other"), "netrc")


@pytest.mark.usefixtures("processes")
def test_the_cli_is_called_silently_and_only_for_herokus_host(elsewhere, monkeypatch):
    tools = elsewhere / "tools"
    tools.mkdir()
    cli = tools / "heroku"
    cli.write_text('#!/bin/sh\necho "$DISABLE_TELEMETRY-$HEROKU_SKIP_NEW_VERSION_CHECK-$1"\n')
    cli.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    forget_cli()

    assert find_token("https://api.heroku.com") == (Secret("true-true-auth:token"), "heroku auth:token")
    with pytest.raises(SettingsError):
        find_token("https://api.herokudev.com")
    forget_cli()


def test_a_cli_in_the_current_folder_is_never_run(elsewhere, monkeypatch):
    cli = elsewhere / "heroku"
    cli.write_text("#!/bin/sh\necho stolen\n")
    cli.chmod(0o755)
    forget_cli()
    for path in (".", str(elsewhere)):
        monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
        with pytest.raises(SettingsError):
            find_token("https://api.heroku.com")
        forget_cli()


@pytest.mark.usefixtures("processes")
def test_a_later_cli_login_is_found_without_a_kernel_restart(elsewhere, monkeypatch):
    tools = elsewhere / "tools"
    tools.mkdir()
    cli = tools / "heroku"
    cli.write_text("#!/bin/sh\ntest -f logged-in && echo one || exit 1\n".replace("logged-in", str(tools / "in")))
    cli.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    forget_cli()
    with pytest.raises(NoToken):
        find_token(URL)
    (tools / "in").touch()
    assert find_token(URL) == (Secret("one"), "heroku auth:token")

    (tools / "in").unlink()
    assert find_token(URL)[1] == "heroku auth:token", "the CLI is called once"
    forget_cli()
    with pytest.raises(NoToken):
        find_token(URL)


@pytest.mark.parametrize("text", ["wörd-hunter2", "two hunter2", "line\nhunter2", "\x00hunter2"])
def test_text_that_cannot_be_a_header_is_refused_as_a_token_and_not_shown(monkeypatch, text):
    monkeypatch.setattr("os.environ", {**os.environ, "HEROKU_API_KEY": text})
    with pytest.raises(SettingsError, match="The value of HEROKU_API_KEY is not a valid token") as caught:
        find_token(URL)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_token_of_a_login_comes_first_until_logout(monkeypatch):
    monkeypatch.setenv("HEROKU_API_KEY", "from-environment")
    keep(URL, Kept(Secret("kept"), "the login of this notebook"))
    assert is_kept(URL)
    assert find_token(URL) == (Secret("kept"), "the login of this notebook")
    assert find_token("http://127.0.0.1:5000")[0] == Secret("from-environment"), "of this host alone"

    assert forget(URL).token == Secret("kept")
    assert find_token(URL)[1] == "HEROKU_API_KEY"
    assert forget(URL) is None


def test_an_expired_token_is_not_sent():
    keep(URL, Kept(Secret("kept"), "%heroku login (identity)", time.time() - 1))
    try:
        with pytest.raises(SettingsError, match=r"from %heroku login \(identity\) expired at .*\. Log in again"):
            find_token(URL)
        assert end_of(URL) < time.time()
    finally:
        forget(URL)


def test_a_missing_token_reports_how_to_log_in(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    forget_cli()
    with pytest.raises(NoToken, match="%heroku login"):
        find_token(URL)
    forget_cli()


def write_netrc(home, text):
    path = home / ".netrc"
    path.write_text(text + "\n")
    path.chmod(0o600)
