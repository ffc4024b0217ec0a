"""Forms over runs that end when a test says so."""

from __future__ import annotations

import pytest
from fakes import SIMULATE, Runs

from heroku_magic.widgets import Form


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def make(runs):
    def make(given=None, *, task=SIMULATE, **options):
        return Form(task, given or {}, runs, lambda: None, **options)

    return make
