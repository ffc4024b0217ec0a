"""List prices are charged per second, and unknown prices are not guessed."""

from __future__ import annotations

import pytest

from heroku_magic.emulator.web.responses import dyno_size
from heroku_magic.platform_facts.dyno_sizes import DOLLARS_PER_MONTH, DYNO_SIZES, dollars, memory_bytes


def test_a_month_costs_the_monthly_price():
    assert dollars("Standard-1X", 720 * 3600) == pytest.approx(25)
    assert dollars("performance-m", 3600) == pytest.approx(250 / 720)


@pytest.mark.parametrize("size", ["Eco", "Private-S", "nonsense"])
def test_an_unknown_price_is_not_guessed(size):
    assert dollars(size, 10) is None


def test_the_embedded_heroku_has_the_same_prices_limits_and_memory():
    reported = {name: dyno_size(size) for name, size in DYNO_SIZES.items()}

    for name, size in reported.items():
        assert size["name"].lower() == name
        assert size["memory"] * 1024**3 == memory_bytes(name)
        assert size["cost"] == {"cents": 100 * DYNO_SIZES[name].dollars, "unit": "month"}
    assert {name: size["cost"]["cents"] / 100 for name, size in reported.items() if name in DOLLARS_PER_MONTH} == (
        DOLLARS_PER_MONTH
    )
