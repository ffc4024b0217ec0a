"""Sweeps that lose what all their runs need: the API or the log stream."""

from __future__ import annotations

import re
import time

import pytest
import requests
from workers import make_worker

from heroku_magic import connect
from heroku_magic.api.client import HerokuClient
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import SweepFailed, Unauthorized, Unreachable
from heroku_magic.runs import dyno_guard, registry


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


def test_a_sweep_whose_token_is_revoked_asks_for_no_more_runs_and_keeps_those_that_end(heroku, monkeypatch):
    create, creates = HerokuClient.create_dyno, []

    def refuse(client, *args, **options):
        creates.append(args)
        if len(creates) > 3:
            raise Unauthorized("Invalid credentials provided.", status=401)
        return create(client, *args, **options)

    heroku.task("job")
    monkeypatch.setattr(HerokuClient, "create_dyno", refuse)
    sweep = heroku.sweep("job", {"n": range(100)}, {"pause": 0.5}, jobs=3, retries=2)
    with pytest.raises(SweepFailed, match="It stopped because Heroku refuses its runs") as caught:
        sweep.result(60)
    assert "Invalid credentials" in str(caught.value)
    assert len(creates) < 20
    assert sweep.counts()["done"] == 3
    assert sweep.counts()["cancelled"] > 70


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


def test_a_cancelled_sweep_names_the_dynos_that_could_not_be_stopped_and_goes_on_trying(
    server, use_as_heroku, monkeypatch
):
    use_as_heroku(server)
    monkeypatch.setattr(dyno_guard, "STOP_PATIENCE", 0.2)
    monkeypatch.setattr(dyno_guard, "WATCH_INTERVAL", 0.2)
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 0.2)
    heroku = connect(server.app, say=lambda _: None)
    sweep = heroku.sweep("job", {"n": range(3)}, {"pause": 600.0}, jobs=3)
    while len([run for run in sweep._scheduler.runs() if run.up_at]) < 3:
        time.sleep(0.05)

    def unreachable(*_):
        raise Unreachable("no connection")

    with monkeypatch.context() as outage:
        outage.setattr(HerokuClient, "stop_dyno", unreachable)
        sweep.cancel()
        error = str(sweep.exception(60))
        names = {dyno.name for dyno in heroku.dynos()}
        assert len(names) == 3
        assert re.search(r"may still run until \d\d:\d\d:\d\d", error)
        assert names <= set(re.findall(r"run\.\d+", error))
        assert all("could not be stopped: no connection" in one for one in sweep.runs()["error"])
    until = time.monotonic() + 20
    while heroku.dynos() and time.monotonic() < until:
        time.sleep(0.05)
    assert heroku.dynos() == []
