"""Every served link of Heroku's published schema: its responses, and the bodies it accepts and refuses."""

from __future__ import annotations

import io
import itertools
import json
import re
import tarfile
from typing import NamedTuple
from urllib.parse import unquote

import jsonschema
import pytest
import requests
from emulators import Emulator, platform_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_formats import FORMATS

from heroku_magic.emulator.web.absent import ROUTES as ABSENT

SCHEMA = platform_schema()


class Ask(NamedTuple):
    """A request of a link: the status of its answer, and whether it needs an app that it may ruin."""

    status: int = 200
    ruins: bool = False


# (definition, title of the link) -> how it is asked here.
LINKS = {
    ("account", "Info"): Ask(),
    ("rate-limit", "Info"): Ask(),
    ("app", "Create"): Ask(201),
    ("app", "List"): Ask(),
    ("app", "Info"): Ask(),
    ("app", "Update"): Ask(ruins=True),
    ("app", "Delete"): Ask(ruins=True),
    ("app", "List Owned and Collaborated"): Ask(),
    ("config-var", "Info for App"): Ask(),
    ("config-var", "Update"): Ask(),
    ("config-var", "Info for App Release"): Ask(),
    ("formation", "List"): Ask(),
    ("formation", "Info"): Ask(),
    ("formation", "Batch Update"): Ask(),
    ("formation", "Update"): Ask(),
    ("dyno", "Create"): Ask(201),
    ("dyno", "List"): Ask(),
    ("dyno", "Info"): Ask(),
    ("dyno", "Stop"): Ask(202),
    ("dyno", "Stop formation"): Ask(202),
    ("dyno", "Restart"): Ask(202),
    ("dyno", "Restart formation"): Ask(202),
    ("dyno", "Restart all"): Ask(202),
    ("log-session", "Create"): Ask(201),
    ("release", "List"): Ask(),
    ("release", "Info"): Ask(),
    ("release", "Create"): Ask(201),
    ("release", "Rollback"): Ask(201),
    ("slug", "Create"): Ask(201),
    ("slug", "Info"): Ask(),
    ("source", "Create"): Ask(201),
    ("source", "Create - Deprecated"): Ask(201),
    ("build", "Create"): Ask(201),
    ("build", "Info"): Ask(),
    ("build", "List"): Ask(),
    ("dyno-size", "List"): Ask(),
    ("dyno-size", "Info"): Ask(),
    ("stack", "List"): Ask(),
    ("stack", "Info"): Ask(),
    ("oauth-authorization", "Create"): Ask(201),
    ("oauth-authorization", "List"): Ask(),
    ("oauth-authorization", "Info"): Ask(),
    ("oauth-authorization", "Delete"): Ask(),
    ("oauth-authorization", "Regenerate"): Ask(),
    ("account-delinquency", "Info"): Ask(),
    ("app-feature", "Info"): Ask(),
    ("app-feature", "List"): Ask(),
    ("app-feature", "Update"): Ask(),
    ("app-setup", "Create"): Ask(202),
    ("app-setup", "Info"): Ask(),
    ("buildpack-installation", "Update"): Ask(),
    ("buildpack-installation", "List"): Ask(),
    ("collaborator", "Info"): Ask(),
    ("collaborator", "List"): Ask(),
    ("domain", "Info"): Ask(),
    ("domain", "List"): Ask(),
    ("generation", "List"): Ask(),
    ("region", "Info"): Ask(),
    ("region", "List"): Ask(),
}

# Served by the same handlers as others, or by fewer fields than the schema can say.
ELSEWHERE = {
    ("account", "Info By User"),
    ("dyno-size", "List App Dyno Sizes"),
    ("filter-apps", "Apps"),
    ("generation", "Info"),  # the schema refers to a stack's identity
    ("oauth-authorization", "Update"),  # the schema requires a client, and the official CLI sends none
    ("stack", "List by App"),
}

# Fields that an answer has beyond the schema, as the real one's has: field -> who reads it.
BEYOND = {("oauth-authorization", "description"): "heroku authorizations"}

SCOPES = ["global", "identity", "read", "write", "read-protected", "write-protected"]
NUMBERED = itertools.count(1)


def link(definition, title):
    """A link of the published schema."""
    return next(each for each in SCHEMA["definitions"][definition]["links"] if each["title"] == title)


def inlined(node, *, strict, within=""):
    """A part of the schema with its references put in; one that leads nowhere allows anything.

    strict: what it calls `strictProperties`, all of them and no others, in words that validators know.
    """
    if isinstance(node, list):
        return [inlined(each, strict=strict, within=within) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = SCHEMA
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found.get(part, {})
        name = re.fullmatch(r"#/definitions/([\w-]+)", node["$ref"])
        return inlined(found, strict=strict, within=name[1] if name else "")
    left_out = {"links", "definitions", "$schema", "id"} if "links" in node else {"definitions"}
    whole = {name: inlined(value, strict=strict) for name, value in node.items() if name not in left_out}
    if strict and node.get("strictProperties") is True and "properties" in node:
        whole["required"] = list(node["properties"])
        extra = {name: {} for definition, name in BEYOND if definition == within}
        whole["properties"] = {**whole["properties"], **extra}
        whole["additionalProperties"] = False
    return whole


def validator(node, *, strict=False):
    return jsonschema.Draft4Validator(inlined(node, strict=strict), format_checker=FORMATS)


def target(definition, title):
    """The schema of a link's answer."""
    node = link(definition, title).get("targetSchema") or {"$ref": f"#/definitions/{definition}"}
    return validator(node, strict=True)


class World:
    """An emulator with one of everything."""

    def __init__(self, emulator):
        self.emulator = emulator
        self._source = None

    def path(self, definition, title, kind="name"):
        """The path of a link, about things that are there; kind: how they are called, by `id` or by `name`."""
        href = unquote(link(definition, title)["href"])
        app = self.app() if LINKS[definition, title].ruins else self.emulator.get("/apps/demo")

        def identity(match):
            name, field = match.groups()
            if field == "formation_type":
                return "clock"
            found = app if name == "app" else getattr(self, name.replace("-", "_"))()
            return str(found["id"] if kind == "id" else found.get("name") or found.get("version") or found["id"])

        return re.sub(r"\{\(#/definitions/([\w-]+)/definitions/(\w+)\)\}", identity, href)

    def app(self):
        return self.post("/apps", {})

    def account(self):
        return {"id": "~", "name": "~"}

    def dyno(self):
        return self.post("/apps/demo/dynos", {"command": "exec sleep 600"})

    def formation(self):
        found = self.emulator.get("/apps/demo/formation/clock")
        return {**found, "name": found["type"]}

    def release(self):
        return self.emulator.get("/apps/demo/releases")[-1]

    def slug(self):
        """A slug with code."""
        slug = self.post("/apps/demo/slugs", {"process_types": {"clock": "exec sleep 600", "task": "echo"}})
        blob = slug["blob"]
        put = requests.request(
            blob["method"], blob["url"], data=tarball("./app/Procfile"), headers={"Content-Type": ""}
        )
        assert put.ok, put.text
        return slug

    def source(self):
        """The URL of a source that was put once."""
        if self._source is None:
            blob = self.post("/sources", None)["source_blob"]
            put = requests.put(blob["put_url"], data=tarball("./Procfile"), headers={"Content-Type": ""}, timeout=20)
            assert put.ok, put.text
            self._source = blob["get_url"]
        return self._source

    def build(self):
        return self.post("/apps/demo/builds", {"source_blob": {"url": self.source()}})

    def oauth_authorization(self):
        return self.post("/oauth/authorizations", {"scope": ["global"]})

    def app_feature(self):
        return self.emulator.get("/apps/demo/features")[0]

    def domain(self):
        found = self.emulator.get("/apps/demo/domains")[0]
        return {**found, "name": found["hostname"]}

    def collaborator(self):
        found = self.emulator.get("/apps/demo/collaborators")[0]
        return {**found, "name": found["user"]["email"]}

    def region(self):
        return self.emulator.get("/regions")[0]

    def app_setup(self):
        url = {"source_blob": {"url": self.source()}}
        return self.emulator.ask("POST", "/app-setups", 202, json=url).json()

    def dyno_size(self):
        return self.emulator.get("/dyno-sizes")[0]

    def stack(self):
        return self.emulator.get("/stacks")[0]

    def post(self, path, body):
        return self.emulator.ask("POST", path, 201, **({} if body is None else {"json": body})).json()

    def bodies(self, definition, title):
        """What a link's properties may be, so that it is taken for its shape and for what it names."""
        text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
        name = st.builds(lambda: f"made-{next(NUMBERED)}")
        size = st.sampled_from([{"name": "standard-1x"}, {"name": "Standard-2X"}, {"id": self.dyno_size()["id"]}])
        quantity = st.integers(0, 2)
        update = st.fixed_dictionaries(
            {"type": st.sampled_from(["clock", "task"])}, optional={"quantity": quantity, "dyno_size": size}
        )
        variables = st.dictionaries(st.from_regex(r"[A-G][A-Z0-9_]{0,5}", fullmatch=True), text, max_size=3)
        return {
            ("app", "Create"): lambda: {
                "name": name,
                "region": st.just("us"),
                "stack": st.sampled_from([self.stack()["name"], self.stack()["id"]]),
                "feature_flags": st.just([]),
            },
            ("app", "Update"): lambda: {
                "name": name,
                "maintenance": st.booleans(),
                "build_stack": st.just(self.stack()["name"]),
            },
            ("app-feature", "Update"): lambda: {"enabled": st.booleans()},
            ("app-setup", "Create"): lambda: {
                "app": st.fixed_dictionaries({}, optional={"name": name, "region": st.just("eu")}),
                "source_blob": st.fixed_dictionaries({"url": st.just(self.source())}, optional={"version": text}),
                "overrides": st.fixed_dictionaries({}, optional={"env": variables}),
            },
            ("buildpack-installation", "Update"): lambda: {
                "updates": st.lists(
                    st.fixed_dictionaries({"buildpack": st.sampled_from(["heroku/go", "https://a.b/c"])})
                )
            },
            ("build", "Create"): lambda: {
                "source_blob": st.fixed_dictionaries(
                    {"url": st.just(self.source())},
                    optional={"version": text | st.none(), "checksum": st.none(), "version_description": text},
                ),
                "buildpacks": st.sampled_from([None, [], [{"name": "heroku/python"}], [{"url": "heroku/python"}]]),
            },
            ("config-var", "Update"): lambda: {
                variable: text | st.none() for variable in ("ONE", "two", "_THREE", "F4")
            },
            ("dyno", "Create"): lambda: {
                "command": st.sampled_from(["true", "task", "task 1 2; true"]),
                "attach": st.booleans(),
                "env": variables,
                "force_no_tty": st.booleans() | st.none(),
                "size": st.sampled_from(["standard-1x", "Standard-2X", "basic"]),
                "type": st.sampled_from(["run", "mine"]),
                "time_to_live": st.integers(1, 86_400),
            },
            ("formation", "Batch Update"): lambda: {"updates": st.lists(update, max_size=2)},
            ("formation", "Update"): lambda: {"quantity": quantity, "dyno_size": size},
            ("log-session", "Create"): lambda: {
                "dyno_name": text,
                "type": text,
                "lines": st.integers(0, 3000),
                "source": text,
                "tail": st.booleans(),
            },
            ("oauth-authorization", "Create"): lambda: {
                "scope": st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3, unique=True),
                "description": text,
                "expires_in": st.none() | st.integers(1, 10**6),
            },
            ("release", "Create"): lambda: {"slug": st.just(self.slug()["id"]), "description": text},
            ("release", "Rollback"): lambda: {"release": st.just(self.release()["id"])},
            ("slug", "Create"): lambda: {
                "process_types": st.dictionaries(
                    st.from_regex(r"[-a-zA-Z0-9_]{1,9}", fullmatch=True), text, max_size=3
                ),
                "buildpack_provided_description": text | st.none(),
                "checksum": st.none() | st.from_regex(r"SHA256:[0-9a-f]{64}", fullmatch=True),
                "commit": text | st.none(),
                "commit_description": text | st.none(),
                "stack": st.just(self.stack()["name"]),
            },
        }[definition, title]()

    def ask(self, definition, title, kind="name", body=None):
        more = {} if body is None else {"json": body}
        method = link(definition, title)["method"]
        answer = self.emulator.http.request(
            method, self.emulator.url + self.path(definition, title, kind), timeout=20, **more
        )
        if (definition, title) == ("app-setup", "Create") and answer.ok:  # an account has room for 100 apps
            self.emulator.ask("DELETE", f"/apps/{answer.json()['app']['id']}")
        return answer


def tarball(name, text=b"clock: exec sleep 600\ntask: echo\n"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def emulator(make_folder, processes):
    folder = make_folder("clock: exec sleep 600\ntask: echo")
    emulator = Emulator(folder, "--one-offs", "500", "--time", "grace=0.2")
    yield emulator
    said = emulator.end()
    assert said == "", said


@pytest.fixture(scope="module")
def world(emulator):
    return World(emulator)


def drawn(fields):
    """A body with all fields, the fullest of a few, the same each time."""
    found = []

    @settings(max_examples=8, database=None, derandomize=True, deadline=None)
    @given(body=st.fixed_dictionaries(fields))
    def note(body):
        found.append(body)

    note()
    return max(found, key=lambda body: len(json.dumps(body)))


def required(definition, title):
    return set(link(definition, title)["schema"].get("required", ()))


def full_body(world, definition, title):
    return drawn(world.bodies(definition, title)) if "schema" in link(definition, title) else None


def named(links):
    return [pytest.param(*pair, id=" ".join(pair)) for pair in links]


COVERED = set()


ABOUT_SOMETHING = [pair for pair in LINKS if "{" in link(*pair)["href"]]


@pytest.mark.parametrize(
    ("kind", "definition", "title"),
    [
        pytest.param(kind, *pair, id=f"{' '.join(pair)}, by {kind}")
        for kind, links in {"name": LINKS, "id": ABOUT_SOMETHING}.items()
        for pair in links
    ],
)
def test_a_response_matches_the_schema(world, kind, definition, title):
    if (definition, title) == ("dyno", "List"):
        world.dyno()
    answer = world.ask(definition, title, kind, full_body(world, definition, title))
    assert answer.status_code == LINKS[definition, title].status, answer.text
    target(definition, title).validate(answer.json())
    if link(definition, title)["rel"] == "instances":
        assert answer.json(), "an empty list shows nothing"
    COVERED.add((definition, title))


WITH_BODIES = [pair for pair in LINKS if "schema" in link(*pair)]


@pytest.mark.parametrize(("definition", "title"), named(WITH_BODIES))
def test_a_body_that_the_schema_accepts_is_accepted(world, definition, title):
    fields = world.bodies(definition, title)
    needed = required(definition, title)
    schema = validator(link(definition, title)["schema"])
    known = set(link(definition, title)["schema"].get("properties", fields))
    assert set(fields) >= known - set(NOT_HERE), "a property that is not asked"

    @settings(
        max_examples=5 if definition in {"build", "release"} else 15,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        body=st.fixed_dictionaries(
            {name: strategy for name, strategy in fields.items() if name in needed},
            optional={name: strategy for name, strategy in fields.items() if name not in needed},
        )
    )
    def ask(body):
        schema.validate(body)
        answer = world.ask(definition, title, body=body)
        assert answer.status_code == LINKS[definition, title].status, (body, answer.text)

    ask()


# Properties for which there is nothing here that a request could name.
NOT_HERE = {
    "client": "OAuth clients",
    "oci_image": "images of the Fir generation",
}

# Properties that name something: a text of the wrong form names nothing, which may be told as a 404.
NAMES = {("formation", "updates"), ("release", "slug"), ("release", "release")}

# Bodies that the schema refuses and that are taken: (definition, property) -> whose requests have them so.
NUMBERS_AS_TEXT = "the official CLI sends numbers as text"
LENIENT = {
    ("dyno", "env"): "the official CLI sends COLUMNS and LINES as integers",
    ("dyno", "time_to_live"): NUMBERS_AS_TEXT,
    ("log-session", "lines"): NUMBERS_AS_TEXT,
    ("formation", "quantity"): NUMBERS_AS_TEXT,
    ("formation", "updates"): NUMBERS_AS_TEXT,
    ("oauth-authorization", "expires_in"): NUMBERS_AS_TEXT,
    ("oauth-authorization", "scope"): "`heroku authorizations:create` without options sends {}",
}
ABSENT_AS_NULL = "heroku3 sends null for what is not set"
# What a leniency takes, and no more.
TAKEN_AS_TEXT = (None, "7", {"A": 7}, [{"type": "clock", "quantity": "7"}])

WRONG = [
    True,
    7,
    1.5,
    "7",
    "no such thing!",
    [],
    {},
    ["x"],
    [7],
    {"A": 7},
    {"A": None},
    {"A": ["x"]},
    {"a b!": "1"},
    {"url": 7},
    {"name": 7},
    [{"type": "clock", "quantity": "7"}],
    [{"type": "clock", "quantity": "x"}],
    [{"type": "!"}],
    [{"quantity": 1}],
    [{"url": 7}],
]


def wrong_bodies(schema, body):
    """Bodies with one property wrong, as (property, value, body)."""
    for name in body:
        for value in [None, *WRONG]:
            changed = {**body, name: value}
            if not schema.is_valid(changed):
                yield name, value, changed


@pytest.mark.parametrize(("definition", "title"), named(WITH_BODIES))
def test_a_body_that_the_schema_refuses_is_refused(world, definition, title):
    schema = validator(link(definition, title)["schema"])
    needed = required(definition, title)
    body = full_body(world, definition, title)
    taken = []
    for name, value, changed in wrong_bodies(schema, body):
        is_absent = value is None and name not in needed
        if is_absent or ((definition, name) in LENIENT and value in TAKEN_AS_TEXT):
            continue
        status = world.ask(definition, title, body=changed).status_code
        if status not in {400, 422} and not (status == 404 and (definition, name) in NAMES):
            taken.append((name, value, status))
    for name in needed:
        left = {key: value for key, value in body.items() if key != name}
        status = world.ask(definition, title, body=left).status_code
        if status not in {400, 422} and (definition, name) not in LENIENT:
            taken.append((name, "left out", status))
    assert taken == []


@pytest.mark.parametrize(("definition", "title"), named(WITH_BODIES))
@pytest.mark.parametrize("text", ["[]", "7", '"x"', "{", '{"command": "x"'])
def test_a_body_that_is_not_an_object_is_a_400(world, definition, title, text):
    answer = world.emulator.http.request(
        link(definition, title)["method"],
        world.emulator.url + world.path(definition, title),
        data=text,
        headers={"Content-Type": "application/json"},
        timeout=20,
    )
    assert (answer.status_code, answer.json()["id"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/apps/demo/dynos", {"command": "true", "size": None, "env": None}, ABSENT_AS_NULL),
        ("/apps/demo/dynos", {"command": "true", "env": {"COLUMNS": 91, "LINES": 0}}, LENIENT["dyno", "env"]),
        ("/apps/demo/dynos", {"command": "true", "time_to_live": "60"}, NUMBERS_AS_TEXT),
        ("/apps/demo/log-sessions", {"dyno": "run.1", "tail": True}, "version 3.sdk calls dyno_name dyno"),
        ("/apps/demo/log-sessions", {"lines": "10"}, NUMBERS_AS_TEXT),
        ("/oauth/authorizations", {}, LENIENT["oauth-authorization", "scope"]),
        ("/oauth/authorizations", {"expires_in": "3600"}, NUMBERS_AS_TEXT),
    ],
)
def test_the_bodies_of_real_clients_are_accepted(emulator, path, body, reason):
    assert reason
    emulator.ask("POST", path, 201, json=body)


@pytest.mark.parametrize("quantity", ["1", "+1", "-1", 0])
@pytest.mark.parametrize("size", [{}, {"size": "standard-2x"}])
def test_a_formation_is_changed_by_the_requests_of_the_official_cli(emulator, quantity, size):
    emulator.ask("PATCH", "/apps/demo/formation/clock", json={"quantity": 1})
    body = {"updates": [{"type": "clock", "quantity": quantity, **size}]}
    changed = {each["type"]: each for each in emulator.ask("PATCH", "/apps/demo/formation", json=body).json()}
    assert changed["clock"]["quantity"] == {"1": 1, "+1": 2, "-1": 0, 0: 0}[quantity]
    if size:
        assert (changed["clock"]["size"], changed["clock"]["dyno_size"]["name"]) == ("Standard-2X", "Standard-2X")


def test_the_emulators_own_schema_is_an_object(emulator):
    assert isinstance(emulator.get("/schema"), dict)


def all_links():
    return [(name, each) for name, definition in SCHEMA["definitions"].items() for each in definition.get("links", ())]


def test_every_served_link_of_the_schema_is_tested_here(start, make_folder, capsys):
    """A link that is not served is an unknown endpoint, whatever it is asked about."""
    emulator = start(make_folder())
    served = set()
    for definition, each in all_links():
        path = re.sub(r"\{.*?\}", "nothing", unquote(each["href"]))
        if any(re.fullmatch(pattern, path) for pattern, *_ in ABSENT):
            continue  # tests/emulator/test_absent.py
        answer = emulator.http.request(each["method"], emulator.url + path, data="[", timeout=20)
        if "API endpoint" not in answer.text and "does not support" not in answer.text:
            served.add((definition, each["title"]))
    with capsys.disabled():
        definitions = {definition for definition, _ in COVERED & served}
        told = f"{len(definitions)} definitions and {len(COVERED & served)} links covered of those served"
        print(f"\nschema: {told} ({len({each for each, _ in served})} and {len(served)})")
    assert served - ELSEWHERE <= set(LINKS)


def test_each_tested_link_is_in_the_schema():
    assert set(LINKS) <= {(definition, each["title"]) for definition, each in all_links()}
