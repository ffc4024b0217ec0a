"""List prices are charged per second, and unknown prices are not guessed."""

from __future__ import annotations

import pytest

from heroku_magic.emulator.web.responses import dyno_size
from heroku_magic.platform_facts.dyno_sizes import (
    DOLLARS_PER_MONTH,
    DYNO_SIZES,
    dollars,
    memory_bytes,
    money,
    most_at_once,
)


def test_a_month_costs_the_monthly_price():
    assert dollars("Standard-1X", 720 * 3600) == pytest.approx(25)
    assert dollars("performance-m", 3600) == pytest.approx(250 / 720)


@pytest.mark.parametrize("size", ["Eco", "Private-S", "nonsense"])
def test_an_unknown_price_is_not_guessed(size):
    assert dollars(size, 10) is None


@pytest.mark.parametrize(("size", "cents", "gigabytes"), [("eco", 500, 0.5), ("performance-l-ram", 50_000, 30)])
def test_the_embedded_heroku_reports_the_prices_and_the_memory_that_are_counted(size, cents, gigabytes):
    reported = dyno_size(DYNO_SIZES[size])

    assert reported["cost"] == {"cents": cents, "unit": "month"}
    assert reported["memory"] == gigabytes
    assert memory_bytes(size) == gigabytes * 1024**3
    assert DOLLARS_PER_MONTH.get(size) == (None if size == "eco" else cents / 100)


@pytest.mark.parametrize(("size", "count"), [("Eco", 1), ("basic", 50), ("Performance-M", 5), ("private-s", 5)])
def test_a_size_limits_how_many_one_off_dynos_run_at_once(size, count):
    assert most_at_once(size) == count


@pytest.mark.parametrize(("amount", "text"), [(0.0999, "$0.10"), (0.0995, "$0.10"), (0.0994, "$0.099"), (0, "$0.00")])
def test_an_amount_has_two_digits_after_the_point_or_more(amount, text):
    assert money(amount) == text
