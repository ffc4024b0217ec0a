"""App setups: an app with config vars and a build, from a source that holds an app.json.

https://devcenter.heroku.com/articles/app-json-schema
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator.errors import BuildError, ErrorResponse
from heroku_magic.emulator.state import FAILED, Resource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.builds import BuildSource
    from heroku_magic.emulator.code.build_output import BuildOutput
    from heroku_magic.emulator.runtime import AppRuntime
    from heroku_magic.emulator.state import EmulatedBuild

# What an app.json may ask for and nothing here gives.
_UNSUPPORTED = ("addons", "formation", "scripts")


@dataclass
class AppSetup(Resource):
    """One setup, and the source of its build. env: config vars that come before those of the app.json.

    check: returns config vars, or raises an ErrorResponse if one of them is not valid.
    """

    runtime: AppRuntime
    build: EmulatedBuild
    source: BuildSource
    env: dict[str, str]
    check: Callable[[dict[str, Any]], dict[str, str | None]]
    errors: list[str] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """Why it failed."""
        if self.errors:
            return "invalid app.json"
        return "The build failed." if self.build.status == FAILED else None

    async def unpack(self, folder: Path, output: BuildOutput) -> Path:
        """Write the source's files, and set the config vars that its app.json declares."""
        root = await self.source.unpack(folder, output)
        manifest = self._manifest(root)
        config = {**self._declared(manifest.get("env") or {}), **self.env}
        if not self.errors:
            try:
                self.runtime.releases.set_config(self.check(config))
            except ErrorResponse as error:
                self.errors.append(error.body["message"].rstrip("."))
        if self.errors:
            raise BuildError(f"app.json: {self.errors[0]}")
        if unused := [name for name in _UNSUPPORTED if manifest.get(name)]:
            output.line(f" !     The embedded Heroku does not support the {' and '.join(unused)} of an app.json.")
        return root

    def _manifest(self, root: Path) -> dict[str, Any]:
        try:
            manifest = json.loads((root / "app.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.errors.append("app.json not found")
            return {}
        except (OSError, ValueError, RecursionError):
            manifest = None
        if not isinstance(manifest, dict) or not isinstance(manifest.get("env") or {}, dict):
            self.errors.append("app.json is not a JSON object, or its env is not one")
            return {}
        return manifest

    def _declared(self, env: dict[str, Any]) -> dict[str, str]:
        """Return the config vars of an app.json; a required one without a value is an error."""
        found = {}
        for name, declared in env.items():
            entry = declared if isinstance(declared, dict) else {"value": declared}
            value = secrets.token_hex(32) if entry.get("generator") == "secret" else entry.get("value")
            if value is not None:
                found[name] = str(value)
            elif entry.get("required", True) and name not in self.env:
                self.errors.append(f"config var {name} is required and has no value")
        return found
