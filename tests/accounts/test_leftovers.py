"""leftovers: what a process that is gone left is known by its mark; what lives, or is elsewhere, is not touched."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.accounts import leftovers

pytestmark = pytest.mark.usefixtures("processes")


def made_by_another_process(function):
    program = f"from heroku_magic.accounts import leftovers; print(leftovers.{function}())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_marks_of_this_process_are_not_left_over():
    assert not leftovers.is_leftover_token(leftovers.token_description())
    assert not leftovers.is_leftover_app(leftovers.temporary_app_name())


def test_marks_of_a_process_that_is_gone_are_left_over():
    assert leftovers.is_leftover_token(made_by_another_process("token_description"))
    assert leftovers.is_leftover_app(made_by_another_process("temporary_app_name"))


def test_marks_of_another_machine_are_nobodys_business(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    monkeypatch.setattr("platform.node", lambda: "another machine")
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)
    assert leftovers.is_app_of_other_machine(app)


def test_marks_of_another_container_of_the_same_name_are_nobodys_business(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    monkeypatch.setattr("pathlib.Path.readlink", lambda path: "pid:[1]")
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)


def test_where_processes_cannot_be_looked_at_nothing_is_left_over(monkeypatch):
    app = made_by_another_process("temporary_app_name")
    monkeypatch.setattr("os.kill", lambda *_: pytest.fail("on Windows this interrupts the process"))
    monkeypatch.setattr("heroku_magic.accounts.leftovers.CAN_CHECK", False)
    assert not leftovers.is_leftover_app(app)


def test_a_name_is_one_that_heroku_takes():
    name = leftovers.temporary_app_name()
    assert 3 <= len(name) <= 30
    assert name.replace("-", "").isalnum()
    assert leftovers.temporary_app_name() != name


@given(st.text() | st.from_regex(r"hm-temp-[0-9a-f-]{1,20}", fullmatch=True))
def test_what_others_named_is_never_left_over(text):
    assert not leftovers.is_leftover_token(text)
    assert not leftovers.is_leftover_app(text) or text.startswith(leftovers.temporary_app_name()[:14])
    assert not leftovers.is_app_of_other_machine(text) or text.startswith("hm-temp-")
