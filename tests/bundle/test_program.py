"""programs: what is wrong with a cell's Python is told with its line and carets, and not a line of it runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.bundle.program import FILE, Piece, Program, read_cell, too_new
from heroku_magic.errors import InvalidParameters


def refused(body):
    with pytest.raises(InvalidParameters) as caught:
        read_cell(body)
    return str(caught.value)


def test_the_body_goes_as_it_is_and_its_first_line_is_the_cells_second():
    body = "# é 😀\nfrom __future__ import annotations\nx = 'ü'\n"

    assert read_cell(body).pieces == (Piece(FILE, 2, body),)


@pytest.mark.parametrize(
    ("body", "number", "line", "carets"),
    [
        ("x = 1\nif x\n  pass", 3, "if x", "    ^"),
        ("y = (1,\n", 2, "y = (1,", "    ^"),
        ("f(a b)", 2, "f(a b)", "  ^^^"),
        ("return 1", 2, "return 1", ""),
        ("x = 1\n  y = 2", 3, "  y = 2", None),
        ("ü = 1\nfrom __future__ import braces", 3, "from __future__ import braces", None),
    ],
)
def test_a_fault_shows_its_line_as_the_user_counts_it(body, number, line, carets):
    text = refused(body)

    assert f"{FILE}:{number}" in text
    assert f"→ {number:>4} | {line}" in text
    if carets:
        assert text.splitlines()[-1].split("| ", 1)[1].startswith(carets)


@pytest.mark.parametrize("body", ["!ls", "x = 1\n%time x", "len?", "files = !ls", "a, b.c = %time x"])
def test_ipythons_own_syntax_is_told_apart(body):
    assert "IPython's, which is not on the dyno" in refused(body)


@pytest.mark.parametrize(
    "body", ["await f()", "async with f(): pass", "async for x in y: pass", "[x async for x in y]", "x = await f()"]
)
def test_what_a_notebook_awaits_outside_of_functions_has_a_remedy(body):
    assert "asyncio.run(main())" in refused(body)


@pytest.mark.parametrize("body", ["", "\n", " \n\t\n"])
def test_a_cell_without_code_says_what_is_missing(body):
    assert "what is to run on the dyno stands below the %%dyno line" in refused(body)


@pytest.mark.parametrize("body", ["x = '\0'", "x = '\ud800'", "(" * 5000])
def test_what_python_cannot_read_is_refused_in_a_sentence(body):
    assert len(refused(body)) < 500


def test_nothing_runs(tmp_path):
    read_cell(f"open({str(tmp_path / 'ran')!r}, 'w')\nimport does_not_exist\n1 / 0")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("body", "quiet"),
    [("x", False), ("x;", True), ("x;  # why", True), ("x;\n\n# end\n", True), ("'a;'", False), ("x; y", False)],
)
def test_a_semicolon_at_the_end_means_that_the_value_is_not_wanted(body, quiet):
    assert read_cell(body).quiet is quiet


@pytest.mark.parametrize(
    ("body", "version"),
    [("match x:\n    case 1: pass", (3, 10)), ("try:\n    pass\nexcept* OSError:\n    pass", (3, 11))],
)
def test_syntax_is_compared_with_the_dynos_python(body, version):
    import sys

    if sys.version_info < version:
        pytest.skip("this Python does not know that syntax itself")
    program = Program("cell", (Piece(FILE, 2, body),))
    older = (3, version[1] - 1)

    assert too_new(program, version) is None
    assert f"Python 3.{version[1]}" in too_new(program, older)
    assert f"{FILE}:" in too_new(program, older)


@given(st.text(max_size=40))
@settings(deadline=None)
def test_any_text_is_read_or_refused(body):
    try:
        program = read_cell(body)
    except InvalidParameters:
        return
    assert program.pieces[0].text == body
