"""The platform's limits and the faults of dynos."""

from __future__ import annotations

import re

import pytest
from emulators import is_running, wait_until

HUNGRY = 'python -c "import time; hog = bytearray({} << 20); time.sleep(60)"'


def test_a_size_has_its_own_limit(start, make_folder):
    emulator = start(make_folder())
    emulator.create("sleep 30", size="eco")
    refused = emulator.refused(command="true", size="eco")
    assert (refused["id"], refused["limit"], refused["size"]) == ("cannot_run_above_limit", 1, "Eco")
    for _ in range(5):
        emulator.create("sleep 30", size="performance-m")
    assert emulator.refused(command="true", size="Performance-M")["limit"] == 5
    emulator.create("true")


def test_a_dyno_over_its_memory_is_reported_and_one_far_over_it_is_killed(start, make_folder):
    emulator = start(make_folder(), "--time", "memory=0.2")
    dyno = emulator.create(HUNGRY.format(700))
    with emulator.tail(dyno) as log:
        told = log.until(b"running mem=7")[-1]
        assert re.search(rb"Process running mem=7\d\dM\(1[34]\d\.\d%\)$", told)
        assert next(log.lines).endswith(b"Error R14 (Memory quota exceeded)")
    emulator.stop(dyno)
    said = [line.partition(b"]: ")[2].decode() for line in emulator.run(HUNGRY.format(1100))]
    assert said[-4:] == [
        "Error R15 (Memory quota vastly exceeded)",
        "Stopping process with SIGKILL",
        "Process exited with status 137",
        "State changed from up to complete",
    ]


def test_a_larger_size_has_more_memory(start, make_folder):
    emulator = start(make_folder(), "--time", "memory=0.1")
    command = 'python -c "import time; hog = bytearray(700 << 20); time.sleep(0.5)"'
    assert b"R14" not in b"".join(emulator.run(command, size="standard-2x"))


def test_a_boot_takes_time_and_a_stop_does_not_wait_for_it(start, make_folder):
    emulator = start(make_folder(), "--time", "boot=0.4", "--fault", "slow-boot=0.2")
    dyno = emulator.create("echo up")
    assert emulator.get(f"/apps/demo/dynos/{dyno['id']}")["state"] == "starting"
    assert b"]: up" in b"\n".join(emulator.log(dyno))
    dyno = emulator.create("echo never")
    emulator.stop(dyno)
    lines = emulator.log(dyno)
    assert b"never" not in b"\n".join(lines)
    assert b"status 143" in lines[-2]


def test_a_dyno_ends_without_its_exit_line(faulty):
    emulator = faulty("no-exit-line=1")
    dyno = emulator.create("echo done")
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [])
    lines = emulator.backlog(dyno=dyno["name"])
    assert lines[-1].endswith(b"]: done")


def test_a_dyno_is_killed_while_it_runs(faulty):
    emulator = faulty("dyno-killed=1")
    assert b"Process exited with status 137" in emulator.run("sleep 10")[-2]


def test_the_memory_fault_strikes_without_any_use_of_memory(faulty):
    emulator = faulty("over-memory=1")
    said = b"\n".join(emulator.run("sleep 10"))
    assert said.index(b"R14") < said.index(b"R15") < said.index(b"status 137")


def test_the_platform_runs_a_one_off_twice(faulty):
    emulator = faulty("run-twice=1")
    dyno = emulator.create("echo $$; sleep 0.3")
    wait_until(lambda: emulator.get("/apps/demo/dynos") == [])
    lines = emulator.backlog(dyno=dyno["name"])
    pids = {line.rpartition(b" ")[2] for line in lines if b" app[" in line}
    assert len(pids) == 2
    assert sum(b"Process exited" in line for line in lines) == 2


def test_a_process_that_left_its_group_does_not_outlive_its_dyno(demo):
    (pid,) = demo.output("setsid sleep 300 > /dev/null 2>&1 & echo $!")
    wait_until(lambda: not is_running(int(pid)))


@pytest.mark.parametrize("fault", ["dyno-killed=0.5", "run-twice=0.5"])
def test_the_same_seed_strikes_the_same_dynos(start, make_folder, fault):
    def struck():
        emulator = start(make_folder(), "--fault", fault, "--seed", "3")
        runs = [emulator.create("sleep 2.2" if "killed" in fault else "true") for _ in range(8)]
        wait_until(lambda: emulator.get("/apps/demo/dynos") == [])
        logs = [b"\n".join(emulator.backlog(dyno=dyno["name"], lines=1500)) for dyno in runs]
        return [(b"status 137" in log, log.count(b"Process exited")) for log in logs]

    first = struck()
    assert len(set(first)) == 2
    assert struck() == first
