"""One rule reads requirements files everywhere: pip's own, which is asked here too."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heroku_magic.platform_facts.requirements import decoded, lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n\n# b\n  c # d\ne#f", [(1, "a"), (4, "c"), (5, "e#f")]),
        ("a \\\n  --hash=1 \\\n  --hash=2\nb", [(1, "a   --hash=1   --hash=2"), (4, "b")]),
        ("a \\\n# b\nc", [(1, "a"), (3, "c")]),
        ("# a \\\nb", [(2, "b")]),
        ("a\\", [(1, "a")]),
        ("a\\\\\nb", [(1, "ab")]),
        ("a\\\r\nb\r\n", [(1, "ab")]),
    ],
)
def test_lines_are_joined_at_a_backslash_and_lose_their_comments(text, expected):
    assert [(line.number, line.text) for line in lines(text)] == expected


@pytest.fixture(scope="module")
def pip_reader():
    return pytest.importorskip("pip._internal.req.req_file")


@pytest.mark.large
@given(st.text(alphabet="ab-=#\\\n\r \t\f'\"", max_size=60))
@example("a\\\n #b\nc")
def test_lines_are_those_of_pip(pip_reader, text):
    assert [(line.number, line.text) for line in lines(text)] == [
        (number, line.strip()) for number, line in pip_reader.preprocess(text) if line.strip()
    ]


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ("-r more.txt", "r", "more.txt"),
        ("-rmore.txt", "r", "more.txt"),
        ("--requirement=more.txt", "r", "more.txt"),
        ("--requirem more.txt", "r", "more.txt"),
        ("-c 'two words.txt'", "c", "two words.txt"),
        ("--constraint more.txt --pre", "c", "more.txt"),
        ("--no-index --find-links=wheels", "f", "wheels"),
        ("-i https://example.org -r more.txt", "r", "more.txt"),
        ("-c limits.txt -r more.txt", "r", "more.txt"),
        ("--extra-index-url https://example.org -e .", "e", "."),
        ("-e ./lib[extra]", "e", "./lib[extra]"),
        ("-r=more.txt", "r", "=more.txt"),
        ("--find-links wheels", "f", "wheels"),
        ("--require-hashes", "", ""),
        ("--extra-index-url=https://example.org", "", ""),
        ("-i https://example.org", "", ""),
        ("pandas -r", "", ""),
    ],
)
def test_an_option_that_names_a_path_is_recognised(text, option, value):
    (line,) = lines(text)
    assert (line.option, line.value) == (option, value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("-r don't", "No closing quotation"),
        ("-r", "-r option requires 1 argument"),
        ("--re more.txt", "ambiguous option: --re (--require-hashes, --requirement?)"),
        ("--pre=1", "--pre option does not take a value"),
        ("--process-dependency-links", "no such option: --process-dependency-links"),
        ("pandas --upgrade", "no such option: --upgrade"),
        ("pandas --hash=sha256:aa -C a=b", ""),
        ("--use-feature fast-deps --prefer-binary --no-binary :all:", ""),
    ],
)
def test_an_option_that_pip_does_not_accept_is_a_problem(text, problem):
    (line,) = lines(text)
    assert (line.problem, line.option) == (problem, "")


@pytest.mark.large
@given(
    st.lists(
        st.sampled_from(
            ["-r", "-c", "-e", "-f", "--req", "--pre", "--no-index", "-i", "a.txt", " ", "=", "'", "\\", "--x"]
        ),
        max_size=6,
    ).map(" ".join)
)
def test_options_are_those_of_pip(pip_reader, text):
    for line in lines(text):
        try:
            words, options = pip_reader.get_line_parser(None)(line.text)
        except pip_reader.OptionParsingError:
            assert line.problem
            continue
        paths = {"e": options.editables, "r": options.requirements, "c": options.constraints, "f": options.find_links}
        first = next(((kind, found[0]) for kind, found in paths.items() if found and not words), ("", ""))
        assert (line.problem, line.option, line.value) == ("", *first)


def test_variables_are_replaced_after_comments_are_removed():
    assert [line.text for line in lines("a==${V} # b", lambda line: line.replace("${V}", "1 # 2"))] == ["a==1 # 2"]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_gives_the_encoding(mark, encoding):
    assert decoded(mark + "größe\n".encode(encoding)) == "größe\n"


def test_bytes_that_are_not_text_are_replaced():
    assert decoded(b"a\xff\n") == "a\ufffd\n"
