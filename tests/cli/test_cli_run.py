"""The official CLI: run over the rendezvous socket, and run:detached --tail."""

from __future__ import annotations

import re

import pytest
from official import executable
from platform_api import wait_until

pytestmark = pytest.mark.cli

RUN = "run -a demo --exit-code"


@pytest.mark.parametrize("said", [f"{RUN} hello"], indirect=True)
def test_a_process_type_runs_attached_and_its_output_comes_back(said):
    assert (said.status, said.stdout) == (0, "Hello World!\n"), said
    assert re.search(r"Running hello on (⬢ )?demo\.\.\. up, run\.\d+", said.stderr), said


@pytest.mark.parametrize("said", [f"{RUN} --env 'NAME=Daniela' -- hello"], indirect=True)
def test_the_env_of_a_run_reaches_the_dyno(said):
    assert (said.status, said.stdout) == (0, "Hello Daniela!\n"), said


@pytest.mark.parametrize("said", [f"{RUN} 'echo before; (exit 7)'"], indirect=True)
def test_the_exit_status_of_a_dyno_is_that_of_the_cli(said):
    assert (said.status, said.stdout) == (7, "before\n"), said
    assert "Process exited with code 7" in said.complaint


@pytest.mark.parametrize("said", ["run -a demo 'echo fine; (exit 7)'"], indirect=True)
def test_without_exit_code_each_run_ends_well(said):
    assert (said.status, said.stdout) == (0, "fine\n"), said


@pytest.mark.parametrize("said", [f"{RUN} --no-tty 'echo out; echo err >&2; test -t 1'"], indirect=True)
def test_without_a_terminal_both_outputs_come_in_order(said):
    assert (said.status, said.stdout) == (1, "out\nerr\n"), said


@pytest.mark.parametrize("said", [f"{RUN} 'test -t 0 && test -t 1 && echo $TERM'"], indirect=True)
def test_a_run_has_a_terminal_of_the_callers_kind(said):
    assert (said.status, said.stdout) == (0, "xterm\n"), said


@pytest.mark.parametrize("said", [f"{RUN} --no-tty 'seq 1 40000'"], indirect=True)
def test_long_output_is_complete_and_so_is_its_status(said):
    assert said.status == 0
    assert said.lines == [str(number) for number in range(1, 40_001)]


@pytest.mark.parametrize("said", [f"{RUN} --no-tty cat"], indirect=True)
def test_a_closed_stdin_ends_a_reader(said):
    assert (said.status, said.stdout) == (0, ""), said


@pytest.mark.cli("run --no-tty with stdin")
def test_piped_stdin_comes_back_byte_for_byte(heroku):
    text = "".join(f"line {number} ä\n" for number in range(5000))
    assert heroku("run", "-a", "demo", "--exit-code", "--no-tty", "cat", stdin=text).stdout == text


@pytest.mark.cli("run with stdin on a pseudo-terminal")
def test_piped_stdin_ends_on_a_pseudo_terminal_too(heroku):
    said = heroku("run", "-a", "demo", "--exit-code", "stty -echo; read -r line; echo got $line; cat", stdin="a b\n")
    assert said.stdout.endswith("got a b\n")


@pytest.mark.parametrize("said", [f"ATTEMPT={number} {RUN} hello" for number in range(20)], indirect=True)
def test_instant_commands_never_lose_output_or_status(said):
    assert (said.status, said.stdout) == (0, "Hello World!\n"), said


@pytest.mark.cli("run, killed")
def test_a_dyno_ends_when_its_client_is_gone(heroku, platform):
    cli = heroku.start("run", "-a", "library", "echo here; exec sleep 600")
    assert cli.stdout.readline() == "here\n"
    name = next(iter(platform.dynos("library")))
    cli.kill()
    cli.communicate()
    wait_until(lambda: name not in platform.dynos("library"))
    assert any("Client connection closed" in line for line in platform.log("library", dyno=name, source="heroku"))


@pytest.mark.cli("run:detached --tail")
def test_a_detached_run_is_followed_from_its_first_line(heroku, platform):
    cli = heroku.start("run:detached", "--tail", "-a", "logged", "echo first; sleep 1; echo last; exec sleep 600")
    told = iter(cli.stdout.readline, "")
    assert next(line for line in told if " app[run." in line).endswith(": first\n")
    assert next(line for line in told if " app[run." in line).endswith(": last\n")
    cli.kill()
    cli.communicate()
    for name in platform.dynos("logged"):
        platform.ask("POST", f"/apps/logged/dynos/{name}/actions/stop", 202)


@pytest.fixture
def terminal(heroku):
    """A function that starts the CLI on a terminal of 91 columns and 33 rows."""
    pexpect = pytest.importorskip("pexpect", reason="a pseudo-terminal needs POSIX")
    started = []

    def start(*words):
        child = pexpect.spawn(
            str(executable()),
            list(words),
            env=heroku.env,
            cwd=str(heroku.folder),
            encoding="utf-8",
            timeout=30,
            dimensions=(33, 91),
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


@pytest.mark.cli("run bash on a terminal")
def test_an_interactive_shell_has_the_window_size_and_survives_ctrl_c(terminal):
    shell = terminal("run", "bash", "-a", "demo")
    shell.expect(r"up, run\.\d+")
    shell.expect(r"[$#] ")
    shell.sendline("stty size")
    shell.expect(r"33 91\r")
    shell.sendline("echo $COLUMNS-$((6 * 7))")
    shell.expect("91-42")
    shell.sendline("echo waiting; sleep 600")
    shell.expect(r"[\r\n]waiting\r")
    shell.send("\x03")
    shell.sendline("echo status-$?")
    shell.expect("status-130")
    shell.sendline("exit 5")
    shell.expect(shell_end())
    shell.wait()
    assert shell.exitstatus == 0


def shell_end():
    import pexpect

    return pexpect.EOF


@pytest.mark.cli("run --exit-code on a terminal")
def test_ctrl_c_on_a_terminal_reaches_the_command(terminal):
    child = terminal(
        "run", "-a", "demo", "--exit-code", "trap 'echo caught; exit_with=3' INT; echo up; sleep 600; (exit $exit_with)"
    )
    child.expect(r"[\r\n]up\r")
    child.send("\x03")
    child.expect("caught")
    child.expect(shell_end())
    child.wait()
    assert child.exitstatus == 3
