"""Runs under random faults with fixed seeds: no wrong result, no hang, no dyno left."""

from __future__ import annotations

import pytest
from chaos import rounds, table

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("seed", range(1, 5))
def test_each_run_is_exact_or_fails_with_a_true_error(seed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEROKU_HOST", "")
    monkeypatch.setenv("HEROKU_API_KEY", "")
    outcomes = rounds(3, seed)
    print(table(outcomes))
    assert [outcome for outcome in outcomes if outcome.kind in {"WRONG", "hung", "left"}] == []
    assert any(outcome.kind == "exact" for outcome in outcomes)
