"""The server of a warm dyno leaves no process behind, whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from heroku_magic.bundle.build import CellBundle
from heroku_magic.bundle.program import read_cell
from heroku_magic.bundle.shipped import COMMAND, server_env, server_modules
from heroku_magic.protocol.channel import ChannelReader, ChannelWriter, parts
from heroku_magic.protocol.records import RunKey

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


def processes_with(variable):
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended
            found += [int(path.parent.name)] if variable in path.read_bytes() else []
    return found


def files_of(variable, ending):
    found = []
    for process in processes_with(variable):
        with suppress(OSError):  # it has ended, or closed one
            found += [path for path in Path(f"/proc/{process}/fd").iterdir() if ending in str(path.readlink())]
    return found


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def start(key, folder, mark="OF_THIS_TEST=1", idle=20):
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    env = {"PATH": path, **server_env(idle), "RUN_KEY": key.env(), **dict([mark.split("=")])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # as on a dyno
    return subprocess.Popen(["/bin/sh", "-c", f"exec {COMMAND}"], env=env, cwd=folder, **pipes)


def call_of(number, text):
    env = {**CellBundle(read_cell(text), {}).build_env(), "RUN_KEY": RunKey.new().env()}
    return {"call": number, "task": None, "timeout": 900, "memory": 0, "env": env}


@pytest.mark.usefixtures("processes")
def test_each_call_of_a_cell_shows_its_warning_and_reports_its_duration(tmp_path):
    key, found = RunKey.new(), {"text": [], "done": []}
    writer, reader = ChannelWriter(key), ChannelReader(key)
    with start(key, tmp_path) as server:
        try:
            server.stdin.write(writer.lines("modules", server_modules()))
            for number in (1, 2):
                server.stdin.write(writer.lines("call", call_of(number, "import time\ntime.sleep(0.05)\n'' is 1")))
            server.stdin.flush()
            while len(found["done"]) < 2:
                line = server.stdout.readline().decode().rstrip("\n")
                if reader.is_own(line) and (record := reader.read(line)) is not None:
                    found.setdefault(record[0], []).append(record[1])
        finally:
            server.kill()
    assert "".join(one["text"] for one in found["text"]).count("SyntaxWarning") == 2
    assert all(one["status"] == 0 and one["seconds"] >= 0.05 for one in found["done"])


@pytest.mark.usefixtures("processes")
def test_a_dyno_that_receives_the_values_of_a_call_is_not_idle(tmp_path):
    key, kinds = RunKey.new(), []
    writer, reader = ChannelWriter(key), ChannelReader(key)
    with start(key, tmp_path, idle=1) as server:
        try:
            server.stdin.write(writer.lines("modules", server_modules()))
            for _ in range(8):
                server.stdin.write(b"".join(writer.line(*part) for part in parts("data", {"call": 1}, b"abc")))
                server.stdin.flush()
                time.sleep(0.25)
            server.stdin.write(writer.lines("call", call_of(1, "1")))
            server.stdin.flush()
            while "done" not in kinds and (line := server.stdout.readline()):
                if reader.is_own(text := line.decode().rstrip("\n")) and (record := reader.read(text)) is not None:
                    kinds.append(record[0])
        finally:
            server.kill()
    assert "done" in kinds


@pytest.mark.usefixtures("processes")
def test_the_values_of_a_call_take_no_room_after_it(tmp_path):
    (tmp_path / "job.py").write_text("from heroku_task import task\n@task\ndef job(): pass\n")
    key, mark, ended = RunKey.new(), f"OF_THIS_TEST={os.getpid()}-values", []
    writer, reader = ChannelWriter(key), ChannelReader(key)
    with start(key, tmp_path, mark) as server:
        try:
            server.stdin.write(writer.lines("modules", server_modules()))
            for number, task in enumerate((None, "job"), 1):
                server.stdin.write(b"".join(writer.line(*part) for part in parts("data", {"call": number}, b"abc")))
                server.stdin.write(writer.lines("call", {**call_of(number, "1"), "task": task}))
            server.stdin.flush()
            while len(ended) < 2:
                text = server.stdout.readline().decode().rstrip("\n")
                if reader.is_own(text) and (record := reader.read(text)) is not None and record[0] == "done":
                    ended.append(record[1]["status"])
            assert ended == [0, 0]
            wait_for(lambda: not files_of(mark.encode(), "-values"), 5)
        finally:
            server.kill()


@pytest.mark.parametrize("end", ["kill", "leave", "terminate"])
@pytest.mark.usefixtures("processes")
def test_no_process_of_a_call_outlives_the_server(tmp_path, end):
    key, mark = RunKey.new(), f"OF_THIS_TEST={os.getpid()}-{end}"
    writer = ChannelWriter(key)
    with start(key, tmp_path, mark) as server:
        try:
            server.stdin.write(writer.lines("modules", server_modules()))
            call = call_of(1, "import time\nprint('begun', flush=True)\ntime.sleep(600)")
            server.stdin.write(writer.lines("call", call))
            server.stdin.flush()
            while b"begun" not in server.stdout.readline():
                assert server.poll() is None
            assert len(processes_with(mark.encode())) == 3
            if end == "leave":
                server.stdin.close()
            else:
                os.kill(server.pid, signal.SIGKILL if end == "kill" else signal.SIGTERM)
            wait_for(lambda: not processes_with(mark.encode()))
        finally:
            server.kill()
