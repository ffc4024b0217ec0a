"""Fixtures of the tests of deploys."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_other_python(monkeypatch):
    """No Python but this one is installed, so that checks start no process."""
    monkeypatch.setattr("heroku_magic.deploy.syntax.shutil.which", lambda name: None)
