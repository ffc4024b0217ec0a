"""A sweep where something ends that all its runs need: the API, the log."""

from __future__ import annotations

import time

import pytest
import requests
from workers import make_worker

from heroku_magic import connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import SweepFailed


@pytest.fixture
def folder(tmp_path):
    return make_worker(
        tmp_path / "worker",
        job="""
            import time
            from heroku_task import task

            @task
            def job(n: int, pause: float = 0.0):
                time.sleep(pause)
                return {"x": n}
            """,
    )


@pytest.fixture
def server(folder):
    server = embedded(folder)
    yield server
    server.stop()


@pytest.fixture
def heroku(server, folder):
    return connect(worker=folder, say=lambda _: None)


def faults(server, **values):
    headers = {
        "Accept": "application/vnd.heroku+json; version=3",
        "Authorization": f"Bearer {server.token.reveal()}",
    }
    told = {"faults": {name.replace("_", "-"): value for name, value in values.items()}, "seed": 1}
    requests.put(f"{server.url}/emulator/faults", json=told, headers=headers, timeout=10).raise_for_status()


def test_a_heroku_that_is_gone_ends_the_sweep_instead_of_failing_each_run(heroku, server):
    sweep = heroku.sweep("job", {"n": range(200)}, {"pause": 0.2}, jobs=2)
    next(sweep.as_completed())
    server.process.kill()
    with pytest.raises(SweepFailed, match=r"Heroku does not answer any more|The log of its runs broke"):
        sweep.result(60)
    assert sweep.counts()["failed"] < 20
    assert sweep.counts()["cancelled"] > 150


def test_a_log_that_cannot_be_read_any_more_leaves_no_dyno_and_starts_not_all(heroku, server):
    faults(server, expired_session=1.0)
    sweep = heroku.sweep("job", {"n": range(100)}, {"pause": 60.0}, jobs=2)
    with pytest.raises(SweepFailed, match="The log of its runs broke"):
        sweep.result(100)
    faults(server)
    assert sweep.counts()["cancelled"] > 80
    until = time.monotonic() + 10
    while heroku.our_dynos() and time.monotonic() < until:  # they were told to stop
        time.sleep(0.05)
    assert heroku.our_dynos() == []
