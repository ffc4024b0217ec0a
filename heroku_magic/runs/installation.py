"""Waits until the embedded Heroku has installed the requirements of a served folder, and reports how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.errors import ApiError
from heroku_magic.runs.create_dyno import Stopped
from heroku_magic.text.plural import quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.runs.spec import RunSpec

INTERVAL = 0.2  # seconds between two looks


def wait_for_installation(
    client: HerokuClient, spec: RunSpec, wait: Callable[[float], bool], report: Callable[[str], None]
) -> None:
    """Wait for the installation, if the folder has requirements. Raises Stopped, after the end of the installer.

    wait: sleeps for some seconds and returns whether the run was cancelled meanwhile. report: gets each new line.
    """
    if spec.requirements is None or not spec.requirements.is_file():
        return
    text = ""
    try:
        while found := client.installation(spec.app):
            line = f" · {found.line.strip()}" if found.line.strip() else ""
            if (now := f"installing {quantity(found.packages, 'package')}{line} · {found.seconds:.0f} s") != text:
                text = now
                report(text)
            if wait(INTERVAL):
                client.cancel_installation(spec.app)
                raise Stopped("while its packages were being installed.")
    except ApiError:  # the request for the dyno reports what is wrong
        return
