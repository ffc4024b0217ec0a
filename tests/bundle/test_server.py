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

from heroku_magic.bundle.build import COMMAND, CellBundle, server_env, server_modules
from heroku_magic.bundle.program import read_cell
from heroku_magic.protocol.channel import ChannelWriter
from heroku_magic.protocol.records import RunKey

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


def processes_with(variable):
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended
            found += [int(path.parent.name)] if variable in path.read_bytes() else []
    return found


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.mark.parametrize("end", ["kill", "leave", "terminate"])
@pytest.mark.usefixtures("processes")
def test_no_process_of_a_call_outlives_the_server(tmp_path, end):
    key, mark = RunKey.new(), f"OF_THIS_TEST={os.getpid()}-{end}"
    writer = ChannelWriter(key)
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    env = {"PATH": path, **server_env(20), "RUN_KEY": key.env(), **dict([mark.split("=")])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # as on a dyno
    with subprocess.Popen(["/bin/sh", "-c", f"exec {COMMAND}"], env=env, cwd=tmp_path, **pipes) as server:
        try:
            server.stdin.write(writer.lines("modules", server_modules()))
            cell = CellBundle(read_cell("import time\nprint('begun', flush=True)\ntime.sleep(600)"), {}).build_env()
            call = {
                "call": 1,
                "task": None,
                "timeout": 900,
                "memory": 0,
                "env": {**cell, "RUN_KEY": RunKey.new().env()},
            }
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
