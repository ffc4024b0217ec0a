"""Fixtures that start emulators."""

from __future__ import annotations

import re

import pytest
from emulators import AttachClient, Emulator, wait_until


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory):
    def make(procfile="task: echo", **files):
        folder = tmp_path_factory.mktemp("app")
        (folder / "Procfile").write_text(procfile + "\n")
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return folder

    return make


@pytest.fixture
def start(processes):
    """Start emulators; at the end of the test they must end without a complaint."""
    started = []

    def begin(*arguments, **more):
        started.append(Emulator(*arguments, **more))
        return started[-1]

    yield begin
    assert [complaints for each in started if (complaints := each.end())] == []


@pytest.fixture(scope="module")
def _shared(make_folder, processes):
    emulator = Emulator(make_folder(), "--time", "grace=0.4", "--one-offs", "50", certificate=True)
    yield emulator
    assert emulator.end() == ""


@pytest.fixture
def faulty(_shared):
    """Return a function that turns faults on, as in `faulty("rate-limit=1")`, in an emulator shared by a module.

    After the test the faults are off and all one-off dynos are gone.
    """

    def turn_on(*faults, seed=0):
        values = {name: float(value) for name, _, value in (fault.partition("=") for fault in faults)}
        _shared.ask("PUT", "/emulator/faults", json={"faults": values, "seed": seed})
        return _shared

    yield turn_on
    turn_on()
    _shared.ask("DELETE", "/apps/demo/dynos", 202)
    wait_until(lambda: _shared.get("/apps/demo/dynos") == [])


@pytest.fixture(scope="session")
def demo(make_folder, processes):
    """One emulator for all tests that leave it unchanged."""
    folder = make_folder("web: python web.py\ntask: python task.py\nsay: echo said\nrelease: true")
    emulator = Emulator(folder, "--time", "grace=0.4", "--one-offs", "20", certificate=True)
    yield emulator
    assert emulator.end() == ""


@pytest.fixture
def attach(demo, processes):
    clients = []

    def start(command, *, emulator=demo, end=b"\r\n", **more):
        dyno = emulator.create(command, attach=True, **more)
        assert re.fullmatch(r"rendezvous://127\.0\.0\.1:\d+/[0-9a-f]{32}", dyno["attach_url"])
        client = AttachClient(emulator, dyno["attach_url"], end=end)
        clients.append(client)
        assert client.greeting() == b"rendezvous\r\n"
        return client, dyno

    yield start
    for client in clients:
        client.close()
