"""Completions of verbs, options and values, from facts that the test provides."""

from __future__ import annotations

import pytest

from heroku_magic.magics.commands import VERBS
from heroku_magic.magics.completion import Match, complete, complete_body
from heroku_magic.protocol.task import Task

INT = {"type": "integer"}
SIMULATE = Task.from_row(
    {
        "task": "simulate",
        "parameters": {
            "description": "Estimate pi.",
            "properties": {
                "n": {**INT, "minimum": 1, "maximum": 9},
                "method": {"enum": ["naive", "fast", "a b"]},
                "dry": {"type": "boolean"},
                "token": {"type": "string", "format": "password", "writeOnly": True},
            },
        },
    },
    "python -m heroku_task simulate",
)


class Facts:
    def __init__(self, *tasks):
        self.there = list(tasks) or [SIMULATE, Task("hello", "python hello.py", None)]
        self.asked = []

    def tasks(self, where):
        self.asked.append(dict(where))
        return self.there

    def dynos(self, where):
        return ["run.1", "run.2"]

    def apps(self):
        return ["shop-eu", "shop-us", "other"]

    def runs(self):
        return ["hm-7f3a2c90"]

    def variables(self):
        return ["data", "df"]


def texts(line, facts=None, **options):
    found = complete(line, facts or Facts(), **options)
    return None if found is None else [match.text for match in found.found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%heroku st", ["stop", "status"]),
        ("df = %heroku lo", ["logs", "login", "logout"]),
        ("  %heroku lo", ["logs", "login", "logout"]),
        ("%%heroku s", ["simulate"]),
        ("df = %heroku run s", ["simulate"]),
        ("%heroku run:detached s", ["simulate"]),
        ("%heroku tasks h", ["hello"]),
        ("%heroku help logo", ["logout"]),
        ("%%heroku simulate --si", ["--size"]),
        ("%%heroku simulate --no", ["--no-isolate", "--no-history", "--no-cache", "--notify", "--no-raise"]),
        ("%%heroku simulate --size=standard", ["standard-1x", "standard-2x"]),
        ("%%heroku -s standard-2", ["standard-2x"]),
        ("%%heroku -s Standard-1X", ["standard-1x"]),
        ("%%heroku simulate --arg ", ["n=", "method=", "dry="]),
        ("%%heroku simulate --arg n=1 -e ", ["method=", "dry="]),
        ("%%heroku simulate -e method=", ["naive", "fast", "'a b'"]),
        ("%%heroku simulate --arg=method=f", ["fast"]),
        ("%%heroku simulate -e dry=t", ["true"]),
        ("%%heroku simulate -e n=", []),
        ("%%heroku simulate --each ", ["n", "method", "dry"]),
        ("%%heroku simulate -e n=1 --each=me", ["method"]),
        ("%%heroku simulate --each n,method --each ", ["dry"]),
        ("%%heroku simulate --out n -e ", ["n=", "method=", "dry="]),
        ("%%heroku simulate --each n=$d", ["$data", "$df"]),
        ("%%heroku simulate -e n=$d", ["$data", "$df"]),
        ("%%heroku hello -e ", []),
        ("%%heroku -e ", []),
        ("%%heroku simulate --secret ", ["token"]),
        ("%%heroku --app shop", ["shop-eu", "shop-us"]),
        ("%heroku use o", ["other"]),
        ("%heroku destroy shop-u", ["shop-us"]),
        ("%heroku stop ", ["run.1", "run.2"]),
        ("%heroku stop run.1 ", ["run.2"]),
        ("%heroku logs run.2", ["run.2"]),
        ("%heroku attach ", ["hm-7f3a2c90"]),
        ("%%heroku -o d", ["data", "df"]),
        ("%%heroku --out=da", ["data"]),
        ("%heroku create --region ", ["us", "eu"]),
        ("%heroku login --scope identity,wr", ["write", "write-protected"]),
        ("%%heroku --rows ", ["none"]),
        ("%%heroku simulate x", []),
        ("%heroku nonsense ", None),
        ("%heroku run -- pyth", None),
        ("%%heroku 'open ", None),
        ("%heroku", None),
        ("print('%heroku ')", None),
        ("x = 1  # %heroku ", None),
        ("heroku run ", None),
        ("x = 5 %heroku ", None),
        ("%herokus lo", None),
    ],
)
def test_each_position_in_a_line_has_its_own_completions(line, found):
    assert texts(line) == found


def test_a_complete_line_offers_its_options():
    offered = texts("%%heroku simulate --size eco ")

    assert "--arg" in offered
    assert "--size" not in offered, "it was given"
    assert texts("%heroku apps ") == ["--verbose", "--help"]
    assert texts("%%heroku simulate --arg n=1 --a") == ["--arg", "--app", "--any-type", "--as"]


def test_every_verb_and_option_in_the_table_is_offered():
    assert texts("%heroku ") == list(VERBS)
    for verb in VERBS.values():
        assert {option.names[-1] for option in verb.options} <= set(texts(f"%heroku {verb.name} --"))


def test_a_cell_magic_is_completed_only_on_the_first_line():
    assert texts("%%heroku s", is_first_line=False) is None
    assert texts("x = %%heroku s") is None
    assert texts("df = %heroku run s", is_first_line=False) == ["simulate"]


def test_completions_report_how_much_they_replace():
    assert complete("%%heroku simulate --arg=method=f", Facts()).replaces == 1
    assert complete("%%heroku simulate --si", Facts()).replaces == 4
    assert complete("%%heroku ", Facts()).replaces == 0


def test_each_completion_has_a_hint():
    assert Match("eco", "from the monthly pool of hours") in complete("%%heroku -s ", Facts()).found
    assert Match("standard-1x", "$0.035/h") in complete("%%heroku -s st", Facts()).found
    assert complete("%%heroku s", Facts()).found == [Match("simulate", "task")]
    assert complete("%%heroku simulate -e n", Facts()).found == [Match("n=", "int from 1 up to 9")]
    assert Match("method=", "'naive' or 'fast' or 'a b'") in complete("%%heroku simulate -e ", Facts()).found


def test_the_default_task_has_parameters_without_being_named():
    main = Task("task", "", SIMULATE.schema)

    assert texts("%%heroku -e ", Facts(SIMULATE)) == ["n=", "method=", "dry="]
    assert texts("%%heroku -e ", Facts(Task("a", "", None), main)) == ["n=", "method=", "dry="]


def test_sources_receive_the_options_that_say_where_to_run():
    facts = Facts()
    texts("%%heroku --app shop-eu -s eco ", facts)
    texts("%%heroku --worker jobs --local si", facts)

    assert facts.asked == [{"app": "shop-eu", "size": "eco"}, {"worker": "jobs", "local": ""}]


def test_folders_are_completed_and_hidden_ones_only_after_a_dot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("jobs/inner", "jelly", ".hidden", "a b", "__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "j.txt").touch()

    assert texts("%%heroku --worker ") == ["jelly/", "jobs/"]
    assert texts("%%heroku --worker j") == ["jelly/", "jobs/"]
    assert texts("%%heroku --worker jobs/") == ["inner/"]
    assert texts("%%heroku --worker=.h") == [".hidden/"]
    assert texts(f"%heroku deploy {tmp_path}/je") == ["jelly/"]
    assert texts("%%heroku --worker nowhere/") == []
    assert texts("%%heroku --worker ~nobody-of-this-name/") == []


def test_hostile_names_are_left_out_and_long_lists_are_cut():
    evil = Task("run\x1b[2J", "", None), Task("a\u202eb", "", None), Task("fine", "", None)
    crowd = [Task(f"t{at}", "", None) for at in range(10_000)]

    assert texts("%%heroku ", Facts(*evil)) == ["fine"]
    assert len(texts("%%heroku ", Facts(*crowd))) == 300


@pytest.mark.parametrize(
    ("text", "kind"), [("%heroku st", "verb"), ("%%heroku --tim", "option"), ("%%heroku s", "task")]
)
def test_a_completion_shows_a_short_kind_instead_of_help(text, kind):
    assert {match.hint for match in complete(text, Facts()).found} == {kind}


@pytest.mark.parametrize(
    ("first", "line", "found"),
    [
        ("%%heroku simulate", "", ["n = ", "method = ", "dry = "]),
        ("%%heroku simulate", "me", ["method = "]),
        ("%%heroku simulate --arg n=1", "", ["method = ", "dry = "]),
        ("%%heroku simulate --size basic", "method = ", ["'naive'", "'fast'", "'a b'"]),
        ("%%heroku simulate", "method='f", ["'fast'"]),
        ("%%heroku simulate", 'method = "a', ['"a b"']),
        ("%%heroku simulate", "dry = ", ["True", "False"]),
        ("%%heroku simulate", "dry = T", ["True"]),
        ("%%heroku simulate", "n = ", []),
        ("%%heroku simulate", "n = me", []),
        ("%%heroku simulate", "n == ", None),
        ("%%heroku simulate", "  x.y", None),
        ("%%heroku simulate --arg 'n", "", None),
        ("%%heroku hello", "", []),
        ("%%dyno", "", None),
        ("x = 1", "", None),
    ],
)
def test_the_body_of_a_cell_is_completed_as_its_line_is(first, line, found):
    matches = complete_body(line, [first], Facts())
    assert (None if matches is None else [match.text for match in matches.found]) == found


def test_a_parameter_that_another_line_sets_is_not_offered():
    assert [match.text for match in complete_body("", ["%%heroku simulate", "n=1", "dry = True"], Facts()).found] == [
        "method = "
    ]


def test_a_parameter_whose_values_for_a_sweep_the_body_assigns_is_offered_there():
    found = complete_body("", ["%%heroku simulate --each n,method --arg dry=true"], Facts()).found
    assert [match.text for match in found] == ["n = ", "method = "]
    assert "n = " in [match.text for match in complete_body("", ["%%heroku simulate --each n"], Facts()).found]
