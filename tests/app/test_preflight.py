"""An unreadable log or an expiring token is reported before a dyno is started."""

from __future__ import annotations

import pytest

from heroku_magic.api.client import HerokuClient
from heroku_magic.app.preflight import Preflight
from heroku_magic.errors import SettingsError
from heroku_magic.text.secret import Secret

APP = {"id": "1", "name": "shop"}


@pytest.fixture
def preflight(api):
    return Preflight(HerokuClient(api.url, Secret("mine")), "shop")


def tokens(**mine):
    return [{"access_token": {"token": "another", "expires_in": 1}}, {"access_token": {"token": "mine", **mine}}]


def test_an_app_of_the_fir_generation_is_refused(api, preflight):
    api.answer(200, {**APP, "generation": {"id": "2", "name": "fir"}})

    with pytest.raises(SettingsError, match=r"shop is of the Fir generation.*Use an app of the Cedar generation"):
        preflight.check(60)


def test_an_app_whose_log_goes_elsewhere_is_refused(api, preflight):
    api.answer(200, {**APP, "generation": {"name": "cedar"}, "space": {"shield": True}})

    with pytest.raises(SettingsError, match="shop is in a Shield space, whose log cannot be read through the API"):
        preflight.check(60)


def test_a_token_that_expires_before_the_run_is_reported_and_nothing_is_requested_twice(api, preflight):
    api.answer(200, APP)
    api.answer(200, tokens(expires_in=600))

    assert preflight.check(500) is None
    assert "Your token expires at" in preflight.check(700)
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("status", "answer"), [(200, tokens(expires_in=None)), (200, []), (403, {"id": "forbidden", "message": "No."})]
)
def test_a_token_without_an_expiry_or_the_scope_to_read_it_causes_no_warning(api, preflight, status, answer):
    api.answer(200, APP)
    api.answer(status, answer)

    assert preflight.check(86_400) is None
