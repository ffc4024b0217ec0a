"""Answers calls from the ledger: same environment, code or task, and parameters, and a run that ended well."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.app.run_request import cache_bases, describe_request_again, hash_code, kind_of
from heroku_magic.errors import ApiError, InvalidOptions
from heroku_magic.ledger.answers import answered_run, find_answers, request_of
from heroku_magic.ledger.cache_key import digest_of, full_key
from heroku_magic.ledger.folder_hash import hash_folder
from heroku_magic.ledger.location import caches_declared
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.resources import Release
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.runs.run import Run

MANY_FILES = 1_000  # of a served folder, beyond which only a call that may be cached pays for their hash


def environment_of(settings: Settings, release: Release | None, *, is_wanted: bool) -> str:
    """Return what identifies the code and the packages that a run will find; empty if it is not known."""
    if settings.app is not None:
        return f"release {release.id}" if release else ""
    if settings.worker is None:
        return ""
    digest = hash_folder(settings.worker, None if is_wanted else MANY_FILES)
    return digest and f"folder {digest} {platform.python_version()}"


def find_answer(
    task: str | None,
    parameters: Mapping[str, Any],
    options: RunOptions,
    settings: Settings,
    release: Callable[[], Release | None],
) -> Run | None:
    """Return an earlier run that answers a call; None if there is none. release: requests the app's current release."""
    began, kind = time.monotonic(), kind_of(options)
    bases = possible_bases(task, parameters, options, settings, release)
    digests = {name: digest_of(value, kind) for name, value in parameters.items()} if bases else {}
    keys = [key for base in bases if (key := full_key(base, digests))]
    found = find_answers(keys, options.max_age) if keys else {}
    answer = next((found[key] for key in keys if key in found), None)
    if answer is None or (is_only_declared(options) and not answer.details.request.may_cache):
        return None
    request = msgspec.structs.replace(answer.details.request, folder=str(settings.worker or ""))
    if answer.entry.sweep:  # its run has neither the code nor what all runs of the sweep share
        request = describe_request_again(request_of(answer) or request, parameters, options, settings)
    details = msgspec.structs.replace(answer.details, request=request)
    return answered_run(answer._replace(details=details), time.monotonic() - began, is_kept=options.history)


def possible_bases(
    task: str | None,
    parameters: Mapping[str, Any],
    options: RunOptions,
    settings: Settings,
    release: Callable[[], Release | None],
) -> list[str]:
    """Return what a call has in common with earlier ones that may answer it; nothing if none may."""
    environment = _cacheable_environment(parameters, options, settings, release)
    return cache_bases(task, options, environment, hash_code(options)) if environment else []


def _cacheable_environment(
    parameters: Mapping[str, Any], options: RunOptions, settings: Settings, release: Callable[[], Release | None]
) -> str:
    """Return what identifies the environment of a call that may be answered; empty for any other call."""
    if options.refresh or options.dry_run or not (options.wants_cache or is_only_declared(options)):
        return ""
    if options.wants_cache and kind_of(options) == "command":
        raise InvalidOptions("Only tasks, cells and functions can be cached, not commands. Leave out --cache.")
    if any(isinstance(value, Secret) for value in parameters.values()):
        return ""
    try:
        return environment_of(settings, release() if settings.app is not None else None, is_wanted=True)
    except ApiError as error:
        notify(f"The cache is not used, because Heroku does not confirm the current release: {error}")
        return ""


def is_only_declared(options: RunOptions) -> bool:
    """Return whether a call may be answered only if the task declares that, as the notebook's setting has it."""
    return options.cache is None and not options.wants_cache and caches_declared()
