"""Two more clients of node: heroku-client, and the commands of the plugin heroku-builds."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from official import INSTALLED, PATIENCE, require

pytestmark = pytest.mark.cli("heroku-client, heroku-builds")

CLIENT = """
const Heroku = require('heroku-client')
const heroku = new Heroku({ token: process.env.HEROKU_API_KEY, host: process.env.HEROKU_HOST })
const app = process.argv[1]
const caught = promise => promise.then(() => null, error => [error.statusCode, error.body.id])

async function main () {
  const said = {}
  said.email = (await heroku.get('/account')).email
  said.apps = (await heroku.get('/apps')).map(each => each.name)
  said.config = await heroku.patch(`/apps/${app}/config-vars`, { body: { FROM: 'node' } })
  said.missing = await caught(heroku.get('/apps/nobodys-app'))
  said.refused = await caught(heroku.post(`/apps/${app}/addons`, { body: { plan: 'heroku-redis:mini' } }))
  const types = await heroku.patch(`/apps/${app}/formation`, { body: { updates: [{ type: 'clock', quantity: 0 }] } })
  said.formation = types.map(each => [each.type, each.quantity])
  const dyno = await heroku.post(`/apps/${app}/dynos`, { body: { command: 'sleep 600' } })
  said.dynos = (await heroku.get(`/apps/${app}/dynos`)).map(each => each.name).includes(dyno.name)
  said.stopped = await heroku.post(`/apps/${app}/dynos/${dyno.name}/actions/stop`)
  said.lists = []
  for (const list of ['addons', 'domains', 'features', 'collaborators', 'log-drains', 'releases', 'builds']) {
    said.lists.push((await heroku.get(`/apps/${app}/${list}`)).length)
  }
  console.log(JSON.stringify(said))
}
main().catch(error => { console.error(error); process.exit(1) })
"""
PLUGIN = """
const [name, app, flags, args] = JSON.parse(process.argv[1])
const command = require('heroku-builds').commands.find(each => (each.command || null) === name)
const context = { app, flags, args, auth: { password: process.env.HEROKU_API_KEY }, version: '1', supportsColor: false }
command.run(context)
"""


@pytest.fixture
def node(platform, tmp_path):
    """A function that runs a script with the installed packages."""
    require("heroku-client")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NODE_PATH": str(INSTALLED / "node_modules"),
        **platform.exports,
    }

    def run(script, argument, status=0):
        done = subprocess.run(
            ["node", "-e", script, argument],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def test_heroku_client_reads_changes_and_is_refused(node, platform):
    said = json.loads(node(CLIENT, "vars").stdout)
    assert said["email"] == platform.get("/account")["email"]
    assert "vars" in said["apps"]
    assert said["config"]["FROM"] == "node"
    assert said["missing"] == [404, "not_found"]
    assert said["refused"] == [422, "invalid_params"]
    assert said["formation"] == [["clock", 0]]
    assert said["dynos"] is True
    assert said["stopped"] == {}
    assert said["lists"][:5] == [0, 1, 2, 1, 0]
    platform.ask("PATCH", "/apps/vars/config-vars", json={"FROM": None})


def test_the_plugin_heroku_builds_creates_lists_and_shows_builds(node, platform, tmp_path):
    platform.ask("POST", "/apps", 201, json={"name": "by-plugin"})
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Procfile").write_text("hello: echo built\n")

    def plugin(name, flags=None, args=None, status=0):
        return node(PLUGIN, json.dumps([name, "by-plugin", flags or {}, args or {}]), status)

    built = plugin("create", {"dir": str(tmp_path / "app"), "version": "v7"})
    assert "Procfile declares types -> hello" in built.stderr
    (build,) = platform.get("/apps/by-plugin/builds")
    assert (build["status"], build["source_blob"]["version"]) == ("succeeded", "v7")
    assert "v7" in plugin(None).stdout
    assert build["id"] in plugin("info", args={"id": build["id"]}).stdout
    assert "Procfile declares types -> hello" in plugin("output", args={"id": build["id"]}).stderr
    assert "Can only cancel pending" in plugin("cancel", args={"build": build["id"]}).stderr
    platform.ask("DELETE", "/apps/by-plugin")
