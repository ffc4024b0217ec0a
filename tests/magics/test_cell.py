"""A cell's body and `--arg NAME=VALUE` become parameters; anything else is rejected before it is evaluated."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.magics.cell import read_argument, read_body
from heroku_magic.protocol.values import RawText

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def issues_of(body, namespace):
    with pytest.raises(InvalidParameters) as caught:
        read_body(body, namespace)
    return caught.value.issues


# -- the body --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ("", {}),
        ("\n\n# only a comment\n", {}),
        ("n = 1", {"n": 1}),
        ("n = len(data)  # a comment", {"n": 3}),
        ("n = 2\nm = n * 2", {"n": 2, "m": 4}),
        ("k = 2\nv = [i * k for i in data]", {"k": 2, "v": [2, 4, 6]}),
        ("_k = 2\nv = _k + 1", {"v": 3}),
        ("a = b = 1", {"a": 1, "b": 1}),
        ("n = 1; m = 2", {"n": 1, "m": 2}),
        ("v = [\n  1,\n  2,\n]", {"v": [1, 2]}),
        ("n = (m := 3)\nk = m", {"n": 3, "k": 3}),
        ("n = 1\nn = n + 1", {"n": 2}),
        ("data = data[:1]", {"data": [1]}),
        ("  n = 1\n  m = 2\n", {"n": 1, "m": 2}),
        ("\tn = 1", {"n": 1}),
        ("  # indented\n  n = 1", {"n": 1}),
        ('s = """a\n   \nb"""', {"s": "a\n   \nb"}),
        ('  s = """a\n   b\n  c"""', {"s": "a\n   b\n  c"}),
        ("n = 1\r\nm = 2", {"n": 1, "m": 2}),
    ],
)
def test_a_body_assigns_parameters_from_the_notebooks_variables(body, parameters):
    assert read_body(body, {"data": [1, 2, 3]}) == parameters


def test_the_notebooks_variables_do_not_change():
    namespace = {"n": 1}
    read_body("n = 2\n_m = 3", namespace)

    assert namespace == {"n": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("print(1)", "line 1: expected an assignment, found an expression (`print(1)`)"),
        ("import os", "line 1: expected an assignment, found an import"),
        ("from os import path", "line 1: expected an assignment, found an import"),
        ("def f(): pass", "line 1: expected an assignment, found a function"),
        ("class C: pass", "line 1: expected an assignment, found a class"),
        ("for i in []: pass", "line 1: expected an assignment, found a loop"),
        ("while 0: pass", "line 1: expected an assignment, found a loop"),
        ("if 1: n = 1", "line 1: expected an assignment, found a condition"),
        ("with open('x') as f: pass", "line 1: expected an assignment, found a with block"),
        ("n += 1", "line 1: expected an assignment, found an augmented assignment"),
        ("n: int = 1", "line 1: expected an assignment, found an annotated assignment"),
        ("del n", "line 1: expected an assignment, found a del statement"),
        ("assert 1", "line 1: expected an assignment, found a statement"),
        ("a, b = 1, 2", "line 1: a parameter's name was expected to the left of ="),
        ("d['k'] = 1", "line 1: a parameter's name was expected to the left of ="),
        ("o.k = 1", "line 1: a parameter's name was expected to the left of ="),
        ("größe = 1", '"größe" cannot name a parameter; use the letters a-z, digits and _'),
        ("n = = 1", "line 1: SyntaxError"),
        ("!ls", "line 1: SyntaxError"),
        ("n = yield 1", "line 1: SyntaxError"),
        ("n = await x", "line 1: SyntaxError"),
        ("n = [i async for i in x]", "line 1: SyntaxError"),
    ],
)
def test_other_statements_are_rejected_before_anything_is_evaluated(line, message):
    evaluated = []
    (issue,) = issues_of(f"{line}\nm = note(1)", {"note": evaluated.append})

    assert message in issue
    assert (
        "The body sets parameters, one `name = expression` per line. To run the cell's own code, use %%dyno." in issue
    )
    assert evaluated == []


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ("n = 1\nm = nope", "line 2: NameError: name 'nope' is not defined (`m = nope`)"),
        ("\n\n  n = 1 / 0", "line 3: ZeroDivisionError: division by zero (`n = 1 / 0`)"),
        ("n = fail()", "line 1: Silent (`n = fail()`)"),
        ("n = f'''\n{1 / 0}'''", "line 1: ZeroDivisionError: division by zero (`n = f'''`)"),
    ],
)
def test_an_exception_is_reported_with_its_line(body, issue):
    class Silent(Exception):
        def __str__(self):
            raise ValueError

    def fail():
        raise Silent

    assert issues_of(body, {"fail": fail}) == [issue]


def test_every_faulty_line_is_an_issue_and_the_advice_is_not():
    issues = issues_of("import a\nn = 1\nprint(n)", {})

    assert [issue.partition(":")[0] for issue in issues] == ["line 1", "line 3"]
    assert [("The body sets parameters" in issue) for issue in issues] == [False, True]


def test_a_pasted_program_does_not_fill_the_cell():
    issues = issues_of("print(1)\n" * 200, {})

    assert len(issues) == 5
    assert "And 195 more such lines." in issues[-1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("n = 1\nm = 'a\0b'", "line 2: Python does not accept a NUL"),
        ("n = 'a\ud800'", "line 1: Python does not accept a NUL or a lone surrogate"),
        (" n = 1\nm = 2", "IndentationError"),
        ("  n = 1\nelse:\n  m = 2", "Error"),
        pytest.param("n = " + "-" * 100_000 + "1", "nested too deeply", id="deep"),
    ],
)
def test_a_body_that_is_not_python_raises_our_error(body, message):
    assert message in issues_of(body, {})[0]


# -- NAME=VALUE ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("V=", ""),
        ("V=1.10", "1.10"),
        ("V=1234567e56", "1234567e56"),
        ("V=a=b", "a=b"),
        ('V="a b"', "a b"),
        ('"V=a b"', "a b"),
        ("'V=$k {k}'", "$k {k}"),
        ("V='$$x {k}'", "$$x {k}"),
        ("V=say \"hi\" 'now'", "say \"hi\" 'now'"),
        ('V={"a":1}', '{"a":1}'),
        ('V={"a":{"b":"it\'s"}}', '{"a":{"b":"it\'s"}}'),
        ("V=[1,2]", "[1,2]"),
        ("V={}", "{}"),
        ("V={{k}}", "{k}"),
        ("V=$$k", "$k"),
        ("V=run-{k}-$k", "run-9-9"),
        ("V={k}{k}", "99"),
        ("V=$5", "$5"),
        ("V=}", "}"),
        ("V=:-(", ":-("),
    ],
)
def test_a_value_keeps_the_text_that_was_typed(word, value):
    name, read = read_argument(word, {"k": 9})

    assert (name, read, type(read)) == ("V", value, RawText)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("V=$k", 9),
        ("V={k}", 9),
        ("V={ k + 1 }", 10),
        ('V={d["}"]}', "brace"),
        ('V={"}"}', "}"),
        ("V={'it\\'s}'}", "it's}"),
        ('V="{k}"', 9),
        ("V={str(k)}", "9"),
        ("V={data}", [1]),
    ],
)
def test_a_value_that_is_just_an_expression_passes_the_object(word, value):
    _, read = read_argument(word, {"k": 9, "d": {"}": "brace"}, "data": [1]})

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("n", "expected NAME=VALUE"),
        ("=1", "expected NAME=VALUE"),
        ("n-m=1", "expected NAME=VALUE"),
        ("größe=1", '"größe" cannot name a parameter; use the letters a-z'),
        ("n=$datum", "Did you mean data?"),
        ("n=a{datum}", "NameError"),
        ("n={1 +}", "SyntaxError"),
        ("n={yield 1}", "SyntaxError"),
        ("n={data", "is not closed"),
        ("n=a{(}", "is not closed"),
    ],
)
def test_a_malformed_argument_is_rejected_with_a_hint(word, message):
    with pytest.raises(InvalidOptions, match=re.escape(message)):
        read_argument(word, {"data": 1})


@given(TEXT)
@settings(deadline=None)
def test_text_in_single_quotes_is_never_changed(text):
    if "'" not in text:
        assert read_argument(f"V='{text}'", {}) == ("V", text)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("  n = 1\nk = 2", "line 1"),
        ("  n = 1\nelse:\n  k = 2", "line 1"),
        ("  n = 1\n  k = = 2", "line 2"),
        ("n = 1\n  k = 2", "line 2"),
        ("n = 1\nk = (2", "line 2"),
    ],
)
def test_uneven_indentation_is_reported_at_its_own_line(body, line):
    (issue,) = issues_of(body, {})

    assert issue.startswith(line)


def test_an_unknown_name_is_reported_with_the_nearest_one():
    (issue,) = issues_of("n = daat", {"data": 1})

    assert issue.startswith("line 1: NameError: name 'daat' is not defined (did you mean data?)")
    for word in ("V=$daat", "V={daat}", "V=a{daat}"):
        with pytest.raises(InvalidOptions, match=r"(?i)did you mean data\?"):
            read_argument(word, {"data": 1})


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("V=a'$x'b", "a'$x'b"),
        ("V='a'$k'b'", "'a'7'b'"),
        ('V="it\'s $k"', "it's 7"),
        ("V=a{d['x']}", "a8"),
        ("V=C:\\$k", "C:\\7"),
    ],
)
def test_single_quotes_inside_a_value_stay_and_protect_their_text(word, text):
    assert read_argument(word, {"k": 7, "d": {"x": 8}}) == ("V", text)


def test_a_value_that_cannot_become_text_raises_our_error():
    class Mute:
        def __str__(self):
            raise RuntimeError("no")

    for word in ("V=a$mute", "V=a{mute}"):
        with pytest.raises(InvalidOptions, match="cannot be converted to text"):
            read_argument(word, {"mute": Mute()})


def test_a_warning_about_a_body_names_the_body():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_body("n = '\\d'", {})
    assert {one.filename for one in caught} <= {"<body>"}
