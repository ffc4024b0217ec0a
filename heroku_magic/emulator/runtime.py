"""One app at work: its log, releases, builds, formation and dynos, put together; it knows no HTTP."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from heroku_magic.emulator.builds import Builds
from heroku_magic.emulator.errors import ApiError, BuildFailed, above_limit, invalid_params, not_found
from heroku_magic.emulator.fleet import Fleet
from heroku_magic.emulator.formation import Formation
from heroku_magic.emulator.logs.logplex import Logplex
from heroku_magic.emulator.releases import Releases
from heroku_magic.emulator.sizes import DEFAULT, SIZES
from heroku_magic.emulator.state import EMAIL, Dyno

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.code.installed import Installed
    from heroku_magic.emulator.host import Host
    from heroku_magic.emulator.orders import DynoOrder
    from heroku_magic.emulator.state import App, Release, Slug

# Seconds that a create waits for the app's environment; then it answers, and the dyno starts when it can.
BUILD_PATIENCE = 20


class AppRuntime:
    """An app and all that works for it. live: the folder that it is served from."""

    def __init__(self, app: App, host: Host, live: Path | None = None) -> None:
        self.app = app
        self.logplex = Logplex(host.times, host.faults)
        self.fleet = Fleet(host, self.logplex)
        self.formation = Formation(app, host, self.logplex, self.fleet, self._start_kept)
        self.releases = Releases(
            app, host, self.logplex, live=live, phase=self._run_release_command, took_effect=self._took_effect
        )
        self.builds = Builds(app, host, self.logplex, self.releases)
        self._host = host

    def open(self) -> None:
        """Begin: the first releases, the formation, and the environment before somebody waits for it."""
        self.releases.open()
        self.formation.settle()

    async def warm_up(self) -> None:
        """Build the environment before somebody waits for it."""
        try:
            if self.app.slug is not None:
                await self.releases.code(self.app.slug).environment.built()
        except BuildFailed:
            return  # told in the app's log, and to whoever wants a dyno

    async def create(self, order: DynoOrder) -> Dyno:
        """Create a one-off dyno; it starts on its own, after the answer."""
        code, slug = self._code()
        await _wait_for_environment(code)
        self.releases.refresh()
        self._check_limit(order.size)
        dyno = Dyno(
            self.fleet.new_name(order.type),
            order.type,
            order.command,
            order.size,
            self.app.current,
            has_terminal=not order.force_no_tty,
        )
        client = None
        if order.attach:
            dyno.attach_url, client = await self._host.rendezvous.open()
        self.logplex.say("app", "api", f"Starting process with command `{dyno.command}` by user {EMAIL}")
        variables = {**self.releases.config, **order.env}
        self.fleet.start(dyno, code, slug.process_types, variables, time_to_live=order.time_to_live, client=client)
        return dyno

    def stop(self, dyno: Dyno) -> None:
        """Stop a dyno; one of the formation starts again."""
        if dyno.is_kept:
            self.formation.restart_one(dyno)
        else:
            self.fleet.stop(dyno)

    def of_type(self, kind: str) -> list[Dyno]:
        """Return the dynos of a type that the app has or runs."""
        found = self.fleet.of_type(kind)
        if not found and kind not in self.app.process_types:
            raise not_found("process type")
        return found

    def restart(self, dyno: Dyno) -> None:
        """Restart a dyno, which ends a one-off.

        One of a custom type is not ended, as on Heroku: https://github.com/heroku/platform-api/issues/57
        """
        if dyno.is_kept or dyno.type in {"run", "scheduler"}:
            self.stop(dyno)

    async def close(self, patience: float) -> None:
        """End all that works, then the log's readers."""
        self.builds.close()
        self.formation.close()
        if self.app.slug is not None and self.app.slug.is_live:
            self.releases.code(self.app.slug).environment.close()
        await self.fleet.close(patience)
        self.logplex.close()

    async def delete(self, patience: float) -> None:
        """End it and remove its code."""
        await self.close(patience)
        await asyncio.to_thread(shutil.rmtree, self._host.home() / "slugs" / self.app.id, ignore_errors=True)

    def _code(self) -> tuple[Installed, Slug]:
        self.releases.refresh()
        slug = self.app.slug
        if slug is None:
            raise invalid_params("App must be deployed before dynos can be run: it has no code yet.")
        return self.releases.code(slug), slug

    def _check_limit(self, size: str) -> None:
        one_offs = [dyno.size for dyno in self.fleet.dynos.values() if not dyno.is_kept]
        limit = self._host.one_offs
        running = one_offs.count(size) if limit is None else len(one_offs)
        limit = SIZES[size.lower()].one_offs if limit is None else limit
        if running >= limit:
            raise above_limit(limit, size)

    def _took_effect(self) -> None:
        self.formation.restart()
        self.formation.settle()

    def _start_kept(self, dyno: Dyno, variables: dict[str, str], over: Callable[[int], None]) -> None:
        try:
            code, slug = self._code()
        except ApiError as error:
            self.logplex.say("heroku", dyno.name, f"Cannot be started: {error.body['message']}")
            return
        self.fleet.start(dyno, code, slug.process_types, {**self.releases.config, **variables}, over=over)

    def _run_release_command(self, release: Release, command: str) -> None:
        """Run the release phase in a dyno; its output is a stream of its own, too."""
        output = self._host.new_output()
        release.output = output.token
        dyno = Dyno(self.fleet.new_name("release"), "release", command, DEFAULT, release)
        self.logplex.copies[dyno.name] = output.write

        def over(status: int) -> None:
            del self.logplex.copies[dyno.name]
            output.close()
            self.releases.phase_ended(release, status)

        code = self.releases.code(self.app.slugs[release.slug or ""])
        self.fleet.start(dyno, code, {}, self.releases.config, over=over)


async def _wait_for_environment(code: Installed) -> None:
    if code.environment.ready() is not None:
        return
    try:
        await asyncio.wait_for(code.environment.built(), BUILD_PATIENCE)
    except asyncio.TimeoutError:
        return
    except BuildFailed as error:
        raise invalid_params(str(error)) from None
