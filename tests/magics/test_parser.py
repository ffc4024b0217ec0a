"""Lines are parsed into verbs, words, options and values; malformed ones are rejected with a hint."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.commands import VERBS
from heroku_magic.magics.expand import split
from heroku_magic.magics.parser import parse
from heroku_magic.protocol.values import RawText
from heroku_magic.runs.options import LONGEST_TIMEOUT


def read(line, **namespace):
    """Parse a line as a notebook has it."""
    return parse(re.sub(r"^%%?heroku ?", "", line), namespace, body="" if line.startswith("%%") else None)


def error(line, **namespace):
    with pytest.raises(InvalidOptions) as caught:
        read(line, **namespace)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  a \t b  ", ["a", "b"]),
        ("-e V='a b' x", ["-e", "V='a b'", "x"]),
        ('-e "V=a b" x', ["-e", '"V=a b"', "x"]),
        ('-e V="it\'s a" x', ["-e", 'V="it\'s a"', "x"]),
        ("-e n={x[0] + 1} x", ["-e", "n={x[0] + 1}", "x"]),
        ("-e n={f(a, b)} x", ["-e", "n={f(a, b)}", "x"]),
        ('-e V={"a b": [1, 2]} x', ["-e", 'V={"a b": [1, 2]}', "x"]),
        ('-e n={d["}"]} x', ["-e", 'n={d["}"]}', "x"]),
        ('-e V={"} "} x', ["-e", 'V={"} "}', "x"]),
        ("-e V=:-( --app x", ["-e", "V=:-(", "--app", "x"]),
        ("-e V=:-) --app x", ["-e", "V=:-)", "--app", "x"]),
        ("-e V={[ --app x", ["-e", "V={[", "--app", "x"]),
        ("-e V={a] --app x", ["-e", "V={a]", "--app", "x"]),
        ("-e V=[0,1) x", ["-e", "V=[0,1)", "x"]),
        ("-e V=a:-(b)( x", ["-e", "V=a:-(b)(", "x"]),
        ("# by hand", []),
        ("a  # don't -- open: ' { \"", ["a"]),
        ("a #b", ["a"]),
        ("a#b V=#fff '#c' {'#'} (# d) x", ["a#b", "V=#fff", "'#c'", "{'#'}", "(# d)", "x"]),
    ],
)
def test_a_line_is_split_at_blanks_outside_quotes_and_closed_brackets(line, words):
    assert split(line) == words


@given(st.text("ab \"'{}[]()=-\\", max_size=30))
@settings(deadline=None)
def test_splitting_loses_only_blanks(line):
    try:
        words = split(line)
    except InvalidOptions:
        return
    assert "".join(words).replace(" ", "") == line.replace(" ", "")
    assert all(words)


@pytest.mark.parametrize(
    ("line", "words", "options"),
    [
        ("%%heroku", [], {}),
        ("%%heroku simulate", ["simulate"], {}),
        ("%heroku run simulate -q", ["simulate"], {"quiet": True}),
        ("%%heroku -a x -s standard-2x", [], {"app": "x", "size": "standard-2x"}),
        ("%%heroku --app=x --size=standard-2x", [], {"app": "x", "size": "standard-2x"}),
        ("%%heroku -a=x", [], {"app": "x"}),
        ("%%heroku -r staging", [], {"remote": "staging"}),
        ("%%heroku --local --worker './my worker'", [], {"local": True, "worker": "./my worker"}),
        ("%%heroku --worker {folder}/w", [], {"worker": "apps/w"}),
        ("%%heroku -s $size", [], {"size": "basic"}),
        ("%%heroku -o df --bg", [], {"out": "df", "bg": True}),
        (
            "%%heroku -v -x --no-raise --any-type",
            [],
            {"verbose": True, "exit_code": True, "no_raise": True, "any_type": True},
        ),
        ("%%heroku --no_raise --any_type", [], {"no_raise": True, "any_type": True}),
        ("%%heroku --rows none", [], {"rows": False}),
        ("%%heroku --timeout 60", [], {"timeout": 60}),
        ("%%heroku --timeout 0060", [], {"timeout": 60}),
        ("%%heroku --timeout 2s", [], {"timeout": 2}),
        ("%%heroku --timeout 5m", [], {"timeout": 300}),
        ("%heroku warm 1 --idle 30 --life 8h", ["1"], {"idle": 30, "life": 28800}),
        (f"%%heroku --timeout={LONGEST_TIMEOUT}", [], {"timeout": LONGEST_TIMEOUT}),
        ("%%heroku --override A --override B", [], {"override": ["A", "B"]}),
        ("%heroku stop run.1 run.2 --any", ["run.1", "run.2"], {"any": True}),
        ("%heroku logs run.1", ["run.1"], {}),
        ("%heroku tasks", [], {}),
        ("%heroku ps --app x", [], {"app": "x"}),
        ("%heroku use my-app", ["my-app"], {}),
        ("%heroku run:detached x", ["x"], {"bg": True}),
        ("%heroku run:detached x --bg", ["x"], {"bg": True}),
        ("%heroku ps:stop run.1", ["run.1"], {}),
    ],
)
def test_options_and_words_are_separated(line, words, options):
    parsed = read(line, folder="apps", size="basic")

    assert (parsed.words, parsed.options, parsed.help) == (words, options, False)


def test_arguments_keep_their_order_and_their_text():
    parsed = read("%%heroku -e n={k} --arg V='$k' --arg=W=x --arg X=:-( --app a", k=9)

    assert list(parsed.parameters.items()) == [("n", 9), ("V", "$k"), ("W", "x"), ("X", ":-(")]
    assert [type(value) for value in parsed.parameters.values()] == [int, RawText, RawText, RawText]
    assert parsed.options == {"app": "a"}


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("%%heroku", "run"),
        ("%heroku run x", "run"),
        ("%heroku ps", "ps"),
        ("%heroku ps:stop a", "stop"),
        ("%heroku", "help"),
    ],
)
def test_every_line_has_a_verb(line, verb):
    assert read(line).verb is VERBS[verb]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%%heroku --sise x", "There is no option --sise. Did you mean --size? %%heroku --help"),
        ("%%heroku --ar n=1", "Did you mean --arg?"),
        ("%%heroku --t 5", "Did you mean --timeout?"),
        ("%heroku ps --bg", "There is no option --bg. %heroku ps --help"),
        ("%%heroku -z", "There is no option -z."),
        ("%%heroku --quiet --quiet", "--quiet is given twice"),
        ("%%heroku -q --quiet", "--quiet is given twice"),
        ("%%heroku -a x --app y", "--app is given twice"),
        ("%%heroku -e n=1 -e n=2", '"n" is given twice'),
        ("%%heroku --quiet=yes", "--quiet takes no value"),
        ("%%heroku --each n --seed x", "--seed x: expected a whole number."),
        ("%%heroku --app", "--app expects NAME"),
        ("%%heroku --app --local", "--app expects NAME"),
        ("%%heroku --app --size=x", "--app expects NAME"),
        ("%%heroku --app --no_raise", "--app expects NAME"),
        ("%%heroku -e -q", "-e expects NAME=VALUE"),
        ("%%heroku --app=", "--app expects NAME"),
        ("%%heroku --app ''", "--app expects NAME"),
        ("%%heroku --app $empty", "--app expects NAME"),
        ("%%heroku --worker=", "--worker expects FOLDER"),
        ("%%heroku --arg", "--arg expects NAME=VALUE"),
        ("%%heroku --arg n", "expected NAME=VALUE"),
        ("%%heroku --out 1df", "expected the name of a variable"),
        ("%%heroku --out class", "expected the name of a variable"),
        ("%%heroku --rows all", "expected none"),
        ("%%heroku --size $siz", "Did you mean size?"),
        ("%heroku use ''", "A word of %heroku use is empty: expected APP, for example: %heroku use my-app"),
        ("%heroku create $empty", "A word of %heroku create is empty: expected [NAME], for example"),
        ("%heroku stop run.1 ''", "A word of %heroku stop is empty"),
        ("%%heroku -e V='a b", "A ' is not closed"),
        ('%%heroku "a', 'A " is not closed'),
    ],
)
def test_a_malformed_line_is_rejected_with_a_hint(line, message):
    assert message in error(line, empty="", size="basic")


@pytest.mark.parametrize(
    ("option", "most"),
    [("%%heroku --timeout", "24 hours"), ("%heroku warm 1 --idle", "an hour"), ("%heroku warm 1 --life", "24 hours")],
)
@pytest.mark.parametrize(
    "typed", ["0", "0m", "-5", "1.5", "1e3", "x", "s", "5w", "86401", "25h", "9" * 5000, "²", "٣", "1_000", "+60"]
)
def test_a_dyno_lives_and_waits_for_a_time_within_its_limits(option, most, typed):
    assert f"expected a time from a second to {most}, such as 90s" in error(f"{option} {typed}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%heroku simulate", 'There is no verb "simulate". To run a task: %heroku run simulate.'),
        ("%heroku task", "Did you mean %heroku tasks?"),
        ("%heroku run:inside x", 'There is no verb "run:inside"'),
        ("%heroku -q simulate", "A verb is expected before -q, for example: %heroku run -q …"),
        ("%heroku --version", "A verb is expected before --version (%heroku --help"),
        ("%heroku -- ls", "A command needs a verb before it"),
        (
            "%heroku help nope",
            'There is no verb "nope". The verbs are: run, attach, resume, form, tasks, ps, warm, stop, logs, last, history, show, rerun, diff, status, login, ',
        ),
        ("%%heroku run simulate", "A cell takes no verb: %%heroku simulate"),
        ("%%heroku a b", "b: too many words. Set a parameter with --arg NAME=VALUE"),
        ("%heroku run a b", "Set a parameter with --arg NAME=VALUE"),
        ("%heroku ps x", "x: too many words. %heroku ps takes no argument. To choose an app, use --app NAME."),
        ("%heroku last x", "x: too many words. %heroku last takes no argument. %heroku last --help"),
        ("%heroku logs a b", "b: too many words. %heroku logs takes one DYNO, for example: %heroku logs run.4821"),
        ('%heroku logs a ""', '"": too many words. %heroku logs takes one DYNO'),
        ("%heroku tasks a b", "%heroku tasks takes one TASK"),
        ("%heroku diff -3 -2 -1", "%heroku diff takes RUN RUN, for example: %heroku diff -2 -1"),
        ("%heroku help run ps", "%heroku help takes one VERB"),
        ("%heroku logs", "%heroku logs expects DYNO"),
        ("%heroku stop", "%heroku stop expects DYNO"),
        ("%heroku use", "%heroku use expects APP"),
        ("%heroku run x -- ls", "A command after -- cannot be combined with a task"),
        ("%heroku ps -- ls", "A command after -- cannot be combined"),
        ("%heroku run --", "A command is expected after --"),
    ],
)
def test_a_wrong_verb_or_number_of_words_has_its_own_hint(line, message):
    assert message in error(line)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("python -c 'print(1)'", "python -c 'print(1)'"),
        ("echo  two   blanks", "echo  two   blanks"),
        ("echo $name {name}", "echo eu eu"),
        ("echo '$name {name} $$'", "echo '$name {name} $$'"),
        ("""echo "it's $name" 'q'""", """echo "it's eu" 'q'"""),
        ("""echo "it's $name" '$name' "that's {name}\"""", """echo "it's eu" '$name' "that's eu\""""),
        ("""echo 'say "$name"' $name""", """echo 'say "$name"' eu"""),
        ("""echo {d['a']} 'x'""", "echo b 'x'"),
        ("""echo it\\'s $name""", """echo it\\'s eu"""),
        (r"""echo "a \"'$name'\"" '$name'""", r"""echo "a \"'eu'\"" '$name'"""),
        (r"echo \$name \\", r"echo \$name \\"),
        ("echo $$HOME $${{HOME}} $1 $? $(ls)", "echo $HOME ${HOME} $1 $? $(ls)"),
        ("""curl -d {"a":{}} x""", """curl -d {"a":{}} x"""),
        ("echo it's", "echo it's"),
        ("a -- b --", "a -- b --"),
    ],
)
def test_a_command_is_expanded_outside_single_quotes_and_keeps_its_quotes(typed, sent):
    parsed = read(f"%heroku run --size basic -e V='a -- b' -- {typed}", name="eu", d={"a": "b"})

    assert parsed.command == sent
    assert (parsed.words, parsed.options) == ([], {"size": "basic"})


@pytest.mark.parametrize("command", ["echo $nope", "echo {nope}", "awk {print"])
def test_an_unknown_name_in_a_command_is_an_error(command):
    assert "literal" in error(f"%heroku run -- {command}")


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("%heroku", "help"),
        ("%heroku --help", "help"),
        ("%heroku -h", "help"),
        ("%heroku help", "help"),
        ("%heroku help help", "help"),
        ("%heroku help run", "run"),
        ("%heroku help ps:stop", "stop"),
        ("%heroku ps --help", "ps"),
        ("%heroku run:detached --help", "run"),
        ("%heroku logs -h", "logs"),
        ("%%heroku --help", "run"),
        ("%%heroku task -e n=1 --help", "run"),
    ],
)
def test_help_can_be_requested_in_many_ways(line, verb):
    parsed = read(line)

    assert (parsed.help, parsed.verb.name) == (True, verb)


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_in_the_help_can_be_parsed(verb):
    for example in VERBS[verb].examples:
        parsed = read(example[example.index("%heroku") :])
        assert parsed.verb.name in {verb, "run"}


@pytest.mark.parametrize(
    "verb",
    [
        "simulate",
    ],
)
def test_an_unknown_verb_gets_no_far_fetched_suggestion(verb):
    message = error(f"%heroku {verb}")

    assert "Did you mean" not in message
    assert f"%heroku run {verb}" in message


@pytest.mark.parametrize(
    ("verb", "meant"), [("task", "tasks"), ("stopp", "stop"), ("log", "logs"), ("statsu", "status")]
)
def test_a_misspelled_verb_gets_a_suggestion_and_the_task_of_that_name(verb, meant):
    message = error(f"%heroku {verb}")

    assert f"Did you mean %heroku {meant}? To run a task: %heroku run {verb}." in message


@pytest.mark.parametrize("option", ["--at-night", "--by-hand"])
def test_an_unknown_option_gets_no_far_fetched_suggestion(option):
    message = error(f"%%heroku {option}=1")

    assert f"no option {option}" in message
    assert "Did you mean" not in message


@pytest.mark.parametrize("line", ["--app --sise", "--app -q", "--out --bogus", "--arg --quiet"])
def test_a_value_that_looks_like_an_option_needs_an_equals_sign(line):
    option, value = line.split()

    assert f"{option} expects" in error(f"%%heroku {line}")
    if option == "--app":
        assert read(f"%%heroku {option}={value}").options == {"app": value}


@pytest.mark.parametrize(
    "line", ["stop run.1  # -- by hand", "stop run.1 #by hand", "stop run.1 # isn't closed", "stop run.1#2 # --any"]
)
def test_a_comment_on_a_line_is_ignored(line):
    parsed = read(f"%heroku {line}")

    assert parsed.words == [line.split()[1]]
    assert parsed.options == {}
    assert parsed.command is None


def test_a_comment_in_a_command_is_the_shells():
    assert read("%heroku run -- echo a # b").command == "echo a # b"


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("", "n = 1"),
        ("--arg k=2 \\", "  --local\nn = 1"),
        ("\\", "--arg k=2 \\ \n\t--local\nn = 1"),
        ('--arg "k=a \\', 'b" --local\nn = 1'),
        ("\\", "# a comment is not continued \\\nn = 1"),
        ("--local # a comment is not continued \\", "n = 1"),
        ("--arg k=\\\\", "n = 1"),
    ],
)
def test_a_backslash_continues_the_first_line_of_a_cell(line, body):
    parsed = parse(line, {}, body=body)

    assert parsed.parameters["n"] == 1
    assert set(parsed.parameters) == ({"n", "k"} if "k=" in line + body else {"n"})
    assert parsed.options == ({"local": True} if "--local" in line + body else {})


def test_a_continued_line_passes_its_values_and_leaves_the_code():
    parsed = parse("--arg n=1 \\", {}, body="  --arg 'k=a  b' \\\n --local\nn + 1 \\\n+ 2\n", magic="%%dyno")

    assert parsed.parameters == {"n": "1", "k": "a  b"}
    assert parsed.code == "n + 1 \\\n+ 2\n"


@pytest.mark.parametrize("line", ["run boot \\ ", "run boot --arg n=1 \\\t", "ps \\  "])
def test_a_backslash_before_blanks_has_a_hint(line):
    with pytest.raises(InvalidOptions, match=r"only as its last character\. Remove the blanks after it"):
        parse(line, {})


def test_a_continued_line_may_be_the_entire_cell():
    alone = parse("--arg n=1 \\", {}, body="")
    assert (alone.words, alone.parameters) == ([], {"n": "1"})
    assert parse("--arg n=1 \\", {}, body="--local").options == {"local": True}
