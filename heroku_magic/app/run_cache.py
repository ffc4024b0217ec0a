"""Answers calls from the ledger: same environment, code or task, and parameters, and a run that ended well."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING, Any

from heroku_magic.app.run_request import key_base, kind_of
from heroku_magic.errors import ApiError, InvalidOptions
from heroku_magic.ledger.answers import answered_outcome, answered_run, find_answers
from heroku_magic.ledger.cache_key import digest_of, full_key
from heroku_magic.ledger.folder_hash import hash_folder
from heroku_magic.ledger.location import caches_declared
from heroku_magic.text.notifier import notify
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heroku_magic.accounts.settings import Settings
    from heroku_magic.api.resources import Release
    from heroku_magic.ledger.answers import Answer
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.plan import Plan

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
    began, is_declared = time.time(), options.cache is None and not options.wants_cache and caches_declared()
    if options.refresh or options.dry_run or not (options.wants_cache or is_declared):
        return None
    if options.wants_cache and kind_of(options) == "command":
        raise InvalidOptions("A command cannot be cached: leave out --cache. Tasks, cells and functions can.")
    if any(isinstance(value, Secret) for value in parameters.values()):
        return None
    try:
        environment = environment_of(settings, release() if settings.app is not None else None, is_wanted=True)
    except ApiError as error:
        notify(f"The cache is not used, because Heroku does not confirm the current release: {error}")
        return None
    key = _key(task, parameters, options, environment)
    answer = find_answers([key], options.max_age).get(key) if key else None
    if answer is None or (is_declared and not answer.details.request.may_cache):
        return None
    return answered_run(answer, began, is_kept=options.history)


def answered_outcomes(plan: Plan, options: RunOptions) -> list[Outcome]:
    """Return the combinations of a sweep that earlier runs answer."""
    request = plan.first.request
    may_use = options.wants_cache or (options.cache is None and request.may_cache and caches_declared())
    if options.refresh or not request.base or not may_use:
        return []
    fixed, by_key = dict(request.hashes), dict[str, list[int]]()
    for place in range(len(plan)):
        own = {name: digest_of(value, request.kind) for name, value in plan[place].items()}
        by_key.setdefault(full_key(request.base, {**fixed, **own}), []).append(place)
    answers: dict[str, Answer] = find_answers(by_key, options.max_age)
    found = [(answer, place) for key, answer in answers.items() for place in by_key[key]]
    if found:
        seconds = sum(answer.entry.seconds or 0.0 for answer, _ in found)
        dollars = sum(answer.entry.dollars or 0.0 for answer, _ in found)
        notify(f"cached {len(found):,} of {len(plan):,} runs · saved {seconds:.1f} s, ${dollars:.4g}")
    return [answered_outcome(answer, place, plan[place]) for answer, place in found]


def _key(task: str | None, parameters: Mapping[str, Any], options: RunOptions, environment: str) -> str:
    base, kind = key_base(task, options, environment), kind_of(options)
    return full_key(base, {name: digest_of(value, kind) for name, value in parameters.items()})
