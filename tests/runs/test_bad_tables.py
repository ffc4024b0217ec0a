"""A table that pandas cannot show fails its own run, hides no error of the task, and leaves a sweep's other rows."""

from __future__ import annotations

import pytest
from workers import make_worker

from heroku_magic import TaskFailed, connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import ResultIncomplete, SweepFailed

# The header is valid, but pandas knows no such frequency.
HEADER = '{"rows": 1, "columns": [{"name": "a", "coding": "numbers", "dtype": "period[Fortnight]", "numbers": "int64"}], "sizes": [8]}'
TASK = f"""
    import json, sys
    from heroku_task import emit, task

    @task
    def draws(k: int = 0, fails: bool = False):
        emit({{"a": k}})
        if k == 2:
            sender = sys.modules["__main__"]._sender
            sender.flush()
            sender._send_packed("table", json.loads({HEADER!r}), bytes(8))
            sender.row_count += 1
        if fails:
            raise ValueError("as it should")
    """


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    server = embedded(make_worker(tmp_path_factory.mktemp("tables") / "shop", draws=TASK))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEROKU_HOST", server.url)
        patch.setenv("HEROKU_API_KEY", server.token.reveal())
        yield connect("shop", say=lambda _: None)


def test_it_fails_its_run_which_keeps_the_other_rows(heroku):
    run = heroku.submit("draws", {"k": 2})
    with pytest.raises(ResultIncomplete, match=r"a table cannot be read here \(ValueError: "):
        run.result(60)
    assert run.partial["a"].tolist() == [2]
    assert not run.facts()["verified"]


def test_it_does_not_hide_the_error_of_the_task(heroku):
    run = heroku.submit("draws", {"k": 2, "fails": True})
    with pytest.raises(TaskFailed, match=r"^ValueError: as it should"):
        run.result(60)
    assert run.partial["a"].tolist() == [2]


@pytest.mark.parametrize("chunk", [1, 4])
def test_the_other_runs_of_a_sweep_keep_their_rows(heroku, chunk):
    sweep = heroku.sweep("draws", {"k": range(4)}, chunk=chunk)
    with pytest.raises(SweepFailed, match=r"1 of 4 runs failed\.\n  k=2: .*a table cannot be read here"):
        sweep.result(60)
    assert sweep.partial["a"].tolist() == [0, 1, 3]
