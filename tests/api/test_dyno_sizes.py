"""List prices are charged per second, and unknown prices are not guessed."""

from __future__ import annotations

import pytest

from heroku_magic.api.dyno_sizes import DYNO_SIZES, dollars, memory_bytes
from heroku_magic.emulator.sizes import SIZES as EMULATED_SIZES


def test_a_month_costs_the_monthly_price():
    assert dollars("Standard-1X", 720 * 3600) == pytest.approx(25)
    assert dollars("performance-m", 3600) == pytest.approx(250 / 720)


@pytest.mark.parametrize("size", ["Eco", "Private-S", "nonsense"])
def test_an_unknown_price_is_not_guessed(size):
    assert dollars(size, 10) is None


def test_the_embedded_heroku_has_the_same_prices_limits_and_memory():
    priced = {name: size for name, size in DYNO_SIZES.items() if size.dollars_per_month is not None}

    assert {name: size.most_at_once for name, size in DYNO_SIZES.items()} == {
        name: size.one_offs for name, size in EMULATED_SIZES.items()
    }
    assert {name: memory_bytes(name) for name in DYNO_SIZES} == {
        name: size.quota for name, size in EMULATED_SIZES.items()
    }
    assert {name: size.dollars_per_month for name, size in priced.items()} == {
        name: size.cents / 100 for name, size in EMULATED_SIZES.items() if name in priced
    }
