"""Apps are listed, created and destroyed, on Heroku and on the embedded Heroku, even if a response is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heroku_magic import InvalidOptions, SettingsError, account, connect
from heroku_magic.accounts.tokens import forget
from heroku_magic.errors import Interrupted, NotFound, Refused, Unreachable

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def platform(platform):
    yield platform
    forget(platform.url)


@pytest.fixture
def scripted(api, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", api.url)
    monkeypatch.setenv("HEROKU_API_KEY", "token-of-mine")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    return api


@pytest.fixture
def shell(start_shell):
    return start_shell()


def test_an_app_is_created_listed_and_destroyed(platform):
    app = account().create("shop", region="eu", stack="heroku-22")
    assert (app.name, app.region.name, app.stack.name) == ("shop", "eu", "heroku-22")
    assert [one.name for one in account().apps()] == ["shop"]
    assert account().client.formation("shop") == [], "nothing runs, nothing is billed"

    with pytest.raises(InvalidOptions, match="%heroku destroy shop --confirm shop"):
        account().destroy("shop", confirm="")
    account().destroy("shop", confirm="shop")
    assert account().apps() == []


def test_an_app_without_a_name_gets_one(platform):
    app = account().create()
    assert account().client.app(app.name).id == app.id


def test_a_connection_creates_apps_in_its_own_account(platform):
    account().create("first")
    heroku = connect("first").create("second")
    assert heroku.app_name == "second"
    assert heroku.config() == []
    heroku.destroy(confirm="second")
    assert [one.name for one in account().apps()] == ["first"]


@pytest.mark.parametrize("name", ["", "a", "9lives", "UPPER", "under_score", "x" * 31, "ends-", "../apps"])
def test_an_invalid_name_is_refused_before_any_request(scripted, name):
    with pytest.raises(InvalidOptions, match="Use 3 to 30 lowercase letters"):
        account().create(name)
    assert scripted.requests == []


def test_a_name_that_is_taken_is_reported(platform):
    account().create("shop")
    with pytest.raises(Refused, match=r"Name is already taken\. .* If the app is yours: %heroku use shop"):
        account().create("shop")


def test_an_unverified_account_is_told_where_to_verify(scripted):
    scripted.answer(422, {"id": "verification_needed", "message": "Please verify your account."})
    with pytest.raises(Refused, match=r"Please verify your account\. .*https://dashboard\.heroku\.com/account/billing"):
        account().create("shop")


def test_an_account_at_its_app_limit_is_reported(platform):
    for number in range(100):
        account().create(f"shop-{number}")
    with pytest.raises(
        Refused, match=r"reached the limit of 100 apps .* %heroku destroy NAME --confirm NAME makes room"
    ):
        account().create("one-more")


def test_an_app_is_found_by_name_when_the_response_to_its_creation_is_lost(scripted):
    scripted.hang_up()
    scripted.answer(200, {"id": "1", "name": "shop"})
    assert account().create("shop").name == "shop"
    assert [(method, path) for method, path, *_ in scripted.requests] == [("POST", "/apps"), ("GET", "/apps/shop")]


def test_an_app_that_existed_before_is_not_mistaken_for_the_requested_one(scripted):
    scripted.hang_up()
    scripted.answer(200, {"id": "1", "name": "shop", "slug_size": 4_000_000})
    with pytest.raises(Refused, match="The app shop already exists and has code"):
        account().create("shop")


def test_a_destroy_with_a_lost_response_is_not_an_error(scripted):
    scripted.answer(200, {"id": "1", "name": "shop"})
    scripted.hang_up()
    scripted.answer(404, {"id": "not_found", "message": "Couldn't find that app."})
    account().destroy("shop", confirm="shop")
    assert [method for method, *_ in scripted.requests] == ["GET", "DELETE", "DELETE"]


def test_a_destroy_without_any_response_has_an_unknown_outcome(scripted):
    scripted.answer(200, {"id": "1", "name": "shop"})
    for _ in range(4):
        scripted.hang_up()
    with pytest.raises(
        Unreachable, match=r"It is not known whether shop was destroyed\. If not, %heroku apps lists it"
    ):
        account().destroy("shop", confirm="shop")


def test_a_missing_app_is_reported(platform):
    with pytest.raises(NotFound, match="There is no app shop, or this account has no access to it"):
        account().destroy("shop", confirm="shop")


def test_a_create_that_never_arrived_reports_that_nothing_was_created(scripted):
    scripted.hang_up()
    scripted.answer(404, {"id": "not_found", "message": "Couldn't find that app.", "resource": "app"})
    with pytest.raises(Unreachable, match="No app shop was created"):
        account().create("shop")


def test_a_lost_create_without_a_name_reports_where_to_look(scripted):
    scripted.hang_up()
    with pytest.raises(Unreachable, match="may have been created anyway"):
        account().create()
    assert len(scripted.requests) == 1, "the create is never repeated"


@pytest.mark.usefixtures("processes")
def test_without_a_token_the_embedded_herokus_account_is_used(shell, capsys):
    shell.run_cell("%heroku create shop")
    assert "on the embedded Heroku, for as long as this kernel lives" in capsys.readouterr().out
    heroku = connect("shop")
    assert heroku.app_name == "shop (embedded)"
    assert heroku.settings.is_local
    assert "shop" in [app.name for app in account().apps()]
    shell.run_cell("%heroku destroy shop --confirm shop")
    with pytest.raises(SettingsError, match="There is no token"):
        connect("shop")


def test_a_host_without_a_token_is_an_error_and_not_the_embedded_heroku(scripted, monkeypatch):
    monkeypatch.delenv("HEROKU_API_KEY")
    with pytest.raises(SettingsError, match="There is no token"):
        account()


def test_only_the_leftovers_of_a_crash_are_found_and_destroyed(platform):
    program = "import heroku_magic; from heroku_magic.accounts.leftovers import temporary_app_name; heroku_magic.account().create(temporary_app_name())"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    account().create("hm-temp-other")
    account().create("shop")
    (left,) = account().leftovers().apps
    assert left in connect("shop").status()["leftovers"]

    assert list(account().remove_leftovers()) == [f"Destroyed {left}."]
    assert sorted(app.name for app in account().apps()) == ["hm-temp-other", "shop"]
    assert connect("shop").status()["leftovers"] == "none"


def test_the_account_verbs_print_messages_and_tables(platform, shell, capsys):
    shell.run_cell("%heroku login\n%heroku create shop --region eu\napps = %heroku apps\n%heroku status")
    out = capsys.readouterr().out
    assert "Logged in to 127.0.0.1" in out
    assert "Cells run on shop from now on." in out
    assert "log drains     none" in out
    apps = shell.user_ns["apps"]
    assert apps["app"].tolist() == ["shop"]
    assert apps["region"].tolist() == ["eu"]
    shell.run_cell("%heroku use shop\n%heroku destroy shop --confirm shop\n%heroku logout")
    out = capsys.readouterr().out
    assert "Destroyed shop." in out
    assert "The token from HEROKU_API_KEY is still used" in out
    assert isinstance(shell.run_cell("%heroku use shop").error_in_exec, NotFound)
    assert platform.token not in out


def test_the_list_of_drains_hides_urls(scripted):
    scripted.answer(200, [{"id": "1", "url": "syslog://secret@host", "token": "d.1"}] * 2)
    assert account().client.log_drains("shop") == 2


@pytest.mark.parametrize("line", ["create shop", "destroy shop --confirm shop"])
def test_an_interrupt_reports_that_the_outcome_is_unknown(scripted, shell, monkeypatch, line):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("requests.Session.request", interrupt)
    error = shell.run_cell(f"%heroku {line}").error_in_exec
    assert isinstance(error, Interrupted)
    assert str(error).startswith("Heroku may have carried out the request anyway. Check with %heroku apps")
