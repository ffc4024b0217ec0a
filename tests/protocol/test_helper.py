"""A command line runs the helper only, or it may run something else."""

from __future__ import annotations

import pytest

from heroku_magic.protocol.helper import runs_helper_only


@pytest.mark.parametrize(
    "command",
    [
        "python -m heroku_task draw",
        "python3.12 -u -m heroku_task draw ",
        "MODE=fast exec python -X dev -m heroku_task draw 2>&1",
        "uv run python -m heroku_task draw",
        "/app/.heroku/python/bin/python -W error -m heroku_task draw",
    ],
)
def test_a_line_that_runs_the_helper_once(command):
    assert runs_helper_only(command)


@pytest.mark.parametrize(
    "command",
    [
        "python -m heroku_task draw; echo done",
        "python -m heroku_task draw | tee log",
        "python -m heroku_task draw || true",
        "python -m heroku_task draw && python -m heroku_task more",
        "until python -m heroku_task draw; do sleep 1; done",
        "retry 3 python -m heroku_task draw",
        "python -m heroku_task draw &",
        "python -m heroku_task draw\npython -m heroku_task more",
        "(python -m heroku_task draw)",
        "python -m heroku_task $(name)",
        "MODE=$(x) python -m heroku_task draw",
        "./draw.sh",
        "python draw.py",
    ],
)
def test_a_line_that_may_do_more(command):
    assert not runs_helper_only(command)
