"""A notice as text: whole where it is read by a program, wrapped between words in a terminal."""

from __future__ import annotations

import sys

import pytest

from heroku_magic.display.outputs import show_notice

MESSAGE = "Cells without a folder use this one from now on. " * 4


@pytest.mark.parametrize(("is_terminal", "longest"), [(True, 78), (False, len(MESSAGE.strip()))])
def test_only_a_terminal_gets_a_notice_in_several_lines(monkeypatch, capsys, is_terminal, longest):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    show_notice(MESSAGE.strip())
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= longest
    assert printed.split() == MESSAGE.split()
    assert (len(printed.splitlines()) == 1) is not is_terminal
