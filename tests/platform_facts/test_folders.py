"""Paths are read as a shell reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from heroku_magic import SettingsError, connect
from heroku_magic.platform_facts.folders import expanded


def test_a_tilde_is_the_home_folder_and_of_an_unknown_user_it_stays():
    assert expanded("~/worker") == Path.home() / "worker"
    assert expanded("~no-such-user/worker") == Path("~no-such-user/worker")


def test_a_folder_of_an_unknown_user_is_named_as_one_that_does_not_exist():
    with pytest.raises(SettingsError, match="~no-such-user/worker does not exist"):
        connect(worker="~no-such-user/worker")
