"""The hidden prompt returns a Secret; where no prompt is possible, the error names the alternative."""

from __future__ import annotations

import getpass
import sys

import pexpect
import pytest

from heroku_magic.accounts.secret_sources import ask
from heroku_magic.errors import Interrupted, SettingsError


def test_a_terminal_prompts_without_showing_the_input():
    program = (
        "from heroku_magic.accounts.secret_sources import ask; print('got', len(ask('Token', instead='').reveal()))"
    )
    child = pexpect.spawn(sys.executable, ["-c", program], encoding="utf-8", timeout=20)
    child.expect("Token: ")
    child.sendline("hunter2")
    child.expect("got 7")
    assert "hunter2" not in child.before


def test_without_a_terminal_the_error_names_the_alternative(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with pytest.raises(SettingsError, match=r"No prompt is possible here\. Set HEROKU_API_KEY\."):
        ask("Token", instead="Set HEROKU_API_KEY.")


def test_a_kernel_whose_front_end_has_no_prompt_says_so(monkeypatch):
    from IPython.core.error import StdinNotImplementedError

    def refuse(prompt):
        raise StdinNotImplementedError(prompt)

    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr(getpass, "getpass", refuse)
    with pytest.raises(SettingsError, match=r"^Value of KEY: no prompt is possible here\. Set it\.$"):
        ask("Value of KEY", instead="Set it.")


@pytest.mark.parametrize("typed", ["", "  "])
def test_empty_input_is_an_error(monkeypatch, typed):
    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: typed)
    with pytest.raises(SettingsError, match=r"nothing was typed\. Set it\."):
        ask("Token", instead="Set it.")


def test_an_interrupted_prompt_says_that_nothing_was_changed(monkeypatch):
    def interrupt(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr(getpass, "getpass", interrupt)
    with pytest.raises(Interrupted, match=r"^Value of KEY: nothing was typed, so nothing was changed or started\.$"):
        ask("Value of KEY", instead="Set it.")


def test_a_front_end_without_prompts_shows_no_traceback(monkeypatch):
    def refuse(prompt):
        raise RuntimeError("raw_input was called, but this frontend does not support input requests")

    monkeypatch.setattr("heroku_magic.accounts.secret_sources._can_ask", lambda: True)
    monkeypatch.setattr(getpass, "getpass", refuse)
    with pytest.raises(SettingsError, match=r"RuntimeError\. Set it\.") as caught:
        ask("Token", instead="Set it.")
    assert caught.value.__context__ is None
