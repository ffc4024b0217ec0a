"""A form is written into a file: its page is small and holds no secret, and no file is replaced by accident."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from heroku_magic import export_form
from heroku_magic.accounts.settings import Settings
from heroku_magic.errors import InvalidOptions, InvalidParameters, SettingsError
from heroku_magic.protocol import decoder, helper_records
from heroku_magic.protocol.helper import shipped_worker
from heroku_magic.protocol.records import RUN_ID
from heroku_magic.protocol.task import Task
from heroku_magic.protocol.values import MAX_ENV_BYTES, RawText
from heroku_magic.runs.lifecycle import STARTING
from heroku_magic.text.secret import Secret
from heroku_magic.widgets.export import message
from heroku_magic.widgets.form_factory import Budget
from heroku_magic.widgets.web_page import MODULES, check_api_url

TOKEN = "HRKU-" + "AAsecret" * 4
SCHEMA = {
    "type": "object",
    "description": "Draw </script><script>alert(1)</script> points.",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 50, "default": 3, "description": "points & more"},
        "method": {"enum": ["naive", "5", 5, None], "default": "5"},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "label": {"type": "string", "default": '"quoted" <b>'},
        "key": {"type": "string", "writeOnly": True},
    },
    "required": ["key"],
}


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._pieces = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._pieces = [] if tag in {"script", "style"} else None

    def handle_data(self, data):
        if self._pieces is not None:
            self._pieces.append(data)

    def handle_endtag(self, tag):
        if self._pieces is not None:
            self.texts.append((*self.elements[-1], "".join(self._pieces)))
            self._pieces = None

    def text(self, tag, **attrs):
        return next(text for name, found, text in self.texts if name == tag and attrs.items() <= found.items())


@pytest.fixture
def heroku():
    """Stands for the connection to the app `calm-sea-1234`."""
    return SimpleNamespace(
        task=lambda name, any_type: Task(
            name or "task", "python -m heroku_task draw", None if name == "open" else SCHEMA
        ),
        client=SimpleNamespace(token=Secret(TOKEN)),
        settings=Settings("calm-sea-1234", size="standard-1x"),
        app="calm-sea-1234",
        app_name="calm-sea-1234",
    )


@pytest.fixture
def export(heroku, elsewhere):
    def write(task="draw", file="page.html", parameters=None, **options):
        return export_form(task, file, parameters, heroku=heroku, **options)

    return write


def test_the_page_is_one_small_file_that_asks_for_app_and_key(export):
    text = export().read_text()
    page = Page(text)

    assert len(text.encode()) < 60_000
    assert TOKEN not in text
    assert "calm-sea-1234" in text
    assert not [attrs for _, attrs in page.elements if {"src", "srcset"} & attrs.keys()]
    assert [attrs["href"] for _, attrs in page.elements if "href" in attrs] == ["data:,"]
    assert [attrs["autocomplete"] for _, attrs in page.elements if attrs.get("id") == "key"] == ["current-password"]
    assert (
        "This key can change and delete every app of its account. Make a narrower one: "
        "<code>%heroku login --scope write-protected --expires 8h</code>"
    ) in text
    assert "The dyno ends after 10 min at the latest" in text


def test_the_policy_names_the_script_and_the_style_by_their_hashes(export):
    page = Page(export().read_text())
    policy = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv"))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    def digest(text):
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == digest(page.text("script", type="module"))
    assert rules["style-src"] == digest(page.text("style"))
    assert rules["connect-src"] == "https: http://127.0.0.1:* http://localhost:*"
    assert "unsafe" not in policy
    assert [tag for tag, _ in page.elements].count("script") == 2


def test_the_program_knows_each_field(export):
    page = Page(
        export(parameters={"n": (5, 10)}, size="standard-2x", timeout=90, api_url="http://localhost:5001/").read_text()
    )
    known = json.loads(page.text("script", id="declaration"))

    assert known["task"] == {"name": "draw", "command": "draw", "joins": False, "seconds": 90, "size": "standard-2x"}
    assert known["apiUrl"] == "http://localhost:5001"
    assert [(one["name"], one["control"]) for one in known["fields"]] == [
        ("n", "number"), ("method", "choice"), ("seed", "number"), ("label", "text"), ("key", "secret"),
    ]  # fmt: skip
    assert known["fields"][0]["schema"] == {"type": "integer", "minimum": 5, "maximum": 10}
    assert known["fields"][0]["expects"] == "a whole number from 5 up to 10"
    assert known["fields"][1]["options"] == ["naive", "5", " 5", "null"]
    assert known["fields"][2]["takesNull"] is True
    values = {attrs["id"]: attrs for _, attrs in page.elements if attrs.get("id", "").startswith("value-")}
    assert values["value-0"]["value"] == "5"
    assert values["value-3"]["value"] == '"quoted" <b>'
    assert values["value-4"]["type"] == "password"
    assert "value" not in values["value-4"]


def test_an_undeclared_task_has_rows_and_the_names_that_are_reserved(export):
    page = Page(export("open", parameters={"NAME": "Ada", "n": 3}, secrets=["KEY"]).read_text())
    known = json.loads(page.text("script", id="declaration"))
    assert [(one["name"], one["control"]) for one in known["fields"]] == [("KEY", "secret"), ("n", "number")]
    assert [attrs["value"] for _, attrs in page.elements if attrs.get("class") == "value" and "value" in attrs] == [
        "Ada",
        "",
    ]
    patterns = {pattern: flags for pattern, flags, _ in known["reserved"]}
    assert patterns["HEROKU_.*"] == ""
    assert patterns["(https?|ftp|wss?|socks|rsync|all|no)_proxy"] == "i"


def test_modules_share_no_name_and_each_follows_what_it_imports():
    folder = Path(__file__).resolve().parents[2] / "heroku_magic" / "widgets" / "templates" / "page"
    names = []
    for number, module in enumerate(MODULES):
        source = (folder / f"{module}.js").read_text()
        imported = re.findall(r'^import .* from "\./(\w+)\.js";$', source, re.MULTILINE)
        assert {*imported} <= {*MODULES[:number]}
        assert source.count("import ") == len(imported)
        names += re.findall(r"^(?:export )?(?:async )?(?:function\*? |class |const |let )(\w+)", source, re.MULTILINE)
    assert len(names) == len({*names})
    assert {path.stem for path in folder.glob("*.js")} == {*MODULES}


def test_the_program_has_the_constants_of_the_protocol():
    folder = Path(__file__).resolve().parents[2] / "heroku_magic" / "widgets" / "templates" / "page"
    records, fields = (folder / "records.js").read_text(), (folder / "fields.js").read_text()

    def number(name, source=records):
        return math.prod(map(int, re.search(rf"const {name} = ([\d_* ]+);", source)[1].split("*")))

    assert f"const RECORD = /{decoder._RECORD.pattern}/sy;" in records
    assert f"const NEWER = /{decoder._NEWER.pattern}/;" in records
    assert number("MOST_BYTES_OF_LINE") == decoder.MAX_LINE_BYTES
    assert number("MOST_BYTES_OF_RECORD") == helper_records.MAX_RECORD_BYTES
    assert number("MOST_BYTES_OF_FILES") == helper_records.MAX_FILE_BYTES
    assert number("MOST_BYTES", fields) == MAX_ENV_BYTES
    assert f'"{STARTING}"' in (folder / "run.js").read_text()
    assert re.fullmatch(RUN_ID, "hm-0123abcd")
    assert f"({RUN_ID}):" in (folder / "page.js").read_text()


def test_a_file_is_replaced_only_by_force(export, elsewhere):
    export()
    (elsewhere / "link.html").symlink_to(elsewhere / "nowhere.html")
    before = (elsewhere / "page.html").read_text()
    for name in ("page.html", "link.html"):
        with pytest.raises(InvalidOptions, match=r"exists\. Choose another name, or replace the file with --force"):
            export(file=name, parameters={"n": 7})
    assert (elsewhere / "page.html").read_text() == before
    export(parameters={"n": 7}, force=True)
    assert 'value="7"' in (elsewhere / "page.html").read_text()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("page.pdf", "is neither a page nor a notebook. Expected a name that ends in .html or .ipynb"),
        ("page", "is neither a page nor a notebook"),
        ("nowhere/page.html", "cannot be written: No such file"),
        ("folder.html", "cannot be written: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_sentence(export, elsewhere, file, said):
    (elsewhere / "folder.html").mkdir()
    with pytest.raises(InvalidOptions, match=said):
        export(file=file, force=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5001", "http://localhost:1/", "http://localhost:65535"])
def test_an_embedded_heroku_may_take_the_place_of_heroku(url):
    assert check_api_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.heroku.com", "http://127.0.0.1", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.2:5001",
        "https://localhost:5001", "http://localhost:5001/apps", "http://localhost:5001@evil.example", "http://evil.example:5001",
        "http://localhost:5001.evil.example", "http://localhost:5001?x", "http://localhost:\u0665", "", "http://localhost:5001\n",
    ],
)  # fmt: skip
def test_a_page_sends_its_key_to_no_other_address(export, elsewhere, url):
    with pytest.raises(
        InvalidOptions, match=r"is not the address of an embedded Heroku. Expected http://127\.0\.0\.1:PORT"
    ):
        export(api_url=url)
    assert not (elsewhere / "page.html").exists()


@pytest.mark.parametrize(
    "parameters", [{"label": TOKEN}, {"label": "AKIA" + "IOSFODNN7EXAMPL2"}, {"label": [TOKEN, "other"]}]
)
def test_a_token_among_the_values_is_refused(export, elsewhere, parameters):
    with pytest.raises(InvalidOptions, match="looks like a token, and everybody who has the file could read it"):
        export(parameters=parameters)
    assert not (elsewhere / "page.html").exists()


@pytest.mark.parametrize("file", ["page.html", "app.ipynb"])
def test_a_task_with_a_parameter_that_no_variable_can_carry_is_not_exported(export, elsewhere, heroku, file):
    heroku.task = lambda name, any_type: Task(
        name, "python -m heroku_task draw", {"properties": {"größe": {}, "n": {}}}
    )
    with pytest.raises(InvalidParameters, match="'größe' is not a valid environment variable name"):
        export(file=file)
    assert not (elsewhere / file).exists()


@pytest.mark.parametrize("parameters", [{"key": "hunter22"}, {"label": Secret("hunter22")}])
def test_a_secret_takes_no_value(export, elsewhere, parameters):
    with pytest.raises(InvalidParameters):
        export(parameters=parameters)
    assert not (elsewhere / "page.html").exists()


def notebook_source(path):
    (cell,) = json.loads(path.read_text())["cells"]
    return "".join(cell["source"])


def test_an_app_is_a_notebook_whose_only_cell_is_the_form(export, elsewhere):
    nbformat.validate(nbformat.read(export(file="first.ipynb", max_cost=1), as_version=4))
    path = export(
        file="app.ipynb", parameters={"n": (1, 5), "label": RawText("7"), "seed": RawText("7")}, each={"method": ["naive", 5]},
        secrets=["key"], max_cost=0.5, jobs=2, size="standard-2x",
    )  # fmt: skip

    assert notebook_source(path) == (
        "import heroku_magic\n\nheroku_magic.form(\n    'draw',\n    {'n': (1, 5), 'label': '7', 'seed': 7},\n"
        "    heroku=heroku_magic.connect('calm-sea-1234', size='standard-1x'),\n    each={'method': ['naive', 5]},\n"
        "    secrets=['key'],\n    max_cost=0.5,\n    jobs=2,\n    size='standard-2x',\n)"
    )
    assert TOKEN not in path.read_text()
    with pytest.raises(InvalidOptions, match="exists"):
        export(file="app.ipynb", max_cost=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "An app runs on the account of its server for everybody who can open it. Limit what a session may cost"),
        ({"max_cost": 0}, "max_cost is 0: expected dollars, such as 0.5"),
        ({"max_cost": float("inf")}, "max_cost is inf: expected dollars"),
        ({"max_cost": 1, "size": "eco"}, "the price of eco is not known in dollars"),
        ({"max_cost": 1, "api_url": "http://localhost:5001"}, "--api-url has no effect on an app"),
        ({"max_cost": 1, "parameters": {"label": TOKEN}}, "looks like a token"),
    ],
)
def test_an_app_without_a_limit_that_can_be_kept_is_refused(export, elsewhere, options, said):
    with pytest.raises(InvalidOptions, match=said):
        export(file="app.ipynb", **options)
    assert not (elsewhere / "app.ipynb").exists()


@pytest.mark.parametrize("options", [{"max_cost": 1.0}, {"each": {"n": [1, 2]}}, {"jobs": 2}, {"warm": True}])
def test_an_option_without_effect_on_a_page_is_refused(export, options):
    with pytest.raises(InvalidOptions, match=f"--{min(options).replace('_', '-')} has no effect on a page"):
        export(**options)


def test_an_app_on_the_embedded_heroku_needs_no_limit_and_finds_its_folder(export, heroku, elsewhere):
    (elsewhere / "apps").mkdir()
    heroku.settings = Settings(worker=elsewhere / "myworker")
    assert "connect(worker='../myworker')" in notebook_source(export(file="apps/app.ipynb"))
    heroku.settings = Settings(worker=shipped_worker(), timeout=60)
    assert "connect(local=True, timeout=60)" in notebook_source(export(file="app.ipynb", max_cost=0.1))


def test_what_to_do_with_a_file_is_printed(export, heroku):
    assert message(export(file="my app.ipynb", max_cost=0.5), heroku, 0.5).splitlines() == [
        "my app.ipynb is an app. To serve it (after pip install voila):",
        "  voila 'my app.ipynb'",
        "It runs on your account for everybody who can open it, for at most $0.50 per session.",
    ]
    path = export()
    assert message(path, heroku, None).endswith(
        "runs the task from any browser.\nWhoever opens it needs a Heroku API key."
    )
    heroku.settings = Settings(worker=Path("/tmp/my worker"))
    assert "--app 'demo=/tmp/my worker' --port 5001 --allow-origin null" in message(path, heroku, None)
    heroku.settings = Settings(app="squares", is_embedded=True)  # created there: its folder is not known
    assert "--app demo=FOLDER --port 5001 --allow-origin null" in message(path, heroku, None)


def test_an_app_of_this_kernel_alone_is_refused_for_a_notebook(export, heroku, elsewhere):
    heroku.settings = Settings(app="squares", is_embedded=True)
    with pytest.raises(InvalidOptions, match="squares ends with this kernel, so no other notebook can run on it"):
        export(file="app.ipynb", max_cost=0.5)
    assert not (elsewhere / "app.ipynb").exists()


class Job:
    def __init__(self, dollars):
        self.dollars = dollars


def test_a_budget_below_a_cent_is_shown_as_it_is():
    assert Budget(0.0045).text == "at most $0.0045 per session"


def test_all_runs_of_a_form_share_its_budget():
    budget = Budget(0.5)
    assert budget.text == "at most $0.50 per session"
    budget.add(Job(0.2))
    budget.add(Job(None))
    assert budget.options() == {"max_cost": 0.3}
    with pytest.raises(SettingsError, match="have cost their limit, at most"), budget.spending():
        raise InvalidOptions("--max-cost 1e-09 is less than one second costs")
    with pytest.raises(InvalidOptions, match="other"), budget.spending():
        raise InvalidOptions("other")
    budget.add(Job(0.3))
    with pytest.raises(SettingsError, match="Nothing was started"):
        budget.options()
    assert (Budget(None).options(), Budget(None).text) == ({}, "")
