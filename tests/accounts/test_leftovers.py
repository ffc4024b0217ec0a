"""The leftovers of a dead process are recognised by their tag; those of other processes and machines are kept."""

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


def test_the_tag_of_this_process_is_not_a_leftover():
    assert not leftovers.is_leftover_token(leftovers.token_description())
    assert not leftovers.is_leftover_app(leftovers.temporary_app_name())


def test_the_tag_of_a_dead_process_is_a_leftover():
    assert leftovers.is_leftover_token(made_by_another_process("token_description"))
    assert leftovers.is_leftover_app(made_by_another_process("temporary_app_name"))


def test_the_tag_of_another_machine_is_not_a_leftover(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    monkeypatch.setattr("platform.node", lambda: "another machine")
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)
    assert leftovers.is_app_of_other_machine(app)


def test_the_tag_of_another_container_with_the_same_host_name_is_not_a_leftover(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    monkeypatch.setattr("pathlib.Path.readlink", lambda path: "pid:[1]")
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)


def test_where_processes_cannot_be_inspected_nothing_is_a_leftover(monkeypatch):
    app = made_by_another_process("temporary_app_name")
    monkeypatch.setattr("os.kill", lambda *_: pytest.fail("on Windows this interrupts the process"))
    monkeypatch.setattr("heroku_magic.accounts.leftovers.CAN_CHECK", False)
    assert not leftovers.is_leftover_app(app)


def test_a_generated_name_is_a_valid_app_name():
    name = leftovers.temporary_app_name()
    assert 3 <= len(name) <= 30
    assert name.replace("-", "").isalnum()
    assert leftovers.temporary_app_name() != name


@given(st.text() | st.from_regex(r"hm-temp-[0-9a-f-]{1,20}", fullmatch=True))
def test_a_name_without_a_tag_is_never_a_leftover(text):
    assert not leftovers.is_leftover_token(text)
    assert not leftovers.is_leftover_app(text) or text.startswith(leftovers.temporary_app_name()[:14])
    assert not leftovers.is_app_of_other_machine(text) or text.startswith("hm-temp-")
