"""Any response becomes data or one error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.api import rest
from heroku_magic.api.resources import App, LogSession
from heroku_magic.errors import ApiError, InvalidOptions, NotFound, RateLimited, Unreachable
from heroku_magic.text.secret import Secret

JSON = {"Content-Type": "application/json"}


def test_unknown_fields_of_a_response_are_ignored():
    assert rest.data(200, JSON, b'{"id":"1","name":"x","new":{}}', App) == App("1", "x")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":1,"name":"x"}', b'{"name":"x"}'])
def test_a_body_of_another_shape_is_an_error(body):
    with pytest.raises(Unreachable):
        rest.data(200, JSON, body, App)


def test_the_url_of_a_log_session_is_a_secret_and_must_be_a_string():
    body = b'{"id":"1","logplex_url":"https://x/y"}'

    assert rest.data(201, JSON, body, LogSession).logplex_url.reveal() == "https://x/y"
    with pytest.raises(Unreachable):
        rest.data(201, JSON, b'{"id":"1","logplex_url":7}', LogSession)


def test_an_error_says_what_is_missing():
    error = rest.error(404, JSON, b'{"id":"not_found","message":"Couldn\'t find that app.","resource":"app"}')

    assert isinstance(error, NotFound)
    assert (error.id, error.resource, str(error)) == ("not_found", "app", "Couldn't find that app.")


def test_an_app_that_is_not_found_is_named():
    missing = b'{"id":"not_found","message":"Couldn\'t find that app.","resource":"app"}'
    error = rest.error(404, JSON, missing, url="/apps/my%20shop/dynos?x=1")
    assert (
        str(error)
        == "There is no app my shop, or this account has no access to it. %heroku apps lists the account's apps."
    )
    assert error.said == "Couldn't find that app."
    other = b'{"id":"not_found","message":"Couldn\'t find that dyno.","resource":"dyno"}'
    assert str(rest.error(404, JSON, other, url="/apps/shop/dynos/x")) == "Couldn't find that dyno."


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (403, "suspended", "Heroku has suspended the account or the app"),
        (403, "device_trust_required", "run `heroku login` in a terminal"),
        (403, "forbidden", "If the app belongs to a team, ask one of its admins"),
        (422, "verification_required", "Heroku asks for a payment method"),
    ],
)
def test_a_refusal_has_the_remedy_of_its_cause(status, kind, remedy):
    error = rest.error(status, JSON, json.dumps({"id": kind, "message": "No."}).encode())
    assert str(error).startswith("No. ")
    assert remedy in str(error)
    assert ("scope" in str(error)) == (kind == "forbidden")


def test_a_body_that_is_nested_without_end_does_not_come_from_the_api():
    body = b"[" * 100_000
    assert isinstance(rest.error(500, JSON, body), Unreachable)
    with pytest.raises(Unreachable):
        rest.data(200, JSON, body, Any)


def test_a_rate_limit_error_has_its_waiting_time():
    error = rest.error(429, {**JSON, "Retry-After": "7"}, b'{"id":"rate_limit","message":"m"}')

    assert isinstance(error, RateLimited)
    assert error.retry_after == 7.0


def test_a_hostile_message_is_harmless_and_short():
    error = rest.error(422, JSON, b'{"id":"x","message":"\\u001b[31m' + b"y" * 5000 + b'"}')

    assert "\x1b" not in str(error)
    assert len(str(error)) < 1000


@given(st.integers(300, 599), st.binary())
def test_any_unsuccessful_response_is_an_api_error(status, body):
    assert isinstance(rest.error(status, JSON, body), ApiError)


@pytest.mark.parametrize("name", ["a/b", "../x", "a?b", "a#b", "ü"])
def test_a_path_part_stays_one_part(name):
    path = rest.path("apps", name, "dynos")

    assert path.count("/") == 3
    assert path.isascii()
    assert "?" not in path


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_invalid_name_is_rejected(name):
    with pytest.raises(InvalidOptions, match="not a valid name"):
        rest.path("apps", name)


@pytest.mark.parametrize(
    ("listed", "is_it"),
    [
        ("HRKU-AAsecret-1234", True),
        ("HRKU-AA**********1234", True),
        ("HRKU-AA**********9999", False),
        ("HRKU-BB**********1234", False),
        ("**********", False),
        ("HRKU-AAsecret-12345", False),
    ],
)
def test_a_token_is_recognized_in_a_list_that_hides_its_middle(listed, is_it):
    assert rest.is_listed_as(Secret("HRKU-AAsecret-1234"), Secret(listed)) is is_it
