"""The table of verbs is all that the parser, the help, completion and the magics know about them."""

from __future__ import annotations

import pytest

from heroku_magic.magics import HerokuMagics
from heroku_magic.magics.commands import DYNO, VERBS


@pytest.mark.parametrize("verb", [*VERBS.values(), DYNO], ids=lambda verb: verb.name)
def test_every_verb_has_a_method_and_unique_option_names(verb):
    spellings = [spelling for option in verb.options for spelling in option.names]

    assert verb.name == "help" or callable(getattr(HerokuMagics, f"_{verb.name}"))
    assert len(set(spellings)) == len(spellings)


@pytest.mark.parametrize(
    ("verb", "words"), [("ps", (0, 0)), ("logs", (1, 1)), ("stop", (1, None)), ("tasks", (0, 1)), ("run", (0, 1))]
)
def test_the_usage_of_a_verb_tells_how_many_words_it_takes(verb, words):
    assert (VERBS[verb].least, VERBS[verb].most) == words
