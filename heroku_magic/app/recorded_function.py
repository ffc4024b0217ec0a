"""Plans the run of a function as it was sent before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from heroku_magic.accounts.secret_sources import find
from heroku_magic.app.run_request import describe_values
from heroku_magic.bundle.build import RecordedCall
from heroku_magic.bundle.payload import parse_raw_text
from heroku_magic.protocol.environ import to_env
from heroku_magic.runs.options import RunOptions, pick

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.app.planner import Planner
    from heroku_magic.runs.request import RunRequest
    from heroku_magic.runs.spec import RunSpec


def function_spec(
    planner: Planner, name: str, request: RunRequest, parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> RunSpec:
    """Return the spec of a function as the ledger has it, with these arguments."""
    run_options = pick(RunOptions, options)
    secrets = {one: find(one) for one in run_options.secrets}
    bundle = RecordedCall(name, {"RUN_CODE": request.bundle, **to_env(secrets)})
    parameters = {name: parse_raw_text(value) for name, value in parameters.items()}
    spec = planner.bundle_spec(bundle, parameters, run_options)
    described = describe_values(parameters, request.kind, run_options)
    return replace(spec, request=msgspec.structs.replace(request, **described))
