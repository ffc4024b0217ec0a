"""The official CLI: ps, ps:scale, ps:type, ps:stop, ps:restart."""

from __future__ import annotations

import re

import pytest
from platform_api import wait_until

pytestmark = pytest.mark.cli


def clocks(platform, app):
    """The dynos of type clock that are up, as name -> id."""
    return {
        name: dyno["id"]
        for name, dyno in platform.dynos(app).items()
        if (dyno["type"], dyno["state"]) == ("clock", "up")
    }


def wait_for_clocks(platform, app, *names):
    return wait_until(lambda: set(found := clocks(platform, app)) == set(names) and found)


@pytest.mark.parametrize("said", ["ps -a idle"], indirect=True)
def test_an_app_without_dynos_says_so(said):
    assert (said.status, said.lines) == (0, ["No dynos on idle"])


@pytest.mark.cli("run:detached --env --size", "ps", "ps:stop DYNO", "ps:stop --dyno-name", "ps:stop --process-type")
def test_one_off_dynos_are_shown_and_stopped_in_each_form(heroku, platform):
    app = ("-a", "stopped")
    command = 'echo "$GREETING from $HOME_TOWN"; exec sleep 600'
    names = []
    for _ in range(3):
        told = heroku("run:detached", *app, "--env", "GREETING=hi;HOME_TOWN=Bern", "--size", "standard-2x", command)
        names.append(re.search(r"done, (run\.\d+)", told.stderr + told.stdout)[1])
    wait_until(lambda: [each["state"] for each in platform.dynos("stopped").values()] == ["up"] * 3)
    shown = heroku("ps", *app).stdout
    assert "=== run: one-off processes (3)" in shown
    for name in names:
        assert re.search(rf"^{re.escape(name)} \(Standard-2X\): up .*: {re.escape(command)}$", shown, re.MULTILINE)
        assert any(line.endswith(f"app[{name}]: hi from Bern") for line in platform.log("stopped", dyno=name))
    positional = heroku("ps:stop", names[0], *app)
    assert f"Stopping dyno {names[0]} on stopped... done" in positional.stderr
    assert "DYNO is a deprecated argument" in positional.complaint
    wait_until(lambda: set(platform.dynos("stopped")) == set(names[1:]))
    heroku("ps:stop", "--dyno-name", names[1], *app)
    wait_until(lambda: set(platform.dynos("stopped")) == {names[2]})
    assert "Stopping all run dynos on stopped... done" in heroku("ps:stop", "--process-type", "run", *app).stderr
    wait_until(lambda: not platform.dynos("stopped"))
    assert any("Stopping all processes with SIGTERM" in line for line in platform.log("stopped", dyno=names[2]))


@pytest.mark.cli("ps:scale TYPE=N", "ps:scale", "ps TYPE")
def test_dynos_are_scaled_up_and_down(heroku, platform):
    app = ("-a", "scaled")
    assert heroku("ps:scale", *app).lines == ["clock=0:Standard-1X hello=0:Standard-1X"]
    assert "done, now running clock at 2:Standard-1X" in heroku("ps:scale", "clock=2", *app).stderr
    wait_for_clocks(platform, "scaled", "clock.1", "clock.2")
    shown = heroku("ps", "clock", *app).stdout
    assert re.search(r"=== clock \(Standard-1X\): exec sleep 600 \(2\)", shown), shown
    assert re.findall(r"^(clock\.\d): up ", shown, re.MULTILINE) == ["clock.1", "clock.2"]
    assert "clock at 1:Standard-1X" in heroku("ps:scale", "clock-1", *app).stderr
    wait_for_clocks(platform, "scaled", "clock.1")
    assert "clock at 3:Standard-2X" in heroku("ps:scale", "clock+2:standard-2x", *app).stderr
    assert "clock=3:Standard-2X" in heroku("ps:scale", *app).stdout
    assert "clock at 0:Standard-2X" in heroku("ps:scale", "clock=0", *app).stderr
    wait_until(lambda: not platform.dynos("scaled"))
    assert heroku("ps:scale", "nothing=1", *app, status=2).complaint.count("Error ID:") == 1


@pytest.mark.cli("ps:type", "ps:type TYPE=SIZE", "ps:type SIZE")
def test_sizes_are_shown_and_changed(heroku):
    app = ("-a", "sized")

    def sizes(text):
        return dict(re.findall(r"^\s+(clock|hello)\s+(\S+)\s", text, re.MULTILINE))

    assert sizes(heroku("ps:type", *app).stdout) == {"clock": "Standard-1X", "hello": "Standard-1X"}
    one = heroku("ps:type", "clock=standard-2x", *app)
    assert sizes(one.stdout) == {"clock": "Standard-2X", "hello": "Standard-1X"}
    assert "~$0.069" in one.stdout
    assert sizes(heroku("ps:type", "basic", *app).stdout) == {"clock": "Basic", "hello": "Basic"}
    assert "Error ID: invalid_params" in heroku("ps:type", "clock=huge", *app, status=2).complaint


@pytest.mark.cli("ps:restart", "ps:restart --dyno-name", "ps:restart --process-type")
def test_dynos_are_restarted_under_their_names(heroku, platform):
    app = ("-a", "restarted")
    heroku("ps:scale", "clock=2", *app)
    first = wait_for_clocks(platform, "restarted", "clock.1", "clock.2")

    def restarted(*names):
        def are_new():
            found = clocks(platform, "restarted")
            return len(found) == 2 and {name for name in found if found[name] != first[name]} == set(names)

        wait_until(are_new)
        first.update(clocks(platform, "restarted"))

    assert "done" in heroku("ps:restart", "--dyno-name", "clock.2", *app).stderr
    restarted("clock.2")
    assert "done" in heroku("ps:restart", "--process-type", "clock", *app).stderr
    restarted("clock.1", "clock.2")
    assert "done" in heroku("ps:restart", *app).stderr
    restarted("clock.1", "clock.2")
    heroku("ps:stop", "--process-type", "clock", *app)
    restarted("clock.1", "clock.2")
