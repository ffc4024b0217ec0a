"""options: a line is read as it was meant, or refused with what was probably meant."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.errors import InvalidOptions
from heroku_magic.options import VERBS, help_text, parse, split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("a  b", ["a", "b"]),
        ('-e NAME="a b"', ["-e", 'NAME="a b"']),
        ("-e 'V=a b'", ["-e", "'V=a b'"]),
        ("--arg n={x + 1}", ["--arg", "n={x + 1}"]),
        ('V={"a": [1, 2]}', ['V={"a": [1, 2]}']),
        ("V=:-( --app x", ["V=:-(", "--app", "x"]),
        ("V=:-) x", ["V=:-)", "x"]),
        ('V={d["}"]} x', ['V={d["}"]}', "x"]),
    ],
)
def test_blanks_split_but_not_inside_quotes_and_brackets(line, words):
    assert split(line) == words


def test_a_quote_that_does_not_close_is_said():
    with pytest.raises(InvalidOptions, match="not closed"):
        split('-e "V=a')


@given(st.text(alphabet=" ab'\"{}[]()=$-", max_size=30))
def test_any_line_is_read_or_refused(line):
    with suppress(InvalidOptions):
        parse(line, {"a": 1, "b": 2}, cell=True)
    with suppress(InvalidOptions):
        parse(line, {"a": 1, "b": 2}, cell=False)


def test_options_come_long_short_with_and_without_equals():
    for line in ("--size standard-2x --timeout 5", "-s standard-2x --timeout=5", "--size=standard-2x --timeout=5"):
        assert parse(line, {}, cell=True).options == {"size": "standard-2x", "timeout": 5}
    assert parse("--no_raise --any_type", {}, cell=True).options == {"no_raise": True, "any_type": True}
    assert parse("--override A --override B", {}, cell=True).options == {"override": ["A", "B"]}
    assert parse("--app $mine --worker 'a b'", {"mine": "x"}, cell=True).options == {"app": "x", "worker": "a b"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--ar n=1", "Did you mean --arg"),
        ("--sise x", "Did you mean --size"),
        ("--quiet --quiet", "twice"),
        ("-q --quiet", "twice"),
        ("--size", "expects SIZE"),
        ("--app --local", "--app expects NAME"),
        ("--app=", "--app expects NAME"),
        ("--local=yes", "takes no value"),
        ("--timeout 0", "from 1 to 86400"),
        ("--timeout 1.5", "from 1 to 86400"),
        ("--timeout ٣", "from 1 to 86400"),
        ("--out class", "name of a variable"),
        ("--rows all", "expected none"),
        ("--each n", "no option --each"),
        ("--arg n=1 --arg n=2", "given twice"),
        ("one two", "too many words"),
        ("run task", "%%heroku task"),
        ("task -- echo", "stands alone"),
    ],
)
def test_a_cells_line_is_refused_with_what_was_meant(line, message):
    with pytest.raises(InvalidOptions, match=message):
        parse(line, {}, cell=True)


@pytest.mark.parametrize(
    ("line", "verb", "words"),
    [
        ("run task", "run", ["task"]),
        ("ps", "ps", []),
        ("ps:stop run.1 run.2", "stop", ["run.1", "run.2"]),
        ("logs run.1", "logs", ["run.1"]),
        ("use my-app", "use", ["my-app"]),
    ],
)
def test_a_line_has_a_verb(line, verb, words):
    parsed = parse(line, {}, cell=False)

    assert (parsed.verb.name, parsed.words) == (verb, words)


def test_run_detached_is_a_run_in_the_background():
    assert parse("run:detached task", {}, cell=False).options == {"bg": True}
    assert parse("run:detached task --bg", {}, cell=False).options == {"bg": True}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("simulate", "%heroku run simulate"),
        ("run:inside x", "no verb"),
        ("--arg n=1", "%heroku run --arg"),
        ("-- echo", "%heroku run -- COMMAND"),
        ("stop", "expects DYNO"),
        ("logs", "expects DYNO"),
        ("logs a b", "logs takes one DYNO"),
        ("ps x", "too many words"),
        ("run --", "a command is expected"),
        ("stop run.1 --size x", "no option --size"),
    ],
)
def test_a_wrong_line_says_the_right_form(line, message):
    with pytest.raises(InvalidOptions, match=message):
        parse(line, {}, cell=False)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("run -- echo hi   there", "echo hi   there"),
        ("run --size basic -- ls -a --size", "ls -a --size"),
        ("run -- bash -c 'echo $HOME {x}'", "bash -c 'echo $HOME {x}'"),
        ("run -- echo $$HOME {{}}", "echo $HOME {}"),
        ("""run -- echo "it's $name" 'q $name'""", """echo "it's eu" 'q $name'"""),
        ("run -- echo {1 + 1}", "echo 2"),
    ],
)
def test_a_command_travels_as_typed_but_for_its_variables(line, command):
    assert parse(line, {"name": "eu"}, cell=False).command == command


@pytest.mark.parametrize("line", ["", "--help", "-h", "help", "run --help", "help stop", "ps -h"])
def test_help_is_asked_for_in_every_way(line):
    assert parse(line, {}, cell=False).help


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_help_fits_a_terminal_and_has_an_example(verb):
    for cell in (True, False):
        text = help_text(verb, cell=cell)
        assert max(map(len, text.splitlines())) <= 88
        assert "%heroku" in text
