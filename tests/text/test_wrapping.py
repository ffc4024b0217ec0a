"""Long lines of a message are wrapped between words, and lines to paste or of source are not."""

from __future__ import annotations

import pytest

from heroku_magic import InvalidParameters
from heroku_magic.text.excerpt import carets, numbered
from heroku_magic.text.wrapping import WIDTH, wrapped

WORDS = "one two three four " * 10


def test_a_long_line_is_wrapped_between_words_below_its_own_indentation():
    lines = wrapped(f"{WORDS}\n  - {WORDS}\nend")
    assert max(map(len, lines)) <= WIDTH
    assert lines[3][:11] == "  - one two"
    assert lines[4].startswith("    ")
    assert not lines[4].startswith("     ")
    assert " ".join(" ".join(lines).split()) == " ".join(f"{WORDS} - {WORDS} end".split())


@pytest.mark.parametrize(
    "line",
    [
        f"%%writefile -a {WORDS}",
        f"res = heroku_magic.last.partial   # {WORDS}",
        numbered(3, WORDS, is_failing=True),
        numbered(1234, WORDS, is_failing=False),
        carets(f"{WORDS}  {WORDS}", 90, 100),
        "x" * 200,
        "",
    ],
)
def test_a_line_to_paste_a_line_of_source_and_a_long_word_stay_as_they_are(line):
    assert wrapped(f"first\n{line}\nlast")[1:-1] == [line]


def test_an_error_in_a_cell_is_wrapped_and_its_message_is_not():
    error = InvalidParameters([WORDS.strip()])
    assert max(map(len, "\n".join(error._render_traceback_()).splitlines())) <= WIDTH
    assert str(error) == WORDS.strip()


@pytest.mark.parametrize(
    "whole",
    [
        "`pip install heroku_magic`",
        '"a name"',
        "%heroku run -- python x.py",
        "df = %heroku run --arg n=10",
        "--each n={n}",
    ],
)
@pytest.mark.parametrize("before", range(WIDTH - 30, WIDTH, 3))
def test_a_command_in_a_sentence_stays_in_one_line(whole, before):
    assert any(whole in line for line in wrapped(f"{'x ' * (before // 2)}{whole}, {WORDS}"))


def test_a_command_ends_at_a_colon_so_that_the_line_before_it_is_full():
    lines = wrapped(
        "A word of %heroku run is empty: expected [TASK] [options] [-- COMMAND], for example: df = %heroku run"
    )
    assert lines == [
        "A word of %heroku run is empty: expected [TASK] [options] [-- COMMAND], for",
        "example: df = %heroku run",
    ]
