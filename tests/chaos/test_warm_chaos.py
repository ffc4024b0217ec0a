"""Calls on warm dynos under random faults of their connections: no wrong value, no hang, no dyno left, no lost name."""

from __future__ import annotations

import pytest
from chaos import table
from warm_chaos import rounds

pytestmark = pytest.mark.chaos


def test_each_warm_call_is_exact_or_an_error_that_names_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEROKU_HOST", "")
    monkeypatch.setenv("HEROKU_API_KEY", "")
    outcomes = rounds(3, 4)
    print(table(outcomes))
    assert [one for one in outcomes if one.kind in {"WRONG", "hung", "left", "unnamed"}] == []
    assert any(one.kind == "exact" for one in outcomes)
