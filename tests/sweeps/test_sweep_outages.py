"""Sweeps that lose what all their runs need: the API or the log stream."""

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
def server(folder, processes):
    server = embedded(folder)
    yield server
    server.stop()


@pytest.fixture
def heroku(server, folder, processes):
    return connect(worker=folder, say=lambda _: None)


def faults(server, **values):
    headers = {
        "Accept": "application/vnd.heroku+json; version=3",
        "Authorization": f"Bearer {server.token.reveal()}",
    }
    body = {"faults": {name.replace("_", "-"): value for name, value in values.items()}, "seed": 1}
    requests.put(f"{server.url}/emulator/faults", json=body, headers=headers, timeout=10).raise_for_status()


def test_an_unreachable_heroku_stops_the_sweep_instead_of_failing_every_run(heroku, server):
    sweep = heroku.sweep("job", {"n": range(200)}, {"pause": 0.2}, jobs=2)
    next(sweep.as_completed())
    server.process.kill()
    with pytest.raises(SweepFailed, match=r"because Heroku does not answer|The log stream of its runs broke"):
        sweep.result(60)
    assert sweep.counts()["failed"] < 20
    assert sweep.counts()["cancelled"] > 150


def test_a_broken_log_stream_stops_the_sweep_and_its_dynos(heroku, server):
    faults(server, expired_session=1.0)
    sweep = heroku.sweep("job", {"n": range(100)}, {"pause": 60.0}, jobs=2)
    with pytest.raises(SweepFailed, match="The log stream of its runs broke"):
        sweep.result(100)
    faults(server)
    assert sweep.counts()["cancelled"] > 80
    until = time.monotonic() + 10
    while heroku.our_dynos() and time.monotonic() < until:  # their stops were requested
        time.sleep(0.05)
    assert heroku.our_dynos() == []
