"""heroku_task --describe: what tasks take, read from their sources, which are never run."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("str", {"type": "string"}),
        ("list", {"type": "array"}),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("list[Thing]", {"type": "array"}),
        ("t.List[t.Optional[int]]", {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}),
        ("dict", {"type": "object"}),
        ("dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("Literal['a', 1, True, -1, None]", {"enum": ["a", 1, True, -1, None]}),
        ("Literal[Colour.RED]", {}),
        ("Optional[str]", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("int | None", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("'int | None'", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("int | str | None", {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        ("Union[int, float]", {"anyOf": [{"type": "integer"}, {"type": "number"}]}),
        ("int | Thing", {}),
        ("Thing", {}),
        ("'no python at all ('", {}),
        ("lambda: 1", {}),
    ],
)
def test_an_annotation_is_json_schema(declared, annotation, schema):
    assert declared(f"p: {annotation}") == {
        "type": "object",
        "properties": {"p": schema},
        "required": ["p"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("default", "entry"),
    [
        ("5", {"default": 5}),
        ("-5", {"default": -5}),
        ("None", {"default": None}),
        ("(1, 2)", {"default": [1, 2]}),
        ("{'a': [1]}", {"default": {"a": [1]}}),
        ("N", {}),
        ("print('run')", {}),
        ("b'x'", {}),
        ("{1, 2}", {}),
        ("...", {}),
    ],
)
def test_a_default_that_is_a_literal_is_told_and_any_default_makes_optional(declared, default, entry):
    schema = declared(f"p={default}")

    assert schema["properties"] == {"p": entry}
    assert schema["required"] == []


def test_keyword_only_parameters_are_parameters(declared):
    schema = declared("a, b=1, *, c, d=2")

    assert list(schema["properties"]) == ["a", "b", "c", "d"]
    assert schema["required"] == ["a", "c"]


@pytest.mark.parametrize(
    ("docstring", "description", "texts"),
    [
        ("Estimate pi.  n: points to draw.", "Estimate pi.", {"n": "points to draw."}),
        ("Estimate pi.  n: points.  seed: of the generator.", "Estimate pi.", {"n": "points.", "seed": "of the generator."}),
        ("Estimate pi\n    by darts.\n\n    n: points.\n    seed: a seed: any.\n    ", "Estimate pi by darts.", {"n": "points.", "seed": "a seed: any."}),
        ("Estimate pi.\n\n    More text.\n\n    Args:\n        n: points.\n    ", "Estimate pi.", {"n": "points."}),
        ("Note: slow.  See: there.", "Note: slow. See: there.", {}),
        ("n: points.", None, {"n": "points."}),
        ("", None, {}),
    ],
)  # fmt: skip
def test_the_docstring_describes_the_task_and_its_parameters(declared, docstring, description, texts):
    schema = declared("n, seed", docstring)

    assert schema.get("description") == description
    told = {name: entry["description"] for name, entry in schema["properties"].items() if "description" in entry}
    assert told == texts


def test_each_process_type_is_described_and_nothing_is_run(app):
    marker = app.folder / "was-run"
    app.task(f"open({str(marker)!r}, 'w')\nfrom heroku_task import task\n@task\ndef job(n: int = 1): pass\n")
    app.task("def broken(:\n", "broken")
    app.task("def f(): pass\n", "undecided")
    app.write(
        "Procfile",
        """\
        web: python -m heroku_task job
        release: python -m heroku_task job
        describe: python -m heroku_task --describe
        job: python -m heroku_task job
        other-job:   python3.13 -u -W error -m heroku_task job
        chained: cd . && exec python3 -m heroku_task job
        my-job: python -m heroku_task my-job
        script: python script.py
        # a comment: python -m heroku_task job
        broken: python -m heroku_task broken
        missing: python -m heroku_task missing
        undecided: python -m heroku_task undecided
        """,
    )
    app.task("from heroku_task import task\n@task\ndef f(): pass\n", "my-job")
    result = app.run("--describe")

    rows = {row["task"]: row for row in result.rows}
    assert list(rows) == ["job", "other-job", "chained", "my-job", "script", "broken", "missing", "undecided"]
    for name in ("job", "other-job", "chained"):
        assert rows[name]["parameters"]["properties"] == {"n": {"type": "integer", "default": 1}}
    assert rows["my-job"]["parameters"]["properties"] == {}
    assert rows["script"] == {"task": "script", "parameters": None}
    for name, word in (("broken", "SyntaxError"), ("missing", "missing.py"), ("undecided", "found: none")):
        assert rows[name]["parameters"] is None
        assert word in rows[name]["error"]
    assert not marker.exists()
    assert result.records[0] == ("task", {"task": "describe", "parameters": None})
    assert result.end == {"status": 0, "rows": 8}


def test_describe_and_a_run_declare_the_same(shipped):
    described = {row["task"]: row["parameters"] for row in shipped.run("--describe").rows}

    for name, env in (("task", {}), ("bootstrap", {"data": "[1, 2]"})):
        assert shipped.run(name, **env).of("task") == [{"task": name, "parameters": described[name]}]


def test_describe_without_a_procfile_fails_and_says_so(app):
    result = app.run("--describe")

    assert result.failure["type"] == "TaskError"
    assert "no Procfile" in result.failure["message"]
    assert result.end == {"status": 1, "rows": 0}
