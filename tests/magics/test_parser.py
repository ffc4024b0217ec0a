"""A line is split, read and checked in one place; whatever cannot be read is refused with what was meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.commands import LONGEST_TIMEOUT, VERBS
from heroku_magic.magics.parser import help_text, parse, split
from heroku_magic.protocol.values import Typed


def read(line, *, cell=None, **namespace):
    """Parse a line as it stands in a notebook."""
    is_cell = line.startswith("%%") if cell is None else cell
    return parse(re.sub(r"^%%?heroku ?", "", line), namespace, cell=is_cell)


def refused(line, **namespace):
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
    ],
)
def test_a_line_is_split_at_blanks_outside_quotes_and_whole_brackets(line, words):
    assert split(line) == words


@given(st.text("ab \"'{}[]()=-\\", max_size=30))
@settings(deadline=None)
def test_splitting_loses_nothing_but_blanks_between_words(line):
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
        ("%%heroku --rows none", [], {"rows": "none"}),
        ("%%heroku --timeout 60", [], {"timeout": 60}),
        ("%%heroku --timeout 0060", [], {"timeout": 60}),
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
def test_options_and_words_are_told_apart(line, words, options):
    parsed = read(line, folder="apps", size="basic")

    assert (parsed.words, parsed.options, parsed.help) == (words, options, False)


def test_arguments_are_pairs_in_order_and_keep_what_was_typed():
    parsed = read("%%heroku -e n={k} --arg V='$k' --arg=W=x --arg X=:-( --app a", k=9)

    assert parsed.arguments == [("n", 9), ("V", "$k"), ("W", "x"), ("X", ":-(")]
    assert [type(value) for _, value in parsed.arguments] == [int, Typed, Typed, Typed]
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
def test_the_verb_is_always_there(line, verb):
    assert read(line).verb is VERBS[verb]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%%heroku --sise x", "There is no option --sise. Did you mean --size? %%heroku --help"),
        ("%%heroku --ar n=1", "Did you mean --arg?"),
        ("%%heroku --t 5", "Did you mean --timeout?"),
        ("%heroku ps --bg", "There is no option --bg. %heroku ps --help"),
        ("%%heroku -z", "There is no option -z."),
        ("%%heroku --quiet --quiet", "--quiet is given twice"),
        ("%%heroku -q --quiet", "--quiet is given twice"),
        ("%%heroku -a x --app y", "--app is given twice"),
        ("%%heroku -e n=1 -e n=2", "n is given twice"),
        ("%%heroku --quiet=yes", "--quiet takes no value"),
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
        ("%%heroku -e V='a b", "A ' is not closed"),
        ('%%heroku "a', 'A " is not closed'),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_meant(line, said):
    assert said in refused(line, empty="", size="basic")


@pytest.mark.parametrize("typed", ["0", "-5", "1.5", "1e3", "x", "86401", "9" * 5000, "²", "٣", "1_000", "+60"])
def test_a_timeout_is_ascii_digits_within_a_day(typed):
    assert "expected whole seconds from 1 to 86400 (24 hours)" in refused(f"%%heroku --timeout {typed}")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%heroku simulate", "There is no verb 'simulate'. To run a task: %heroku run simulate."),
        ("%heroku task", "Did you mean %heroku tasks?"),
        ("%heroku run:inside x", "There is no verb 'run:inside'"),
        ("%heroku -q simulate", "a verb is expected first"),
        ("%heroku -- ls", "A command needs its verb"),
        (
            "%heroku help nope",
            "There is no verb 'nope'. The verbs are: run, attach, resume, form, tasks, ps, stop, logs, last, status, login, ",
        ),
        ("%%heroku run simulate", "A cell needs no verb: %%heroku simulate"),
        ("%%heroku a b", "b: too many words. A parameter is --arg NAME=VALUE"),
        ("%heroku run a b", "A parameter is --arg NAME=VALUE"),
        ("%heroku ps x", "x: too many words. %heroku ps takes none. An app is --app NAME."),
        ("%heroku last x", "x: too many words. %heroku last takes none. %heroku last --help"),
        ("%heroku logs a b", "b: too many words. %heroku logs takes one DYNO, for example: %heroku logs run.4821"),
        ("%heroku tasks a b", "%heroku tasks takes one TASK"),
        ("%heroku help run ps", "%heroku help takes one VERB"),
        ("%heroku logs", "%heroku logs expects DYNO"),
        ("%heroku stop", "%heroku stop expects DYNO"),
        ("%heroku use", "%heroku use expects APP"),
        ("%heroku run x -- ls", "stands alone, without a task"),
        ("%heroku ps -- ls", "stands alone"),
        ("%heroku run --", "After -- a command is expected"),
    ],
)
def test_a_wrong_verb_or_number_of_words_has_its_own_hint(line, said):
    assert said in refused(line)


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
def test_a_command_is_expanded_outside_single_quotes_and_its_quotes_stay(typed, sent):
    parsed = read(f"%heroku run --size basic -e V='a -- b' -- {typed}", name="eu", d={"a": "b"})

    assert parsed.command == sent
    assert (parsed.words, parsed.options) == ([], {"size": "basic"})


@pytest.mark.parametrize("command", ["echo $nope", "echo {nope}", "awk {print"])
def test_an_unknown_name_in_a_command_is_an_error(command):
    assert "stand" in refused(f"%heroku run -- {command}")


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
def test_help_is_asked_for_in_many_ways(line, verb):
    parsed = read(line)

    assert (parsed.help, parsed.verb.name) == (True, verb)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("cell", [True, False])
def test_help_fits_80_columns_and_shows_every_option_and_an_example(verb, cell):
    text = help_text(VERBS[verb], cell=cell)

    assert max(map(len, text.splitlines())) <= 80
    assert "%heroku" in text
    if verb == "help":
        assert all(f"%heroku {name}" in text for name in VERBS)
    else:
        assert all(name in text for option in VERBS[verb].options for name in option.names)
        assert cell or VERBS[verb].examples[0] in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_of_the_help_can_be_read(verb):
    for example in VERBS[verb].examples:
        parsed = read(example[example.index("%heroku") :])
        assert parsed.verb.name in {verb, "run"}


@pytest.mark.parametrize(
    "verb",
    [
        "simulate",
    ],
)
def test_a_word_that_is_no_verb_hints_no_verb_that_is_merely_short(verb):
    said = refused(f"%heroku {verb}")

    assert "Did you mean" not in said
    assert f"%heroku run {verb}" in said


@pytest.mark.parametrize(
    ("verb", "meant"), [("task", "tasks"), ("stopp", "stop"), ("log", "logs"), ("statsu", "status")]
)
def test_a_near_miss_of_a_verb_hints_it_and_the_task_of_that_name(verb, meant):
    said = refused(f"%heroku {verb}")

    assert f"Did you mean %heroku {meant}? To run a task: %heroku run {verb}." in said


@pytest.mark.parametrize("option", ["--at-night", "--by-hand"])
def test_an_option_that_is_none_hints_no_other_that_is_merely_as_long(option):
    said = refused(f"%%heroku {option}=1")

    assert f"no option {option}" in said
    assert "Did you mean" not in said


@pytest.mark.parametrize("line", ["--app --sise", "--app -q", "--out --bogus", "--arg --quiet"])
def test_what_looks_like_an_option_is_no_value_but_after_an_equals_sign(line):
    option, value = line.split()

    assert f"{option} expects" in refused(f"%%heroku {line}")
    if option == "--app":
        assert read(f"%%heroku {option}={value}").options == {"app": value}
