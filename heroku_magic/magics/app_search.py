"""Find the app of a dyno or of a run among the apps that a kernel uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.errors import InvalidOptions, NotFound
from heroku_magic.runs.command_mark import run_id
from heroku_magic.runs.registry import places, running_runs
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heroku_magic.api.log_lines import LogLine
    from heroku_magic.api.resources import Dyno
    from heroku_magic.app.heroku import Heroku

_CREATE_TIMEOUT = 40.0  # seconds to wait for the dyno of a run that was just started


def find_dyno(apps: Sequence[Heroku], wanted: str) -> tuple[Heroku, Dyno]:
    """Return the dyno of this name, id or run, and its app. Raises NotFound, or InvalidOptions if there are several."""
    if wanted.startswith("hs-"):
        raise InvalidOptions(
            f"{clean_line(wanted)} is a sweep. To stop all its runs, call .cancel() on what its cell returned, or on "
            "`%heroku last` if it is the last one; %heroku stop DYNO stops one of them."
        )
    for run in running_runs():
        if run.id == wanted:
            run.wait_for_dyno(_CREATE_TIMEOUT)
    found = [
        (heroku, dyno)
        for heroku in apps
        for dyno in heroku.dynos()
        if wanted in {dyno.name, dyno.id, run_id(dyno.command)}
    ]
    if not found:
        where = apps[0].app_name if len(apps) == 1 else "any app of this kernel"
        raise NotFound(f"{clean_line(wanted)} is not running on {where}: `%heroku ps` lists the dynos.", status=404)
    if len(found) > 1:
        raise _ambiguous(wanted, [_named(heroku, run_id(dyno.command)) for heroku, dyno in found])
    return found[0]


def find_log(apps: Sequence[Heroku], wanted: str) -> list[LogLine]:
    """Return the lines of the dyno of this name or run; none if no app has any. Raises as `find_dyno` does."""
    place = places().get(wanted)
    if place is not None:
        homes = [heroku for heroku in apps if (heroku.client.base_url, heroku.app) == (place.host, place.app)]
        return homes[0].logs(place.dyno) if homes else []
    if wanted.startswith("hs-"):
        raise InvalidOptions(
            f"{clean_line(wanted)} is a sweep, and each of its runs has a log of its own: `%heroku show "
            f"{clean_line(wanted)}` lists them, and `%heroku logs RUN` shows one."
        )
    if wanted.startswith("hm-"):
        heroku, dyno = find_dyno(apps, wanted)
        return heroku.logs(dyno.name)
    found = [(heroku, lines) for heroku in apps if (lines := heroku.logs(wanted))]
    if len(found) > 1:
        raise _ambiguous(wanted, [_named(heroku, _latest_run(heroku, wanted)) for heroku, _ in found])
    return found[0][1] if found else []


def _latest_run(heroku: Heroku, dyno: str) -> str | None:
    place = (heroku.client.base_url, heroku.app, dyno)
    return next((run for run, each in reversed(places().items()) if each == place), None)


def _named(heroku: Heroku, run: str | None) -> str:
    return f"{heroku.app} ({run})" if run else heroku.app


def _ambiguous(dyno: str, homes: Sequence[str]) -> InvalidOptions:
    return InvalidOptions(
        f"Several apps have a dyno {clean_line(dyno)}: {', '.join(homes)}. Choose one with --app NAME, or use the id "
        "of the run."
    )
