"""Lines of requirements.txt that pip rejects on Heroku are found before the upload, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.deploy.findings import AppFiles
from heroku_magic.deploy.requirements import findings


def found(text, **others):
    texts = {"requirements.txt": text, **others}
    return [finding.text for finding in findings(AppFiles(frozenset(texts), texts)) if finding.is_certain]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n\n   # nothing either",
        "pandas\nnumpy==1.26.*\nscipy >=1, <2 # why\nA.b_c[x,y]~=1.0",
        'tomli>=1; python_version < "3.11"\npywin32; sys_platform == "win32"',
        "pandas==2.2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nnumpy",
        "-i https://example.org/simple\n--extra-index-url=https://example.org\n--no-binary :all:\n--pre",
        "git+https://example.org/x.git@main#egg=x\nhttps://example.org/x-1.0-py3-none-any.whl",
        "x @ https://example.org/x-1.0.tar.gz\nx@git+ssh://git@example.org/x.git",
        "-e git+https://example.org/x.git#egg=x\n--editable=hg+https://example.org/x",
        "internal==${VERSION}\n-r ${FILES}/more.txt",
        "-r https://example.org/requirements.txt",
        "name @ file:///app/vendor/name-1.0.whl",
        "/app/vendor/name",
        "pandas\r\nnumpy\r\n",
    ],
)
def test_what_pip_accepts_is_not_reported(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pandas\nnumpy=1.26", "requirements.txt, line 2: pip does not accept `numpy=1.26`"),
        ("# conda\nnumpy=1.26.4=py312h_0", "line 2: pip does not accept"),
        ("pandas \\\n  ==2\n\nnot a package", "line 4: pip does not accept `not a package`"),
        ("pandas >== 2", "pip does not accept"),
        ('tomli; python_version << "3"', "pip does not accept"),
        ("-r more.txt", "line 1 includes more.txt, which is not among the files"),
        ("-cmore.txt", "includes more.txt"),
        ("--requirement=sub/../none.txt", "includes none.txt"),
        ("--no-index -r none.txt", "includes none.txt"),
        ("-c", "line 1: pip does not accept `-c`: -c option requires 1 argument"),
        ("./lib", "`./lib` is not a project or archive"),
        ("-e .", "`.` is not a project or archive"),
        ("-e ../shared[all]", "`../shared[all]` is not a project or archive"),
        ("vendor/x-1.0-py3-none-any.whl", "is not a project or archive"),
        ("x-1.0.tar.gz", "is not a project or archive"),
        ("numpy @ file:///build/numpy", "line 1 names a file of this computer"),
        ("file:///C:/x/y.whl", "line 1 names a file of this computer"),
    ],
)
def test_what_pip_rejects_is_named_with_its_line(text, expected):
    (fault,) = found(text)
    assert expected in fault


def test_included_files_are_read_where_they_are():
    files = {"req/base.txt": "-r more.txt\n-c ../limits.txt\n", "req/more.txt": "a=1", "limits.txt": "b=1"}
    assert [fault.partition(":")[0] for fault in found("-r req/base.txt", **files)] == [
        "req/more.txt, line 1",
        "limits.txt, line 1",
    ]


def test_files_that_include_each_other_are_read_once():
    assert found("-r a.txt", **{"a.txt": "-r b.txt", "b.txt": "-r a.txt\nx=1"}) == [
        "b.txt, line 2: pip does not accept `x=1`: expected `name==version`."
    ]


def test_local_projects_and_archives_that_are_sent_are_accepted():
    others = {"lib/pyproject.toml": "", "old/setup.py": "", "setup.py": "", "x-1.0.tar.gz": ""}
    assert found("./lib\n-e lib[extra]\nold/\n.\n-e .\nx-1.0.tar.gz\n", **others) == []


def test_an_option_that_pip_does_not_know_is_a_warning():
    texts = {"requirements.txt": "pandas -U"}
    (finding,) = findings(AppFiles(frozenset(texts), texts))
    text = "requirements.txt, line 1: pip does not accept `pandas -U`: no such option: -U."
    assert finding == (text, False)


def test_the_leftover_of_debians_pip_is_a_warning():
    texts = {"requirements.txt": "pkg_resources==0.0.0"}
    (finding,) = findings(AppFiles(frozenset(texts), texts))
    assert (finding.text.partition(";")[0].split(":")[0], finding.is_certain) == ("requirements.txt, line 1", False)


@given(st.text(alphabet="ab-=<>[];#@:/.\\\n\r \0${}'\"~é", max_size=80))
def test_any_text_is_read_without_an_error(text):
    found(text)
