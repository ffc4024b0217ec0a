"""The handlers of the API's routes, a class a resource, and the log's stream; what they do is done elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.emulator import errors
from heroku_magic.emulator.authorizations import ANY, IDENTITY, READ_PROTECTED, WRITE_PROTECTED
from heroku_magic.emulator.sizes import SIZES
from heroku_magic.emulator.state import STACKS
from heroku_magic.emulator.web import answers, bodies, mishaps
from heroku_magic.emulator.web.api import ApiHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.runtime import AppRuntime


class Account(ApiHandler):
    """The account behind the token."""

    reads = IDENTITY

    def get(self) -> None:
        """`GET /account`."""
        self.answer(answers.account(self.emulator.account.started_at))


class RateLimits(ApiHandler):
    """The budget of requests; to ask is free."""

    is_free = True
    reads = ANY

    def get(self) -> None:
        """`GET /account/rate-limits`."""
        self.answer({"remaining": self.emulator.rate_limit.remaining})


class Apps(ApiHandler):
    """The apps of the account."""

    def get(self) -> None:
        """`GET /apps`, and `GET /users/~/apps`: nobody shares apps here."""
        apps = self.emulator.account.apps
        self.answer_list([answers.app(runtime.app) for runtime in apps], "name", "id", "updated_at")

    def post(self) -> None:
        """`POST /apps`."""
        runtime = self.emulator.account.create(bodies.app_order(self.body()))
        self.answer(answers.app(runtime.app), 201)


class App(ApiHandler):
    """One app."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}`."""
        self.answer(answers.app(self.served(app).app))

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}`."""
        runtime = self.served(app)
        self.emulator.account.change(runtime, bodies.app_changes(self.body()))
        self.answer(answers.app(runtime.app))

    async def delete(self, app: str) -> None:
        """`DELETE /apps/{app}`: it is gone with the answer, its dynos with it."""
        runtime = self.served(app)
        gone = answers.app(runtime.app)
        await self.emulator.account.delete(runtime, self.emulator.times.grace)
        self.answer(gone)


class Addons(ApiHandler):
    """The add-ons of an app."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/addons`: there are none."""
        self.served(app)
        self.answer_list([], "id", "name")


class Collaborators(ApiHandler):
    """Those who may use an app."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/collaborators`."""
        self.answer_list([answers.collaborator(self.served(app).app)], "id")


class LogDrains(ApiHandler):
    """Where an app's log is copied to."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/log-drains`: a log never leaves the machine, so there are none."""
        self.served(app)
        self.answer_list([], "id")


class PipelineCouplings(ApiHandler):
    """The pipeline of an app."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/pipeline-couplings`: there is none."""
        self.served(app)
        raise errors.not_found("pipeline coupling")


class ConfigVars(ApiHandler):
    """An app's config vars."""

    reads = READ_PROTECTED
    writes = WRITE_PROTECTED

    def get(self, app: str) -> None:
        """`GET /apps/{app}/config-vars`."""
        self.answer(self.served(app).releases.config)

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}/config-vars`; answers all of them."""
        runtime = self.served(app)
        runtime.releases.set_config(bodies.config_changes(self.body()))
        self.answer(runtime.releases.config)


class Formation(ApiHandler):
    """An app's process types."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/formation`."""
        runtime = self.served(app)
        self.answer_list([_scaled(runtime, kind) for kind in runtime.app.process_types], "type", "id")

    def patch(self, app: str) -> None:
        """`PATCH /apps/{app}/formation`: all of the updates, or none; answers those that were updated."""
        runtime = self.served(app)
        kinds = runtime.formation.update(bodies.formation_updates(self.body()))
        self.answer([_scaled(runtime, kind) for kind in kinds])


class ProcessType(ApiHandler):
    """One process type."""

    def get(self, app: str, kind: str) -> None:
        """`GET /apps/{app}/formation/{type}`."""
        runtime = self.served(app)
        self.answer(_scaled(runtime, runtime.app.find_type(kind)))

    def patch(self, app: str, kind: str) -> None:
        """`PATCH /apps/{app}/formation/{type}`."""
        runtime = self.served(app)
        update = bodies.formation_update(self.body(), runtime.app.find_type(kind))
        self.answer(_scaled(runtime, runtime.formation.update([update])[0]))


def _scaled(runtime: AppRuntime, kind: str) -> answers.Json:
    return answers.formation(runtime.app, kind, runtime.formation.scale(kind))


class Dynos(ApiHandler):
    """An app's dynos."""

    def get(self, app: str) -> None:
        """`GET /apps/{app}/dynos`."""
        runtime = self.served(app)
        self.answer_list([answers.dyno(runtime.app, dyno) for dyno in runtime.fleet.dynos.values()], "name", "id")

    async def post(self, app: str) -> None:
        """`POST /apps/{app}/dynos`: the answer does not wait for the process."""
        runtime, faults = self.served(app), self.emulator.faults
        if faults.strikes("reset-before-create"):
            mishaps.reset(self)
            return
        if faults.takes("conflict-after-release", runtime.app.current.id):
            raise errors.conflict()
        dyno = await runtime.create(bodies.dyno_order(self.body()))
        if faults.strikes("reset-after-create"):
            mishaps.reset(self)
            return
        self.answer(answers.dyno(runtime.app, dyno), 201)

    def delete(self, app: str) -> None:
        """`DELETE /apps/{app}/dynos`: a restart of all."""
        runtime = self.served(app)
        for dyno in tuple(runtime.fleet.dynos.values()):
            runtime.restart(dyno)
        self.answer({}, 202)


class Dyno(ApiHandler):
    """One dyno."""

    def get(self, app: str, dyno: str) -> None:
        """`GET /apps/{app}/dynos/{dyno}`."""
        runtime = self.served(app)
        found = runtime.fleet.find(dyno)
        if self.emulator.faults.takes("dyno-not-visible", found.id):
            raise errors.not_found("dyno")
        self.answer(answers.dyno(runtime.app, found))

    def delete(self, app: str, dyno: str) -> None:
        """`DELETE /apps/{app}/dynos/{dyno}`: a restart, which ends a one-off."""
        runtime = self.served(app)
        runtime.restart(runtime.fleet.find(dyno))
        self.answer({}, 202)


class DynoStop(ApiHandler):
    """The stop of one dyno."""

    def post(self, app: str, dyno: str) -> None:
        """`POST /apps/{app}/dynos/{dyno}/actions/stop`."""
        runtime = self.served(app)
        runtime.stop(runtime.fleet.find(dyno))
        self.answer({}, 202)


class DynosOfType(ApiHandler):
    """The dynos of one type."""

    def delete(self, app: str, kind: str) -> None:
        """`DELETE /apps/{app}/formations/{type}`: a restart."""
        runtime = self.served(app)
        for dyno in runtime.of_type(kind):
            runtime.restart(dyno)
        self.answer({}, 202)


class DynosOfTypeStop(ApiHandler):
    """The stop of the dynos of one type."""

    def post(self, app: str, kind: str) -> None:
        """`POST /apps/{app}/formations/{type}/actions/stop`."""
        runtime = self.served(app)
        for dyno in runtime.of_type(kind):
            runtime.stop(dyno)
        self.answer({}, 202)


class DynoSizes(ApiHandler):
    """The dyno sizes; anybody may ask."""

    reads = ANY

    def get(self) -> None:
        """`GET /dyno-sizes`."""
        self.answer_list([answers.dyno_size(size) for size in SIZES.values()], "id", "name")


class DynoSize(ApiHandler):
    """One dyno size."""

    reads = ANY

    def get(self, size: str) -> None:
        """`GET /dyno-sizes/{size}`."""
        for each in map(answers.dyno_size, SIZES.values()):
            if size == each["id"] or size.lower() == each["name"].lower():
                self.answer(each)
                return
        raise errors.not_found("dyno size")


class Stacks(ApiHandler):
    """The stacks; anybody may ask."""

    reads = ANY

    def get(self) -> None:
        """`GET /stacks`."""
        self.answer_list([answers.stack(name) for name in STACKS], "name", "id")


class Stack(ApiHandler):
    """One stack."""

    reads = ANY

    def get(self, stack: str) -> None:
        """`GET /stacks/{stack}`."""
        for each in map(answers.stack, STACKS):
            if stack in {each["id"], each["name"]}:
                self.answer(each)
                return
        raise errors.not_found("stack")


class NotFound(ApiHandler):
    """Whatever the API does not have."""

    reads = writes = ANY

    def prepare(self) -> None:
        """Say so, to those who may ask."""
        super().prepare()
        raise errors.no_endpoint()
