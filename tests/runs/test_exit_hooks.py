"""Exit hooks run in a fixed order, and never in a forked child."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.usefixtures("processes")


def ended(program, **more):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )
    return done.stdout.split(), done.stderr


def test_hooks_run_in_the_order_of_their_steps():
    program = """
        from heroku_magic.runs.exit_hooks import Step, at_end
        for step in (Step.TOKENS, Step.SERVERS, Step.DYNOS, Step.APPS):
            at_end(step, lambda step=step: print(step.name))
    """
    assert ended(program) == (["DYNOS", "APPS", "TOKENS", "SERVERS"], "")


def test_a_failing_hook_does_not_stop_the_others():
    program = """
        from heroku_magic.runs.exit_hooks import Step, at_end
        at_end(Step.DYNOS, lambda: 1 / 0)
        at_end(Step.APPS, lambda: print("taken"))
    """
    said, errors = ended(program)
    assert said == ["taken"]
    assert "ZeroDivisionError" in errors


def test_a_forked_child_runs_no_hooks():
    program = """
        import os, sys
        from heroku_magic.runs.exit_hooks import Step, at_end
        at_end(Step.APPS, lambda: print("taken"))
        child = os.fork()
        if child == 0:
            sys.exit()
        os.waitpid(child, 0)
    """
    assert ended(program) == (["taken"], "")
