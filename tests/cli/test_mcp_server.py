"""Heroku's MCP server, as a table of its tools: each works, or says what is not there.

1.2.0 is the newest that starts: later ones import a module by a name that it does not have. It calls the official CLI
with `--repl`, which has become the command `repl`.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from official import INSTALLED, PATIENCE, executable, require

pytestmark = pytest.mark.cli("@heroku/mcp-server")

PROGRAM = INSTALLED / "node_modules" / "@heroku" / "mcp-server" / "bin" / "heroku-mcp-server.mjs"
HEROKU = """\
#!/bin/sh
[ "$1" = --repl ] && set repl
exec '{}' "$@"
"""
WORKS, IS_REFUSED = False, True
NO_ADDON = "Couldn't find that addon."
APP = {"app": "tools"}

# The tool, its arguments, whether it reports an error, and what it says. The order counts.
CALLS = [
    ("list_apps", {}, WORKS, "tools"),
    ("list_apps", {"all": True}, WORKS, "=== notebook@embedded.invalid Apps"),
    ("get_app_info", APP, WORKS, "=== tools"),
    ("get_app_info", {**APP, "json": True}, WORKS, '"name": "tools"'),
    ("create_app", {"app": "by-mcp"}, WORKS, "http://by-mcp.localhost:"),
    ("rename_app", {"app": "by-mcp", "newName": "by-mcp-too"}, WORKS, "http://by-mcp-too.localhost:"),
    ("maintenance_on", APP, WORKS, "Enabling maintenance mode for tools...done"),
    ("maintenance_off", APP, WORKS, "Disabling maintenance mode for tools...done"),
    ("get_app_logs", {**APP, "source": "app"}, WORKS, "app[api]: Release v2 created by user"),
    ("list_private_spaces", {}, IS_REFUSED, "You do not have access to any spaces."),
    ("list_private_spaces", {"json": True}, WORKS, "[]"),
    ("list_teams", {}, WORKS, "Team"),
    ("list_teams", {"json": True}, WORKS, "[]"),
    ("list_addons", APP, WORKS, "No add-ons for app tools."),
    ("list_addons", {"all": True}, WORKS, "No add-ons."),
    ("get_addon_info", {**APP, "addon": "redis"}, IS_REFUSED, NO_ADDON),
    (
        "create_addon",
        {**APP, "serviceAndPlan": "heroku-redis:mini"},
        IS_REFUSED,
        "The embedded Heroku does not support add-ons.",
    ),
    ("list_addon_services", {}, WORKS, "See plans with heroku addons:plans SERVICE"),
    ("list_addon_plans", {"service": "heroku-redis"}, IS_REFUSED, "Couldn't find that add-on service."),
    ("pg_info", APP, WORKS, "tools has no heroku-postgresql databases."),
    ("pg_psql", {**APP, "command": "select 1"}, IS_REFUSED, NO_ADDON),
    ("pg_ps", APP, IS_REFUSED, NO_ADDON),
    ("pg_locks", APP, IS_REFUSED, NO_ADDON),
    ("pg_outliers", APP, IS_REFUSED, NO_ADDON),
    ("pg_credentials", APP, IS_REFUSED, NO_ADDON),
    ("pg_kill", {**APP, "pid": 1}, IS_REFUSED, NO_ADDON),
    ("pg_backups", APP, IS_REFUSED, "Couldn't find that add-on."),
    ("ps_list", APP, WORKS, "No dynos on tools"),
    ("ps_scale", APP, WORKS, "clock=0:Standard-1X hello=0:Standard-1X"),
    ("ps_scale", {**APP, "dyno": "clock=1"}, WORKS, "now running clock at 1:Standard-1X"),
    ("ps_restart", {**APP, "process-type": "clock"}, WORKS, "Restarting all clock dynos on tools...done"),
    ("ps_scale", {**APP, "dyno": "clock=0"}, WORKS, "now running clock at 0:Standard-1X"),
    (
        "pipelines_create",
        {**APP, "name": "pipe", "stage": "staging"},
        IS_REFUSED,
        "The embedded Heroku does not support pipelines.",
    ),
    ("pipelines_promote", APP, IS_REFUSED, "Couldn't find that pipeline coupling."),
    ("pipelines_list", {}, WORKS, "=== My Pipelines"),
    ("pipelines_info", {"pipeline": "pipe"}, IS_REFUSED, "Pipeline not found"),
]
# Their requests would go to Heroku, whatever HEROKU_HOST is: `api_host.mjs` redirects them.
DEPLOYS = ("deploy_to_heroku", "deploy_one_off_dyno")
# The tools that no test calls, and the reason.
LEFT_OUT = {
    "pg_maintenance": "it calls `pg:maintenance`, which the CLI does not have",
    "pg_upgrade": "it calls `pg:upgrade`, which the CLI does not have",
}


class McpServer:
    """The server as a process, which speaks JSON-RPC: https://modelcontextprotocol.io/specification."""

    def __init__(self, env):
        self._process = subprocess.Popen(
            ["node", "--import", str(Path(__file__).with_name("api_host.mjs")), str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            encoding="utf-8",
        )
        self._responses = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._number = 0
        about = {"clientInfo": {"name": "tests", "version": "1"}, "capabilities": {}}
        self.request("initialize", protocolVersion="2025-03-26", **about)
        self._send(method="notifications/initialized")

    def request(self, method, **params):
        """Return the result of a request."""
        self._number += 1
        self._send(id=self._number, method=method, params=params)
        response = self._responses.get(timeout=PATIENCE)
        assert response["id"] == self._number, response
        return response["result"]

    def end(self):
        """End the server and what it started."""
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._process.stdout.close()

    def _send(self, **message):
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()

    def _read(self):
        for line in self._process.stdout:
            if not line.startswith("Dyno status: "):  # a message of the server that is not JSON
                self._responses.put(json.loads(line))


@pytest.fixture(scope="module")
def server(heroku, tmp_path_factory):
    """The MCP server, with a PATH that has no npx: with npx it would fetch the newest CLI."""
    require("@heroku/mcp-server")
    path = tmp_path_factory.mktemp("path")
    for name in ("node", "git"):
        (path / name).symlink_to(shutil.which(name))
    (path / "heroku").write_text(HEROKU.format(executable().resolve()))
    (path / "heroku").chmod(0o755)
    server = McpServer({**heroku.env, "PATH": str(path)})
    yield server
    server.end()


def test_each_tool_is_in_the_table_or_left_out_for_a_reason(server):
    listed = {tool["name"] for tool in server.request("tools/list")["tools"]}
    called = {*DEPLOYS, *(name for name, *_ in CALLS)}
    assert len(called) >= 31
    assert listed == called | set(LEFT_OUT)
    assert not called & set(LEFT_OUT)


@pytest.mark.parametrize(
    ("name", "arguments", "is_refused", "text"), CALLS, ids=[f"{name} {' '.join(each)}" for name, each, *_ in CALLS]
)
def test_a_tool_works_or_says_what_is_not_supported(server, name, arguments, is_refused, text):
    said = server.request("tools/call", name=name, arguments=arguments)
    # The space before "done" is sometimes at the end of what is read at once, and removed.
    assert text in said["content"][0]["text"].replace("... ", "...")
    assert said.get("isError", False) is is_refused


def test_a_folder_is_deployed_as_a_new_app_and_again_and_runs(server, platform, tmp_path):
    (tmp_path / "Procfile").write_text("hello: echo deployed\n")
    deploy = {"name": "by-mcp-deploy", "rootUri": str(tmp_path), "appJson": '{"name": "by-mcp-deploy"}'}
    for _ in range(2):
        said = server.request("tools/call", name="deploy_to_heroku", arguments=deploy)
        assert said["content"][0]["text"] == "Successfully deployed to by-mcp-deploy"
    assert [each["version"] for each in platform.get("/apps/by-mcp-deploy/releases")] == [1, 2, 3]
    run = {
        "name": "by-mcp-deploy",
        "command": "cat word.txt",
        "sources": [{"relativePath": "word.txt", "contents": "ran"}],
    }
    said = server.request("tools/call", name="deploy_one_off_dyno", arguments=run)
    assert said["content"][0]["text"].endswith("\nran")
