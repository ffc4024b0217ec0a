"""The emulated platform without HTTP: one account with its apps, tokens and blobs, and everything they share."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import TYPE_CHECKING

from heroku_magic.emulator.authorizations import Authorizations
from heroku_magic.emulator.code.blobs import Blobs
from heroku_magic.emulator.context import Context
from heroku_magic.emulator.dynos.watch import memory_by_group
from heroku_magic.emulator.errors import StartError, invalid_params
from heroku_magic.emulator.rate_limit import CAPACITY, RequestBudget
from heroku_magic.emulator.request_journal import RequestJournal
from heroku_magic.emulator.runtime import AppRuntime
from heroku_magic.emulator.state import APP_NAME, EmulatedApp, first_match, now, set_clock_ahead
from heroku_magic.emulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heroku_magic.emulator.app_setups import AppSetup
    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.timings import Timings

# https://devcenter.heroku.com/articles/limits: of a verified account
MOST_APPS = 100
METRICS = "log-runtime-metrics"
_QUALITIES = ["calm", "dry", "early", "frozen", "gentle", "hidden", "lively", "misty", "quiet", "still", "warm", "wild"]
_NOUNS = ["brook", "cliff", "dawn", "field", "forest", "island", "lake", "meadow", "river", "shore", "stone", "wind"]


class Platform:
    """The state of the emulator. folders: the apps to serve live; state: the folder that apps are saved in."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        one_offs: int | None,
        timings: Timings,
        faults: Faults,
        token: str | None = None,
        state: Path | None = None,
        requests_left: int = CAPACITY,
    ) -> None:
        set_clock_ahead(faults["clock-skew"])
        self.token = token or secrets.token_hex(20)
        self.started_at = now()
        self.timings = timings
        self.faults = faults
        self.rate_limit = RequestBudget(requests_left)
        self.journal = RequestJournal()
        self.authorizations = Authorizations(self.token)
        self.apps: list[AppRuntime] = []
        self.setups: dict[str, AppSetup] = {}
        self.stream_numbers = itertools.count()
        self._folders = {_checked_name(name): _checked_folder(folder) for name, folder in folders.items()}
        self._store = Store(state) if state is not None else None
        self.context = Context(timings, faults, one_offs, state, self._save)
        self.blobs = Blobs(self._blob_folder)
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Open the saved apps and those served from folders, and build their environments in the background."""
        self.context.reaper.start()
        saved = {app.name: app for app in self._store.load()} if self._store else {}
        for name in {**saved, **self._folders}:
            self.apps.append(AppRuntime(saved.get(name) or EmulatedApp(name), self.context, self._folders.get(name)))
        for runtime in self.apps:
            runtime.open()
        self._save()
        self._tasks = [asyncio.ensure_future(runtime.warm_up()) for runtime in self.apps]
        self._memory_watch = asyncio.ensure_future(self._watch_memory())

    async def close(self, patience: float) -> None:
        """End all dynos and builds."""
        self._memory_watch.cancel()
        self.context.rendezvous.close()
        await asyncio.gather(*(runtime.close(patience) for runtime in self.apps))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def clean_up(self) -> None:
        """Remove temporary files and release the state folder."""
        self.context.reaper.stop()
        if self._store is not None:
            self._store.close()

    def find(self, identity: str) -> AppRuntime:
        """Return an app by name or id."""
        return first_match((each for each in self.apps if identity in {each.app.name, each.app.id}), "app")

    def create(self, name: str | None, region: str, stack: str) -> AppRuntime:
        """Create an app; without a name it gets a random one."""
        if len(self.apps) >= MOST_APPS:
            raise invalid_params(f"You've reached the limit of {MOST_APPS} apps for your account.")
        if name is None:
            name = f"{secrets.choice(_QUALITIES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(90000) + 10000}"
        runtime = AppRuntime(EmulatedApp(self._free(name), region=region, stack=stack), self.context)
        self.apps.append(runtime)
        runtime.open()
        self._save()
        return runtime

    def change(self, app: EmulatedApp, *, name: str | None, maintenance: bool | None, stack: str | None) -> None:
        """Rename an app, or change its maintenance mode or stack; None leaves a value as it is."""
        if name is not None and name != app.name:
            app.name = self._free(name)
        app.maintenance = app.maintenance if maintenance is None else maintenance
        app.stack = stack or app.stack
        app.updated_at = now()
        self._save()

    def set_feature(self, app: EmulatedApp, name: str, *, is_on: bool) -> None:
        """Switch a feature of an app on or off."""
        others = [each for each in app.features if each != name]
        app.features = [*others, name] if is_on else others
        app.updated_at = now()
        self._save()

    def set_buildpacks(self, app: EmulatedApp, buildpacks: list[str]) -> None:
        """Replace the buildpacks of an app."""
        app.buildpacks, app.updated_at = buildpacks, now()
        self._save()

    async def delete(self, runtime: AppRuntime) -> None:
        """Delete an app at once; its dynos get the usual grace."""
        self.apps.remove(runtime)
        self._save()
        await runtime.delete(self.timings.grace)

    def _free(self, name: str) -> str:
        if any(runtime.app.name == name for runtime in self.apps):
            raise invalid_params("Name is already taken")
        return name

    def _blob_folder(self) -> Path:
        folder = self.context.home / "blobs"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _save(self) -> None:
        if self._store is not None:
            self._store.save(runtime.app for runtime in self.apps)

    async def _watch_memory(self) -> None:
        """Measure the memory of all dynos at regular intervals."""
        while True:
            await asyncio.sleep(self.timings.memory)
            if any(runtime.fleet.dynos for runtime in self.apps):
                used = memory_by_group()
                for runtime in self.apps:
                    for process in runtime.fleet.processes:
                        process.check_memory(used, is_logged=METRICS in runtime.app.features)


def _checked_name(name: str) -> str:
    if not APP_NAME.fullmatch(name):
        raise StartError(
            f"{name!r} is not a valid app name. Use 3 to 30 lowercase letters, digits and dashes, "
            "starting with a letter and not ending with a dash."
        )
    return name


def _checked_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise StartError(f"The folder {folder} does not exist.")
    return folder.resolve()
