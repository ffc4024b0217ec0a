"""Plans runs and sweeps of a function as it was sent before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.accounts.secret_sources import find
from heroku_magic.app.run_request import describe_values
from heroku_magic.bundle.build import RecordedCall
from heroku_magic.bundle.payload import parse_raw_text
from heroku_magic.protocol.environ import to_env

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.app.planner import Planner
    from heroku_magic.app.sweep_planner import SweepPlanner
    from heroku_magic.runs.options import RunOptions
    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.sweeps.plan import Plan


def function_spec(
    planner: Planner, name: str, request: RunRequest, parameters: Mapping[str, Any], options: RunOptions
) -> RunSpec:
    """Return the spec of a function as the ledger has it, with these arguments."""
    arguments = {one: parse_raw_text(value) for one, value in parameters.items()}
    spec = planner.bundle_spec(_bundle(name, request, options), arguments, options)
    return replace(spec, request=_request(planner, request, arguments, options))


def function_plan(
    planner: SweepPlanner, recorded: Plan, parameters: Mapping[str, Any], options: RunOptions, chunk: int
) -> Plan:
    """Return the plan of a sweep of a function as the ledger has it. parameters: the arguments that do not differ."""
    spec = recorded.first
    arguments = {one: parse_raw_text(value) for one, value in parameters.items()}
    bundle = _bundle(spec.task, spec.request, options)
    plan = planner.of_bundle(bundle, recorded.grid, recorded.indices, options, chunk=chunk, arguments=arguments)
    request = _request(planner.planner, spec.request, arguments, options)
    return replace(plan, first=replace(plan.first, request=request))


def _bundle(name: str, request: RunRequest, options: RunOptions) -> RecordedCall:
    secrets = {one: find(one) for one in options.secrets}
    return RecordedCall(name, {"RUN_CODE": request.bundle, **to_env(secrets)})


def _request(planner: Planner, request: RunRequest, arguments: Mapping[str, Any], options: RunOptions) -> RunRequest:
    """Return the request of a recorded function on today's code, which only the same code lets answer later calls."""
    code = planner.code_facts(options)
    is_same = code == {"slug": request.slug, "release": request.release}
    described = describe_values(arguments, request.kind, options)
    return msgspec.structs.replace(request, **described, **code, base=request.base if is_same else "")
