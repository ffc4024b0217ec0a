"""The status of an account shows every fact that the token may read."""

from __future__ import annotations

import pytest

from heroku_magic import account, connect, login, logout
from heroku_magic.accounts.apps import Leftovers, describe_drains
from heroku_magic.api.resources import Authorization


@pytest.fixture
def platform(platform):
    """Return an account with one app."""
    account().create("shop")
    yield platform
    logout()


def test_the_status_lists_the_facts_about_an_account(platform):
    facts = account().status()
    assert facts["API"] == f"{platform.url} as notebook@embedded.invalid"
    assert facts["token"] == "HEROKU_API_KEY"
    assert facts["apps"] == "1 (at most 100 of its own)"
    assert facts["requests left"].endswith(" of 4500 this hour")
    assert facts["leftovers"] == "none"
    assert platform.token not in str(facts)


def test_a_token_of_limited_scope_hides_only_what_it_may_not_read(platform):
    login(scope=["read"], expires=600)
    facts = connect("shop").status()
    assert facts["API"] == "unknown: the token's scope does not allow reading them"
    assert facts["leftovers"] == "tokens: unknown, because the scope of this token does not allow listing them"
    assert facts["our dynos"] == facts["log drains"] == "none"
    assert facts["apps"] == "1 (at most 100 of its own)"
    assert facts["token"].startswith("%heroku login (read) until ")


def test_drains_are_counted_and_their_content_is_described():
    assert describe_drains(0) == "none"
    assert describe_drains(1) == "1: what tasks print, including rows, also goes to it"
    assert describe_drains(2) == "2: what tasks print, including rows, also goes to them"


def test_leftovers_are_listed_with_the_command_that_removes_them():
    token = Authorization(id="1", description="heroku_magic on \x1b[31mhost (012345), process 7")
    described = str(Leftovers(["hm-temp-a"], [token], ["hm-temp-b"]))
    assert described == (
        "hm-temp-a, token of heroku_magic on host (012345), process 7 (%heroku destroy --leftovers removes them); "
        "of other machines, perhaps in use: hm-temp-b (%heroku destroy NAME --confirm NAME)"
    )
    assert str(Leftovers([], [], [])) == "none"
