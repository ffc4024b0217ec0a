"""The help of each verb fits a narrow cell and is complete."""

from __future__ import annotations

import inspect

import pytest

from heroku_magic.magics.commands import DYNO, VERBS
from heroku_magic.magics.help_text import help_text
from heroku_magic.magics.heroku_magics import HerokuMagics, give_empty_body


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("is_cell", [True, False])
def test_help_fits_80_columns_and_shows_every_option_and_an_example(verb, is_cell):
    text = help_text(VERBS[verb], is_cell=is_cell)

    assert max(map(len, text.splitlines())) <= 78
    assert "%heroku" in text
    if verb == "help":
        assert all(f"%heroku {name}" in text for name in VERBS)
    else:
        assert all(name in text for option in VERBS[verb].options for name in option.names)
        assert is_cell or VERBS[verb].examples[0] in text


def test_the_help_of_a_cell_of_code_fits_80_columns_and_shows_every_option_and_an_example():
    text = help_text(DYNO, is_cell=True)

    assert max(map(len, text.splitlines())) <= 78
    assert all(name in text for option in DYNO.options for name in option.names)
    assert DYNO.cell_examples[0].splitlines()[0] in text


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("run", "also show Heroku's own log lines, timestamps and full tracebacks"),
        ("show", "also show Heroku's own log lines, timestamps and full tracebacks"),
        ("logs", "also show lines with rows and progress, e-mail addresses and the traceback of an error"),
        ("history", "show the full traceback of an error"),
        ("status", "show the full traceback of an error"),
    ],
)
def test_verbose_says_what_it_adds_to_the_output_of_a_verb(verb, more):
    assert [option.help for option in VERBS[verb].options if option.name == "verbose"] == [more]


@pytest.mark.parametrize("question", ["%heroku run?", "%heroku run??", "%heroku run ?", "%heroku ps:stop?"])
def test_a_question_mark_after_a_verb_shows_its_help(question):
    assert give_empty_body([question]) == [f"{question.rstrip('? ')} --help\n"]


def test_a_question_mark_elsewhere_stays():
    for text in ("%heroku?", "%heroku run -- ls ?", "%%heroku run?"):
        assert give_empty_body([text, "x"]) == [text, "x"]
    assert give_empty_body(["%heroku run -- ls ?"]) == ["%heroku run -- ls ?"]


@pytest.mark.parametrize("magic", [HerokuMagics.heroku, HerokuMagics.dyno])
def test_the_text_behind_a_question_mark_fits_a_terminal(magic):
    assert max(map(len, inspect.getdoc(magic).splitlines())) <= 78
