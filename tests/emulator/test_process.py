"""The life of a dyno, seen through its log and its processes."""

from __future__ import annotations

import re
import signal

import pytest
from emulators import OVER, is_running, wait_until


def messages(lines):
    return [line.partition(b" ")[2].decode() for line in lines]


def test_the_life_of_a_dyno_reads_as_on_heroku(demo):
    dyno = demo.create("say hello #hm-1234abcd")
    name = dyno["name"]
    lines = demo.log(dyno)
    assert messages(lines) == [
        f"heroku[{name}]: Starting process with command `say hello #hm-1234abcd`",
        f"heroku[{name}]: State changed from starting to up",
        f"app[{name}]: said hello",
        f"heroku[{name}]: Process exited with status 0",
        f"heroku[{name}]: State changed from up to complete",
    ]
    for line in lines:
        assert re.match(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 ", line)
    api = [line for line in messages(demo.backlog(dyno="api", lines=1500)) if "hm-1234abcd" in line]
    assert api == ["app[api]: Starting process with command `say hello #hm-1234abcd` by user notebook@embedded.invalid"]


def without_bash(lines):
    """Bash tells that its `sleep` was terminated, or does not."""
    return [line for line in lines if "Terminated" not in line]


@pytest.mark.parametrize(
    ("command", "status"), [("exit 3", 3), ("kill -9 $$", 137), ("nothing-of-that-name", 127), ("false || true", 0)]
)
def test_the_exit_line_has_the_status(demo, command, status):
    lines = demo.run(command)
    assert lines[-2].endswith(b"Process exited with status %d" % status)
    assert lines[-1].endswith(b"State changed from up to complete")


def test_both_outputs_become_app_lines_and_the_last_needs_no_newline(demo):
    assert sorted(demo.output("echo out; echo err >&2; printf last; printf '\\nvery last'")) == [
        b"err",
        b"last",
        b"out",
        b"very last",
    ]


def test_a_dyno_has_its_own_environment_and_nothing_of_ours(start, make_folder):
    emulator = start(
        make_folder(), environ={"A_SECRET_OF_THE_KERNEL": "1", "PYTHONPATH": "", "VIRTUAL_ENV": "/nowhere"}
    )
    dyno = emulator.create("env; pwd", env={"N": "10", "EMPTY": ""})
    output = [line.partition(b"]: ")[2].decode() for line in emulator.log(dyno) if b" app[" in line]
    env = dict(line.partition("=")[::2] for line in output[:-1])
    shell = {"PWD", "SHLVL", "_", "OLDPWD"}
    assert set(env) - shell == {"DYNO", "EMPTY", "HEROKU_DYNO_ID", "HOME", "LANG", "N", "PATH", "PYTHONUNBUFFERED"}
    assert (env["DYNO"], env["N"], env["EMPTY"]) == (dyno["name"], "10", "")
    assert env["HOME"] == output[-1]
    assert output[-1].endswith(f"/dyno-{dyno['id']}")
    assert not output[-1].startswith(str(emulator.folder))
    assert env["PATH"].startswith(str(emulator.folder / ".heroku"))


def test_no_descriptor_of_the_emulator_reaches_a_dyno(demo):
    assert demo.output("ls /dev/fd | wc -l; cat; echo done")[-1] == b"done"
    assert int(demo.output("ls /dev/fd | wc -l")[0]) <= 4


def test_the_profile_scripts_are_sourced_first(start, make_folder):
    folder = make_folder("task: echo $ONE $TWO")
    (folder / ".profile.d").mkdir()
    (folder / ".profile.d" / "one.sh").write_text("export ONE=1\n")
    (folder / ".profile").write_text("export TWO=${ONE}2\n")
    emulator = start(folder)
    assert emulator.output("task 'a  b' #hm") == [b"1 12 a  b"]


def test_the_whole_group_ends_with_its_leader(demo):
    left = demo.output("sleep 300 & echo $!; exit 0")
    wait_until(lambda: not is_running(int(left[0])))


def test_an_orphan_that_holds_the_output_does_not_delay_the_exit_line(demo):
    lines = demo.run("setsid sleep 5 & echo $!")
    assert lines[-2].endswith(b"Process exited with status 0")


def test_a_stop_is_a_sigterm_to_all_processes_with_a_grace(demo):
    dyno = demo.create("trap 'sleep 0.1; echo goodbye; exit 4' TERM; echo ready; while :; do sleep 0.01; done")
    with demo.tail(dyno) as log:
        log.until(b"]: ready")
        demo.stop(dyno)
        demo.stop(dyno)
        lines = without_bash(messages(log.until(OVER)))
    name = dyno["name"]
    assert lines == [
        f"heroku[{name}]: Stopping all processes with SIGTERM",
        f"app[{name}]: goodbye",
        f"heroku[{name}]: Process exited with status 4",
        f"heroku[{name}]: State changed from up to complete",
    ]


def test_a_child_may_finish_after_the_leader_died_of_sigterm(demo):
    dyno = demo.create("(trap 'sleep 0.1; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done); true")
    with demo.tail(dyno) as log:
        log.until(b"]: ready")
        demo.stop(dyno)
        lines = without_bash(messages(log.until(OVER)))
    assert lines[1:3] == [f"app[{dyno['name']}]: saved", f"heroku[{dyno['name']}]: Process exited with status 143"]


@pytest.mark.parametrize("start_child", ["sleep 300 & echo child $!", "setsid -f sleep 300; echo child 0"])
def test_a_child_that_is_started_during_the_stop_ends_with_its_leader(start, make_folder, start_child):
    emulator = start(make_folder(), "--time", "grace=20")
    dyno = emulator.create(f"trap '{start_child}; exit 4' TERM; echo ready; while :; do sleep 0.01; done")
    with emulator.tail(dyno) as log:
        log.until(b"]: ready")
        emulator.stop(dyno)
        lines = without_bash(messages(log.until(OVER)))
    name = dyno["name"]
    assert [line.rpartition(" ")[0] for line in lines] == [
        f"heroku[{name}]: Stopping all processes with",
        f"app[{name}]: child",
        f"heroku[{name}]: Process exited with status",
        f"heroku[{name}]: State changed from up to",
    ]
    child = int(lines[1].rpartition(" ")[2])
    wait_until(lambda: not (child and is_running(child)))


def test_a_dyno_inherits_no_ignored_and_no_blocked_signal(start, make_folder):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    try:
        emulator = start(make_folder())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    masks = emulator.output("grep -E '^Sig(Blk|Ign)' /proc/self/status")
    usable = sum(1 << (number - 1) for number in signal.valid_signals())  # the C library keeps two to itself
    assert [int(line.split()[1], 16) & usable for line in masks] == [0, 0]


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(demo):
    dyno = demo.create("trap '' TERM; echo $$; while :; do sleep 0.01; done")
    with demo.tail(dyno) as log:
        pid = int(log.until(b"app[")[-1].rpartition(b" ")[2])
        demo.stop(dyno)
        lines = messages(log.until(OVER))
    name = dyno["name"]
    assert lines == [
        f"heroku[{name}]: Stopping all processes with SIGTERM",
        f"heroku[{name}]: Error R12 (Exit timeout) -> At least one process failed to exit within 0.4 seconds of SIGTERM",
        f"heroku[{name}]: Stopping remaining processes with SIGKILL",
        f"heroku[{name}]: Process exited with status 137",
        f"heroku[{name}]: State changed from up to complete",
    ]
    assert not is_running(pid)


def test_a_dyno_ends_at_its_time_to_live(demo):
    lines = messages(demo.run("sleep 60", time_to_live=1))
    assert [line.partition("]: ")[2] for line in lines[-3:]] == [
        "Stopping all processes with SIGTERM",
        "Process exited with status 143",
        "State changed from up to complete",
    ]


def test_a_line_of_more_than_10000_bytes_is_cut_even_within_a_character(demo):
    command = """python -c "import sys; sys.stdout.write('x' + chr(228) * 10000 + chr(10) + 'y' * 9999 + chr(10))" """
    lines = [line for line in demo.run(command) if b" app[" in line]
    whole = b"x" + "ä".encode() * 10_000
    pieces = [line.partition(b"]: ")[2] for line in lines]
    assert pieces == [whole[:10_000], whole[10_000:20_000], whole[20_000:], b"y" * 9999]
    assert len({line.partition(b" ")[0] for line in lines[:3]}) == 1


def test_bytes_are_kept_unchanged(demo):
    assert demo.output(r"printf 'a\xffb\r10%%\r\x1b[1mc\n\n'") == [b"a\xffb\r10%\r\x1b[1mc", b""]


def test_a_command_with_newlines_cannot_forge_log_lines(demo):
    lines = demo.run("true\n2024-01-01T00:00:00.000000+00:00 heroku[run.1]: Process exited with status 0 || true")
    assert len([line for line in lines if line.startswith(b"2024-01-01")]) == 0


@pytest.mark.parametrize("number", [100_000])
def test_a_flood_reaches_a_reader_completely_and_in_order(demo, number):
    dyno = demo.create(f"seq {number}")
    lines = [line.rpartition(b" ")[2] for line in demo.log(dyno) if b" app[" in line]
    assert lines == [b"%d" % each for each in range(1, number + 1)]


def test_the_first_lines_wait_for_the_first_reader(demo):
    dyno = demo.create("seq 5000")
    with demo.open(demo.session(dyno=dyno["name"], source="heroku", tail=True)) as log:
        wait_until(lambda: any(b" 900" in line[-4:] for line in demo.backlog(dyno=dyno["name"], lines=1500)))
        lines = [line.rpartition(b" ")[2] for line in demo.log(dyno) if b" app[" in line]
        log.until(OVER)
    assert lines == [b"%d" % each for each in range(1, 5001)]


def test_a_dyno_without_readers_is_not_slowed_down(demo):
    dyno = demo.create("seq 5000")
    with demo.open(demo.session(dyno=dyno["name"], source="heroku", tail=True)) as log:
        log.until(OVER)
    kept = demo.backlog(dyno=dyno["name"], lines=1500)
    assert len(kept) == 1500
    assert kept[-3].endswith(b" 5000")
