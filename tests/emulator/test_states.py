"""Any order of API calls leaves the state that a simple model predicts."""

from __future__ import annotations

import io
import itertools
import tarfile

import pytest
import requests
from emulators import Emulator, wait_until
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

NUMBERED = itertools.count(1)
PROCFILE = b"clock: exec sleep 600\ntask: echo\n"


def source():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("./app/Procfile")
        member.size = len(PROCFILE)
        tar.addfile(member, io.BytesIO(PROCFILE))
    return buffer.getvalue()


class App:
    """What is known of one app: config vars of each release, the code's release, the formation, dynos."""

    def __init__(self):
        self.releases = [{}]
        self.deployed = []
        self.scale = {}
        self.dynos = {}

    @property
    def config(self):
        return self.releases[-1]

    def release(self, config):
        self.releases.append(dict(config))
        if self.deployed:
            self.deployed.append(len(self.releases))


class Platform(RuleBasedStateMachine):
    """The emulator beside the model."""

    emulator: Emulator
    apps = Bundle("apps")
    dynos = Bundle("dynos")

    def __init__(self):
        super().__init__()
        self.model = {}
        self.touched = None

    def ask(self, method, path, status=200, **more):
        return self.emulator.ask(method, path, status, **more).json()

    @initialize(target=apps)
    def begin_with_code(self):
        app = self.new_app()
        self.deploy_to(app)
        return app

    @precondition(lambda self: len(self.model) < 3)
    @rule(target=apps)
    def create_app(self):
        return self.new_app()

    def new_app(self):
        name = f"model-{next(NUMBERED)}"
        assert self.ask("POST", "/apps", 201, json={"name": name})["name"] == name
        self.model[name] = App()
        self.touched = name
        return name

    @precondition(lambda self: len(self.model) > 2)
    @rule(app=consumes(apps))
    def delete_app(self, app):
        self.ask("DELETE", f"/apps/{app}")
        del self.model[app]
        self.ask("GET", f"/apps/{app}", 404)

    @rule(app=apps)
    def take_a_name_twice(self, app):
        self.ask("POST", "/apps", 422, json={"name": app})

    @rule(app=apps, name=st.sampled_from(["A", "B", "C"]), value=st.sampled_from(["", "1", "2", None]))
    def set_config(self, app, name, value):
        self.touched = app
        changed = {**self.model[app].config, name: value}
        config = {key: each for key, each in changed.items() if each is not None}
        assert self.ask("PATCH", f"/apps/{app}/config-vars", json={name: value}) == config
        if config != self.model[app].config:
            self.model[app].release(config)

    @rule(app=apps)
    def deploy(self, app):
        self.deploy_to(app)

    def deploy_to(self, app):
        self.touched = app
        slug = self.ask(
            "POST", f"/apps/{app}/slugs", 201, json={"process_types": {"clock": "exec sleep 600", "task": "echo"}}
        )
        blob = slug["blob"]
        assert requests.request(blob["method"], blob["url"], data=source(), headers={"Content-Type": ""}, timeout=20).ok
        self.ask("POST", f"/apps/{app}/releases", 201, json={"slug": slug["id"]})
        model = self.model[app]
        model.release(model.config)
        model.deployed = model.deployed or [len(model.releases)]
        model.scale = {"clock": 0, "task": 0, **model.scale}

    @rule(app=apps, back=st.integers(0, 3))
    def roll_back(self, app, back):
        self.touched = app
        model = self.model[app]
        if back < len(model.deployed):
            version = model.deployed[-1 - back]
            release = self.ask("GET", f"/apps/{app}/releases/{version}")
            made = self.ask("POST", f"/apps/{app}/releases", 201, json={"release": release["id"]})
            model.release(model.releases[version - 1])
            assert (made["version"], made["description"]) == (len(model.releases), f"Rollback to v{version}")
        else:
            first = self.ask("GET", f"/apps/{app}/releases/1")
            self.ask("POST", f"/apps/{app}/releases", 422, json={"release": first["id"]})

    @rule(app=apps, quantity=st.integers(0, 2))
    def scale(self, app, quantity):
        self.touched = app
        model = self.model[app]
        body = {"updates": [{"type": "clock", "quantity": quantity}]}
        if model.scale:
            self.ask("PATCH", f"/apps/{app}/formation", json=body)
            model.scale["clock"] = quantity
        else:
            status = self.emulator.http.patch(f"{self.emulator.url}/apps/{app}/formation", json=body).status_code
            assert status in {404, 422}

    @precondition(lambda self: any(app.deployed for app in self.model.values()))
    @rule(target=dynos, app=apps, command=st.sampled_from(["exec sleep 600", "true"]))
    def create_dyno(self, app, command):
        self.touched = app
        model = self.model[app]
        if not model.deployed:
            self.ask("POST", f"/apps/{app}/dynos", 422, json={"command": command})
            return None
        dyno = self.ask("POST", f"/apps/{app}/dynos", 201, json={"command": command})
        assert dyno["release"]["version"] == len(model.releases)
        if command == "true":
            self.wait_for_end(app, dyno)
        else:
            model.dynos[dyno["name"]] = dyno["id"]
        return app, dyno

    @rule(found=dynos)
    def stop_dyno(self, found):
        if found is None or found[0] not in self.model:
            return
        app, dyno = found
        self.touched = app
        is_there = self.model[app].dynos.pop(dyno["name"], None)
        self.ask("POST", f"/apps/{app}/dynos/{dyno['name']}/actions/stop", 202 if is_there else 404)
        self.wait_for_end(app, dyno)

    def wait_for_end(self, app, dyno):
        path = f"{self.emulator.url}/apps/{app}/dynos/{dyno['id']}"
        wait_until(lambda: self.emulator.http.get(path, timeout=20).status_code == 404)

    @rule(found=dynos, tail=st.booleans())
    def read_log(self, found, tail):
        if found is None or found[0] not in self.model:
            return
        app, dyno = found
        session = {"dyno": dyno["name"], "tail": tail}
        url = self.ask("POST", f"/apps/{app}/log-sessions", 201, json=session)["logplex_url"]
        with self.emulator.open(url) as log:
            assert log.until(b"Starting process with command `")

    @invariant()
    def the_apps_are_those_of_the_model(self):
        listed = {app["name"] for app in self.ask("GET", "/apps") if app["name"].startswith("model-")}
        assert listed == set(self.model)

    @invariant()
    def versions_go_up_by_one_and_one_release_is_current(self):
        for name, model in self.changed():
            releases = self.ask("GET", f"/apps/{name}/releases")
            assert [each["version"] for each in releases] == list(range(1, len(model.releases) + 1))
            assert [each["version"] for each in releases if each["current"]] == [len(releases)]

    @invariant()
    def the_config_is_that_of_the_current_release(self):
        for name, model in self.changed():
            assert self.ask("GET", f"/apps/{name}/config-vars") == model.config
            newest = self.ask("GET", f"/apps/{name}/releases/{len(model.releases)}/config-vars")
            assert newest == model.config

    @invariant()
    def the_formation_is_as_scaled(self):
        for name, model in self.changed():
            formation = self.ask("GET", f"/apps/{name}/formation")
            assert {each["type"]: each["quantity"] for each in formation} == model.scale

    @invariant()
    def the_dynos_are_those_that_were_not_stopped(self):
        for name, model in self.changed():
            clocks = {f"clock.{number + 1}" for number in range(model.scale.get("clock", 0))}

            def are_there(name=name, model=model, clocks=clocks):
                listed = {dyno["name"]: dyno for dyno in self.ask("GET", f"/apps/{name}/dynos")}
                one_offs = {each: dyno["id"] for each, dyno in listed.items() if dyno["type"] == "run"}
                return one_offs == model.dynos and set(listed) - set(one_offs) == clocks

            wait_until(are_there)

    def changed(self):
        """What the last step may have changed; the budget of requests is that of an hour."""
        return [(name, model) for name, model in self.model.items() if name == self.touched]

    def teardown(self):
        for app in self.model:
            self.touched = app
            self.the_config_is_that_of_the_current_release()
            self.the_dynos_are_those_that_were_not_stopped()
        for app in self.model:
            self.ask("DELETE", f"/apps/{app}")


@pytest.fixture(scope="module")
def emulator(make_folder, processes):
    emulator = Emulator(make_folder(), "--time", "grace=0.2", "--one-offs", "100")
    yield emulator
    said = emulator.end()
    assert said == "", said


def test_any_order_of_calls_leaves_the_state_that_the_model_predicts(emulator):
    class Machine(Platform):
        pass

    Machine.emulator = emulator
    Machine.TestCase.settings = settings(
        max_examples=16,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    Machine.TestCase().runTest()
