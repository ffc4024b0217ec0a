"""The command line: start, output, and all the ways in which the emulator ends."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest
from emulators import ROOT, is_running, wait_until


def run(*options):
    command = [sys.executable, "-m", "heroku_magic.emulator", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20, check=False)


def busy(emulator, command="echo $$; sleep 300"):
    """Start a dyno and return its process."""
    dyno = emulator.create(command)
    with emulator.tail(dyno, source="app") as log:
        return int(log.until(b"app[")[-1].rpartition(b" ")[2])


@pytest.mark.usefixtures("processes")
def test_help_explains_each_option_with_an_example():
    told = " ".join(run("--help").stdout.split())
    for example in (
        "--app demo=./worker",
        "--allow-origin http://127.0.0.1:8000",
        "--port 5001",
        "--one-offs 8",
        "--time grace=5",
        "--fault drop-lines=0.1",
        "--seed 7",
        "--parent $$",
        "--env-file heroku.env",
    ):
        assert example in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--app", "demo=/nowhere/at/all"], "does not exist"),
        (["--app", "demo={empty}"], "has no Procfile"),
        (["--app", "Demo!={good}"], "is not a valid app name"),
        (["--app", "demo={good}", "--port", "99999"], "Port 99999"),
        (["--app", "demo={good}", "--app", "demo={good}"], "the same name"),
        (["--app", "demo={good}", "--time", "boots=1"], "--time 'boots=1' is not NAME=SECONDS"),
        (
            ["--app", "demo={good}", "--fault", "drop-lines=2"],
            "--fault 'drop-lines=2' is not valid: '2' is not a probability",
        ),
        (["--app", "demo={good}", "--allow-origin", "*"], '--allow-origin "*" is not an origin: expected a scheme'),
    ],
)
@pytest.mark.usefixtures("processes")
def test_a_failed_start_prints_one_clear_line(make_folder, tmp_path, options, said):
    ended = run(*(option.format(empty=tmp_path, good=make_folder()) for option in options))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_it_listens_on_loopback_with_a_long_token_that_no_process_list_shows(start, make_folder):
    emulator = start(make_folder())
    assert emulator.url.startswith("http://127.0.0.1:")
    assert len(emulator.token) == 40
    assert emulator.token not in " ".join(emulator.process.args)


def serving(*options, stdout, until):
    """Run the emulator with its standard output in a file until a condition holds."""
    command = [sys.executable, "-m", "heroku_magic.emulator", "--until-stdin-closes", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, cwd=ROOT, umask=0) as process:
        wait_until(until)
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.usefixtures("processes")
def test_the_env_file_is_complete_and_readable_by_its_owner_alone(make_folder, tmp_path):
    env, printed = tmp_path / "heroku.env", tmp_path / "printed"
    env.write_text("")
    env.chmod(0o666)
    with printed.open("wb") as stdout:
        options = ("--app", f"demo={make_folder()}", "--env-file", str(env))
        serving(*options, stdout=stdout, until=lambda: env.stat().st_size)

    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    names = [line.removeprefix("export ").partition("=")[0] for line in env.read_text().splitlines()]
    clients = ["HEROKU_HOST", "HEROKU_API_KEY", "HEROKU_PARTICLEBOARD_URL", "HEROKU_DATA_HOST"]
    clients += ["NODE_EXTRA_CA_CERTS", "HEROKU_GIT_HOST"]
    settings = [f"GIT_CONFIG_{part}_{number}" for number in range(5) for part in ("KEY", "VALUE")]
    assert names == [*clients, "GIT_CONFIG_COUNT", *settings]
    assert printed.read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["heroku.env", "printed"]


@pytest.mark.usefixtures("processes")
def test_a_file_that_receives_the_token_becomes_its_owners_alone(make_folder, tmp_path):
    printed = tmp_path / "heroku.env"
    with printed.open("wb") as stdout:
        printed.chmod(0o644)
        serving("--app", f"demo={make_folder()}", stdout=stdout, until=lambda: printed.stat().st_size)

    assert "HEROKU_API_KEY" in printed.read_text()
    assert stat.S_IMODE(printed.stat().st_mode) == 0o600


@pytest.mark.usefixtures("processes")
def test_an_env_file_that_cannot_be_written_is_one_clear_line(make_folder, tmp_path):
    ended = run("--app", f"demo={make_folder()}", "--env-file", str(tmp_path / "nowhere" / "heroku.env"))

    assert ended.returncode == 1
    assert "heroku.env cannot be written: No such file or directory." in ended.stderr


def test_it_ends_with_its_dynos_when_standard_input_closes(start, make_folder):
    emulator = start(make_folder())
    pid = busy(emulator)
    emulator.process.stdin.close()
    assert emulator.process.wait(10) == 0
    assert not is_running(pid)


def test_it_ends_on_sigterm_and_readers_get_the_last_lines(start, make_folder):
    emulator = start(make_folder())
    with emulator.tail(emulator.create("trap '' HUP; sleep 300")) as log:
        log.until(b"to up")
        emulator.process.terminate()
        assert log.until(b"to complete")[-1].endswith(b"State changed from up to complete")
    assert emulator.process.wait(10) == 0


def test_it_ends_when_the_parent_has_ended(start, make_folder):
    with subprocess.Popen(["sleep", "300"]) as parent:
        emulator = start(make_folder(), "--parent", str(parent.pid))
        pid = busy(emulator)
        parent.kill()  # not reaped before the emulator ends: a zombie counts as gone
        assert emulator.process.wait(10) == 0
    assert not is_running(pid)


def test_a_killed_emulator_leaves_no_dyno_behind(start, make_folder):
    emulator = start(make_folder())
    stubborn = busy(emulator, "trap '' TERM HUP INT; echo $$; while :; do sleep 0.1; done")
    plain = busy(emulator)
    emulator.process.kill()
    wait_until(lambda: not (is_running(stubborn) or is_running(plain)))
