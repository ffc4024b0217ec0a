"""List prices are charged per second, and unknown prices are not guessed."""

from __future__ import annotations

import pytest

from heroku_magic.api.dyno_sizes import dollars


def test_a_month_costs_the_monthly_price():
    assert dollars("Standard-1X", 720 * 3600) == pytest.approx(25)
    assert dollars("performance-m", 3600) == pytest.approx(250 / 720)


@pytest.mark.parametrize("size", ["Eco", "Private-S", "nonsense"])
def test_an_unknown_price_is_not_guessed(size):
    assert dollars(size, 10) is None
