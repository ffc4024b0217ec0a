"""A marked command does what it does without the mark, and its run's id is found in it."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.emulator.code.procfile import expand
from heroku_magic.runs.command_mark import marked, run_id, without_mark

RUN = "hm-0123abcd"
COMMANDS = [
    "",
    "echo one",
    "echo 'a  b' \"c\"",
    "echo one # two",
    "echo one #two\\",
    "echo one \\",
    "echo one \\\\",
    "echo one\\ ",
    "echo one \\\n  two",
    "echo one \\\n",
    "cat <<EOF\nhello $((1 + 1))\nEOF",
    "cat <<EOF\nhello\nEOF\n",
    "cat <<EOF\nhello",
    "cat <<'A'; cat <<-B\none\nA\n\ttwo\n\tB",
    "cat <<EOF",
    "(\ncat <<EOF\nhello\nEOF\n)",
    "if true; then\necho yes\nfi",
    "for x in 1 2\ndo echo $x\ndone",
    "while false; do\n:\ndone",
    "case a in\na) echo hit;;\nesac",
    "time true\necho timed >&2",
    "greet () {\necho hello\n}\ngreet",
    "greet() {\necho hello\n}\ngreet",
    "function greet {\necho hello\n}\ngreet",
    "x=1 y=2\necho $x$y",
    "declare -a x=(1 2)\necho ${x[1]}",
    "set -eu\necho strict",
    "echo strict\nset -eu; echo $missing",
    "echo $_\n",
    "echo $LINENO; echo $#; echo $?\necho $LINENO",
    "false;",
    "false\\\n;",
    "exit 3\n",
    "! true\n",
    "{ echo group\n}",
    "[ -f nowhere ] ||\necho no",
    "# only a comment",
    "# a comment\necho then",
    "\necho after an empty line",
    "echo 'open",
    'echo "open\n',
    "echo `open",
    "echo ${open",
    "echo )",
    "echo )\n",
    "(\necho ) )",
    "&& true",
    "echo a |\ntr a b",
    "python3 -c '\nprint(1)\n'",
    "printf '%s\\n' '#hm-ffffffff'",
    "echo #hm-ffffffff\\",
]


def outcome(command, *, is_raw=False):
    """The status of a command with its output, as a run shows it."""
    done = subprocess.run(["bash", "--norc", "-c", command], capture_output=True, text=True, timeout=20, check=False)
    if is_raw:
        return done.returncode, done.stdout, done.stderr
    return done.returncode, without_mark(done.stdout, RUN), without_mark(done.stderr, RUN)


@pytest.mark.parametrize("command", ["task", "task a=1", "task #x", "task -a 'b c'", "task "])
@pytest.mark.parametrize("end", ["", "\\", "\\\\", " \\", "; echo \\", " # x \\"])
def test_a_process_type_whose_line_ends_in_a_backslash_does_not_see_the_mark(command, end, processes):
    line = f"printf '<%s>' one{end}"
    status, out, err = outcome(expand(marked(command, RUN), {"task": line}), is_raw=True)
    assert (status, err) == (0, "")
    assert RUN not in out
    if not end.endswith("\\") or " " in command.strip():
        assert out == outcome(expand(command, {"task": line}))[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_shell_runs_a_marked_command_as_if_it_were_not_marked(command, processes):
    if command.startswith("time "):  # its times differ
        assert outcome(marked(command, RUN))[:2] == outcome(command)[:2]
    else:
        assert outcome(marked(command, RUN)) == outcome(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_id_is_found_in_the_first_line_of_a_marked_command(command):
    first, *more = marked(command, RUN).split("\n")

    assert run_id(marked(command, RUN)) == RUN
    assert run_id(first) == RUN
    assert not any(RUN in line or RUN.replace("-", "_") in line for line in more)


@given(st.text(alphabet="ab_- \n\\'\"#$(){};&|<=:\t", max_size=30))
def test_every_text_carries_its_id_and_can_be_restored(command):
    line = marked(command, RUN)

    assert run_id(line) == RUN
    assert without_mark(line, RUN) == command


@pytest.mark.parametrize("command", ["say", "say hello", "say 'a b' \\", "say <<EOF\nhello\nEOF", "say-it \\\nhello"])
def test_a_process_type_remains_the_first_word(command):
    assert marked(command, RUN).split(" ")[0] == command.split(" ")[0]


@pytest.mark.parametrize(
    "command", ["python task.py", "task #hm-0123", "task #hm-0123abcd more", "echo ': hm-0123abcd \"$_\"; '", ""]
)
def test_a_command_of_somebody_else_has_no_id(command):
    assert run_id(command) is None
