"""The routes that only the emulator has, for whoever has its token: its faults, told and changed, and a count."""

from __future__ import annotations

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import GLOBAL
from heroku_magic.emulator.state import set_clock_ahead
from heroku_magic.emulator.web.api import ApiHandler


class FaultsControl(ApiHandler):
    """The faults that are on, and their seed; no fault strikes this route."""

    reads = writes = GLOBAL
    is_free = is_spared = True

    def get(self) -> None:
        """`GET /emulator/faults`: what is on."""
        faults = self.emulator.faults
        self.answer({"seed": faults.seed, "faults": faults.values})

    def put(self) -> None:
        """`PUT /emulator/faults`: these and no others, from now on."""
        body, faults = self.body(), self.emulator.faults
        seed, values = body.get("seed", faults.seed), body.get("faults", {})
        if not isinstance(values, dict) or type(seed) is not int or set(body) - {"seed", "faults"}:
            raise errors.invalid_params('The body is {"faults": {NAME: VALUE}, "seed": N}.')
        try:
            faults.replace(values, seed)
        except ValueError as error:
            raise errors.invalid_params(f"{error}.") from None
        set_clock_ahead(faults["clock-skew"])
        self.get()


class Requests(ApiHandler):
    """How many requests of the budget were spent; to ask is free."""

    reads = GLOBAL
    is_free = is_spared = True

    def get(self) -> None:
        """`GET /emulator/requests`: since the start."""
        self.answer({"spent": self.emulator.rate_limit.spent})
