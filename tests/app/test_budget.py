"""What a budget allows a run."""

from __future__ import annotations

from heroku_magic.app.budget import second_price, within_budget
from heroku_magic.runs.spec import RunSpec


def test_a_budget_that_pays_for_a_second_allows_one():
    """The quotient of the amounts is a little less than 301."""
    spec = RunSpec("shop", "shop", "task", "task", {}, size="basic", is_warm=True, prices={"basic": 4.61})
    assert within_budget(spec, second_price(spec) * 301, 300.0).timeout == 1
