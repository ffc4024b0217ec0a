"""heroku_task --describe: the parameters of tasks, read from their sources without running them."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

pytestmark = pytest.mark.usefixtures("processes")

SECRET = {"type": "string", "format": "password", "writeOnly": True}


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
        ("date", {"type": "string", "format": "date"}),
        ("dt.datetime", {"type": "string", "format": "date-time"}),
        ("list[date]", {"type": "array", "items": {"type": "string", "format": "date"}}),
        ("Secret", SECRET),
        ("Secret | None", {"anyOf": [SECRET, {"type": "null"}], "writeOnly": True}),
        ("dict[str, Secret]", {"type": "object", "additionalProperties": SECRET, "writeOnly": True}),
        ("Annotated[int, {'minimum': 1}]", {"type": "integer", "minimum": 1}),
        ("Annotated[int, 'how many', {'maximum': 9}]", {"type": "integer", "description": "how many", "maximum": 9}),
        ("Annotated[int, Field(ge=1)]", {"type": "integer"}),
        (
            "Annotated[int | None, {'minimum': 1}, 'help']",
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "description": "help"},
        ),
        (
            "Annotated[int, {'minimum': 1}] | str",
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
        ),
        ("int | Thing", {}),
        ("Thing", {}),
        ("'no python at all ('", {}),
        ("lambda: 1", {}),
    ],
)
def test_an_annotation_becomes_json_schema(declared, annotation, schema):
    assert declared(f"p: {annotation}") == {
        "type": "object",
        "properties": {"p": schema},
        "required": ["p"],
        "additionalProperties": False,
    }


ENUMS = """
class Method(Enum):
    \"\"\"How.\"\"\"
    NAIVE = "naive"
    FAST = "fast"
    def speed(self): return 1

class Level(enum.IntEnum):
    LOW = auto()
    HIGH = auto()
    TOP = 9

class Word(StrEnum):
    Yes = auto()

class Plain:
    N = 5

LARGEST = 10
Share = Annotated[float, {"minimum": 0, "maximum": 1}]
Again: TypeAlias = "list[Share]"
Circle = list["Circle"]
"""


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        ("p: Method", {"enum": ["naive", "fast"], "title": "Method"}),
        ("p: Method = Method.FAST", {"enum": ["naive", "fast"], "title": "Method", "default": "fast"}),
        ("p: Optional[Level] = None", {"anyOf": [{"enum": [1, 2, 9], "title": "Level"}, {"type": "null"}], "default": None}),
        ("p: Word", {"enum": ["yes"], "title": "Word"}),
        ("p: Plain", {}),
        ("p: Share", {"type": "number", "minimum": 0, "maximum": 1}),
        ("p: Again", {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}),
        ("p: Circle", {"type": "array"}),
        ("p: Annotated[int, {'maximum': LARGEST}] = LARGEST", {"type": "integer", "maximum": 10, "default": 10}),
        ("p: int = Plain.N", {"type": "integer", "default": 5}),
        ("p: date = date(2026, 1, 31)", {"type": "string", "format": "date", "default": "2026-01-31"}),
        ("p: date = date.today()", {"type": "string", "format": "date"}),
        ("p: int = sys.maxsize", {"type": "integer"}),
        ("p: Secret = 'in the source'", SECRET),
    ],
)  # fmt: skip
def test_names_defined_in_the_file_are_resolved(declared, parameter, schema):
    found = declared(parameter, head=ENUMS)

    assert found["properties"] == {"p": schema}
    Draft202012Validator.check_schema(found)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("p: Annotated[int, {'minimun': 1}]", "p: 'minimun' is not a keyword for Annotated: use one of minimum, maximum"),
        ("p: Annotated[int, {'minimum': '1'}]", "p: minimum is '1': expected a number"),
        ("p: Annotated[int, {'minimum': True}]", "p: minimum is True: expected a number"),
        ("p: Annotated[int, {'multipleOf': 0}]", "p: multipleOf is 0: expected a number above 0"),
        ("p: Annotated[str, {'maxLength': -1}]", "p: maxLength is -1: expected a whole number, 0 or more"),
        ("p: Annotated[str, {'enum': 'ab'}]", "p: enum is 'ab': expected a list"),
        ("p: Annotated[int, {'minimum': float('nan')}]", "p: the keywords in Annotated must be literals"),
        ("p: Annotated[int, {'minimum': 1}] = 0", "p: the default 0 is not allowed: expected a whole number from 1"),
        ("p: Odd", "p: the values of Odd must be literal strings or numbers"),
        ("p: Empty", "p: the values of Empty must be literal strings or numbers"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_reported_with_its_parameter(declared, helper, parameter, message):
    head = "class Odd(Enum):\n    A = (1, 2)\nclass Empty(Enum): pass\n"
    with pytest.raises(helper.TaskError) as caught:
        declared(parameter, head=head)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("default", ["0", "11", "7", "0.5"])
def test_a_default_outside_its_own_limits_is_rejected(declared, helper, default):
    with pytest.raises(helper.TaskError):
        declared(f"p: Annotated[float, {{'minimum': 1, 'exclusiveMaximum': 11, 'multipleOf': 2}}] = {default}")
    for fine in ("2", "10", "None"):
        declared(f"p: Annotated[float, {{'minimum': 1, 'exclusiveMaximum': 11, 'multipleOf': 2}}] = {fine}")


def test_help_in_annotated_overrides_the_docstring(declared):
    schema = declared("n: Annotated[int, 'beside'], m: int", "Do it.  n: below.  m: below.")

    assert [one["description"] for one in schema["properties"].values()] == ["beside", "below."]


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
def test_a_literal_default_is_declared_and_any_default_makes_a_parameter_optional(declared, default, entry):
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
    helps = {name: entry["description"] for name, entry in schema["properties"].items() if "description" in entry}
    assert helps == texts


def test_each_process_type_is_described_without_running_it(app):
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
        assert rows[name]["calls"] is True
    assert rows["my-job"]["parameters"]["properties"] == {}
    assert rows["script"] == {"task": "script", "parameters": None}
    for name, word in (("broken", "SyntaxError"), ("missing", "missing.py"), ("undecided", "found: none")):
        assert rows[name]["parameters"] is None
        assert word in rows[name]["error"]
    assert not marker.exists()
    assert result.records[0] == ("task", {"task": "describe", "parameters": None})
    assert result.end == {"status": 0, "rows": 8}


def test_a_task_in_another_language_is_declared_in_a_file(app):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    app.write("dice.schema.json", json.dumps(schema))
    app.write("list.schema.json", "[1]")
    app.write("cut.schema.json", '{"properties":')
    app.write("job.schema.json", json.dumps(schema))
    app.task("from heroku_task import task\n@task\ndef job(): pass\n")
    app.write("Procfile", "dice: bash dice.sh\nlist: x\ncut: x\nplain: x\njob: python -m heroku_task job\n")

    dice, listed, cut, plain, job = app.run("--describe").rows
    assert dice == {"task": "dice", "parameters": schema}
    assert "list.schema.json must be a JSON Schema" in listed["error"]
    assert cut["error"].startswith("JSONDecodeError")
    assert plain == {"task": "plain", "parameters": None}
    assert job["parameters"]["properties"] == {}, "a source declares itself"


def test_describe_and_a_run_send_the_same_declaration(shipped):
    described = {row["task"]: row["parameters"] for row in shipped.run("--describe").rows}

    for name, env in (("task", {}), ("bootstrap", {"data": "[1, 2]"})):
        assert shipped.run(name, **env).of("task") == [{"task": name, "parameters": described[name]}]


def test_describe_without_a_procfile_fails_with_a_message(app):
    result = app.run("--describe")

    assert result.failure["type"] == "TaskError"
    assert "there is no Procfile" in result.failure["message"]
    assert result.end == {"status": 1, "rows": 0}
