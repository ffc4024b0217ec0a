"""A line of an ignore file matches what it matches in git, which is asked here too."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heroku_magic.platform_facts.ignore_pattern import parse

PATHS = [
    "a.csv",
    "b.csv",
    "A.csv",
    "ä",
    "data/",
    "data/a.csv",
    "data/deep/",
    "data/deep/a.csv",
    "x y",
    "a\\b",
    "]",
    "-",
]


def matching(line, paths=PATHS):
    pattern = parse(line.encode("utf-8", "surrogateescape"))
    return [path for path in paths if pattern and pattern.matches(os.fsencode(path))]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[[:lower:]].csv", ["a.csv", "b.csv", "data/a.csv", "data/deep/a.csv"]),
        ("[b-a].csv", ["b.csv"]),
        ("[^[:alpha:]-]", ["]"]),
        ("[]-]", ["]", "-"]),
        ("[[:letter:]].csv", []),
        ("[a\\].csv", []),
        ("data/**/", ["data/deep/"]),
        ("**/data/**", ["data/a.csv", "data/deep/", "data/deep/a.csv"]),
        ("data/**/a.csv", ["data/a.csv", "data/deep/a.csv"]),
        ("data/deep**/a.csv", ["data/deep/a.csv"]),
        ("*/***/a.csv", ["data/a.csv", "data/deep/a.csv"]),
        ("d*a/a.csv", ["data/a.csv"]),
        ("data\\/a.csv", ["data/a.csv"]),
        ("/a.csv", ["a.csv"]),
        ("?", ["]", "-"]),
        ("??", ["ä"]),
        ("x\\ y  ", ["x y"]),
        ("a.csv\t", []),
        ("a.csv\r", ["a.csv", "data/a.csv", "data/deep/a.csv"]),
        ("a.csv\0b", ["a.csv", "data/a.csv", "data/deep/a.csv"]),
        ("a\\\\b", ["a\\b"]),
        ("a.csv\\", []),
        ("//a.csv", []),
        ("", []),
        ("/", []),
    ],
)
def test_a_line_matches_as_in_git(line, expected):
    assert matching(line) == expected


def test_a_negated_line_matches_what_it_includes_again():
    assert (parse(b"!a").is_negated, parse(b"\\!a").is_negated, parse(b"!")) == (True, False, None)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).mkdir(exist_ok=True) if path.endswith("/") else (folder / path).touch()
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


@pytest.mark.large
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([*"ab?*[]!^-/\\. ", "**", "data", "csv", "[:alpha:]", "/**/"]), max_size=6).map("".join)
)
def test_any_line_matches_as_in_git(repository, line):
    (repository / ".gitignore").write_text(f"{line}\n", encoding="utf-8")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "ls-files", "-o", "-z", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, env=environ, stdout=subprocess.PIPE, check=True).stdout
    is_negated = line.startswith("!")
    ignored = [] if is_negated else matching(line)
    kept = [
        path for path in PATHS if not any(path == one or (one[-1] == "/" and path.startswith(one)) for one in ignored)
    ]
    found = os.fsdecode(listed).split("\0")
    assert sorted(path for path in found if path and path != ".gitignore") == sorted(
        path for path in kept if not path.endswith("/")
    )
