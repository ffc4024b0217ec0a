"""An embedded Heroku as a process, with the apps of a test run, and plain requests to look behind the clients."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
ACCEPT = "application/vnd.heroku+json; version=3"


class Platform:
    """The emulator; `exports` is what its first write tells a shell to export."""

    def __init__(self, apps, *options):
        served = [word for name, folder in apps.items() for word in ("--app", f"{name}={folder}")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heroku_magic.emulator", *served, "--until-stdin-closes", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        told = os.read(self.process.stdout.fileno(), 65_536).decode()
        words = [shlex.split(line) for line in told.splitlines()]
        self.exports = dict(word[1].split("=", 1) for word in words if word[:1] == ["export"])
        assert self.exports, self.process.stderr.read().decode()
        self.url, self.token = self.exports["HEROKU_HOST"], self.exports["HEROKU_API_KEY"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers.update({"Accept": ACCEPT, "Authorization": f"Bearer {self.token}"})

    def ask(self, method, path, status=200, **more):
        """Ask and check the status; a path that is a whole URL is asked without the token."""
        if path.startswith("/"):
            answer = self.http.request(method, self.url + path, timeout=20, **more)
        else:
            answer = requests.request(method, path, timeout=20, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more).json()

    def create(self, app, command, **more):
        return self.ask("POST", f"/apps/{app}/dynos", 201, json={"command": command, **more}).json()

    def dynos(self, app):
        """The dynos of an app by name."""
        return {dyno["name"]: dyno for dyno in self.get(f"/apps/{app}/dynos")}

    def log(self, app, **session):
        """The lines of a session that does not tail."""
        url = self.ask("POST", f"/apps/{app}/log-sessions", 201, json={"lines": 1500, **session}).json()["logplex_url"]
        return self.ask("GET", url).text.replace("\0", "").splitlines()

    def deploy(self, app, content, *, version=None, **headers):
        """Deploy an archive as the plugin heroku-builds does; return the build at its end, and its output."""
        blob = self.ask("POST", "/sources", 201, headers=headers).json()["source_blob"]
        put = requests.put(blob["put_url"], data=content, headers={"Content-Type": ""}, timeout=20)
        assert put.ok, put.text
        source = {"source_blob": {"url": blob["get_url"], "version": version}}
        build = self.ask("POST", f"/apps/{app}/builds", 201, headers=headers, json=source).json()
        assert build["status"] == "pending"
        output = requests.get(build["output_stream_url"], headers={"Accept-Encoding": "gzip"}, timeout=60)
        assert output.ok, output.text
        return self.get(f"/apps/{app}/builds/{build['id']}", headers=headers), output.text.replace("\0", "")

    def end(self):
        """End it and return its complaints."""
        self.process.stdin.close()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
        said = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        self.http.close()
        return said


def archive(files):
    """A tar.gz of name -> text with members `./NAME`, as `tar cz -C folder .` makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        top = tarfile.TarInfo(".")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(text), 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def wait_until(condition, seconds=15):
    """Wait for what another process does in its own time; return what was found."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found
