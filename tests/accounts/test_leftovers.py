"""leftovers: what a process that is gone left is known by its mark; what lives, or is elsewhere, is not touched."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.accounts import leftovers


def made_by_another_process(function):
    program = f"from heroku_magic.accounts import leftovers; print(leftovers.{function}())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_marks_of_this_process_are_not_left_over():
    assert not leftovers.is_token_left(leftovers.token_mark())
    assert not leftovers.is_app_left(leftovers.app_mark())


def test_marks_of_a_process_that_is_gone_are_left_over():
    assert leftovers.is_token_left(made_by_another_process("token_mark"))
    assert leftovers.is_app_left(made_by_another_process("app_mark"))


def test_marks_of_another_machine_are_nobodys_business(monkeypatch):
    token, app = made_by_another_process("token_mark"), made_by_another_process("app_mark")
    monkeypatch.setattr("platform.node", lambda: "another machine")
    assert not leftovers.is_token_left(token)
    assert not leftovers.is_app_left(app)
    assert leftovers.is_app_of_elsewhere(app)


def test_marks_of_another_container_of_the_same_name_are_nobodys_business(monkeypatch):
    token, app = made_by_another_process("token_mark"), made_by_another_process("app_mark")
    monkeypatch.setattr("pathlib.Path.readlink", lambda path: "pid:[1]")
    assert not leftovers.is_token_left(token)
    assert not leftovers.is_app_left(app)


def test_where_processes_cannot_be_looked_at_nothing_is_left_over(monkeypatch):
    app = made_by_another_process("app_mark")
    monkeypatch.setattr("os.kill", lambda *_: pytest.fail("on Windows this interrupts the process"))
    monkeypatch.setattr("heroku_magic.accounts.leftovers.CAN_LOOK", False)
    assert not leftovers.is_app_left(app)


def test_a_name_is_one_that_heroku_takes():
    name = leftovers.app_mark()
    assert 3 <= len(name) <= 30
    assert name.replace("-", "").isalnum()
    assert leftovers.app_mark() != name


@given(st.text() | st.from_regex(r"hm-temp-[0-9a-f-]{1,20}", fullmatch=True))
def test_what_others_named_is_never_left_over(text):
    assert not leftovers.is_token_left(text)
    assert not leftovers.is_app_left(text) or text.startswith(leftovers.app_mark()[:14])
    assert not leftovers.is_app_of_elsewhere(text) or text.startswith("hm-temp-")
