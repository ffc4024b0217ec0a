"""The examples in the docstrings of heroku_magic.sweeps run."""

from __future__ import annotations

import doctest
import importlib

import pytest

pytestmark = pytest.mark.usefixtures("processes")


@pytest.mark.parametrize("name", ["cost", "executor", "grid", "sweep"])
def test_the_examples_in_the_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(importlib.import_module(f"heroku_magic.sweeps.{name}"))
    assert failed == 0
    assert tried >= 2
