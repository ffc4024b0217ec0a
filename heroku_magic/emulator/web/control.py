"""The routes that only the emulator has: read and change its faults, and count requests."""

from __future__ import annotations

from dataclasses import asdict

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import GLOBAL
from heroku_magic.emulator.state import set_clock_ahead
from heroku_magic.emulator.web.api import ApiHandler


class _ControlHandler(ApiHandler):
    reads = writes = GLOBAL
    is_free = is_spared = True


class FaultsHandler(_ControlHandler):
    """The faults that are on, and their seed; no fault strikes this route."""

    def get(self) -> None:
        """`GET /emulator/faults`: the faults that are on."""
        faults = self.platform.faults
        self.respond({"seed": faults.seed, "faults": faults.values})

    def put(self) -> None:
        """`PUT /emulator/faults`: replace all faults."""
        body, faults = self.body(), self.platform.faults
        seed, values = body.get("seed", faults.seed), body.get("faults", {})
        if not isinstance(values, dict) or type(seed) is not int or set(body) - {"seed", "faults"}:
            raise errors.invalid_params('The body must be {"faults": {NAME: VALUE}, "seed": N}.')
        try:
            faults.replace(values, seed)
        except ValueError as error:
            raise errors.invalid_params(f"{error}.") from None
        set_clock_ahead(faults["clock-skew"])
        self.get()


class AuthorityHandler(_ControlHandler):
    """The certificate authority of the TLS ports: attached dynos and git."""

    def get(self) -> None:
        """`GET /emulator/authority`."""
        self.respond({"certificate": self.platform.context.certificate.authority.read_text(encoding="ascii")})


class JournalHandler(_ControlHandler):
    """The requests since the start; those to the emulator's own routes are left out."""

    def get(self) -> None:
        """`GET /emulator/journal`: method, path, body and status of each."""
        self.respond([asdict(entry) for entry in self.platform.journal.entries])

    def delete(self) -> None:
        """`DELETE /emulator/journal`: forget them."""
        self.platform.journal.entries.clear()
        self.respond([])


class EnvironmentHandler(_ControlHandler):
    """The installation of an app's requirements."""

    def post(self, app: str) -> None:
        """`POST /emulator/environments/{app}`: start it if necessary, and return how far it is."""
        runtime = self.find_app(app)
        code = runtime.current_code()
        found = code.environment.installation() if code else None
        self.respond({"installing": found._asdict() if found else None})

    def delete(self, app: str) -> None:
        """`DELETE /emulator/environments/{app}`: end it."""
        code = self.find_app(app).current_code()
        if code is not None:
            code.environment.close()
        self.respond({"installing": None})


class RequestsHandler(_ControlHandler):
    """How many requests of the budget were spent."""

    def get(self) -> None:
        """`GET /emulator/requests`: since the start."""
        self.respond({"spent": self.platform.rate_limit.spent})
