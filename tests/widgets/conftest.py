"""Forms whose runs end when a test decides."""

from __future__ import annotations

import pytest
from fakes import SIMULATE, Runs

from heroku_magic.runs.options import SweepOptions
from heroku_magic.widgets import Form
from heroku_magic.widgets.form import FormBackend


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def make(runs):
    def make(values=None, *, task=SIMULATE, submit=None, each=None, secrets=(), **options):
        backend = {name: options.pop(name) for name in ("price", "find_source") if name in options}
        return Form(
            task,
            values or {},
            FormBackend(submit or runs, **backend),
            each=each,
            secrets=secrets,
            sweep_options=SweepOptions(**options),
        )

    return make
