"""Tests of heroku_magic.sweeps.cost."""

from __future__ import annotations

import pytest

from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps.cost import Estimate


def order(**options):
    return RunSpec("shop", "shop", "simulate", "simulate", {}, **options)


def test_without_a_measured_run_the_estimate_has_a_price_per_second_and_an_upper_bound():
    text = str(Estimate(order(size="standard-1x", timeout=3600), combinations=100, at_once=50))
    assert text == (
        "100 runs of simulate on shop (standard-1x), 50 at once. The duration is unknown: this "
        "process has not run the task yet. At list price (as of 2026-11-23): $9.6e-06 per second of a run, $3.472 if "
        "every run reaches its time limit. Nothing was started."
    )


def test_the_measured_time_of_a_run_is_multiplied():
    estimate = Estimate(order(size="standard-1x"), combinations=100, at_once=20, measured=12.0)
    assert estimate.seconds == 5 * 12.0
    assert estimate.dollars == pytest.approx(100 * 12 * 25 / 2_592_000)
    assert (
        "A run took 12.0 s so far, so this takes about 1.0 min. At list price (as of 2026-11-23): about $0.01157"
        in str(estimate)
    )


def test_no_amount_is_written_with_an_exponent():
    assert "about $0.000009645. Nothing" in str(Estimate(order(size="standard-1x"), measured=1.0))
    spec = order(size="private-s", prices={"private-s": 2_592_000})
    refusal = "would cost about $30,000.00, more than the $20,000.00 of --max-cost."
    assert Estimate(spec, 10, measured=3000.0).refuses(20_000).endswith(refusal)


def test_the_duration_accounts_for_the_request_quota():
    estimate = Estimate(order(), combinations=10_000, at_once=50, measured=0.1, requests_left=4500)
    assert estimate.seconds == pytest.approx((10_000 - 4300) / 1.25)
    assert Estimate(order(), 10_000, chunk=100, at_once=50, measured=0.1).seconds == pytest.approx(20.0)


def test_an_unknown_price_is_reported_and_not_guessed():
    assert "about 0.33 hours of the account's pool" in str(Estimate(order(size="eco"), 100, measured=12.0))
    assert "is unknown; it may depend on a contract" in str(Estimate(order(size="private-s"), 2))
    assert "depends on the dyno size" in str(Estimate(order(), 2))
    assert "free" in str(Estimate(order(is_local=True), 2))
    assert [Estimate(order(size=size), 2, measured=1.0).dollars for size in ("eco", "private-s", None)] == [None] * 3


def test_without_a_measured_run_only_the_embedded_heroku_has_a_known_price():
    assert Estimate(order(size="standard-1x"), 100).dollars is None
    assert Estimate(order(is_local=True), 100).dollars == 0


def test_configured_prices_are_used():
    assert Estimate(order(size="private-s", prices={"private-s": 2_592_000}), 3, measured=2.0).dollars == 6.0


def test_a_budget_refuses_a_sweep_whose_measured_cost_is_higher():
    estimate = Estimate(order(size="standard-1x"), combinations=100, measured=12.0)
    assert estimate.refuses(0.02) is None
    assert estimate.refuses(0.01) == (
        "100 runs of simulate would cost about $0.01157, more than the $0.01 of --max-cost."
    )
    assert Estimate(order(size="standard-1x"), combinations=100).refuses(1e-9) is None


def test_the_estimate_counts_the_dynos_of_chunks():
    assert "10,000 runs of simulate in 100 dynos on shop" in str(Estimate(order(), 10_000, chunk=100))
    assert "as many per dyno as its boot time justifies" in str(Estimate(order(), 10_000, chunk=0))
    assert Estimate(order(), 10_001, chunk=100).dynos == 101
    assert Estimate(order(), 10_000, chunk=0).dynos is None


def test_combinations_that_share_a_dyno_run_one_after_another():
    assert Estimate(order(), 150, chunk=100, at_once=50, measured=0.1).seconds == pytest.approx(10.0)
    assert Estimate(order(), 3, chunk=100, at_once=50, measured=0.1).seconds == pytest.approx(0.3)


def test_a_budget_refuses_chunks_only_by_the_minimum_cost_of_their_dynos():
    estimate = Estimate(order(size="standard-1x"), combinations=100, chunk=50, measured=12.0)
    assert estimate.refuses(0.001) is None, "the boots may account for most of the time"
    assert estimate.refuses(0.0001).startswith(
        "100 runs of simulate in 2 dynos would cost at least $0.0002315, more than"
    )
    assert Estimate(order(size="standard-1x"), 100, chunk=0, measured=12.0).refuses(0.001) is None
