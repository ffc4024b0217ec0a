"""What `--max-cost` allows a run: its price per second, and the time that the budget pays for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heroku_magic.errors import InvalidOptions
from heroku_magic.platform_facts.dyno_sizes import money

if TYPE_CHECKING:
    from heroku_magic.runs.spec import RunSpec


def second_price(spec: RunSpec) -> float:
    """Return the price of a second of the dyno in dollars. Raises InvalidOptions if it is unknown."""
    price = spec.price(spec.size, 1.0)
    if price is None and spec.size is None:
        raise InvalidOptions("--max-cost needs a size whose price is known: give --size, such as --size standard-1x.")
    if price is None:
        raise InvalidOptions(
            f"--max-cost: the price of {spec.size} is not known in dollars (Eco draws on a pool of hours, and Private "
            "and enterprise prices depend on a contract). To set dollars per month: "
            "%config HerokuMagics.prices = {'" + str(spec.size) + "': DOLLARS}"
        )
    return price


def within_budget(spec: RunSpec, dollars: float, warm_idle: float) -> RunSpec:
    """Return the spec, its timeout shortened to what the budget pays for."""
    price, idle = second_price(spec), warm_idle if spec.is_warm else 0.0
    if idle and price * (idle + 1) > dollars:
        raise InvalidOptions(warm_refusal(spec, dollars, price * idle, idle))
    if price > dollars:
        raise InvalidOptions(
            f"--max-cost {dollars:g} is less than the price of one second on {spec.size} ({money(price)}). "
            "Raise the limit."
        )
    if not price:
        return spec
    paid = max(int(dollars / price - idle), 1)  # of exactly one second, the quotient may be a little less
    return replace(spec, timeout=min(spec.timeout, paid), counts_boot=True)


def warm_refusal(spec: RunSpec, dollars: float, price: float, idle: float) -> str:
    """Return why a budget is too small for a warm dyno."""
    way_out = "turn warm dynos off (%config HerokuMagics.warm = False)" if spec.falls_back else "leave out --warm"
    return (
        f"--max-cost {dollars:g} is less than a warm dyno costs in the {idle:g} s that it waits after its last call "
        f"({money(price)}). Raise the limit, {way_out}, or let it wait for less time (%heroku warm 1 --idle 30)."
    )
