"""The leftovers of a dead process are recognised by their tag; those of other processes and machines are kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.accounts import leftovers

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(autouse=True)
def fresh():
    leftovers._machine.cache_clear()
    yield
    leftovers._machine.cache_clear()


def pretend(monkeypatch, path, content):
    """Let one file of the system have another content."""
    read = Path.read_text
    monkeypatch.setattr(
        "pathlib.Path.read_text", lambda self, **options: content if str(self) == path else read(self, **options)
    )
    leftovers._machine.cache_clear()


def unreadable(*_, **__):
    raise PermissionError


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
    pretend(monkeypatch, "/etc/machine-id", "0" * 32)
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)
    assert leftovers.is_app_of_other_machine(app)


def test_the_tag_of_another_container_with_the_same_host_name_is_not_a_leftover(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    monkeypatch.setattr("pathlib.Path.readlink", lambda path: "pid:[1]")
    leftovers._machine.cache_clear()
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)


def test_the_tag_of_an_earlier_boot_or_of_a_clone_with_the_same_machine_id_is_not_a_leftover(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    pretend(monkeypatch, "/proc/sys/kernel/random/boot_id", "00000000-0000-4000-8000-000000000000")
    assert not leftovers.is_leftover_token(token)
    assert not leftovers.is_leftover_app(app)
    assert leftovers.is_app_of_other_machine(app)


def test_a_machine_that_changes_its_host_name_keeps_its_leftovers(monkeypatch):
    token, app = made_by_another_process("token_description"), made_by_another_process("temporary_app_name")
    monkeypatch.setattr("platform.node", lambda: "renamed")
    leftovers._machine.cache_clear()
    assert leftovers.is_leftover_token(token)
    assert leftovers.is_leftover_app(app)


def test_a_machine_that_cannot_be_identified_has_no_leftovers(monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", unreadable)
    leftovers._machine.cache_clear()
    mine = leftovers._machine()
    leftovers._machine.cache_clear()
    assert leftovers._machine() != mine


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
