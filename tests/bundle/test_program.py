"""A syntax error in a cell is reported with its line and carets, and reading a cell does not run it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heroku_magic.bundle.program import CELL_FILE, FIRST_LINE, Program, find_unsupported_syntax, read_cell
from heroku_magic.errors import InvalidParameters


def refused(body):
    with pytest.raises(InvalidParameters) as caught:
        read_cell(body)
    return str(caught.value)


def test_the_body_is_unchanged_and_starts_on_line_2():
    body = "# é 😀\nfrom __future__ import annotations\nx = 'ü'\n"

    assert read_cell(body) == Program(body)
    assert FIRST_LINE == 2


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
def test_a_syntax_error_shows_the_line_number_of_the_cell(body, number, line, carets):
    text = refused(body)

    assert f"{CELL_FILE}:{number}" in text
    assert f"→ {number:>4} | {line}" in text
    if carets:
        assert text.splitlines()[-1].split("| ", 1)[1].startswith(carets)


@pytest.mark.parametrize("body", ["!ls", "x = 1\n%time x", "len?", "files = !ls", "a, b.c = %time x"])
def test_ipython_syntax_gets_its_own_message(body):
    assert "That is IPython syntax, and the dyno runs plain Python." in refused(body)


@pytest.mark.parametrize(
    "body", ["await f()", "async with f(): pass", "async for x in y: pass", "[x async for x in y]", "x = await f()"]
)
def test_top_level_await_gets_a_remedy(body):
    assert "asyncio.run(main())" in refused(body)


@pytest.mark.parametrize("body", ["", "\n", " \n\t\n"])
def test_an_empty_cell_is_refused(body):
    assert "The cell has no code. Write the code to run on the dyno below the %%dyno line." in refused(body)


@pytest.mark.parametrize("body", ["x = '\0'", "x = '\ud800'", "(" * 5000])
def test_code_that_python_cannot_parse_gets_a_short_message(body):
    assert len(refused(body)) < 500


def test_reading_a_cell_does_not_run_it(tmp_path):
    read_cell(f"open({str(tmp_path / 'ran')!r}, 'w')\nimport does_not_exist\n1 / 0")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("body", "quiet"),
    [("x", False), ("x;", True), ("x;  # why", True), ("x;\n\n# end\n", True), ("'a;'", False), ("x; y", False)],
)
def test_a_trailing_semicolon_hides_the_value(body, quiet):
    assert read_cell(body).quiet is quiet


@pytest.mark.parametrize(
    ("body", "version"),
    [("match x:\n    case 1: pass\ny = 1", (3, 10)), ("try:\n    pass\nexcept* OSError:\n    pass\n\ny = 1", (3, 11))],
)
def test_syntax_is_checked_against_the_dynos_python_version(body, version):
    import sys

    if sys.version_info < version:
        pytest.skip("this Python does not support that syntax itself")
    program = Program(body)
    older = (3, version[1] - 1)

    assert find_unsupported_syntax(program, version) is None
    assert f"Python 3.{version[1]}" in find_unsupported_syntax(program, older)
    assert f"{CELL_FILE}:2\n" in find_unsupported_syntax(program, older)


@pytest.mark.filterwarnings("error")
def test_the_warnings_of_a_cell_are_left_to_the_dyno():
    program = read_cell("import multiprocessing\nx = '\\d'")

    assert find_unsupported_syntax(program, (3, 9)) is None
    assert "import multiprocessing" in program.definitions()


@given(st.text(max_size=40))
@example("\rÀ")
@settings(deadline=None)
def test_any_text_is_either_read_or_refused(body):
    try:
        program = read_cell(body)
    except InvalidParameters:
        return
    indent = re.compile(r"(?m)^[ \t]+")
    assert program.text == body or indent.sub("", program.text) == indent.sub("", body)


def test_a_constant_that_python_cannot_make_is_left_to_the_dyno():
    assert read_cell("import multiprocessing\nwrong = {[1]: 2}\nright = 3").definitions() == (
        "import multiprocessing\nright = 3"
    )
