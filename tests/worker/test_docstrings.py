"""The examples in the docstrings of the helper's public functions run."""

from __future__ import annotations

import doctest


def test_the_examples_in_the_docstrings_run(helper):
    failed, tried = doctest.testmod(helper)

    assert failed == 0
    assert tried >= 6


def test_every_public_name_has_an_example(helper):
    for name in helper.__all__:
        assert ">>> " in getattr(helper, name).__doc__, name
