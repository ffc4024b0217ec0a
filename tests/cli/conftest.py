"""One embedded Heroku for all tests of this folder, and its clients: the official CLI and plain requests.

Commands that need nothing of their test are parameters of the fixture `said`. They run beside the tests in the order of the
tests, all in one process, for a process of its own costs a command a second. Only `run` has its own.
A test that changes something has an app of its own.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from official import Cli, ClosedProxy, CommandProcess, give_up, missing, reads_input
from platform_api import Platform

PROCFILE = """\
hello: echo "Hello ${NAME:-World}!"
clock: exec sleep 600
"""
APPS = (
    "demo",
    "idle",
    "vars",
    "scaled",
    "sized",
    "stopped",
    "restarted",
    "logged",
    "doomed",
    "library",
    "forms",
    "tools",
)
# What the CLI would leave in a home folder.
TRACES = (".netrc", ".gitconfig", ".config/heroku", ".config/git/config", ".cache/heroku", ".local/share/heroku")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder that all apps are served from."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "Procfile").write_text(PROCFILE)
    return folder


@pytest.fixture(scope="session")
def platform(folder, processes):
    platform = Platform(dict.fromkeys(APPS, folder), "--time", "grace=1")
    yield platform
    said = platform.end()
    assert said == "", said


def _traces():
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    return {str(path): path.stat().st_mtime_ns for path in map(home.joinpath, TRACES) if path.exists()}


@pytest.fixture(scope="session")
def traces_before():
    return _traces()


@pytest.fixture(scope="session")
def heroku(platform, traces_before, tmp_path_factory):
    """The official CLI; nothing outside of this machine was asked for at the end, and the user's home is as it was."""
    if lacking := missing():
        give_up(lacking)
    proxy = ClosedProxy()
    cli = Cli(tmp_path_factory.mktemp("cli"), platform.exports, proxy.url)
    yield cli
    cli.commands.end()
    proxy.close()
    assert proxy.asked == [], "the CLI asked for something outside of this machine"
    assert _traces() == traces_before, "the CLI wrote to the user's home folder"


def _split(line):
    """`NAME=value command word ...` -> the command and its environment."""
    words = shlex.split(line)
    env = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    return words, env


@pytest.fixture(scope="session")
def ahead(heroku, request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ahead")
    for name in ("server.crt", "server.key"):
        (folder / name).write_text("A certificate or its key.\n")
    commands = CommandProcess(heroku.env)
    results = {}
    with ThreadPoolExecutor(3) as pool:
        for line in filter(None, map(_said, request.session.items)):
            words, env = _split(line)
            if reads_input(words):
                results[line] = pool.submit(heroku, *words, status=None, **env)
            else:
                results[line] = commands.submit(words, env, folder)
        yield results
        commands.end()
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def said(request, ahead):
    """What the command of this test said."""
    return ahead[request.param].result()


def _said(item):
    return getattr(item, "callspec", None) and item.callspec.params.get("said")


def pytest_collection_modifyitems(items):
    """Note which commands a test is about, for the sum at the end."""
    for item in items:
        commands = [command for marker in item.iter_markers("cli") for command in marker.args]
        if line := _said(item):
            commands.append(line)
        item.user_properties.extend(("cli", command) for command in commands)


def pytest_terminal_summary(terminalreporter):
    outcomes = defaultdict(set)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, command in getattr(report, "user_properties", ()):
                if name == "cli":
                    outcomes[command].add(outcome)
    if outcomes:
        passing = sum(each == {"passed"} for each in outcomes.values())
        terminalreporter.write_line(f"CLI commands passing: {passing} of {len(outcomes)}")
