"""estimates: what runs would take and cost, as far as it is known, and nothing guessed."""

from __future__ import annotations

import pytest

from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.cost import Estimate


def order(**options):
    return RunSpec("shop", "shop", "simulate", "simulate", {}, **options)


def test_what_was_never_measured_has_a_price_a_second_and_a_bound():
    said = str(Estimate(order(size="standard-1x", timeout=3600), combinations=100, at_once=50))
    assert said == (
        "100 runs of simulate on shop (standard-1x), 50 at once. How long a run takes is not known: none of this task "
        "was seen in this process yet. At list price (of 2026-11-23): $9.6e-06 a second of a run, $3.472 if each runs "
        "into its limit. Nothing was started."
    )


def test_what_was_measured_is_multiplied():
    made = Estimate(order(size="standard-1x"), combinations=100, at_once=20, measured=12.0)
    assert made.seconds == 5 * 12.0
    assert made.dollars == pytest.approx(100 * 12 * 25 / 2_592_000)
    assert "A run took 12.0 s so far, so that is about 1.0 min. At list price (of 2026-11-23): about $0.01157" in str(
        made
    )


def test_dynos_start_no_faster_than_the_quota_lets_them():
    made = Estimate(order(), combinations=10_000, at_once=50, measured=0.1, requests_left=4500)
    assert made.seconds == pytest.approx((10_000 - 4300) / 1.25)
    assert Estimate(order(), 10_000, chunk=100, at_once=50, measured=0.1).seconds == pytest.approx(20.0)


def test_what_has_no_price_in_dollars_is_told_and_not_guessed():
    assert "about 0.33 hours on the account's pool" in str(Estimate(order(size="eco"), 100, measured=12.0))
    assert "not known: a contract's" in str(Estimate(order(size="private-s"), 2))
    assert "depends on the size" in str(Estimate(order(), 2))
    assert "free" in str(Estimate(order(is_local=True), 2))
    assert [Estimate(order(size=size), 2, measured=1.0).dollars for size in ("eco", "private-s", None)] == [None] * 3


def test_own_prices_count():
    assert Estimate(order(size="private-s", prices={"private-s": 2_592_000}), 3, measured=2.0).dollars == 6.0


def test_a_budget_refuses_what_was_measured_to_cost_more():
    made = Estimate(order(size="standard-1x"), combinations=100, measured=12.0)
    assert made.refuses(0.02) is None
    assert made.refuses(0.01) == ("100 runs of simulate would cost about $0.01157, more than the $0.01 of --max-cost.")
    assert Estimate(order(size="standard-1x"), combinations=100).refuses(1e-9) is None


def test_chunks_are_told_as_dynos():
    assert "10,000 runs of simulate in 100 dynos on shop" in str(Estimate(order(), 10_000, chunk=100))
    assert "as many in a dyno as its boot is worth" in str(Estimate(order(), 10_000, chunk=0))
    assert Estimate(order(), 10_001, chunk=100).dynos == 101
    assert Estimate(order(), 10_000, chunk=0).dynos is None


def test_what_shares_a_dyno_runs_one_after_another():
    assert Estimate(order(), 150, chunk=100, at_once=50, measured=0.1).seconds == pytest.approx(10.0)
    assert Estimate(order(), 3, chunk=100, at_once=50, measured=0.1).seconds == pytest.approx(0.3)


def test_a_budget_refuses_chunks_only_by_what_their_dynos_take_at_least():
    made = Estimate(order(size="standard-1x"), combinations=100, chunk=50, measured=12.0)
    assert made.refuses(0.001) is None, "the boots may be most of it"
    assert made.refuses(0.0001).startswith("100 runs of simulate in 2 dynos would cost at least $0.0002315, more than")
    assert Estimate(order(size="standard-1x"), 100, chunk=0, measured=12.0).refuses(0.001) is None
