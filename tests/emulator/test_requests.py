"""Bodies of requests: accepted or refused, and nothing else can happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.emulator.errors import ErrorResponse
from heroku_magic.emulator.web.requests import config_changes, dyno_request, json_object, log_session

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.sampled_from("ab1 \0\udc00\u00e4"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aB_-.", max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["command", "env", "size", "type", "time_to_live", "attach", "force_no_tty", "dyno", "lines", "tail", "source", "x"]
)


def answer(read, given_body):
    """What a reader makes of a body: its value, or the error that is answered."""
    try:
        return read(given_body)
    except ErrorResponse as error:
        return error


@pytest.mark.large
@pytest.mark.parametrize("read", [dyno_request, log_session, config_changes])
@given(body=st.dictionaries(names, anything, max_size=4))
def test_any_body_is_accepted_or_an_error_below_500(read, body):
    found = answer(read, body)
    if isinstance(found, ErrorResponse):
        assert 400 <= found.status_code < 500
        assert set(found.body) == {"id", "message"}


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_a_400(body):
    found = answer(json_object, body)
    assert isinstance(found, dict) or found.status_code == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Require params: command"),
        ({"command": ""}, "command"),
        ({"command": "x", "attach": "yes"}, "attach"),
        ({"command": "x", "size": "huge"}, "No such dyno size"),
        ({"command": "x", "time_to_live": 0}, "time_to_live"),
        ({"command": "x", "time_to_live": 86_401}, "time_to_live"),
        ({"command": "x", "time_to_live": True}, "time_to_live"),
        ({"command": "x", "type": "a b"}, "type"),
        ({"command": "x", "env": []}, "env"),
        ({"command": "x", "env": {"A-B": "1"}}, "A-B"),
        ({"command": "x", "env": {"A": None}}, "A"),
        ({"command": "x", "env": {"A": "\0"}}, "NUL"),
        ({"command": "x\udc00"}, "Unicode"),
        ({"command": "x" * 140_000}, "too long"),
        ({"command": "x", "comand": "y"}, "comand"),
    ],
)
def test_an_invalid_parameter_is_refused_by_name(body, said):
    with pytest.raises(ErrorResponse) as caught:
        dyno_request(body)
    assert caught.value.status_code == 422
    assert said in caught.value.body["message"]


def test_a_request_with_all_parameters_is_accepted():
    order = dyno_request(
        {
            "command": "task #hm-1",
            "attach": False,
            "env": {"COLUMNS": 91, "S": "ä"},
            "size": "performance-l",
            "type": "run",
            "time_to_live": "60",
            "force_no_tty": None,
        }
    )
    assert order.env == {"COLUMNS": "91", "S": "ä"}
    assert (order.size, order.time_to_live) == ("Performance-L", 60)
