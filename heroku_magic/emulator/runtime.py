"""One app at work: its log, releases, builds, formation and dynos together."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heroku_magic.emulator import descriptors, errors
from heroku_magic.emulator.builds import Builds
from heroku_magic.emulator.code.repository import Repository
from heroku_magic.emulator.fleet import Fleet
from heroku_magic.emulator.formation import Formation
from heroku_magic.emulator.logs.logplex import Logplex
from heroku_magic.emulator.releases import Releases
from heroku_magic.emulator.state import EMAIL, EmulatedDyno, when
from heroku_magic.platform_facts.dyno_sizes import DEFAULT_SIZE, DYNO_SIZES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from heroku_magic.emulator.code.slug_dir import SlugDir
    from heroku_magic.emulator.context import Context
    from heroku_magic.emulator.state import EmulatedApp, EmulatedRelease, EmulatedSlug

# Seconds that a create waits for the app's environment; then it responds, and the dyno starts when it can.
BUILD_PATIENCE = 20
# What is kept for connections, and what the start and the output of a dyno need.
DESCRIPTORS_IN_RESERVE, DESCRIPTORS_PER_DYNO = 48, 8


@dataclass(frozen=True)
class DynoRequest:
    """The parameters of a dyno create."""

    command: str
    env: dict[str, str]
    size: str
    type: str
    time_to_live: int | None
    attach: bool = False
    force_no_tty: bool = False


class AppRuntime:
    """An app and everything that works for it. live: the folder that it is served from."""

    def __init__(self, app: EmulatedApp, context: Context, live: Path | None = None) -> None:
        self.app = app
        self.logplex = Logplex(context.timings, context.faults)
        self.fleet = Fleet(context, self.logplex)
        self.formation = Formation(app, context, self.logplex, self.fleet, self._start_kept)
        self.releases = Releases(
            app, context, self.logplex, live=live, run_phase=self._run_phase, on_current=self._restart_formation
        )
        self.builds = Builds(app, context, self.logplex, self.releases)
        self.repository = Repository(context.home / "repositories" / app.id, context.reaper)
        self.context = context

    def open(self) -> None:
        """Create the first releases and start the formation."""
        self.releases.open()
        self.formation.settle()

    async def warm_up(self) -> None:
        """Build the environment before a dyno needs it."""
        with suppress(errors.BuildError):  # reported in the app's log, and with each dyno create
            if self.app.slug is not None:
                code = self.releases.code(self.app.slug)
                await code.environment.built()
                self.fleet.make_spares(code)

    async def create(self, request: DynoRequest) -> EmulatedDyno:
        """Create a one-off dyno; it starts after the response."""
        code, slug = self._code()
        if code.environment.ready() is None:
            await _wait_for_environment(code)
            code, slug = self._code()
        self._check_limit(request.size)
        dyno = EmulatedDyno(
            self.fleet.new_name(request.type),
            request.type,
            request.command,
            request.size,
            self.app.current,
            has_terminal=not request.force_no_tty,
        )
        client = None
        if request.attach:
            dyno.attach_url, client = self.context.rendezvous.open()
        self.logplex.log("app", "api", f"Starting process with command `{dyno.command}` by user {EMAIL}")
        variables = {**self._variables(dyno), **request.env}
        self.fleet.start(dyno, code, slug.process_types, variables, time_to_live=request.time_to_live, client=client)
        return dyno

    def stop(self, dynos: Iterable[EmulatedDyno]) -> None:
        """Stop dynos; those of the formation start again."""
        for dyno in tuple(dynos):
            if dyno.is_kept:
                self.formation.restart_one(dyno)
            else:
                self.fleet.stop(dyno)

    def restart(self, dynos: Iterable[EmulatedDyno]) -> None:
        """Restart dynos, which ends one-offs.

        Those of a custom type are not ended, as on Heroku: https://github.com/heroku/platform-api/issues/57
        """
        self.stop(dyno for dyno in dynos if dyno.is_kept or dyno.type in {"run", "scheduler"})

    def named(self, identity: str) -> list[EmulatedDyno]:
        """Return a dyno by id or name, or all dynos of a process type."""
        if identity in self.app.process_types:
            return self.of_type(identity)
        return [self.fleet.find(identity)]

    def of_type(self, kind: str) -> list[EmulatedDyno]:
        """Return the running dynos of a type, which may also be one without any."""
        found = [dyno for dyno in self.fleet.dynos.values() if dyno.type == kind]
        if not found and kind not in self.app.process_types:
            raise errors.not_found("process type")
        return found

    async def close(self, patience: float) -> None:
        """End builds and dynos, then the log's readers."""
        self.builds.close()
        self.formation.close()
        self.releases.close()
        await self.fleet.close(patience)
        self.logplex.close()

    async def delete(self, patience: float) -> None:
        """End the app and remove its code."""
        await self.close(patience)
        for kind in ("slugs", "repositories"):
            await asyncio.to_thread(shutil.rmtree, self.context.home / kind / self.app.id, ignore_errors=True)

    def current_code(self) -> SlugDir | None:
        """Return the code that a dyno would run now; None if nothing is deployed."""
        self.releases.refresh()
        return None if self.app.slug is None else self.releases.code(self.app.slug)

    def _code(self) -> tuple[SlugDir, EmulatedSlug]:
        self.releases.refresh()
        slug = self.app.slug
        if slug is None:
            raise errors.invalid_params("App must be deployed before dynos can be run: it has no code yet.")
        return self.releases.code(slug), slug

    def _check_limit(self, size: str) -> None:
        if self.fleet.free_one_offs(size) <= 0:
            raise errors.above_limit(self.context.one_offs or DYNO_SIZES[size.lower()].most_at_once, size)
        starting = sum(dyno.state == "starting" for dyno in self.fleet.dynos.values())
        if descriptors.left() < DESCRIPTORS_IN_RESERVE + DESCRIPTORS_PER_DYNO * starting:
            raise errors.no_descriptors()

    def _restart_formation(self) -> None:
        self.formation.restart()
        self.formation.settle()

    def _start_kept(self, dyno: EmulatedDyno, variables: dict[str, str], on_end: Callable[[int], None]) -> None:
        try:
            code, slug = self._code()
        except errors.ErrorResponse as error:
            self.logplex.log("heroku", dyno.name, f"Cannot be started: {error.body['message']}")
            return
        self.fleet.start(dyno, code, slug.process_types, {**self._variables(dyno), **variables}, on_end=on_end)

    def _run_phase(self, release: EmulatedRelease, command: str) -> None:
        """Run the release phase in a dyno, with its output in the log and at a URL."""
        output = self.context.new_output()
        release.output = output.token
        dyno = EmulatedDyno(self.fleet.new_name("release"), "release", command, DEFAULT_SIZE, release)
        self.logplex.copies[dyno.name] = output.write

        def end(status: int) -> None:
            del self.logplex.copies[dyno.name]
            output.close()
            self.releases.end_phase(release, status)

        code = self.releases.code(self.app.slugs[release.slug or ""])
        self.fleet.start(dyno, code, {}, self._variables(dyno), on_end=end)

    def _variables(self, dyno: EmulatedDyno) -> dict[str, str]:
        return {**self.releases.config, **_metadata(self.app, dyno)}


def _metadata(app: EmulatedApp, dyno: EmulatedDyno) -> dict[str, str]:
    """Return the variables that a dyno gets with a feature: https://devcenter.heroku.com/articles/dyno-metadata."""
    if "runtime-dyno-metadata" not in app.features:
        return {}
    slug, release = app.slugs.get(dyno.release.slug or ""), dyno.release
    found = {
        "HEROKU_APP_ID": app.id,
        "HEROKU_APP_NAME": app.name,
        "HEROKU_DYNO_ID": dyno.id,
        "HEROKU_RELEASE_CREATED_AT": when(release.created_at),
        "HEROKU_RELEASE_VERSION": f"v{release.version}",
        "HEROKU_SLUG_DESCRIPTION": release.description,
    }
    if slug is not None and slug.commit:
        found |= {"HEROKU_SLUG_COMMIT": slug.commit, "HEROKU_BUILD_COMMIT": slug.commit}
    return found


async def _wait_for_environment(code: SlugDir) -> None:
    try:
        await asyncio.wait_for(code.environment.built(), BUILD_PATIENCE)
    except asyncio.TimeoutError:
        return
    except errors.BuildError as error:
        raise errors.invalid_params(str(error)) from None
